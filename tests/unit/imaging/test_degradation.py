"""Each degradation follows its formula, and a chain follows its probabilities, equally for equal seeds."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.core.seeds import generator
from tessera.core.settings import load
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.degradation.codecs import CODECS, encode_clip
from tessera.imaging.degradation.operations import (
    blur,
    chromatic_aberration,
    gaussian_kernel,
    gaussian_noise,
    jpeg,
    plateau_kernel,
    poisson_noise,
    resize,
    sharpen,
    sinc_kernel,
    webp,
)
from tessera.imaging.degradation.settings import DETECTION, RESTORATION, DegradationSettings, Step

PHOTOGRAPH = cv2.resize(skimage.data.coffee(), (150, 101), interpolation=cv2.INTER_AREA)
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40), (90, 90, 90)]
QUALITIES = {"x264": (10, 30, 45), "x265": (10, 30, 45), "vp9": (10, 40, 60), "mpeg2": (2, 8, 31)}
sides = st.integers(0, 7).map(lambda half: 2 * half + 1)
sigmas = st.floats(0.1, 5)
betas = st.floats(0.5, 4)
angles = st.floats(-4, 4)


def flat(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def random(seed: int = 0) -> np.random.Generator:
    return generator(seed, "degradations", "test")


def chain(text: str) -> tuple[Step, ...]:
    return DegradationSettings(detection=yaml.safe_load(text)).detection


def degraded_by_hand(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, set[str]]:
    """Return `image` degraded as `BY_HAND` says, and the names of what was applied."""
    ran = set()
    if rng.random() < 0.7:
        if rng.choice(2, p=np.array([0.3, 0.4]) / 0.7) == 0:
            image = gaussian_noise(image, rng.uniform(5, 9), rng.random() < 0.5, rng)
            ran.add("gaussian_noise")
        else:
            image = jpeg(image, int(rng.integers(40, 60, endpoint=True)))
            ran.add("jpeg")
    if rng.random() < 0.5:
        if rng.random() < 0.5:
            image = sharpen(image, 0.5, 3, 2)
            ran.add("sharpen")
        if rng.random() < 0.6:
            image = jpeg(image, int(rng.integers(70, 80, endpoint=True)))
            ran.add("jpeg")
    return image, ran


BY_HAND = """
- one_of:
    - gaussian_noise: {probability: 0.3, sigma: [5, 9], grey: 0.5}
    - jpeg: {probability: 0.4, quality: [40, 60]}
- all_of:
    probability: 0.5
    steps:
      - sharpen: {probability: 0.5, weight: 0.5, radius: 3, threshold: 2}
      - jpeg: {probability: 0.6, quality: [70, 80]}
"""


def difference(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


# Kernels


def slow_kernel(size: int, x: float, y: float, theta: float, shape: Callable[[float], float]) -> np.ndarray:
    """Real-ESRGAN's definition: `shape` of v' S^-1 v, where S = R diag(x², y²) R'."""
    rotation = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    inverse = np.linalg.inv(rotation @ np.diag([x**2, y**2]) @ rotation.T)
    kernel = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            place = np.array([column - size // 2, row - size // 2])
            kernel[row, column] = shape(place @ inverse @ place)
    return kernel / kernel.sum()


@given(sides, sigmas, sigmas, angles, betas)
def test_kernels_equal_their_formula(size: int, x: float, y: float, theta: float, beta: float) -> None:
    for kernel, expected in [
        (gaussian_kernel(size, x, y, theta), slow_kernel(size, x, y, theta, lambda q: np.exp(-0.5 * q))),
        (gaussian_kernel(size, x, y, theta, beta), slow_kernel(size, x, y, theta, lambda q: np.exp(-0.5 * q**beta))),
        (plateau_kernel(size, x, y, theta, beta), slow_kernel(size, x, y, theta, lambda q: 1 / (1 + q**beta))),
    ]:
        assert kernel.dtype == np.float32
        assert abs(kernel.sum() - 1) < 1e-5
        np.testing.assert_allclose(kernel, expected, atol=1e-6)


@given(sides, sigmas, angles, betas)
def test_kernels_with_one_sigma_have_no_direction(size: int, sigma: float, theta: float, beta: float) -> None:
    for kernel in (gaussian_kernel(size, sigma, sigma, theta, beta), plateau_kernel(size, sigma, sigma, theta, beta)):
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
        np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-6)


def test_the_first_sigma_is_along_theta() -> None:
    wide = gaussian_kernel(9, 3, 0.5, 0)
    assert wide[4].sum() > 0.7
    np.testing.assert_allclose(gaussian_kernel(9, 3, 0.5, np.pi / 2), wide.T, atol=1e-6)


@pytest.mark.parametrize("cutoff", [1 / 5, 1 / 3, 0.7, 1])
def test_the_sinc_kernel_passes_a_disc_of_frequencies(cutoff: float) -> None:
    # The sum of the waves within the disc.
    frequencies = np.linspace(-1, 1, 401) * np.pi * cutoff
    x, y = np.meshgrid(frequencies, frequencies)
    inside = x**2 + y**2 <= (np.pi * cutoff) ** 2
    places = np.arange(9) - 4
    expected = np.array([[np.cos(x[inside] * column + y[inside] * row).mean() for column in places] for row in places])
    kernel = sinc_kernel(cutoff, 9)
    assert abs(kernel.sum() - 1) < 1e-5
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=2e-3)


# Filters


def slow_filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the weighted sum of the surroundings of each pixel, mirrored at the edges: float64."""
    reach = kernel.shape[0] // 2
    padded = np.pad(image.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    result = np.zeros(image.shape)
    for row, column in np.ndindex(kernel.shape):
        result += kernel[row, column] * padded[row : row + image.shape[0], column : column + image.shape[1]]
    return result


@pytest.mark.parametrize("kernel", [gaussian_kernel(7, 2, 0.6, 1), sinc_kernel(0.4, 9), plateau_kernel(21, 3, 3, 0, 1.5)])
def test_blur_is_the_weighted_sum_of_the_surroundings(kernel: np.ndarray) -> None:
    expected = slow_filter(PHOTOGRAPH, kernel).clip(0, 255)
    assert np.abs(blur(PHOTOGRAPH, kernel) - expected).max() < 0.51


def test_sharpen_is_the_unsharp_mask_where_the_difference_is_large() -> None:
    side = cv2.getGaussianKernel(11, 0)
    kernel = side @ side.T
    residual = PHOTOGRAPH - slow_filter(PHOTOGRAPH, kernel)
    where = slow_filter((np.abs(residual) > 10).astype(float), kernel)
    sharp = (PHOTOGRAPH + 0.5 * residual).clip(0, 255)
    expected = where * sharp + (1 - where) * PHOTOGRAPH
    assert np.abs(sharpen(PHOTOGRAPH, 0.5, 5, 10) - expected).max() < 0.51
    assert difference(sharpen(PHOTOGRAPH, 0.5, 5, 10), PHOTOGRAPH) > 20


def test_sharpen_does_not_change_differences_below_the_threshold() -> None:
    steps = np.kron(np.array([[100, 108]], np.uint8), np.ones((20, 20), np.uint8))[..., None].repeat(3, axis=2)
    assert (sharpen(steps, 0.5, 5, 10) == steps).all()
    assert (sharpen(steps, 5, 5, 2) != steps).any()


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic"])
def test_resize_returns_the_size_and_keeps_the_mean(method: str) -> None:
    for width, height in [(75, 50), (160, 110), (1, 1)]:
        resized = resize(PHOTOGRAPH, (width, height), method)
        assert resized.shape == (height, width, 3)
        if width > 1 or method == "area":
            assert np.abs(resized.mean((0, 1)) - PHOTOGRAPH.mean((0, 1))).max() < 1.5


# Noise


def slow_gaussian(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return np.round(image + rng.normal(0, sigma, image.shape)).clip(0, 255)


def slow_poisson(image: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    return np.round(image + scale * (rng.poisson(image) - image.astype(float))).clip(0, 255)


def assert_like_draws_of(expected: np.ndarray, found: np.ndarray, tolerance: float) -> None:
    """Assert that the cumulative histograms of both are about equal."""
    one, other = (
        np.cumsum(np.bincount(values.astype(int).ravel(), minlength=256)) / values.size for values in (expected, found)
    )
    assert np.abs(one - other).max() < tolerance


@pytest.mark.parametrize("sigma", [0.3, 1.6, 12])
def test_gaussian_noise_has_the_mean_and_the_deviation(sigma: float) -> None:
    image = flat((120, 60, 200), 200, 200)
    noisy = gaussian_noise(image, sigma, False, random())
    assert np.abs(noisy.mean((0, 1)) - image[0, 0]).max() < 5 * np.hypot(sigma, 0.3) / 200
    assert_like_draws_of(slow_gaussian(image, sigma, random(1)), noisy, 0.01)


@pytest.mark.parametrize("level", [16, 128, 240])
def test_clips_get_noise_of_50_decibels_below_full_scale_at_any_brightness(level: int) -> None:
    (noise,) = (step for step in RESTORATION if step.gaussian_noise)
    always = noise.model_copy(update={"gaussian_noise": noise.gaussian_noise.model_copy(update={"probability": 1})})
    clip = np.stack([flat((level,) * 3, 100, 100)] * 4)
    sigma = 10 ** (-50 / 20) * 255
    # Rounding to levels adds a variance of 1/12. Lada 0.11 was measured at 0.857, too.
    assert np.hypot(sigma, 12**-0.5) == pytest.approx(0.857, abs=1e-3)
    assert degrade(clip, (always,), random()).frames.std() == pytest.approx(0.857, abs=0.01)


@pytest.mark.parametrize(("level", "scale"), [(16, 0.3), (64, 0.3), (200, 0.1), (200, 1), (40, 2)])
def test_poisson_noise_has_the_statistics_of_counting_photons(level: int, scale: float) -> None:
    image = flat((level, level, level), 200, 200)
    noisy = poisson_noise(image, scale, False, random())
    assert abs(noisy.mean() - level) < 5 * scale * np.sqrt(level) / 340 + 0.005
    # Rounding adds a variance of 1/12.
    assert abs(noisy.std() - np.sqrt(scale**2 * level + 1 / 12)) < 0.02 * scale * np.sqrt(level) + 0.02
    assert_like_draws_of(slow_poisson(image, scale, random(1)), noisy, 0.035)


def test_poisson_noise_of_a_pixel_does_not_depend_on_other_pixels() -> None:
    alone = flat((128, 128, 128))
    among = alone.copy()
    among[24:] = np.arange(64)[:, None]
    first, second = (poisson_noise(image, 0.3, False, random()) for image in (alone, among))
    assert (first[:24] == second[:24]).all()


@pytest.mark.parametrize("noise", [gaussian_noise, poisson_noise])
def test_grey_noise_is_equal_in_all_channels(noise: Callable[..., np.ndarray]) -> None:
    image = flat((100, 110, 120))
    assert (np.ptp(noise(image, 1.5, True, random()).astype(int) - image, axis=2) == 0).all()
    assert np.ptp(noise(image, 1.5, False, random()).astype(int) - image, axis=2).mean() > 1


# Lenses


def test_red_and_blue_are_apart_by_the_shift_in_a_corner_and_nowhere_in_the_middle() -> None:
    image = np.zeros((301, 401, 3), np.uint8)
    spots = {"middle": (150, 200), "corner": (30, 40)}  # 0.8 of half the diagonal from the middle
    for y, x in spots.values():
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
    shown = chromatic_aberration(image, 0.04)
    assert (shown[..., 1] == image[..., 1]).all()
    for name, (y, x) in spots.items():
        around = shown[y - 15 : y + 16, x - 15 : x + 16].astype(float)
        red, blue = (
            np.array([(around[..., c] * axis).sum() / around[..., c].sum() for axis in np.mgrid[:31, :31]]) for c in (0, 2)
        )
        expected = np.array([0.0, 0.0]) if name == "middle" else 0.04 * np.array([30 - 150, 40 - 200])
        assert np.abs((red - blue) - expected).max() < 0.3, name
    opposite = chromatic_aberration(image, -0.04)
    assert (opposite[..., 0] == shown[..., 2]).all() and (opposite[..., 2] == shown[..., 0]).all()


def test_a_picture_that_is_too_large_for_webp_is_refused() -> None:
    with pytest.raises(ValueError, match="16384 by 1 pixels"):
        webp(np.zeros((1, 16384, 3), np.uint8), 50)


# Compression


@pytest.mark.parametrize("colour", COLOURS)
def test_flat_colours_are_kept(colour: tuple[int, int, int]) -> None:
    image = flat(colour, 47, 63)
    assert difference(jpeg(image, 90), image) <= 2
    assert difference(webp(image, 90), image) <= 2
    assert difference(chromatic_aberration(image, 0.1), image) == 0
    for codec, (good, fair, _) in QUALITIES.items():
        for quality, tolerance in ((good, 2), (fair, 3)):
            (shown,) = encode_clip([image], codec, quality)
            assert difference(shown, image) <= tolerance, f"{codec} {quality}: {shown[20, 30]}"


def test_more_compression_lowers_the_quality() -> None:
    def error(shown: np.ndarray) -> float:
        return float(np.square(PHOTOGRAPH.astype(float) - shown).mean())

    for compress in (jpeg, webp):
        assert 1 < error(compress(PHOTOGRAPH, 95)) < error(compress(PHOTOGRAPH, 60)) < error(compress(PHOTOGRAPH, 10)) < 1000
    for codec, qualities in QUALITIES.items():
        errors = [error(encode_clip([PHOTOGRAPH], codec, quality)[0]) for quality in qualities]
        assert errors == sorted(set(errors)), codec
        assert 1 < errors[0] < 40, codec
        assert errors[-1] < 1500, codec


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shape", [(33, 65), (1, 1), (2, 37), (101, 7)])
def test_clips_of_any_size_keep_their_frames_and_their_order(codec: str, shape: tuple[int, int]) -> None:
    clip = [flat((20 * number, 200 - 20 * number, 90), *shape) for number in range(9)]
    shown = encode_clip(clip, codec, QUALITIES[codec][0])
    assert len(shown) == 9
    for image, expected in zip(shown, clip, strict=True):
        assert image.dtype == np.uint8
        assert image.shape == expected.shape
        assert np.abs(image.mean((0, 1)) - expected.mean((0, 1))).max() < 4


@pytest.mark.slow
def test_codecs_give_equal_pictures_for_equal_input() -> None:
    code = """
import hashlib, skimage.data
from tessera.imaging.degradation.codecs import encode_clip
picture = skimage.data.astronaut()[:301, :403]
clip = [picture, picture[:, ::-1], picture[::-1]]
for codec, quality in {"x264": 28, "x265": 30, "vp9": 40, "mpeg2": 8}.items():
    print(codec, *(hashlib.sha256(image.tobytes()).hexdigest() for image in encode_clip(clip, codec, quality)))
"""
    # glibc fills new memory with this value; other systems ignore it.
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "MALLOC_PERTURB_": filling}, check=True, capture_output=True
        )
        for filling in ("1", "77")
    )
    assert len(first.stdout.split()) == 16
    assert first.stdout == second.stdout
    assert not first.stderr


# Chains


def test_a_chain_that_never_acts_gives_a_copy() -> None:
    never = chain("[{jpeg: {probability: 0, quality: [1, 1]}}, {one_of: []}, {all_of: {probability: 0, steps: []}}]")
    for steps in ((), never):
        result = degrade(PHOTOGRAPH, steps, random()).frames
        assert (result == PHOTOGRAPH).all()
        assert not np.shares_memory(result, PHOTOGRAPH)


@pytest.mark.parametrize("block", [None, 1, 20])
def test_equal_seeds_give_equal_pictures_and_others_do_not(block: float | None) -> None:
    before = PHOTOGRAPH.copy()
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        first = [degrade(PHOTOGRAPH, DETECTION, random(seed), block).frames for seed in range(40)]
        cv2.setNumThreads(2)
        with ThreadPoolExecutor(3) as pool:
            second = list(pool.map(lambda seed: degrade(PHOTOGRAPH, DETECTION, random(seed), block).frames, range(40)))
    finally:
        cv2.setNumThreads(threads)
    assert (np.stack(first) == np.stack(second)).all()
    changed = [image.tobytes() for image in first if (image != PHOTOGRAPH).any()]
    assert len(set(changed)) == len(changed) > 20
    assert (before == PHOTOGRAPH).all()


@pytest.mark.parametrize("shape", [(31, 17), (1, 1), (1, 40), (64, 64)])
def test_the_default_chain_takes_any_size(shape: tuple[int, int]) -> None:
    image = random().integers(0, 256, (*shape, 3), np.uint8)
    for seed in range(40):
        result = degrade(image, DETECTION, random(seed)).frames
        assert result.dtype == np.uint8
        assert result.shape == image.shape
        assert abs(result.mean() - image.mean()) < (60 if min(shape) == 1 else 12)


def test_the_default_chain_keeps_colours() -> None:
    for seed, colour in enumerate(COLOURS * 6):
        image = flat(colour)
        assert np.abs(degrade(image, DETECTION, random(seed)).frames.mean((0, 1)) - image[0, 0]).max() < 7


def test_the_original_size_is_restored() -> None:
    steps = chain("[{resize: {probability: 1, scale: [0.3, 1.7], methods: [area, bilinear, bicubic]}}]")
    for seed in range(10):
        result = degrade(PHOTOGRAPH, steps, random(seed)).frames
        assert result.shape == PHOTOGRAPH.shape
        assert 0 < np.abs(result.astype(int) - PHOTOGRAPH).mean() < 12


def test_sizes_are_relative_to_the_start() -> None:
    there = "{resize: {probability: 1, scale: [0.5, 0.5], methods: [area]}}"
    once, twice = (degrade(PHOTOGRAPH, chain(f"[{steps}]"), random()).frames for steps in (there, f"{there}, {there}"))
    assert (once == twice).all()


ALIKE = """
- sharpen: {probability: 0.5, weight: 0.5, radius: 3, threshold: 5}
- blur: {probability: 0.5, sizes: [3, 7], sigma: [0.5, 3], kernels: {isotropic: 1, anisotropic: 1, plateau_anisotropic: 1}}
- sinc: {probability: 0.5, sizes: [7, 9], cutoff: [0.3, 1]}
- resize: {probability: 0.5, scale: [0.5, 1.5], methods: [area, bilinear, bicubic]}
- jpeg: {probability: 0.5, quality: [10, 90]}
"""


def test_all_frames_of_a_clip_get_the_same_operations() -> None:
    clip = np.stack([PHOTOGRAPH, PHOTOGRAPH[::-1], PHOTOGRAPH])
    for seed in range(20):
        result = degrade(clip, chain(ALIKE), random(seed)).frames
        assert result.shape == clip.shape
        assert (result[0] == result[2]).all()
        assert (result[0] == degrade(PHOTOGRAPH, chain(ALIKE), random(seed)).frames).all()


@pytest.mark.parametrize("noise", ["gaussian_noise: {sigma: [1, 20]", "poisson_noise: {scale: [0.1, 3]"])
def test_noise_has_the_same_strength_but_differs_in_each_frame(noise: str) -> None:
    clip = np.stack([flat((128, 128, 128))] * 4)
    deviations = set()
    for seed in range(10):
        result = degrade(clip, chain(f"[{{{noise}, probability: 1, grey: 0}}}}]"), random(seed)).frames
        frames = {frame.tobytes() for frame in result}
        assert len(frames) == 4
        deviation = result.std((1, 2, 3))
        assert np.ptp(deviation) < 0.1 * deviation.mean()
        deviations.add(round(float(deviation.mean())))
    assert len(deviations) > 4


def test_one_of_does_at_most_one_with_the_probabilities_given() -> None:
    steps = chain("""
- one_of:
    - gaussian_noise: {probability: 0.2, sigma: [9, 9], grey: 1}
    - one_of:
        - gaussian_noise: {probability: 0.1, sigma: [9, 9], grey: 0}
        - sharpen: {probability: 0.0, weight: 1, radius: 1, threshold: 0}
        - all_of: {probability: 0.4, steps: [{jpeg: {probability: 1, quality: [1, 1]}}]}
""")
    image = flat((10, 60, 80), 8, 8)
    kinds = {image.tobytes(): "none", jpeg(image, 1).tobytes(): "jpeg"}

    def kind(seed: int) -> str:
        result = degrade(image, steps, random(seed)).frames
        noise = result.astype(int) - image
        return kinds.get(result.tobytes()) or ("grey" if (noise.max(2) == noise.min(2))[result.min(2) > 0].all() else "colour")

    counts = Counter(map(kind, range(2000)))
    for name, expected in {"grey": 0.2, "colour": 0.1, "jpeg": 0.4, "none": 0.3}.items():
        assert abs(counts[name] / 2000 - expected) < 0.04, counts


def test_all_of_does_all_or_none() -> None:
    step = "{gaussian_noise: {probability: 1, sigma: [40, 40], grey: 0}}"
    image = flat((128, 128, 128))
    deviations = {
        round(
            degrade(image, chain(f"[{{all_of: {{probability: 0.5, steps: [{step}, {step}]}}}}]"), random(seed)).frames.std()
            / 10
        )
        for seed in range(30)
    }
    assert deviations in ({0, 5}, {0, 5, 6})  # none, or 40 twice, which makes 56, a little cut off


@pytest.mark.parametrize(("block", "done"), [(None, True), (11, True), (10, True), (9.9, False), (0, False)])
def test_small_blocks_are_spared(block: float | None, done: bool) -> None:
    steps = chain(
        "[{all_of: {probability: 1, min_block_fraction: 0.0625, steps: [{jpeg: {probability: 1, quality: [5, 5]}}]}}]"
    )
    image = cv2.resize(PHOTOGRAPH, (300, 160))
    assert (degrade(image, steps, random(), block).frames != image).any() == done


@pytest.mark.parametrize(
    "frames",
    [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((5, 5, 4), np.uint8), np.zeros((0, 5, 5, 3), np.uint8)],
)
def test_arrays_that_are_not_frames_are_an_error(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frames should be uint8"):
        degrade(frames, DETECTION, random())


def test_a_chain_can_express_that_of_lada_for_restoration() -> None:
    # Rates in kilobits per frame of 256 pixels square, which mean nothing in short clips, are constant qualities here.
    steps = chain("""
- one_of:
    - x264: {probability: 0.27, crf: [16, 28]}
    - x265: {probability: 0.27, crf: [20, 36]}
    - vp9: {probability: 0.27, crf: [40, 60]}
    - mpeg2: {probability: 0.09, quantizer: [4, 16]}
- blur: {probability: 0.3, sizes: [13], sigma: [1, 3], kernels: {isotropic: 1}}
- gaussian_noise: {probability: 0.2, sigma: [0.806, 0.806], grey: 0}
- x264: {probability: 0.15, crf: [24, 28]}
""")
    clip = np.stack([np.roll(PHOTOGRAPH, 3 * number, axis=1) for number in range(4)])
    errors = [np.abs(degrade(clip, steps, random(seed)).frames.astype(int) - clip).mean() for seed in range(25)]
    assert len(set(errors)) > 20
    assert max(errors) < 15


# Settings


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("{blurr: {}}", "detection.1.blurr: unknown key; did you mean 'blur'?"),
        (
            "{jpeg: {probability: 1, qualty: [1, 2], quality: [1, 2]}}",
            "detection.1.jpeg.qualty: unknown key; did you mean 'quality'? (allowed: probability, quality)",
        ),
        ("{jpeg: {quality: [1, 2]}}", "detection.1.jpeg.probability: is missing"),
        (
            "{jpeg: {probability: 1.5, quality: [1, 2]}}",
            "detection.1.jpeg.probability: Input should be less than or equal to 1",
        ),
        (
            "{jpeg: {probability: 1, quality: [9, 2]}}",
            "detection.1.jpeg.quality: the first limit should not be above",
        ),
        ("{x264: {probability: 1, crf: [9, 52]}}", "detection.1.x264.crf.1: Input should be less than or equal to 51"),
        (
            "{sinc: {probability: 1, sizes: [8], cutoff: [0.1, 1]}}",
            "detection.1.sinc.sizes.0: the side of a kernel",
        ),
        ("{blur: {probability: 1, sizes: [7], sigma: [0.1, 1], kernels: {round: 1}}}", "detection.1.blur.kernels.round"),
        (
            "{blur: {probability: 1, sizes: [7], sigma: [0.1, 1], kernels: {isotropic: 0}}}",
            "at least one of the weights should be above 0",
        ),
        ("{gaussian_noise: {probability: 1, sigma: [0, .inf], grey: 0}}", "detection.1.gaussian_noise.sigma.1: "),
        ("{}", "detection.1: a step should name one operation, but this one names none"),
        (
            "{jpeg: {probability: 1, quality: [1, 2]}, x264: {probability: 1, crf: [1, 2]}}",
            "detection.1: a step should name one operation, but this one names jpeg, x264",
        ),
        (
            "{one_of: [{jpeg: {probability: 0.7, quality: [1, 2]}}, {x264: {probability: 0.4, crf: [1, 2]}}]}",
            "detection.1: the sum of the probabilities of `one_of` should be at most 1, but it is 1.1",
        ),
        (
            "{all_of: {probability: 1, steps: [{one_of: [{jpeg: {probability: 1, quality: [0, 2]}}]}]}}",
            "detection.1.all_of.steps.0.one_of.0.jpeg.quality.0: Input should be greater than or equal to 1; given: 0",
        ),
    ],
)
def test_a_fault_in_a_chain_is_reported_with_its_place(step: str, fault: str) -> None:
    values: dict[str, Any] = {"detection": yaml.safe_load(f"[{{one_of: []}}, {step}]")}
    with pytest.raises(TesseraError) as error:
        load(DegradationSettings, values, "the test")
    assert fault in str(error.value)


@settings(max_examples=20)
@given(st.lists(st.sampled_from(yaml.safe_load(ALIKE)), max_size=4))
def test_settings_survive_a_round_trip(steps: list[dict[str, Any]]) -> None:
    stated = {"detection": [{"all_of": {"probability": 0.5, "min_block_fraction": 0.0, "steps": steps}}, {"one_of": []}]}
    assert DegradationSettings(**stated).model_dump(mode="json") == stated


def test_a_chain_draws_and_applies_what_a_loop_by_hand_does_and_names_what_it_applied() -> None:
    seen: Counter[tuple[str, ...]] = Counter()
    for seed in range(60):
        degraded = degrade(PHOTOGRAPH, chain(BY_HAND), random(seed))
        image, ran = degraded_by_hand(PHOTOGRAPH, random(seed))
        assert (degraded.frames == image).all()
        assert degraded.operations == tuple(sorted(ran))
        seen[degraded.operations] += 1
    assert seen[()] > 0 and max(map(len, seen)) == 3
