"""The grid of blocks in a region: its evidence, its position, and what the frames of a video have in common."""

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
from tessera.imaging.mosaic.blocks import Grid, Mosaic, pixelate
from tessera.imaging.mosaic.grid import (
    APART,
    CODED,
    CONTRAST,
    FEWEST,
    MOSTLY,
    SHORTEST,
    SMOOTH,
    _evidence,
    common_grid,
    grid_of,
)
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
    assert grid_of(grey(image, 80), patch).evidence > LEAST
    assert grid_of(grey(PHOTOS[photo](), 90), patch).evidence < LEAST


@pytest.mark.parametrize("factor", [0.5, 0.67, 1.5])
@pytest.mark.parametrize("photo", PHOTOS)
def test_a_mosaic_that_was_scaled_has_a_grid_of_fractional_distances(photo: str, factor: float) -> None:
    image, patch = covered(photo, Mosaic("squa_avg", 16, 16))
    scaled = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    x0, y0, x1, y1 = (round(factor * edge) for edge in patch.box)
    assert grid_of(grey(scaled, 80), round_patch(x0, y0, x1 - x0, y1 - y0)).evidence > LEAST


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
    assert grid_of(image, Patch(np.full((180, 180), 255, np.uint8), 10, 10)).evidence < LEAST


@pytest.mark.parametrize(("height", "width"), [(0, 0), (0, 9), (1, 1), (1, 90), (90, 1), (8, 8)])
def test_a_region_without_room_for_a_grid_has_none(height: int, width: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (100, 100)).astype(np.uint8)
    assert grid_of(image, Patch(np.full((height, width), 255, np.uint8), 0, 0)).evidence == 0
    assert grid_of(image, Patch(np.zeros((50, 50), np.uint8), 0, 0)).evidence == 0


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
    assert _evidence(values, left, coded, SHORTEST, len(values) / FEWEST)[0] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(("offset", "has_grid"), [(0, False), (3, True)])
def test_faint_blocks_where_a_codec_has_its_own_are_no_grid(offset: int, has_grid: bool) -> None:
    levels = np.random.default_rng(0).integers(100, 105, (30, 30), np.uint8).repeat(8, 0).repeat(8, 1)
    image = np.roll(levels, (offset, offset), (0, 1))
    assert (grid_of(image, Patch(np.full((160, 160), 255, np.uint8), 24, 24)).evidence > LEAST) == has_grid


@given(st.integers(0, 11), st.integers(0, 11))
def test_the_position_of_the_grid_does_not_matter(x: int, y: int) -> None:
    image, patch = covered("astronaut", Mosaic("squa_avg", 12, 12, origin=(x, y)))
    assert grid_of(grey(image, 90), patch).evidence > 1.5 * LEAST


# Its position


def off(line: float, start: float, side: float) -> float:
    """Return how far `line` is from the nearest of the lines that begin at `start`, `side` apart."""
    return abs((line - start + side / 2) % side - side / 2)


@given(
    st.sampled_from(list(PHOTOS)),
    st.integers(6, 32),
    st.floats(1.0, 1.8),
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
    st.integers(0, 50),
)
def test_the_grid_of_a_mosaic_is_found_to_within_a_pixel(
    photo: str, width: int, ratio: float, origin: tuple[int, int], moved: int
) -> None:
    height = max(6, round(width / ratio))
    mosaic = Mosaic("squa_avg" if width == height else "rect_avg", width, height, origin=origin)
    image, patch = PHOTOS[photo](), round_patch(60 + moved, 40 + moved // 2, 210, 200)
    image = pixelate(image, patch.inside((0, 0, image.shape[1], image.shape[0])), mosaic)
    found = grid_of(grey(image, 80), patch)
    assert abs(found.width - width) < 1 and abs(found.height - height) < 1
    assert off(found.left, origin[0], width) < 1 and off(found.top, origin[1], height) < 1
    # The corner nearest to the middle of the region.
    assert abs(found.left - (60 + moved + 105)) <= width / 2 + 2 and abs(found.top - (40 + moved // 2 + 100)) <= height / 2 + 2


def striped(period: int, amplitude: float, seed: int) -> np.ndarray:
    """Return horizontal stripes, in which there is little else."""
    level = 128 + 90 * np.sin(2 * np.pi * np.arange(300) / period)
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(300, 300)), (0, 0), 6)
    picture = level[:, None] + amplitude * noise / noise.std()
    return np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("block", "period", "amplitude", "quality", "seed"),
    [
        # Of the columns alone, lines at half of their distance, or at twice, would be the clearest.
        (12, 50, 6, 40, 0),
        (24, 90, 3, 40, 3),
        (16, 20, 3, 80, 2),
        (16, 90, 3, 80, 3),
        *[(block, 30, 3, 80, seed) for block in (12, 16, 24) for seed in range(3)],
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_blocks_of_a_picture_that_is_much_alike_along_an_axis_are_square(
    block: int, period: int, amplitude: float, quality: int, seed: int, turned: bool
) -> None:
    image, patch = striped(period, amplitude, seed), round_patch(20, 20, 10 * block, 10 * block)
    mosaic = Mosaic("squa_avg", block, block, origin=(3, 5))
    shown = grey(pixelate(image, patch.inside((0, 0, 300, 300)), mosaic), quality)
    found = grid_of(np.ascontiguousarray(shown.T) if turned else shown, patch)
    assert found.width == pytest.approx(block, rel=0.06) and found.height == pytest.approx(block, rel=0.06)


# What frames have in common

REGION = 160.0, 120.0  # its width and height


def seen(left: float, top: float, width: float, height: float, count: int = 9, moving: float = 0, seed: int = 0) -> list[Grid]:
    """Return a grid as it may be found in each of `count` frames: any of its corners, and not exactly."""
    rng = np.random.default_rng(seed)
    grids = []
    for number in range(count):
        # The last line of a region is found to within a pixel.
        wide, high = width * (1 + rng.uniform(-1, 1) / REGION[0]), height * (1 + rng.uniform(-1, 1) / REGION[1])
        x, y = (start + moving * number + rng.uniform(-0.3, 0.3) for start in (left, top))
        column, row = rng.integers(10, 13, 2)
        grids.append(Grid(rng.uniform(3, 6), x + column * width, y + row * height, wide, high))
    return grids


def common(grids: list[Grid]) -> Grid | None:
    return common_grid(grids, [REGION] * len(grids))


POSITIONS = st.tuples(st.floats(0, 5), st.floats(0, 5))


@given(st.tuples(st.integers(0, 7), st.integers(0, 5)), st.integers(8, 24), st.integers(8, 24), st.integers(0, 99))
def test_a_grid_of_whole_pixels_stays_whole(place: tuple[int, int], width: int, height: int, seed: int) -> None:
    x, y = place
    found = common(seen(x, y, width, height, seed=seed))
    assert found is not None and found[1:] == (x, y, width, height)
    assert 3 < found.evidence < 6


@given(POSITIONS, st.integers(8, 20), st.floats(0.4, 0.6), st.integers(0, 99))
def test_a_grid_of_scaled_footage_keeps_its_fractions(
    place: tuple[float, float], whole: int, fraction: float, seed: int
) -> None:
    side = whole + fraction
    found = common(seen(*place, side, side, seed=seed))
    assert found is not None
    # Its lines fit those that were found, in the region.
    assert found.width == pytest.approx(side, abs=2 * side / REGION[0]) and not found.width.is_integer()
    for line in range(10, 13):
        assert off(place[0] + line * side, found.left, found.width) < 2
        assert off(place[1] + line * side, found.top, found.height) < 2


@given(st.permutations(range(9)), st.booleans(), st.integers(0, 99))
def test_the_order_of_frames_does_not_matter(order: list[int], whole: bool, seed: int) -> None:
    grids = seen(3, 2, 14 if whole else 13.5, 11, seed=seed)
    expected = common(grids)
    assert expected is not None
    assert common([grids[number] for number in order]) == pytest.approx(expected, abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(0, 4), st.floats(0, 300), st.floats(0, 300), st.floats(5, 50), st.floats(5, 50)), max_size=3),
    st.integers(0, 99),
)
def test_a_few_wrong_frames_do_not_matter(wrong: list[tuple[float, ...]], seed: int) -> None:
    found = common([*seen(3, 2, 14, 11, count=12, seed=seed), *(Grid(*values) for values in wrong)])
    assert found is not None and found[1:] == (3, 2, 14, 11)


@given(st.floats(0.25, 0.75), st.integers(0, 99))
def test_a_grid_that_moves_with_its_region_is_none(step: float, seed: int) -> None:
    assert common(seen(3, 2, 14, 11, count=12, moving=14 * step, seed=seed)) is None


def test_frames_without_a_grid_have_none_in_common() -> None:
    assert common([Grid(0.0, 0.0, 0.0, 1.0, 1.0)] * 5) is None
    rng = np.random.default_rng(0)
    assert common([Grid(1.0, *rng.uniform(0, 300, 2), *rng.uniform(5, 50, 2)) for _ in range(20)]) is None


def test_the_grid_of_a_mosaic_that_was_scaled_fits_its_lines_all_over_the_region() -> None:
    for photo, factor in (("astronaut", 0.4), ("coffee", 0.72), ("chelsea", 0.84), ("astronaut", 0.9)):
        image, patch = covered(photo, Mosaic("squa_avg", 16, 16))
        scaled = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        x0, y0, x1, y1 = (round(factor * edge) for edge in patch.box)
        region = round_patch(x0, y0, x1 - x0, y1 - y0)
        grids = [grid_of(grey(scaled, quality), region) for quality in (70, 75, 80, 85, 90)]
        found = common_grid(grids, [(x1 - x0, y1 - y0)] * len(grids))
        assert found is not None
        side = 16 * scaled.shape[1] / image.shape[1]
        assert max(off(line * side, found.left, found.width) for line in range(50) if x0 <= line * side <= x1) < 1
