"""Regions anywhere: random shapes that stay inside the picture, the same in every run, and that can be tracked."""

import numpy as np
import polars as pl

from tessera.imaging.boxes import mask_box
from tessera.imaging.masks import decode_rle
from tessera.learning.detection.anywhere import Anywhere
from tessera.learning.detection.found import Region
from tessera.learning.detection.tracking import TrackSettings, track
from tessera.records.tables.scenes import VideoDetections, VideoFrames
from tessera.records.tables.table import types

HEIGHT, WIDTH = 90, 160


def of_images(source: str, count: int = 200, seed: int = 0) -> list[list[Region]]:
    return list(Anywhere(seed, source).predict(np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)))


def of_frames(source: str, numbers: range, height: int = HEIGHT, width: int = WIDTH) -> list[list[Region]]:
    class Frame:
        def __init__(self, index: int) -> None:
            self.index, self.size = index, (width, height)

    anywhere = Anywhere(0, source)
    return list(anywhere.detect(anywhere.scale_frame(Frame(number)) for number in numbers))  # type: ignore[arg-type]


def test_every_region_has_a_mask_in_its_box_and_some_images_have_none() -> None:
    found = of_images("film")
    assert 0.2 < np.mean([not regions for regions in found]) < 0.5
    for region in (region for regions in found for region in regions):
        assert region.rle
        mask = decode_rle(region.rle, HEIGHT, WIDTH)
        x0, y0, x1, y1 = mask_box(mask)
        assert mask.any()
        assert region.box[0] <= x0 and region.box[1] <= y0 and x1 <= region.box[2] and y1 <= region.box[3]


def test_regions_lie_everywhere_in_all_sizes() -> None:
    masks = [decode_rle(region.rle or "", HEIGHT, WIDTH) > 0 for regions in of_images("film", 400) for region in regions]
    assert (np.mean(masks, axis=0) > 0.005).all()
    areas = [mask.sum() / HEIGHT**2 for mask in masks]
    assert np.quantile(areas, 0.1) < 0.03 and np.quantile(areas, 0.9) > 0.2


def test_regions_depend_on_the_seed_and_the_source_alone() -> None:
    assert of_images("film") == of_images("film")
    assert of_images("film") != of_images("other")
    assert of_images("film") != of_images("film", seed=1)
    # Parts of a video are decoded in any order.
    assert of_frames("film", range(40, 50)) == of_frames("film", range(60))[40:50]


def test_the_regions_of_a_video_become_two_tracks_that_last() -> None:
    for source, height, width in (("a", 90, 160), ("b", 160, 90), ("c", 90, 160)):
        found = of_frames(source, range(120), height, width)
        rows = [
            (source, index, number, region.label, region.score, region.rle, *region.box, None)
            for index, regions in enumerate(found)
            for number, region in enumerate(regions)
        ]
        detections = pl.DataFrame(rows, schema=types(VideoDetections), orient="row")
        still = {"source": source, "width": width, "height": height, "change": 0.0, "looked": True}
        frames = pl.DataFrame(
            [{**still, "index": index, "pts": index, "time": index / 24} for index in range(120)], schema=types(VideoFrames)
        )
        tracks = track(frames, detections, TrackSettings())
        assert np.bincount(tracks).tolist() == [120, 120]
