"""Comparisons show the original left and the restored picture right, each under a caption that can be read."""

import numpy as np
import pytest

from tessera.imaging.frame import planes_of
from tessera.imaging.side_by_side import GAP, NARROW, caption_height, half_scale, halves, pair


def planes(width: int, height: int, level: int) -> list[np.ndarray]:
    return [np.full((height // part, width // part), level, np.uint8) for part in (1, 2, 2)]


@pytest.mark.parametrize(("width", "height"), [(NARROW, 2), (96, 200), (638, 358), (1918, 1080)])
def test_the_halves_are_under_captions_that_fit_and_touch_no_pixel_of_them(width: int, height: int) -> None:
    picture = pair(planes(width, height, 50), planes(width, height, 200))
    y, u, v = planes_of(picture)
    left, right = halves(np.stack([y] * 3, axis=-1))
    assert left.shape == right.shape == (height, width, 3)
    assert (left == 50).all() and (right == 200).all()
    line = caption_height(width)
    assert line >= 22 and line % 2 == 0 and y.shape == (line + height, 2 * width + GAP)
    for caption in (y[:line, :width], y[:line, width + GAP :]):
        ink = np.argwhere(caption > 200)
        # Letters of nine pixels or more, and none is cut off.
        assert np.ptp(ink[:, 0]) + 1 >= 9 and ink[:, 1].max() < width - 1 and ink[:, 0].max() < line - 1
    assert not np.array_equal(y[:line, :width], y[:line, width + GAP :])
    assert (y[line:, width : width + GAP] == 16).all() and (u[: line // 2] == 128).all() and (v[: line // 2] == 128).all()


@pytest.mark.parametrize(
    ("width", "height", "half"),
    [(100, 80, 100), (1920, 1080, 638), (1080, 1920, 638), (1000, 3000, 426), (32, 24, NARROW), (16, 4000, 5)],
)
def test_a_comparison_has_no_side_above_the_limit_and_small_pictures_are_enlarged(width: int, height: int, half: int) -> None:
    scale = half_scale(width, height, 1280)
    assert int(width * scale) == half
    assert 2 * width * scale + GAP <= 1280 and height * scale <= 1280
