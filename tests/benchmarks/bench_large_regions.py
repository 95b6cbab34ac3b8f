"""The processor time and the memory of clips of regions that fill much of a frame, also compared with an earlier checkout.

`BASELINE=FOLDER` also measures a checkout with the same functions, in turn. The ceiling is meant for commit 315181c.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import skimage.data

import tessera
from clip_shards import ClipShard
from tessera.imaging.encode import write_video
from tessera.imaging.masks import Patch, encode_patch, trim
from tessera.imaging.video import read_packets
from tessera.records.tables.footage import Sources
from tessera.records.tables.scenes import VideoDetections, VideoFrames
from tessera.records.tables.table import types, write_table

RATE, SHOT, SHOWN = 30, 240, 175  # frames: per second, of a shot, and of those that show the region
WIDTHS = 634, 900, 1200, 1480, 1758  # pixels, of the region in each shot
MAKE = """
import json, resource, sys, time
from functools import partial
from pathlib import Path
import cv2, pandera.polars, pycocotools.mask
from ultralytics.trackers.byte_tracker import BYTETracker
from tessera.imaging.mosaic.drawing import block_sizes
from tessera.stages.clips.cut import cut_clips
from tessera.stages.clips.find import find_scenes
from tessera.stages.clips.scoring import score_clips
from tessera.stages.clips.settings import ClipSettings
from tessera.learning.detection.tracking import TrackSettings, track
from tessera.stages.clips.tracks import SceneSettings

cv2.setNumThreads(1)
made, out = map(Path, sys.argv[1:])
out.mkdir()
scenes, places, clips = (out / f"{name}.parquet" for name in ("scenes", "places", "clips"))
follow = partial(track, settings=TrackSettings())
found_in = made / "frames.parquet", made / "detections.parquet"
cut = dict(detector="0" * 64, scene_settings={}, seed=0, code="code", threads=2)
cut |= dict(clips=clips, images=out / "images", masks=out / "masks", ledger=out / "clips.jsonl")
measured = out / "scores.parquet", out / "scores.jsonl"
steps = {
    "scenes": lambda: find_scenes(*found_in, follow, SceneSettings(), 0, scenes, places, out / "scenes.jsonl", threads=2),
    "cutting": lambda: cut_clips(scenes, places, made / "sources.parquet", out / "cache", ClipSettings(), block_sizes, **cut),
    "scoring": lambda: score_clips(clips, places, out / "images", {}, None, *measured, samples=16, threads=2),
}
taken = {}
for name, step in steps.items():
    start = time.process_time()
    step()
    taken[name] = time.process_time() - start
print(json.dumps({**taken, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def footage() -> Iterator[np.ndarray]:
    """Yield 40 seconds of a photograph, filmed by a camera that moves, with sensor noise."""
    random = np.random.default_rng(0)
    photograph = cv2.resize(skimage.data.coffee(), (2880, 1920), interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, 2, (1080 + 64, 1920 + 64, 1)).astype(np.int16)
    for number in range(SHOT * len(WIDTHS)):
        matrix = cv2.getRotationMatrix2D((1440, 960), 2 * np.sin(number / 40), 1 + 0.1 * np.sin(number / 60))
        matrix[:, 2] -= 300 + 200 * np.sin(number / 50), 250 + 150 * np.cos(number / 45)
        y, x = random.integers(0, 64, 2)
        picture = cv2.warpAffine(photograph, matrix, (1920, 1080)) + noise[y : y + 1080, x : x + 1920]
        yield picture.clip(0, 255).astype(np.uint8)


def region(width: int, number: int) -> Patch:
    """Return the mask of a region in a frame as a detector makes it: on a grid of 160 by 90, enlarged to the frame."""
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = 1 + 0.15 * np.sin(3 * angles + number / 20) + 0.08 * np.sin(7 * angles - number / 9)
    centre = 960 + 120 * np.sin(number / 40), 540 + 60 * np.cos(number / 50)
    sides = width / 2.4, min(width / 2.4, 380)
    ring = centre + np.stack([sides[0] * radius * np.cos(angles), sides[1] * radius * np.sin(angles)], axis=1)
    grid = np.zeros((90, 160), np.uint8)
    cv2.fillPoly(grid, [np.round(ring / 12 * 16).astype(np.int32)], 255, shift=4)
    mask = cv2.resize(grid, (1920, 1080), interpolation=cv2.INTER_LINEAR) > 127
    return trim(Patch(mask * np.uint8(255), 0, 0))


def write_case(folder: Path) -> None:
    """Write 40 seconds of 1080p30 and what a detector sees in it: a large region per shot, missed in one of 16 frames."""
    write_video(folder / "a.mp4", footage(), RATE)
    packets, index = read_packets(folder / "a.mp4"), np.arange(SHOT * len(WIDTHS))
    random = np.random.default_rng(1)
    rows = []
    for number in index.tolist():
        if number % SHOT < SHOWN and (number % SHOT < 3 or random.random() > 1 / 16):
            patch = region(WIDTHS[number // SHOT], number)
            rows.append(("a", number, 0, "nsfw", 0.8, encode_patch(patch, 1080, 1920), *patch.box, None))
    detections = pl.DataFrame(rows, schema=types(VideoDetections), orient="row", strict=False)
    write_table(detections, VideoDetections, folder / "detections.parquet")
    table = {"source": ["a"] * len(index), "index": index, "pts": packets.pts, "time": packets.time}
    table |= {"width": [1920] * len(index), "height": [1080] * len(index), "looked": [True] * len(index)}
    table |= {"change": np.where((index % SHOT == 0) & (index > 0), 60.0, 1.0)}
    frames = pl.DataFrame(table).select(list(types(VideoFrames)))
    write_table(frames.cast(types(VideoFrames)), VideoFrames, folder / "frames.parquet")  # type: ignore[arg-type]
    shard = ClipShard(folder)
    shard.source("a", folder / "a.mp4", average_rate=float(RATE))
    write_table(pl.DataFrame(shard.sources, schema=types(Sources)), Sources, folder / "sources.parquet")


def make(tree: Path, folder: Path, out: str) -> dict[str, float]:
    """Make the clips with the code in `tree`. Return the seconds of the processor for each step, and the peak memory in GiB."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", MAKE, folder, folder / out]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return measured


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory is measured in kilobytes, as Linux does")
def test_large_regions_become_clips_in_less_time_than_before(tmp_path: Path) -> None:
    write_case(tmp_path)
    trees = {"now": Path(tessera.__file__).parents[1]}
    if baseline := os.environ.get("BASELINE"):
        trees["baseline"] = Path(baseline).resolve() / "src"
    best: dict[str, dict[str, float]] = {}
    for turn in range(2):
        for name, tree in trees.items():
            taken = make(tree, tmp_path, f"{name}{turn}")
            best[name] = {step: min(value, best.get(name, taken)[step]) for step, value in taken.items()}
    total = {name: sum(taken.values()) - taken["memory"] for name, taken in best.items()}
    print("\n40 seconds of 1080p, regions of 634 to 1758 pixels; seconds of the processor without detecting")
    for name, taken in best.items():
        steps = ", ".join(f"{step} {value:.1f}" for step, value in taken.items() if step != "memory")
        print(f"{name}: {total[name]:.1f} ({steps}), at most {taken['memory']:.2f} GiB held")
    if baseline:
        print(f"{total['now'] / total['baseline']:.2f} of the baseline (ceiling: 0.5)")
        assert total["now"] <= 0.5 * total["baseline"]
        assert best["now"]["memory"] <= best["baseline"]["memory"]
    assert best["now"]["memory"] < 1.4
