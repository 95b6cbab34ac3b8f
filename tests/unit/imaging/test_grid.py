"""The evidence of a grid of blocks in a region."""

from collections.abc import Callable
from math import ceil
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from tessera.imaging.masks import Patch
from tessera.imaging.mosaic.blocks import Mosaic, pixelate
from tessera.imaging.mosaic.grid import APART, CODED, CONTRAST, FEWEST, MOSTLY, SHORTEST, SMOOTH, _evidence, grid_of
from tessera.learning.detection.grids import GridSettings

LEAST = GridSettings().grid
PHOTOS: dict[str, Callable[[], Any]] = {"astronaut": data.astronaut, "coffee": data.coffee, "chelsea": data.chelsea}


def round_patch(x: int, y: int, width: int, height: int) -> Patch:
    """Return an ellipse in the box of `width` by `height` pixels at `x` and `y`."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, 255, -1)
    return Patch(mask, x, y)


def grey(image: np.ndarray, quality: int = 60) -> np.ndarray:
    """Return the brightness of `image` after JPEG."""
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))


def covered(photo: str, mosaic: Mosaic) -> tuple[np.ndarray, Patch]:
    """Return `photo` with a mosaic, and its region."""
    image = PHOTOS[photo]()
    patch = round_patch(120, 60, 200, 200)
    mask = patch.inside((0, 0, image.shape[1], image.shape[0]))
    return pixelate(image, mask, mosaic), patch


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize(
    "mosaic",
    [
        Mosaic("squa_avg", 8, 8),
        Mosaic("squa_mid", 12, 12, origin=(5, 3)),
        Mosaic("rect_avg", 22, 13, feather=9),
        Mosaic("squa_avg", 32, 32, origin=(1, 0), incomplete=True),
    ],
    ids=str,
)
def test_a_mosaic_has_a_grid_and_the_picture_under_it_has_none(photo: str, mosaic: Mosaic) -> None:
    image, patch = covered(photo, mosaic)
    assert grid_of(grey(image, 80), patch) > LEAST
    assert grid_of(grey(PHOTOS[photo](), 90), patch) < LEAST


@pytest.mark.parametrize("factor", [0.5, 0.67, 1.5])
@pytest.mark.parametrize("photo", PHOTOS)
def test_a_mosaic_that_was_scaled_has_a_grid_of_fractional_distances(photo: str, factor: float) -> None:
    image, patch = covered(photo, Mosaic("squa_avg", 16, 16))
    scaled = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    x0, y0, x1, y1 = (round(factor * edge) for edge in patch.box)
    assert grid_of(grey(scaled, 80), round_patch(x0, y0, x1 - x0, y1 - y0)) > LEAST


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("flat", np.full((200, 200), 90, np.uint8)),
        ("black", np.zeros((200, 200), np.uint8)),
        ("ramp", np.tile(np.linspace(0, 255, 200).astype(np.uint8), (200, 1))),
        ("noise", np.random.default_rng(0).integers(0, 256, (200, 200)).astype(np.uint8)),
        ("dither", np.tile([[0, 2], [3, 1]], (100, 100)).astype(np.uint8) * 20),
        ("drawn grid", np.where((np.indices((200, 200)) % 16 < 2).any(axis=0), 200, 90).astype(np.uint8)),
        ("stripes", np.tile(np.arange(200, dtype=np.uint8) // 10 % 2 * 90, (200, 1))),
    ],
)
def test_what_has_no_blocks_has_no_grid(name: str, image: np.ndarray) -> None:
    assert grid_of(image, Patch(np.full((180, 180), 255, np.uint8), 10, 10)) < LEAST


@pytest.mark.parametrize(("height", "width"), [(0, 0), (0, 9), (1, 1), (1, 90), (90, 1), (8, 8)])
def test_a_region_without_room_for_a_grid_has_none(height: int, width: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (100, 100)).astype(np.uint8)
    assert grid_of(image, Patch(np.full((height, width), 255, np.uint8), 0, 0)) == 0
    assert grid_of(image, Patch(np.zeros((50, 50), np.uint8), 0, 0)) == 0


@given(st.lists(st.floats(0, 1, width=32), min_size=0, max_size=60), st.integers(0, 9), st.booleans())
def test_evidence_is_how_much_the_steps_on_the_clearest_lines_exceed_those_elsewhere(
    steps: list[float], left: int, coded: bool
) -> None:
    values = np.array(steps, np.float64)
    best = 0.0
    distance = float(SHORTEST)
    while len(values) >= FEWEST * SHORTEST and FEWEST * distance <= len(values):
        lines = [np.floor(np.arange(start, len(values) - 0.5, distance) + 0.5).astype(int) for start in range(ceil(distance))]
        means = [values[places].mean() if len(places) >= FEWEST else 0 for places in lines]
        first = means.index(max(means))
        gaps = [min(abs(start - first), distance - abs(start - first)) for start in range(len(lines))]
        other = max([values.mean(), *(mean for mean, gap in zip(means, gaps, strict=True) if gap >= APART)])
        excess = means[first] - (CONTRAST if coded else 1) * other
        if coded or ((left + lines[first] + 2) % CODED <= 2).mean() < MOSTLY:
            best = max(best, excess / (values.std() + SMOOTH) * len(lines[first]) ** 0.5)
        distance *= 1 + 1 / len(values)
    assert _evidence(values, left, coded) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(("offset", "has_grid"), [(0, False), (3, True)])
def test_faint_blocks_where_a_codec_has_its_own_are_no_grid(offset: int, has_grid: bool) -> None:
    levels = np.random.default_rng(0).integers(100, 105, (30, 30), np.uint8).repeat(8, 0).repeat(8, 1)
    image = np.roll(levels, (offset, offset), (0, 1))
    assert (grid_of(image, Patch(np.full((160, 160), 255, np.uint8), 24, 24)) > LEAST) == has_grid


@given(st.integers(0, 11), st.integers(0, 11))
def test_the_position_of_the_grid_does_not_matter(x: int, y: int) -> None:
    image, patch = covered("astronaut", Mosaic("squa_avg", 12, 12, origin=(x, y)))
    assert grid_of(grey(image, 90), patch) > 1.5 * LEAST
