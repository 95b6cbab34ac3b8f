"""The outline of what a box shows follows the object, lies inside the box, and depends on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.imaging.masks import Patch
from tessera.imaging.outlines import LEAST, outline_in
from tessera.imaging.polygons import trace


def scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of a bright cross before a dark, uneven ground, and the mask of the cross, bool (H, W)."""
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : 3 * height // 4, 2 * width // 5 : 3 * width // 5] = True
    mask[2 * height // 5 : 3 * height // 5, width // 4 : 3 * width // 4] = True
    image = random.normal(70, 12, (height, width, 3))
    image[mask] = random.normal((220, 150, 110), 12, (int(mask.sum()), 3))
    return image.clip(0, 255).astype(np.uint8), mask


def whole(patch: Patch, shape: tuple[int, ...]) -> np.ndarray:
    return patch.inside((0, 0, shape[1], shape[0])) > 0


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize(("height", "width"), [(120, 160), (600, 500), (40, 200)])
def test_the_outline_follows_an_object_closer_than_the_box_and_its_ellipse(height: int, width: int) -> None:
    image, mask = scene(height, width, 0)
    x0, y0, x1, y1 = width / 4, height / 4, 3 * width / 4, 3 * height / 4
    found = whole(outline_in(image, (x0, y0, x1, y1)), image.shape)
    y, x = np.indices(mask.shape) + 0.5
    box = (x > x0) & (x < x1) & (y > y0) & (y < y1)
    ellipse = np.hypot((x - width / 2) / (x1 - x0), (y - height / 2) / (y1 - y0)) < 0.5
    assert overlap(found, mask) > 0.9 > max(overlap(box, mask), overlap(ellipse, mask)) + 0.1


def test_an_outline_is_one_ring_without_holes() -> None:
    image, _ = scene(300, 300, 0)
    image[140:160, 140:160] = 70
    image[80:84, 90:94] = (220, 150, 110)
    parts = trace(np.where(whole(outline_in(image, (75.0, 75.0, 225.0, 225.0)), image.shape), 255, 0).astype(np.uint8))
    assert len(parts) == 1 and not parts[0].holes


def test_what_was_outlined_before_changes_nothing() -> None:
    image, _ = scene(120, 160, 0)
    first = outline_in(image, (40.2, 30.7, 120.1, 90.0))
    outline_in(scene(90, 90, 1)[0], (10, 10, 80, 80))
    second = outline_in(image, (40.2, 30.7, 120.1, 90.0))
    assert first.box == second.box and (first.mask == second.mask).all()


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    corner=st.tuples(st.floats(-0.2, 0.9), st.floats(-0.2, 0.9)),
    sides=st.tuples(st.floats(0.01, 1.2), st.floats(0.01, 1.2)),
    flat=st.booleans(),
)
def test_any_box_in_any_picture_has_an_outline_inside(
    height: int, width: int, corner: tuple[float, float], sides: tuple[float, float], flat: bool
) -> None:
    image = np.full((height, width, 3), 99, np.uint8) if flat else scene(height, width, 2)[0]
    x0, y0 = max(corner[0], 0) * width, max(corner[1], 0) * height
    box = (x0, y0, min(x0 + sides[0] * width, width), min(y0 + sides[1] * height, height))
    found = whole(outline_in(image, box), image.shape)
    y, x = np.nonzero(found)
    assert found.any()
    assert np.floor(x0) <= x.min() and x.max() < np.ceil(box[2]) and np.floor(y0) <= y.min() and y.max() < np.ceil(box[3])
    # At least what counts as an object, but for rounding at the edge of few pixels.
    area = np.pi / 4 * (box[2] - x0) * (box[3] - y0)
    assert found.sum() >= LEAST * area - 4 * (height + width)
