"""The speed and the memory of detection in videos."""

import multiprocessing
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import polars as pl
import pytest
from timing import seconds

from tessera.core.provenance import sha256_file
from tessera.demo.render import render_demo_footage
from tessera.imaging.encode import write_video
from tessera.imaging.masks import Patch, decode_patch, decode_rle, encode_patch, trim
from tessera.imaging.polygons import Part, rasterize
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region
from tessera.learning.detection.offline import offline
from tessera.learning.detection.tracking import TrackSettings, track
from tessera.records.tables.demo import DemoClips, DemoRegions
from tessera.records.tables.scenes import SceneFrames, Scenes, VideoDetections, VideoFrames
from tessera.records.tables.table import read_table, types, write_table
from tessera.records.video_detections import detect_video
from tessera.stages.clips.detect import VideoDetectionSettings, every
from tessera.stages.clips.find import find_scenes
from tessera.stages.clips.tracks import SceneSettings

RATE = 30


def footage(height: int, width: int, count: int) -> Iterator[np.ndarray]:
    """Yield frames of a texture that moves, under grain as cameras have it."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (height // 16, width // 4, 3), np.uint8)
    texture = cv2.resize(coarse, (2 * width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = random.normal(0, 4, (height + 64, width + 64, 1)).astype(np.int16)
    for number in range(count):
        left = 2 * number % width
        y, x = random.integers(0, 64, 2)
        yield (texture[:, left : left + width] + grain[y : y + height, x : x + width]).clip(0, 255).astype(np.uint8)


def see_nothing(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
    """A detector that takes no time."""
    return ([] for _ in images)


def detect(path: Path, stride: int = 1) -> pl.DataFrame:
    return detect_video("a", path, 0, see_nothing, partial(every, stride=stride), 8, threads=2)[0]


def convert_all(path: Path) -> None:
    """Decode all frames to RGB in a plain loop."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def test_a_free_detector_goes_through_1080p_far_faster_than_it_plays(tmp_path: Path) -> None:
    path, count = tmp_path / "film.mp4", 240
    write_video(path, footage(1080, 1920, count), RATE)
    every, third, plain = seconds(lambda: detect(path), lambda: detect(path, 3), lambda: convert_all(path))
    speed = [count / RATE / each for each in (every, third, plain)]
    rate = path.stat().st_size * 8 * RATE / count / 1e6
    print(
        f"\n1080p30 of {rate:.0f} Mbit/s: {speed[0]:.1f} times as fast as it plays (floor: 3), {speed[1]:.1f} at stride 3;"
        f" a bare loop that turns every frame to RGB: {speed[2]:.1f}"
    )
    assert speed[0] >= 3


def held(path: Path) -> float:
    """Return the peak memory in MB of a process that detects in the video `path`."""
    assert detect(path)["looked"].all()
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].removesuffix("kB")) / 1e3


@pytest.mark.parametrize(("height", "width", "count"), [(2160, 3840, 240), (4320, 7680, 130)])
def test_large_frames_are_few_in_memory(height: int, width: int, count: int, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_video(path, footage(height, width, count), RATE)
    with multiprocessing.get_context("spawn").Pool(1) as process:
        memory = process.apply(held, [path])
    picture = 3 * height * width / 1e6
    print(f"\n{width} by {height}, {count} frames of {picture:.0f} MB: at most {memory:.0f} MB held (limit: 1500)")
    assert memory <= 1500


def test_stride_3_with_a_small_model_has_two_and_a_half_times_the_throughput(tmp_path: Path) -> None:
    path, count = tmp_path / "film.mp4", 181
    write_video(path, footage(720, 1280, count), RATE)
    offline(tmp_path)
    from ultralytics import YOLO

    YOLO("yolo11n-seg.yaml").save(tmp_path / "small.pt")
    settings = {stride: VideoDetectionSettings(stride=stride, image_size=640) for stride in (1, 3)}
    detector = Detector(tmp_path / "small.pt", sha256_file(tmp_path / "small.pt"), settings[1])

    def look(stride: int) -> None:
        detect_video("a", path, count, detector.predict, partial(every, stride=stride), 8, threads=2)

    every, third = seconds(lambda: look(1), lambda: look(3), repeats=2)
    print(
        f"\nyolo11n-seg at 640 pixels on 720p: {count / every:.1f} frames/s; stride 3: {every / third:.2f} times (floor: 2.5)"
    )
    assert every / third >= 2.5


def looked_at(folder: Path, stride: int) -> Path:
    """Write the demo footage as a perfect detector sees it in every `stride`-th frame, and its scenes. Return their folder."""
    clips = read_table(folder / "truth" / "clips.parquet", DemoClips)
    truth = read_table(folder / "truth" / "regions.parquet", DemoRegions).filter(kind="subject")
    frames, rows = [], []
    for clip in clips.iter_rows(named=True):
        source, index = clip["source"], np.arange(clip["frames"])
        processed = (index % stride == 0) | (index == index[-1])
        table = {
            "source": [source] * len(index),
            "index": index,
            "pts": index,
            "time": index / clip["rate"],
            "looked": processed,
        }
        table |= {side: [clip[side]] * len(index) for side in ("width", "height")}
        frames.append(pl.DataFrame(table | {"change": np.where(np.isin(index, clip["cuts"]), 60.0, 1.0)}))
        for region in truth.filter(source=source).sort("index", "number").iter_rows(named=True):
            if processed[region["index"]]:
                box = decode_patch(region["rle"], clip["height"], clip["width"]).box
                rows.append((source, region["index"], region["number"], "nsfw", 0.9, region["rle"], *box, None))
    made = folder / str(stride)
    made.mkdir()
    write_table(pl.concat(frames), VideoFrames, made / "frames.parquet")
    detections = pl.DataFrame(rows, schema=types(VideoDetections), orient="row", strict=False)
    write_table(detections, VideoDetections, made / "detections.parquet")
    outputs = [made / name for name in ("scenes.parquet", "scene_frames.parquet", "ledger.jsonl")]
    follow = partial(track, settings=TrackSettings())
    # The detector skips up to two frames at the ends of a shot.
    settings = SceneSettings(extension=(0,), minimum=1.8, merge=1)
    find_scenes(made / "frames.parquet", made / "detections.parquet", follow, settings, 0, *outputs, threads=2)
    return made


def test_masks_between_every_third_frame_are_those_of_every_frame(tmp_path: Path) -> None:
    render_demo_footage(tmp_path, 0, threads=2, stills=())
    scenes, masks = {}, {}
    for stride in (1, 3):
        made = looked_at(tmp_path, stride)
        scenes[stride] = read_table(made / "scenes.parquet", Scenes)
        sizes = {key: size for key, *size in scenes[stride].select("key", "height", "width").rows()}
        sources = dict(scenes[stride].select("key", "source").rows())
        masks[stride] = {}
        for key, index, rle in read_table(made / "scene_frames.parquet", SceneFrames).select("key", "index", "rle").rows():
            masks[stride].setdefault((sources[key], index), []).append(decode_rle(rle, *sizes[key]) > 0)
    overlaps, between = [], []
    for (source, index), found in masks[3].items():
        for mask in found:
            others = masks[1].get((source, index), [])
            overlap = max(((mask & other).sum() / (mask | other).sum() for other in others), default=0.0)
            overlaps.append(overlap)
            if index % 3:
                between.append(overlap)
    print(
        f"\n{scenes[3].height} scenes at stride 3, {scenes[1].height} at stride 1, {len(overlaps)} masks: mean IoU with those"
        f" of stride 1 {np.mean(overlaps):.3f} (floor: 0.90), in frames that were not looked at {np.mean(between):.3f}"
    )
    assert scenes[3].height == scenes[1].height
    assert np.mean(overlaps) >= 0.9
    assert np.mean(between) >= 0.9


def test_scenes_are_found_faster_than_they_play_in_little_memory(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as process:
        taken, memory, masks = process.apply(shaped, [tmp_path, 3 * 60 * RATE])
    print(
        f"\na region of 300 pixels that is there for 3 minutes at 1080p{RATE}: {1e3 * taken / masks:.1f} ms for each of {masks}"
        f" masks, {3 * 60 / taken:.0f} times as fast as it plays (floor: 3); at most {memory:.0f} MB held"
    )
    assert 3 * 60 / taken >= 3
    assert memory <= 1000


def shaped(folder: Path, count: int) -> tuple[float, float, int]:
    """Find the scenes of a region that all of `count` frames show. Return the seconds, the peak memory in MB, and the masks."""
    patches = []
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    for place in range(60):
        radius = 140 * (1 + 0.12 * np.sin(3 * angles + place / 10) + 0.05 * np.sin(7 * angles - place / 7))
        ring = np.stack([200 + radius * np.cos(angles), 200 + radius * np.sin(angles)], axis=1)
        patches.append(trim(Patch(rasterize([Part(ring)], 400, 400), 0, 0)))
    rows = []
    for index in range(count):
        patch = patches[index // 2 % 60]
        patch = Patch(patch.mask, 700 + int(80 * np.sin(index / 40)), 300 + int(100 * np.cos(index / 50)))
        rows.append(("a", index, 0, "nsfw", 0.8, encode_patch(patch, 1080, 1920), *patch.box, None))
    detections = pl.DataFrame(rows, schema=types(VideoDetections), orient="row", strict=False)
    index = np.arange(count)
    table = {"source": ["a"] * count, "index": index, "pts": index, "time": index / RATE, "width": [1920] * count}
    table |= {"height": [1080] * count, "change": np.ones(count), "looked": [True] * count}
    write_table(pl.DataFrame(table, schema=types(VideoFrames)), VideoFrames, folder / "frames.parquet")
    write_table(detections, VideoDetections, folder / "detections.parquet")
    outputs = [folder / name for name in ("scenes.parquet", "scene_frames.parquet", "ledger.jsonl")]
    follow = partial(track, settings=TrackSettings())
    start = time.monotonic()
    find_scenes(folder / "frames.parquet", folder / "detections.parquet", follow, SceneSettings(), 0, *outputs, threads=2)
    taken = time.monotonic() - start
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return taken, int(status["VmHWM"].removesuffix("kB")) / 1e3, read_table(outputs[1], SceneFrames).height
