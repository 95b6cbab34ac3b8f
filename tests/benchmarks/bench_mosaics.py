"""The speed of mosaics, compared with a plain loop over blocks that gives the same pixels."""

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from clock import seconds

from tessera.imaging.degradation.chain import degrade
from tessera.imaging.degradation.settings import DegradationSettings
from tessera.imaging.images import write_image
from tessera.imaging.masks import encode_rle
from tessera.imaging.mosaic.blocks import Mosaic, pixelate, pixelate_clip
from tessera.imaging.mosaic.settings import MosaicSettings
from tessera.pipeline.mosaics.samples import pixelate_frames
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import types, write_table

SIDE = 512


def plain_pixelate(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return the same as `pixelate`, block by block, for a grid that starts at the corner of the image."""
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
        f" {plain / ours:.0f} times as fast as a loop over blocks (floor: 20 where the edge is hard, for a soft one is no loop)"
    )
    assert plain / ours >= 20 or feather
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


def test_samples_with_all_degradations_at_30_in_a_second(tmp_path: Path) -> None:
    """From frames of 1280 by 720 to samples of 640 by 360, a third of them through a video codec."""
    random = np.random.default_rng(0)
    mask = np.zeros((720, 1280), np.uint8)
    cv2.ellipse(mask, (600, 330), (220, 150), 20, 0, 360, 255, -1)
    box = dict.fromkeys(("x0", "y0", "x1", "y1"), 0.0)
    region = {**dict.fromkeys(types(Annotations)), "number": 0, "label": "nsfw", "rle": encode_rle(mask), **box, "crowd": False}
    frame = {**dict.fromkeys(types(Frames)), "source": "film", "width": 1280, "height": 720, "phash": 0}
    frames, regions = [], []
    (tmp_path / "pictures").mkdir()
    for index in range(120):
        key = f"film-{index:07d}"
        coarse = random.integers(0, 256, (45, 80, 3), np.uint8)
        grain = random.integers(0, 9, (720, 1280, 3), np.uint8)
        image = cv2.addWeighted(cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC), 0.9, grain, 1, 8)
        write_image(tmp_path / "pictures" / f"{key}.jpg", image)
        frames.append({**frame, "key": key, "index": index, "file": f"{key}.jpg"})
        regions.append({**region, "key": key})
    write_table(pl.DataFrame(frames, schema=types(Frames)), Frames, tmp_path / "frames")
    write_table(pl.DataFrame(schema=types(Frames)), Frames, tmp_path / "backgrounds")
    write_table(pl.DataFrame(regions, schema=types(Annotations)), Annotations, tmp_path / "regions")
    inputs = {name: tmp_path / name for name in ("frames", "pictures", "regions", "backgrounds")}
    degraded = partial(degrade, chain=DegradationSettings().detection)
    runs = itertools.count()

    def make() -> None:
        folder = tmp_path / str(next(runs))
        folder.mkdir()
        outputs = {name: folder / name for name in ("table", "images", "masks", "ledger", "mosaic_ledger")}
        pixelate_frames(**inputs, **outputs, settings=MosaicSettings(), seed=0, degrade=degraded, threads=2)
        assert len(list((folder / "images").iterdir())) == len(frames)

    (best,) = seconds(make, repeats=3)
    print(f"\nsamples with all degradations: {len(frames) / best:.0f} in a second with two threads (floor: 30)")
    assert len(frames) / best >= 30
