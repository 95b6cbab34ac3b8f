"""The means of blocks are read, and a finer picture is drawn in their place: what changes, by how much, and what stays."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data

from tessera.imaging.mosaic.blocks import Grid, Mosaic, pixelate
from tessera.imaging.mosaic.means import BESIDE, FLAT, SIDE, draw_blocks, read_blocks

PHOTOS: dict[str, Callable[[], Any]] = {"astronaut": data.astronaut, "coffee": data.coffee, "chelsea": data.chelsea}
COLOURS = arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)), elements=st.integers(80, 170), fill=st.nothing()
)


def enlarged(blocks: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return `blocks` (rows, columns, …) with `side` by `side` pixels of each."""
    return blocks.repeat(side, axis=0).repeat(side, axis=1)


def in_blocks(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return the pixels of each block of `picture`, (h, w, …), as (rows, columns, `side`²,  …)."""
    rows, columns = picture.shape[0] // side, picture.shape[1] // side
    apart = picture.reshape(rows, side, columns, side, *picture.shape[2:]).swapaxes(1, 2)
    return apart.reshape(rows, columns, side**2, *picture.shape[2:])


def means_of(picture: np.ndarray) -> np.ndarray:
    return np.asarray(in_blocks(picture.astype(float)).mean(axis=2))


def interpolated(means: np.ndarray) -> np.ndarray:
    """Return a smooth picture whose blocks have `means`."""
    picture = cv2.resize(means, means.shape[1::-1] * np.array(SIDE), interpolation=cv2.INTER_CUBIC)
    return picture + enlarged(means - means_of(picture)).astype(np.float32)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean()))


def beside(touched: np.ndarray) -> np.ndarray:
    """Return which blocks are `touched`, bool (rows, columns), or at most `BESIDE` away from such a one."""
    rows, columns = np.indices(touched.shape)
    near = np.zeros(touched.shape, bool)
    for row, column in np.argwhere(touched):
        near |= np.maximum(abs(rows - row), abs(columns - column)) <= BESIDE
    return near


def whole(image: np.ndarray) -> tuple[int, int, int, int]:
    return 0, 0, image.shape[1], image.shape[0]


def smooth(image: np.ndarray, mask: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return `image`, a frame, with the means of its blocks interpolated, and where it changed."""
    blocks = read_blocks(image, whole(image), grid)
    return draw_blocks(image, whole(image), mask, blocks.filled(interpolated(blocks.means)))


# Reading


@given(COLOURS, st.integers(5, 20), st.integers(5, 20), st.integers(0, 19), st.integers(0, 19), st.booleans())
def test_the_means_of_blocks_are_their_colours(
    colours: np.ndarray, width: int, height: int, left: int, top: int, deep: bool
) -> None:
    x, y = left % width, top % height
    kind, scale = (np.uint16, 257) if deep else (np.uint8, 1)
    image = colours.repeat(height, axis=0).repeat(width, axis=1)[(height - y) % height :, (width - x) % width :]
    blocks = read_blocks(np.ascontiguousarray(image).astype(kind) * kind(scale), whole(image), Grid(3.0, x, y, width, height))
    assert blocks.means.shape == colours.shape and blocks.flat.all()
    assert np.abs(blocks.means - colours).max() < 0.01
    assert blocks.picture.shape == (SIDE * len(colours), SIDE * colours.shape[1], 3)


@given(COLOURS, st.data())
def test_blocks_that_are_not_of_one_colour_are_not_flat(colours: np.ndarray, draw: st.DataObject) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*(SIDE * side for side in colours.shape[:2]), 3), np.uint8)
    middle = in_blocks(noise).reshape(*colours.shape[:2], SIDE, SIDE, 3)[:, :, 1:-1, 1:-1]
    mixed = draw.draw(arrays(np.bool_, colours.shape[:2])) & (np.ptp(middle, axis=(2, 3)).max(axis=-1) >= FLAT)
    image = np.where(enlarged(mixed)[..., None], noise, enlarged(colours))
    blocks = read_blocks(image, whole(image), Grid(3.0, 0.0, 0.0, SIDE, SIDE))
    assert np.array_equal(blocks.flat, ~mixed)
    assert np.abs(blocks.means - means_of(image)).max() < 0.01


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> tuple[int, int, int, int]:
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))


@given(st.integers(5, 17), st.integers(5, 17), st.integers(-30, 30), st.integers(-30, 30), boxes(90, 70), st.integers(0, 9))
def test_the_blocks_of_a_part_are_among_those_of_the_whole(
    width: int, height: int, left: int, top: int, box: tuple[int, int, int, int], seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (70, 90, 3), np.uint8)
    grid = Grid(3.0, left, top, width, height)
    x0, y0, x1, y1 = box
    part = read_blocks(image, whole(image), grid).part(box, grid)
    alone = read_blocks(image[y0:y1, x0:x1], box, grid)
    assert (part.across, part.down) == (alone.across, alone.down)
    assert part.across.begin <= x0 < x1 <= part.across.end and part.down.begin <= y0 < y1 <= part.down.end
    # Blocks that the box cuts have fewer pixels in it.
    rows = slice(alone.down.begin < y0, len(alone.flat) - (alone.down.end > y1))
    columns = slice(alone.across.begin < x0, alone.flat.shape[1] - (alone.across.end > x1))
    assert np.allclose(part.means[rows, columns], alone.means[rows, columns], atol=0.51)


# Drawing


@given(COLOURS, st.data())
def test_touched_blocks_of_one_colour_and_those_beside_them_change(colours: np.ndarray, draw: st.DataObject) -> None:
    image, shape = enlarged(colours), colours.shape[:2]
    flat = draw.draw(arrays(np.bool_, shape))
    mask = draw.draw(arrays(np.uint8, image.shape[:2], elements=st.sampled_from([0, 0, 0, 0, 0, 255])))
    blocks = read_blocks(image, whole(image), Grid(3.0, 0.0, 0.0, SIDE, SIDE))._replace(flat=flat)
    finer = np.random.default_rng(0).uniform(-20, 280, blocks.picture.shape).astype(np.float32)
    result, shown = draw_blocks(image, whole(image), mask, blocks.filled(finer))
    inside = enlarged(beside(in_blocks(mask).any(axis=2)) & flat)
    assert np.array_equal(shown > 0, inside)
    assert np.array_equal(result, np.where(inside[..., None], np.rint(finer).clip(0, 255).astype(np.uint8), image))


# Mosaics of any grid


@st.composite
def crops(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Return a crop, which may be smaller than a block, the mask of its mosaic, and a grid that it need not have."""
    shape = draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    deep = draw(st.booleans())
    random = np.random.default_rng(draw(st.integers(0, 99)))
    coarse = random.integers(0, 65_536 if deep else 256, (*(side // 7 + 1 for side in shape), 3))
    crop = enlarged(coarse, 7)[: shape[0], : shape[1]].astype(np.uint16 if deep else np.uint8)
    mask = np.zeros(shape, np.uint8)
    for _ in range(draw(st.integers(0, 2))):
        y, x = (draw(st.integers(0, side - 1)) for side in shape)
        mask[y : y + draw(st.integers(1, 30)), x : x + draw(st.integers(1, 30))] = 255
    side = st.one_of(st.integers(5, 30).map(float), st.floats(5, 90))
    corner = st.floats(-200, 200)
    return crop, mask, Grid(3.0, draw(corner), draw(corner), draw(side), draw(side))


@given(crops())
def test_nothing_changes_but_near_the_mask_and_where_it_says_so(drawn: tuple[np.ndarray, np.ndarray, Grid]) -> None:
    crop, mask, grid = drawn
    result, shown = smooth(crop, mask, grid)
    assert result.shape == crop.shape and result.dtype == crop.dtype
    assert shown.shape == mask.shape and shown.dtype == np.uint8 and set(np.unique(shown)) <= {0, 255}
    assert np.array_equal(result[shown == 0], crop[shown == 0])
    if not mask.any():
        assert not shown.any()
    rows, columns = np.nonzero(mask)
    reach = (BESIDE + 1) * grid.height + 2, (BESIDE + 1) * grid.width + 2
    for y, x in np.argwhere(shown)[::97]:
        assert ((abs(rows - y) <= reach[0]) & (abs(columns - x) <= reach[1])).any()


@given(st.integers(5, 24), st.integers(5, 24), st.integers(0, 23), st.integers(0, 23), st.integers(0, 99), st.booleans())
def test_the_changed_pixels_are_those_of_whole_blocks(
    width: int, height: int, left: int, top: int, seed: int, deep: bool
) -> None:
    random = np.random.default_rng(seed)
    kind, scale = (np.uint16, 257) if deep else (np.uint8, 1)
    # Neighbours differ, so that each block changes.
    colours = np.where(np.indices((9, 9)).sum(axis=0) % 2, 100, 150)[..., None] + random.integers(-10, 10, (9, 9, 3))
    x, y = left % width, top % height
    crop = colours.repeat(height, axis=0).repeat(width, axis=1)[height - y :, width - x :].astype(kind) * kind(scale)
    touched = np.zeros((9, 9), bool)
    touched[tuple(random.integers(2, 7, 2))] = touched[tuple(random.integers(2, 7, 2))] = True
    whole = touched.repeat(height, axis=0).repeat(width, axis=1)[height - y :, width - x :]
    mask = (whole & (random.random(whole.shape) < 0.5)) * np.uint8(255)
    result, shown = smooth(crop, mask, Grid(3.0, float(x), float(y), float(width), float(height)))
    expected = beside(touched).repeat(height, axis=0).repeat(width, axis=1)[height - y :, width - x :]
    assert np.array_equal(shown > 0, expected)
    changed = (result != crop).any(axis=-1)
    assert not (changed & ~expected).any()
    assert changed[expected].mean() > 0.5
    # The corner of any block is the same grid.
    moved = Grid(3.0, float(x - 3 * width), float(y + 2 * height), float(width), float(height))
    again, where = smooth(crop, mask, moved)
    assert np.array_equal(again, result) and np.array_equal(where, shown)


@given(st.integers(5, 24), st.integers(0, 23), st.integers(0, 99))
def test_blocks_keep_their_colours(side: int, offset: int, seed: int) -> None:
    colours = np.random.default_rng(seed).integers(100, 160, (8, 8, 3), np.uint8)
    start = offset % side
    crop = np.ascontiguousarray(enlarged(colours, side)[side - start :, side - start :])
    grid = Grid(3.0, float(start), float(start), float(side), float(side))
    result, _ = smooth(crop, np.full(crop.shape[:2], 255, np.uint8), grid)
    whole = result[start:, start:].astype(float)
    found = in_blocks(whole, side).mean(axis=2)
    # To rounding if there are four by four pixels, or a multiple of it; of others, some are scaled.
    assert np.abs(found - colours[-found.shape[0] :, -found.shape[1] :]).mean() < (0.6 if side % SIDE == 0 else 2.5)


@given(st.integers(0, 255), st.floats(5, 40), st.floats(5, 40), st.floats(-50, 50), st.floats(-50, 50))
def test_a_crop_of_one_colour_stays_as_it_is(level: int, width: float, height: float, left: float, top: float) -> None:
    crop = np.full((45, 61, 3), level, np.uint8)
    mask = np.zeros((45, 61), np.uint8)
    mask[20:30, 10:40] = 255
    result, shown = smooth(crop, mask, Grid(3.0, left, top, width, height))
    assert (result == level).all() and (shown[mask > 0] == 255).all()


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize(("side", "origin", "scale"), [(8, (0, 0), 1), (11, (4, 7), 1), (16, (3, 5), 0.68), (8, (1, 6), 1.37)])
def test_a_mosaic_of_any_grid_gets_nearer_to_the_original(photo: str, side: int, origin: tuple[int, int], scale: float) -> None:
    original = PHOTOS[photo]()[:300, :400]
    mask = np.zeros(original.shape[:2], np.uint8)
    cv2.ellipse(mask, (200, 150), (150, 110), 0, 0, 360, 255, -1)
    mosaic = pixelate(original, mask, Mosaic("squa_avg", side, side, origin=origin))
    original, mosaic = (cv2.resize(each, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for each in (original, mosaic))
    mask = cv2.resize(mask, mosaic.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    across, down = mosaic.shape[1] / 400, mosaic.shape[0] / 300
    result, shown = smooth(mosaic, mask, Grid(3.0, origin[0] * across, origin[1] * down, side * across, side * down))
    inside = mask > 0
    assert psnr(result[inside], original[inside]) > psnr(mosaic[inside], original[inside]) + 0.4
    # Almost all of it changes, and it is the mosaic and a few flat places beside it.
    assert (shown[inside] > 0).mean() > 0.95
