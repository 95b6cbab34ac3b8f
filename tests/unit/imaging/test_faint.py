"""Blurred and darkened mosaics and bars equal those of obvious loops, and each setting decides about one of them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from tessera.core.seeds import generator
from tessera.imaging.mosaic.faint import Bar, Faint, blur_region, cover_bar, darken_region, draw_faint, draw_scale
from tessera.imaging.mosaic.settings import MosaicSettings

HEIGHT, WIDTH = 24, 31
masks = arrays(np.uint8, (HEIGHT, WIDTH), elements=st.sampled_from([0, 255]), fill=st.just(0)).filter(np.any)
parts = st.builds(
    lambda y, x, down, across: _rectangle(y, x, y + down, x + across),
    *(st.integers(0, HEIGHT - 2), st.integers(0, WIDTH - 2), st.integers(1, HEIGHT), st.integers(1, WIDTH)),
)


def _rectangle(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def _noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@given(masks | parts, st.floats(0.3, 9), st.integers(0, 99))
def test_a_blur_stays_inside_the_mosaic_and_fades_out_towards_its_outline(shown: np.ndarray, sigma: float, seed: int) -> None:
    image = _noise(seed)
    blurred, near = cv2.GaussianBlur(image, (0, 0), sigma), cv2.GaussianBlur(shown, (0, 0), sigma)
    expected = image.copy()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if shown[y, x]:
                weight = max(0.0, near[y, x] / 127.5 - 1)
                expected[y, x] = np.rint((1 - weight) * image[y, x] + weight * blurred[y, x])
    result = image.copy()
    blur_region(result, shown, sigma)
    assert np.array_equal(result[shown == 0], image[shown == 0])
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_the_middle_of_a_blurred_mosaic_is_blurred_completely() -> None:
    image, shown = _noise(), np.full((HEIGHT, WIDTH), 255, np.uint8)
    expected = cv2.GaussianBlur(image, (0, 0), 2)
    blur_region(image, shown, 2)
    assert np.array_equal(image, expected)


@given(masks, st.floats(0, 1), st.integers(0, 99))
def test_darkening_multiplies_the_pixels_of_the_mosaic_alone(shown: np.ndarray, brightness: float, seed: int) -> None:
    image = _noise(seed)
    expected = np.where(shown[..., None], np.rint(image * brightness), image)
    darken_region(image, shown, brightness)
    assert np.array_equal(image, expected)


@given(masks | parts, st.sampled_from(["black", "white", "mean"]), st.floats(0, 1), st.floats(0, 1), st.floats(2, 8))
def test_a_bar_is_blended_with_the_pixels_under_it(
    mask: np.ndarray, colour: str, thickness: float, opacity: float, side: float
) -> None:
    image = _noise()
    result = image.copy()
    shown = cover_bar(result, mask, Bar(colour, thickness, opacity), side)  # type: ignore[arg-type]
    assert shown.any()
    assert set(np.unique(shown)) <= {0, 255}
    flat = {"black": 0, "white": 255, "mean": image[shown > 0].mean(axis=0)}[colour]
    expected = np.where(shown[..., None], (1 - opacity) * image + opacity * np.asarray(flat), image)
    assert np.abs(result - expected).max() <= 0.5 + 1e-9
    assert np.array_equal(result[shown == 0], image[shown == 0])


@pytest.mark.parametrize(("down", "across"), [(9, 25), (20, 5)])
def test_a_bar_lies_along_the_longer_side_of_its_region(down: int, across: int) -> None:
    mask = _rectangle(2, 3, 2 + down, 3 + across)
    whole = cover_bar(_noise(), mask, Bar("black", 1, 1))
    assert np.array_equal(whole, mask)
    thin = cover_bar(_noise(), mask, Bar("black", 0.4, 1))
    rows, columns = np.flatnonzero(thin.any(axis=1)), np.flatnonzero(thin.any(axis=0))
    sides = len(rows), len(columns)
    assert max(sides) == max(down, across)
    assert abs(min(sides) - 0.4 * min(down, across)) <= 1
    assert abs(rows.mean() - (2 + (down - 1) / 2)) <= 0.5
    assert abs(columns.mean() - (3 + (across - 1) / 2)) <= 0.5


@given(st.integers(0, 999))
def test_a_setting_decides_about_its_own_effect_alone(seed: int) -> None:
    none = MosaicSettings(fine=0, blurred=0, darkened=0, bars=0)
    assert draw_faint(generator(seed, "room", "a"), none) == Faint()
    everything = draw_faint(generator(seed, "room", "a"), none.model_copy(update={"fine": 1, "blurred": 1, "darkened": 1}))
    assert everything.block is not None
    for setting, field in (("fine", "block"), ("blurred", "blur"), ("darkened", "brightness")):
        drawn = draw_faint(generator(seed, "room", "a"), none.model_copy(update={setting: 1}))
        assert drawn == Faint(**{field: getattr(everything, field)})
    barred = draw_faint(generator(seed, "room", "a"), MosaicSettings(bars=1))
    assert barred == Faint(bar=barred.bar)
    assert barred.bar is not None
    assert draw_scale(generator(seed, "room", "a"), MosaicSettings(rescaled=0)) == 1


def test_values_are_drawn_from_their_ranges_as_often_as_the_settings_say() -> None:
    settings = MosaicSettings(bars=0.05)
    drawn = [draw_faint(generator(0, "room", str(number)), settings) for number in range(4000)]
    scales = [draw_scale(generator(0, "room", str(number)), settings) for number in range(4000)]
    blocks, blurs = [each.block for each in drawn if each.block], [each.blur for each in drawn if each.blur]
    darkened, bars = [each.brightness for each in drawn if each.brightness < 1], [each.bar for each in drawn if each.bar]
    rescaled = [scale for scale in scales if scale != 1]
    mosaics = len(drawn) - len(bars)
    for found, of, share in (
        (blocks, mosaics, settings.fine),
        (blurs, mosaics, settings.blurred),
        (darkened, mosaics, settings.darkened),
        (bars, len(drawn), settings.bars),
        (rescaled, len(scales), settings.rescaled),
    ):
        assert abs(len(found) / of - share) < 0.02
    for values, (low, high) in (
        (blocks, settings.fine_block),
        (blurs, settings.blur),
        (darkened, settings.darken),
        (rescaled, settings.rescale),
        ([bar.thickness for bar in bars], settings.bar_thickness),
        ([bar.opacity for bar in bars], settings.bar_opacity),
    ):
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
    assert {bar.colour for bar in bars} == {"black", "white", "mean"}


@pytest.mark.parametrize(
    "wrong",
    [{"fine_block": (1.5, 4)}, {"rescale": (0.2, 1)}, {"rescale": (1, 0.5)}, {"darken": (0.5, 1.5)}, {"bar_opacity": (-1, 1)}],
)
def test_impossible_ranges_are_refused(wrong: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ValidationError):
        MosaicSettings.model_validate(wrong)
