"""Metrics equal those of scikit-image with a full mask, and those of obvious loops otherwise."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tessera.stages.restoration.metrics import (
    PSNR_CEILING,
    Similarity,
    bicubic,
    bin_of,
    bins,
    measure,
    psnr,
    squared_error,
    temporal_median,
)

T, H, W = 5, 40, 56


def clips(seed: int = 0, noise: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a clip of smooth pictures, and the same with noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (T, 6, 8, 3), np.uint8)
    clean = np.stack([cv2.resize(frame, (W, H), interpolation=cv2.INTER_CUBIC) for frame in coarse])
    return np.clip(clean + random.normal(0, noise, clean.shape), 0, 255).astype(np.uint8), clean


def masks(seed: int = 0) -> np.ndarray:
    """Return random masks of about a third of the pixels."""
    return (np.random.default_rng(seed).random((T, H, W)) < 0.3).astype(np.uint8) * 255


def full() -> np.ndarray:
    return np.full((T, H, W), 255, np.uint8)


def assert_equal(measured: dict[str, dict[str, float]], expected: dict[str, dict[str, float]]) -> None:
    assert measured.keys() == expected.keys()
    for area, values in measured.items():
        assert values == pytest.approx(expected[area])


def means(clip: np.ndarray, *others: Any, **options: Any) -> dict[str, dict[str, float]]:
    """Return the means over frames of the values of one clip."""
    values = measure({"clip": clip}, *others, **options)["clip"]
    return {area: {name: float(np.nanmean(each)) for name, each in of_area.items()} for area, of_area in values.items()}


def similarity_map(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    _, found = structural_similarity(image, clean, channel_axis=2, **options)
    return np.asarray(found).mean(axis=2)


def test_with_a_full_mask_metrics_equal_those_of_scikit_image() -> None:
    noisy, clean = clips()
    measured = means(noisy, clean, full(), full())
    assert measured["region"] == measured["frame"]
    signal = [peak_signal_noise_ratio(b, a) for a, b in zip(noisy, clean, strict=True)]
    similar = [similarity_map(a, b).mean() for a, b in zip(noisy, clean, strict=True)]
    assert measured["frame"]["psnr"] == pytest.approx(np.mean(signal), abs=1e-5)
    assert measured["frame"]["ssim"] == pytest.approx(np.mean(similar), abs=1e-6)


def test_ssim_equals_that_of_scikit_image_at_every_pixel_and_channel() -> None:
    noisy, clean = clips()
    assert np.allclose(Similarity(clean[0])(noisy[0]), similarity_map(noisy[0], clean[0]), atol=1e-5)


def test_a_region_is_measured_by_pixel_and_by_frame() -> None:
    noisy, clean = clips()
    region = masks()
    region[2] = 0  # a frame without a region
    signal, similar = [], []
    for t in range(T):
        found = similarity_map(noisy[t], clean[t])
        squares, likeness, count = 0.0, 0.0, 0
        for y in range(H):
            for x in range(W):
                if region[t, y, x]:
                    squares += sum((int(noisy[t, y, x, c]) - int(clean[t, y, x, c])) ** 2 for c in range(3)) / 3
                    likeness += found[y, x]
                    count += 1
        if count:
            signal.append(10 * math.log10(255**2 / (squares / count)))
            similar.append(likeness / count)
    measured = means(noisy, clean, region, full())["region"]
    assert measured["psnr"] == pytest.approx(sum(signal) / len(signal), abs=1e-5)
    assert measured["ssim"] == pytest.approx(sum(similar) / len(similar), abs=1e-6)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_padding_does_not_count(top: int, bottom: int, left: int, right: int, seed: int) -> None:
    noisy, clean = clips(seed % 7)
    random = np.random.default_rng(seed)
    pads = [(0, 0), (top, bottom), (left, right)]
    content, region = np.pad(full(), pads), np.pad(masks(), pads)
    region[content == 0] = 255  # a mosaic that reaches into the padding
    before = means(noisy, clean, masks(), full())
    padded, clean_padded = (np.pad(clip, [*pads, (0, 0)]) for clip in (noisy, clean))
    assert_equal(means(padded, clean_padded, region, content), before)
    padded[content == 0] = random.integers(0, 256, (int((content == 0).sum()), 3))
    assert_equal(means(padded, clean_padded, region, content), before)


def test_padding_may_differ_between_frames() -> None:
    noisy, clean = clips()
    noisy, clean = noisy[[1, 1]], clean[[1, 1]]
    content = np.zeros((2, H, W), np.uint8)
    content[0, :30], content[1, 10:] = 255, 255
    moved = np.roll(noisy[0], 10, axis=0), np.roll(clean[0], 10, axis=0)
    measured = means(np.stack([noisy[0], moved[0]]), np.stack([clean[0], moved[1]]), content, content)
    alone = means(noisy[:1, :30], clean[:1, :30], content[:1, :30], content[:1, :30])
    assert measured["frame"] == pytest.approx(alone["frame"])


def test_equal_clips_have_the_highest_scores_and_worse_ones_lower_scores() -> None:
    _, clean = clips()
    assert means(clean, clean, full(), full())["frame"] == {"psnr": PSNR_CEILING, "ssim": 1.0}
    reached = [means(clips(noise=noise)[0], clean, full(), full())["frame"] for noise in (2, 8, 32)]
    for name in ("psnr", "ssim"):
        values = [each[name] for each in reached]
        assert values == sorted(values, reverse=True)


def test_psnr_is_always_finite() -> None:
    assert psnr(0) == psnr(1e-30) == PSNR_CEILING
    assert psnr(255.0**2) == 0
    assert psnr(float(squared_error(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)).mean())) == 0


def test_a_clip_without_a_region_is_refused() -> None:
    noisy, clean = clips()
    with pytest.raises(ValueError, match="no frame has a region"):
        means(noisy, clean, np.zeros_like(full()), full())


def test_clips_are_measured_together_as_each_by_itself_on_any_number_of_threads() -> None:
    several = {str(noise): clips(noise=noise)[0] for noise in (2, 8, 32)}
    _, clean = clips()
    with ThreadPoolExecutor(3) as pool:
        together = measure(several, clean, masks(), full(), pool=pool)
    for name, clip in several.items():
        alone = measure({name: clip}, clean, masks(), full())[name]
        for area, values in alone.items():
            for metric, each in values.items():
                assert np.array_equal(together[name][area][metric], each)


def test_another_metric_is_averaged_like_the_others() -> None:
    noisy, clean = clips()
    measured = means(noisy, clean, masks(), full(), lambda image, other: np.full(image.shape[:2], 0.25))
    assert measured["region"]["lpips"] == measured["frame"]["lpips"] == 0.25


def test_bicubic_interpolation_improves_a_smooth_mosaic_and_changes_nothing_else() -> None:
    y, x = np.mgrid[:H, :W]
    clean = np.stack([np.stack([4 * x, 5 * y, 2 * (x + y)], axis=2).clip(0, 255).astype(np.uint8)] * T)
    small = clean.reshape(T, H // 8, 8, W // 8, 8, 3).mean(axis=(2, 4)).round().astype(np.uint8)
    mosaicked = small.repeat(8, axis=1).repeat(8, axis=2)
    region = np.zeros_like(full())
    region[:, 8:32, 8:48] = 255
    mosaicked = np.where(region[..., None] > 0, mosaicked, clean)
    before = mosaicked.copy()
    smooth = bicubic(mosaicked, region, full(), 8)
    assert np.array_equal(mosaicked, before)
    assert np.array_equal(smooth[region == 0], mosaicked[region == 0])
    expected = np.stack([cv2.resize(frame, (W, H), interpolation=cv2.INTER_CUBIC) for frame in small])
    assert np.abs(smooth[region > 0].astype(int) - expected[region > 0]).max() <= 2
    assert (
        means(smooth, clean, region, full())["region"]["psnr"] > means(mosaicked, clean, region, full())["region"]["psnr"] + 3
    )


def test_bicubic_interpolation_ignores_padding() -> None:
    white = np.full((1, H, W, 3), 255, np.uint8)
    white[:, :, 30:] = 0
    content = np.zeros((1, H, W), np.uint8)
    content[:, :, :30] = 255
    assert np.array_equal(bicubic(white, content, content, 8), white)


@given(st.integers(1, 7), st.integers(1, 6), st.integers(0, 100))
def test_the_temporal_median_is_that_of_the_neighbouring_frames(count: int, frames: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    clip = random.integers(0, 256, (count, 3, 4, 3), np.uint8)
    region = random.integers(0, 2, (count, 3, 4), np.uint8) * 255
    found = temporal_median(clip, region, frames)
    for t in range(count):
        window = [place for place in range(count) if t - frames // 2 <= place < t - frames // 2 + frames]
        while len(window) < min(frames, count):  # at an end of the clip, more frames on the other side
            window = [window[0] - 1, *window] if window[0] else [*window, window[-1] + 1]
        for y in range(3):
            for x in range(4):
                for c in range(3):
                    values = sorted(int(clip[place, y, x, c]) for place in window)
                    half = len(values) // 2
                    middle = values[half] if len(values) % 2 else round((values[half - 1] + values[half]) / 2)
                    assert found[t, y, x, c] == (middle if region[t, y, x] else clip[t, y, x, c])


@given(st.lists(st.floats(0.5, 100), unique=True, max_size=6).map(sorted), st.floats(0.1, 200))
def test_every_block_falls_into_one_bin(edges: list[float], block: float) -> None:
    assert len(bins(edges)) == len(edges) + 1
    assert bin_of(block, edges) == bins(edges)[sum(edge <= block for edge in edges)]


def test_bins_are_named_by_their_edges() -> None:
    assert bins([8, 12.5]) == ["below 8", "8 to 12.5", "12.5 and more"]
    assert bins([]) == ["any"]
