"""Mosaics equal those of an obvious loop, and block sizes equal those of Lada where Lada has no bug."""

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numba import types

from tessera.core.seeds import generator
from tessera.imaging.compiled import compiled
from tessera.imaging.mosaic.blocks import Mosaic, cover, pixelate, whole_blocks
from tessera.imaging.mosaic.drawing import block_size_v1, block_size_v2, block_size_v3, block_size_v4, draw_mosaic
from tessera.imaging.mosaic.settings import DrawSettings

TYPES = ("squa_mid", "squa_avg", "rect_avg")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def ellipse(height: int, width: int, centre: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, centre, axes, 20, 0, 360, 255, -1)
    return mask


def plain_pixelate(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with its mosaic, and the visible part of the mosaic, block by block."""
    height, width = mask.shape
    if mosaic.dilation:
        d = mosaic.dilation
        padded = np.pad(mask, d)
        mask = np.array([[padded[y : y + 2 * d + 1, x : x + 2 * d + 1].max() for x in range(width)] for y in range(height)])
    flat, hard = image.copy(), np.zeros_like(mask)
    for y in range(mosaic.origin[1] % mosaic.height - mosaic.height, height, mosaic.height):
        for x in range(mosaic.origin[0] % mosaic.width - mosaic.width, width, mosaic.width):
            place = slice(max(0, y), max(0, y + mosaic.height)), slice(max(0, x), max(0, x + mosaic.width))
            block = image[place]
            if not block.size:
                continue
            row = min(max(y + mosaic.height // 2, 0), height - 1)
            column = min(max(x + mosaic.width // 2, 0), width - 1)
            colour = image[row, column] if mosaic.type == "squa_mid" else np.rint(block.mean(axis=(0, 1)))
            if mosaic.incomplete:
                flat[place] = np.where(mask[place][..., None], colour, block)
                hard[place] = mask[place]
            elif mask[row, column]:
                flat[place] = colour
                hard[place] = 255
    if not mosaic.feather:
        return flat, hard
    share = cv2.blur(mask, (mosaic.feather, mosaic.feather)) / 255 * (hard > 0)
    mixed = np.rint(image * (1 - share[..., None]) + flat * share[..., None]).astype(np.uint8)
    return mixed, np.where(share > 0.5, 255, 0).astype(np.uint8)


@st.composite
def mosaics(draw: st.DrawFn) -> Mosaic:
    kind: Any = draw(st.sampled_from(TYPES))
    height = draw(st.integers(2, 40))
    width = draw(st.integers(2, 40)) if kind == "rect_avg" else height
    feather, dilation = draw(st.just(0) | st.integers(1, 20)), draw(st.sampled_from([0, 0, 1, 5]))
    return Mosaic(kind, width, height, feather, dilation, draw(st.tuples(*[st.integers(-50, 50)] * 2)), draw(st.booleans()))


@given(mosaics(), st.integers(1, 33), st.integers(1, 33), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_pixels_equal_those_of_a_loop_over_blocks(
    mosaic: Mosaic, height: int, width: int, seed: int, filled: float
) -> None:
    random = np.random.default_rng(seed)
    image = noise(height, width, seed)
    mask = cv2.resize(
        ((random.random((3, 3)) < filled) * 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )
    before = image.copy(), mask.copy()
    expected, shown = plain_pixelate(image, mask, mosaic)
    assert np.array_equal(pixelate(image, mask, mosaic), expected)
    assert np.array_equal(image, before[0]), "the input is not changed"
    assert np.array_equal(mask, before[1])
    assert np.array_equal(cover(image, mask, mosaic), shown)
    assert np.array_equal(image, expected), "it is changed in place"
    frame = np.pad(before[0], ((1, 2), (3, 0), (0, 0)))
    crop, region = frame[1:-2, 3:], np.pad(mask, 1)[1:-1, 1:-1]
    region.flags.writeable = False
    assert np.array_equal(cover(crop, region, mosaic), shown)
    assert np.array_equal(crop, expected), "also a crop of a frame, and for a mask that cannot be changed"


def lada(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return the mosaic with hard edges of Lada 0.11, before it truncates the values: float64 (H, W, 3).

    For images that the border cuts no block of.
    """
    result = image.astype(np.float64)
    for y in range(0, len(image), mosaic.height):
        for x in range(0, image.shape[1], mosaic.width):
            place = slice(y, y + mosaic.height), slice(x, x + mosaic.width)
            middle = y + mosaic.height // 2, x + mosaic.width // 2
            value = image[middle].astype(float) if mosaic.type == "squa_mid" else image[place].mean(axis=(0, 1))
            if mosaic.incomplete:
                result[place] = np.where((mask[place] == 0)[..., None], image[place], value)
            elif mask[middle]:
                result[place] = value
    return result


@given(mosaics(), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_whole_blocks_equal_those_of_lada_except_for_rounding(mosaic: Mosaic, down: int, across: int, seed: int) -> None:
    height, width = down * mosaic.height, across * mosaic.width
    mosaic = Mosaic(mosaic.type, mosaic.width, mosaic.height, incomplete=mosaic.incomplete)
    image = noise(height, width, seed)
    mask = ((np.random.default_rng(seed).random((height, width)) < 0.5) * 255).astype(np.uint8)
    theirs, ours = lada(image, mask, mosaic), pixelate(image, mask, mosaic)
    assert np.array_equal(ours, np.rint(theirs))
    if mosaic.type == "squa_mid":
        assert np.array_equal(ours, theirs.astype(np.uint8)), "nothing is rounded"


def test_a_mosaic_keeps_the_mean_brightness() -> None:
    image, mask = noise(512, 512), np.full((512, 512), 255, np.uint8)
    for feather in (0, 8):
        flat = pixelate(image, mask, Mosaic("squa_avg", 8, 8, feather))
        assert abs(flat.mean() - image.mean()) < 0.02
    theirs = lada(image, mask, Mosaic("squa_avg", 8, 8)).astype(np.uint8)
    assert theirs.mean() < image.mean() - 0.45


def test_blocks_that_the_border_cuts_are_flattened_too() -> None:
    """Not so in Lada, where the middle of a block must lie in the image."""
    image, mask = noise(23, 23), np.full((23, 23), 255, np.uint8)
    for mosaic in (Mosaic("squa_avg", 10, 10), Mosaic("squa_mid", 10, 10), Mosaic("rect_avg", 18, 10)):
        flat = pixelate(image, mask, mosaic)
        assert (cover(image.copy(), mask, mosaic) == 255).all()
        assert len(np.unique(flat[20:, 20:].reshape(-1, 3), axis=0)) == 1
    corner = pixelate(image, mask, Mosaic("squa_avg", 10, 10))[20:, 20:]
    assert (corner == np.rint(image[20:, 20:].mean(axis=(0, 1)))).all(), "of its own pixels, none of them mirrored"


@pytest.mark.parametrize("feather", [2, 5, 16, 17, 39, 61])
def test_wide_soft_edges_are_mirrored_at_the_border_again_and_again(feather: int) -> None:
    image, mask = noise(50, 30), ellipse(50, 30, (12, 20), (9, 14))
    mosaic = Mosaic("squa_avg", 4, 4, feather)
    expected, shown = plain_pixelate(image, mask, mosaic)
    assert np.array_equal(cover(image, mask, mosaic), shown)
    assert np.array_equal(image, expected)


def test_compiled_code_needs_no_folder_that_is_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "program.py").write_text("def fill(row):\n    for i in range(len(row)):\n        row[i] = 7\n")
    (tmp_path / "__pycache__").touch()  # no folder can be made here
    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "program.py"))
    monkeypatch.syspath_prepend(tmp_path)
    row = np.zeros(3, np.uint8)
    compiled(types.void(types.uint8[::1]))(importlib.import_module("program").fill)(row)
    assert row.tolist() == [7, 7, 7]


@pytest.mark.parametrize("kind", TYPES)
def test_large_images_and_large_blocks_are_exact(kind: Any) -> None:
    image = np.full((3000, 3000, 3), 255, np.uint8)
    image[::2] = 254
    mask = np.full((3000, 3000), 255, np.uint8)
    assert np.unique(pixelate(image, mask, Mosaic(kind, 3000, 3000))).tolist() == [254]


def test_an_empty_mask_gives_no_mosaic_and_shapes_must_match() -> None:
    image = noise(20, 30)
    assert np.array_equal(pixelate(image, np.zeros((20, 30), np.uint8), Mosaic("squa_avg", 5, 5)), image)
    with pytest.raises(ValueError, match="the shape of the image is"):
        pixelate(image, np.zeros((30, 20), np.uint8), Mosaic("squa_avg", 5, 5))


@pytest.mark.parametrize(
    ("kind", "width", "height", "feather"),
    [("squa_avg", 1, 1, 0), ("squa_avg", 0, 0, 0), ("rect_avg", 5, 1, 0), ("squa_mid", 5, 4, 0), ("squa_avg", 5, 5, -1)],
)
def test_invalid_parameters_of_a_mosaic_are_refused(kind: Any, width: int, height: int, feather: int) -> None:
    with pytest.raises(ValueError, match="blocks"):
        Mosaic(kind, width, height, feather)


@given(mosaics(), st.integers(0, 2**32 - 1))
def test_whole_blocks_are_counted(mosaic: Mosaic, seed: int) -> None:
    mask = np.where(cv2.GaussianBlur(np.random.default_rng(seed).random((60, 50)), (0, 0), 4) > 0.5, 255, 0).astype(np.uint8)
    shown = cover(noise(60, 50), mask, mosaic)
    count = 0
    for y in range(mosaic.origin[1] % mosaic.height, 60 - mosaic.height + 1, mosaic.height):
        for x in range(mosaic.origin[0] % mosaic.width, 50 - mosaic.width + 1, mosaic.width):
            count += bool((shown[y : y + mosaic.height, x : x + mosaic.width] == 255).all())
    assert whole_blocks(shown, mosaic) == count


# Areas in square pixels and sizes in pixels, of a frame whose shorter side is 512; v1 after Lada.
@pytest.mark.parametrize(
    ("area", "size"),
    [(0, 5), (500, 5.5), (1000, 6), (3000, 6.4), (5000, 6.8), (12500, 7.375), (20000, 7.75), (100000, 13), (262144, 16.24288)],
)
def test_block_sizes_v1_equal_those_of_lada(area: float, size: float) -> None:
    assert block_size_v1(area, 512, 900) == pytest.approx(size)
    assert block_size_v1(area / 4, 700, 256) == pytest.approx(size / 2), "in proportion to the frame"


def test_block_sizes_never_jump_by_more_than_a_quarter_of_a_pixel() -> None:
    areas = np.arange(0, 120000)
    for rule in (block_size_v1, block_size_v4):
        steps = np.diff([rule(area, 512, 512) for area in areas])
        assert (steps > 0).all()
        assert steps.max() < 0.26, "in Lada, v1 jumps by 3 at 50,000"
    assert block_size_v1(50000, 512, 512) == block_size_v4(50000, 512, 512) == 12


@pytest.mark.parametrize(("area", "size"), [(0, 5.0778), (10000, 5.4457), (25000, 8.5389), (40000, 11.6321), (50000, 12)])
def test_block_sizes_v4_follow_their_formula(area: float, size: float) -> None:
    assert block_size_v4(area, 512, 512) == pytest.approx(size, abs=1e-3)
    assert block_size_v4(area * 4, 1024, 2000) == pytest.approx(2 * size, abs=2e-3)
    assert block_size_v4(70000 + area, 512, 512) == block_size_v1(70000 + area, 512, 512)


def test_block_sizes_v2_and_v3_equal_those_of_lada() -> None:
    assert block_size_v2(0, 480, 640) == pytest.approx(6.4)
    assert block_size_v2(640, 480, 640) == pytest.approx(11.52)
    assert block_size_v2(0.29 * 1000, 1000, 700) == pytest.approx((0.01 + 0.008 * 6 / 19) * 1000)
    assert [block_size_v3(*size) for size in ((100, 399), (400, 499), (1920, 1080))] == [4, 4, 19]


LARGE = ellipse(360, 640, (300, 180), (150, 100))


def drawn(count: int, mask: np.ndarray = LARGE, **settings: Any) -> list[Mosaic]:
    return [draw_mosaic(generator(0, "mosaics", str(number)), mask, DrawSettings(**settings)) for number in range(count)]


def test_draws_follow_the_settings() -> None:
    found = drawn(2000)
    counts = Counter(mosaic.type for mosaic in found)
    assert [counts[kind] / 2000 for kind in TYPES] == pytest.approx([0.25, 0.3, 0.45], abs=0.03)
    assert 0.66 < np.mean([mosaic.feather > 0 for mosaic in found]) < 0.71
    assert 0.17 < np.mean([mosaic.incomplete for mosaic in found]) < 0.23
    assert {mosaic.dilation for mosaic in found} == {0, 5}
    assert all(mosaic.feather <= 2.5 * mosaic.height for mosaic in found)
    assert all(1 <= mosaic.width / mosaic.height <= 1.8 for mosaic in found)
    assert {mosaic.origin for mosaic in found} == {(0, 0)}
    heights = np.array([mosaic.height for mosaic in found])
    size = block_size_v4(np.count_nonzero(LARGE), 360, 640)
    assert heights.min() >= int(0.9 * (size - 3))
    assert heights.max() <= 1.8 * (block_size_v4(300 * 220, 360, 640) + 3)
    assert found == drawn(2000), "equal generators draw equal mosaics"


def test_no_block_is_smaller_than_allowed() -> None:
    small = ellipse(40, 60, (30, 20), (8, 7))
    for version in ("v1", "v2", "v3", "v4"):
        settings = {"version": version, "scale": (0.1, 0.2), "min_block": 2, "ratio": (0.2, 0.4)}
        assert {mosaic.height for mosaic in drawn(50, small, **settings)} == {2}
        assert {mosaic.width for mosaic in drawn(50, small, **settings)} == {2}


def test_the_whole_region_counts() -> None:
    """In Lada, only the first outline counts, which is often a stray blob."""
    stray = LARGE.copy()
    stray[355:358, 5:8] = 255
    pixels = np.count_nonzero(LARGE)
    *_, width, height = cv2.boundingRect(LARGE)
    for bounding, area in ((0, pixels), (1, width * height)):
        settings = {"version": "v1", "bounding": bounding, "scale": (10, 10)}
        assert {mosaic.height for mosaic in drawn(5, LARGE, **settings)} == {int(10 * block_size_v1(area, 360, 640))}
    settings = {"version": "v1", "bounding": 0, "scale": (10, 10)}
    assert {mosaic.height for mosaic in drawn(5, stray, **settings)} == {int(10 * block_size_v1(pixels + 9, 360, 640))}


def test_a_region_of_few_blocks_has_hard_edges() -> None:
    """In Lada, the blocks of the whole image are counted."""
    few = np.zeros((360, 640), np.uint8)
    few[100:124, 200:300] = 255
    settings = {"feathered": 1, "feather": (1, 2), "scale": (1, 1), "min_block": 6, "dilation": [0]}
    assert all(mosaic.feather == 0 for mosaic in drawn(50, few, **settings))
    assert all(mosaic.feather > 0 for mosaic in drawn(50, LARGE, **settings))
    assert all(mosaic.feather == 0 for mosaic in drawn(50, LARGE, **{**settings, "feather": (0, 0)})), "0 is none"


def test_the_grid_is_anchored() -> None:
    crop = LARGE[50:, 100:]
    x, y, _, _ = cv2.boundingRect(crop)
    for number in range(20):
        mosaics = {}
        for anchor in ("frame", "crop", "region"):
            settings = DrawSettings.model_validate({"anchor": anchor})
            mosaics[anchor] = draw_mosaic(generator(0, "mosaics", str(number)), crop, settings, (360, 640))
        one = mosaics["crop"]
        assert one.origin == mosaics["frame"].origin == (0, 0)
        assert mosaics["region"].origin == ((x - one.dilation) % one.width, (y - one.dilation) % one.height)


def test_a_crop_draws_the_blocks_of_its_frame() -> None:
    for number in range(20):
        of_frame, of_crop = (
            draw_mosaic(generator(0, "mosaics", str(number)), mask, DrawSettings(), (360, 640))
            for mask in (LARGE, LARGE[50:, 100:])
        )
        assert of_frame == of_crop


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_regions_of_one_pixel_or_the_whole_image_are_drawn(height: int, width: int, seed: int) -> None:
    assume(height * width > 1)
    image = noise(height, width, seed)
    one = np.zeros((height, width), np.uint8)
    one[height // 2, width // 3] = 255
    for mask in (one, np.full_like(one, 255)):
        mosaic = draw_mosaic(np.random.default_rng(seed), mask, DrawSettings())
        assert pixelate(image, mask, mosaic).shape == image.shape
