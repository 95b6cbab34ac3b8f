"""Smoothed mosaics: what changes, by how much, and what they keep."""

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
from tessera.imaging.mosaic.smooth import BESIDE, FLAT, RATE, ROUND, SIDE, STEPS, smooth, smooth_blocks

PHOTOS: dict[str, Callable[[], Any]] = {"astronaut": data.astronaut, "coffee": data.coffee, "chelsea": data.chelsea}
# Not the darkest and lightest: what is smooth goes beyond the colours of blocks, and pixels cannot.
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


def bicubic(means: np.ndarray) -> np.ndarray:
    return cv2.resize(means, means.shape[1::-1] * np.array(SIDE), interpolation=cv2.INTER_CUBIC)


def variation(picture: np.ndarray) -> float:
    levels = picture.astype(float)
    across, down = np.diff(levels, axis=1, append=levels[:, -1:]), np.diff(levels, axis=0, append=levels[-1:])
    return float(np.sqrt(ROUND**2 + (across**2 + down**2).sum(axis=-1)).sum())


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean()))


def beside(touched: np.ndarray) -> np.ndarray:
    """Return which blocks are `touched`, bool (rows, columns), or at most `BESIDE` away from such a one."""
    rows, columns = np.indices(touched.shape)
    near = np.zeros(touched.shape, bool)
    for row, column in np.argwhere(touched):
        near |= np.maximum(abs(rows - row), abs(columns - column)) <= BESIDE
    return near


# Blocks of four by four pixels


def plainly(picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return `picture`, whose blocks that are `inside` have one colour each, after the steps down the gradient."""
    means = means_of(picture)
    result = np.where(inside[..., None], bicubic(means.astype(np.float32)), picture.astype(float))
    for step in range(STEPS):
        across, down = np.diff(result, axis=1, append=result[:, -1:]), np.diff(result, axis=0, append=result[-1:])
        length = np.sqrt(ROUND**2 + (across**2 + down**2).sum(axis=-1, keepdims=True))
        gradient = np.diff(across / length, axis=1, prepend=0) + np.diff(down / length, axis=0, prepend=0)
        result = np.where(inside[..., None], result + RATE * (1 - step / STEPS) * gradient, result)
        result = np.where(inside[..., None], result + enlarged(means - means_of(result)), result)
    return result


@given(COLOURS, st.data())
def test_each_step_goes_down_the_gradient_of_the_variation_and_keeps_the_means(
    colours: np.ndarray, draw: st.DataObject
) -> None:
    picture = enlarged(colours)
    touched = draw.draw(arrays(np.bool_, colours.shape[:2]))
    result, inside = smooth_blocks(picture, enlarged(touched) * np.uint8(255), bicubic)
    assert np.array_equal(inside, enlarged(beside(touched)))
    assert np.abs(result - plainly(picture, inside)).max() < 0.51
    assert variation(result) <= variation(picture) * 1.001


@given(COLOURS, st.data())
def test_touched_blocks_of_one_colour_and_those_beside_them_change_and_keep_their_means(
    colours: np.ndarray, draw: st.DataObject
) -> None:
    mosaic, shape = enlarged(colours), colours.shape[:2]
    noise = np.random.default_rng(0).integers(0, 256, mosaic.shape, np.uint8)
    middle = in_blocks(noise).reshape(*shape, SIDE, SIDE, 3)[:, :, 1:-1, 1:-1]
    mixed = draw.draw(arrays(np.bool_, shape)) & (np.ptp(middle, axis=(2, 3)).max(axis=-1) >= FLAT)
    picture = np.where(enlarged(mixed)[..., None], noise, mosaic)
    mask = draw.draw(arrays(np.uint8, mosaic.shape[:2], elements=st.sampled_from([0, 0, 0, 0, 0, 255])))
    result, inside = smooth_blocks(picture, mask, bicubic)
    assert np.array_equal(inside, enlarged(beside(in_blocks(mask).any(axis=2)) & ~mixed))
    assert np.array_equal(result[~inside], picture[~inside])
    assert np.abs(means_of(result) - means_of(picture)).max() <= 0.5


@given(COLOURS, st.integers(0, 256))
def test_pictures_with_more_levels_are_smoothed_alike(colours: np.ndarray, more: int) -> None:
    fine = colours.astype(np.uint16) * 257 + np.uint16(more)
    masked = np.full((SIDE * len(colours), SIDE * colours.shape[1]), 255, np.uint8)
    result, _ = smooth_blocks(enlarged(fine), masked, bicubic)
    assert result.dtype == np.uint16
    assert np.abs((result - float(more)) / 257 - smooth_blocks(enlarged(colours), masked, bicubic)[0]).max() < 0.52
    assert np.abs(means_of(result) - fine).max() <= 1


@pytest.mark.parametrize("level", [0, 255])
def test_no_pixel_is_darker_than_black_or_lighter_than_white(level: int) -> None:
    colours = np.full((6, 6, 3), level, np.uint8)
    colours[2:4, 2:4] = 255 - level
    result, _ = smooth_blocks(enlarged(colours), np.full((24, 24), 255, np.uint8), bicubic)
    # Of blocks far from the others, no pixel wraps around.
    assert np.abs(result[:4].astype(int) - level).max() < 60


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("reduced", [1, 3])
def test_it_is_nearer_to_the_original_than_its_blocks_and_bicubic_interpolation(photo: str, reduced: int) -> None:
    original = cv2.resize(PHOTOS[photo]()[:, :400], None, fx=1 / reduced, fy=1 / reduced, interpolation=cv2.INTER_AREA)
    height, width = (side // SIDE * SIDE for side in original.shape[:2])
    original = np.ascontiguousarray(original[:height, :width])
    region = np.full((height, width), 255, np.uint8)
    mosaic = pixelate(original, region, Mosaic("squa_avg", SIDE, SIDE))
    result, _ = smooth_blocks(mosaic, region, bicubic)
    interpolated = bicubic(mosaic[::SIDE, ::SIDE])
    assert psnr(result, original) > psnr(interpolated, original) + 0.1 > psnr(mosaic, original) + 1
    assert variation(result) < 0.95 * variation(mosaic)


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
    result, shown = smooth(crop, mask, grid, bicubic)
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
    result, shown = smooth(crop, mask, Grid(3.0, float(x), float(y), float(width), float(height)), bicubic)
    expected = beside(touched).repeat(height, axis=0).repeat(width, axis=1)[height - y :, width - x :]
    assert np.array_equal(shown > 0, expected)
    changed = (result != crop).any(axis=-1)
    assert not (changed & ~expected).any()
    assert changed[expected].mean() > 0.5
    # The corner of any block is the same grid.
    moved = Grid(3.0, float(x - 3 * width), float(y + 2 * height), float(width), float(height))
    again, where = smooth(crop, mask, moved, bicubic)
    assert np.array_equal(again, result) and np.array_equal(where, shown)


@given(st.integers(5, 24), st.integers(0, 23), st.integers(0, 99))
def test_blocks_keep_their_colours(side: int, offset: int, seed: int) -> None:
    colours = np.random.default_rng(seed).integers(100, 160, (8, 8, 3), np.uint8)
    start = offset % side
    crop = np.ascontiguousarray(enlarged(colours, side)[side - start :, side - start :])
    grid = Grid(3.0, float(start), float(start), float(side), float(side))
    result, _ = smooth(crop, np.full(crop.shape[:2], 255, np.uint8), grid, bicubic)
    whole = result[start:, start:].astype(float)
    found = in_blocks(whole, side).mean(axis=2)
    # To rounding if there are four by four pixels, or a multiple of it; of others, some are scaled.
    assert np.abs(found - colours[-found.shape[0] :, -found.shape[1] :]).mean() < (0.6 if side % SIDE == 0 else 2.5)


@given(st.integers(0, 255), st.floats(5, 40), st.floats(5, 40), st.floats(-50, 50), st.floats(-50, 50))
def test_a_crop_of_one_colour_stays_as_it_is(level: int, width: float, height: float, left: float, top: float) -> None:
    crop = np.full((45, 61, 3), level, np.uint8)
    mask = np.zeros((45, 61), np.uint8)
    mask[20:30, 10:40] = 255
    result, shown = smooth(crop, mask, Grid(3.0, left, top, width, height), bicubic)
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
    result, shown = smooth(mosaic, mask, Grid(3.0, origin[0] * across, origin[1] * down, side * across, side * down), bicubic)
    inside = mask > 0
    assert psnr(result[inside], original[inside]) > psnr(mosaic[inside], original[inside]) + 0.4
    # Almost all of it changes, and it is the mosaic and a few flat places beside it.
    assert (shown[inside] > 0).mean() > 0.95
