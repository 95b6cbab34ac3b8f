"""Mosaics: how fast, against the plain loop over blocks that gives the same pixels."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from tessera.mosaics.blocks import Mosaic, pixelate, pixelate_clip

SIDE = 512


def seconds(*works: Callable[[], object], repeats: int = 20) -> list[float]:
    """Return the least seconds that each of `works` takes; they take turns, so that a busy machine is busy for all."""
    best = [float("inf")] * len(works)
    for _, (number, work) in itertools.product(range(repeats), enumerate(works)):
        start = time.perf_counter()
        work()
        best[number] = min(best[number], time.perf_counter() - start)
    return best


def plain_pixelate(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return the same as `pixelate`, block by block, for blocks that begin at the corner of the image."""
    height, width = mask.shape
    result, hard = image.copy(), np.zeros_like(mask)
    for y in range(0, height, mosaic.height):
        for x in range(0, width, mosaic.width):
            place = slice(y, y + mosaic.height), slice(x, x + mosaic.width)
            block = image[place]
            middle = min(y + mosaic.height // 2, height - 1), min(x + mosaic.width // 2, width - 1)
            if mask[middle]:
                result[place] = image[middle] if mosaic.type == "squa_mid" else np.rint(block.mean(axis=(0, 1)))
                hard[place] = 255
    if mosaic.feather:
        share = cv2.blur(mask, (mosaic.feather, mosaic.feather))[..., None] / 255 * (hard > 0)[..., None]
        result = np.rint(image * (1 - share) + result * share).astype(np.uint8)
    return result


@pytest.mark.parametrize("feather", [0, 12])
@pytest.mark.parametrize("kind", ["squa_mid", "squa_avg", "rect_avg"])
def test_an_image_20_times_faster_than_a_loop_and_in_a_millisecond(kind: Any, feather: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    whole = np.full((SIDE, SIDE), 255, np.uint8)
    mosaic = Mosaic(kind, 12 if kind == "rect_avg" else 8, 8, feather)
    assert np.array_equal(pixelate(image, whole, mosaic), plain_pixelate(image, whole, mosaic))
    (plain,) = seconds(lambda: plain_pixelate(image, whole, mosaic), repeats=3)
    (ours,) = seconds(lambda: pixelate(image, whole, mosaic), repeats=50)
    print(
        f"\n{kind}, feather of {feather}, all of {SIDE} by {SIDE}: {ours * 1e3:.2f} ms (ceiling: 1),"
        f" {plain / ours:.0f} times as fast as a loop over blocks (floor: 20)"
    )
    assert plain / ours >= 20
    assert ours <= 1e-3


def test_a_clip_in_5_milliseconds() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (16, 256, 256, 3), np.uint8)
    whole = np.full(clip.shape[:3], 255, np.uint8)
    region = np.zeros(clip.shape[:3], np.uint8)
    for mask in region:
        cv2.ellipse(mask, (128, 128), (108, 108), 0, 0, 360, 255, -1)
    mosaic = Mosaic("rect_avg", 9, 6, 10)
    ours, worst = seconds(lambda: pixelate_clip(clip, region, mosaic), lambda: pixelate_clip(clip, whole, mosaic), repeats=50)
    print(f"\n16 frames of 256 by 256, a region in each: {ours * 1e3:.1f} ms (ceiling: 5); all of each: {worst * 1e3:.1f} ms")
    assert ours <= 5e-3
