"""Clips have the right pixels of their footage, and none is lost."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_shards import LOSSLESS, ClipShard, ellipse, film, moving, pictures, run
from tessera.core.errors import TesseraError
from tessera.core.store import CHECKSUMS
from tessera.imaging.masks import encode_rle
from tessera.imaging.mosaic.drawing import block_sizes
from tessera.imaging.video import read_frames, read_packets
from tessera.records.tables.scenes import SceneFrames
from tessera.records.tables.table import read_table
from tessera.stages.clips import cut
from tessera.stages.clips.settings import ClipSettings

MEDIA = Path(__file__).parents[5] / "shared" / "media"
needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")


@pytest.fixture
def shard(tmp_path: Path) -> ClipShard:
    return ClipShard(tmp_path)


def decode(path: Path, pixel_format: str) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format=pixel_format) for frame in container.decode(video=0)])


def plain(path: Path) -> list[np.ndarray]:
    """Return all frames of a video without rotation, decoded in the obvious way."""
    return list(decode(path, "rgb24"))


def check(
    shard: ClipShard, row: dict[str, Any], images: list[np.ndarray], masks: Sequence[np.ndarray], tolerance: float = 2
) -> None:
    """Compare a clip with its crops of the frames `images` of the video."""
    frames = images[row["first"] :]
    clip = decode(shard.folder / "out" / "images" / f"{row['key']}.mp4", "rgb24")
    mask_clip = decode(shard.folder / "out" / "masks" / f"{row['key']}.mkv", "gray")
    assert clip.shape == (row["frames"], row["height"], row["width"], 3)
    assert mask_clip.shape == clip.shape[:3]
    assert len(row["crops"]) == len(row["pads"]) == len(row["time"]) == row["frames"] == len(masks)
    for number, ((x0, y0, x1, y1), (top, bottom, left, right)) in enumerate(zip(row["crops"], row["pads"], strict=True)):
        assert (top + y1 - y0 + bottom, left + x1 - x0 + right) == (row["height"], row["width"])
        around = ((top, bottom), (left, right))
        assert np.array_equal(mask_clip[number], np.pad(masks[number][y0:y1, x0:x1], around))
        assert cv2.countNonZero(mask_clip[number]) == cv2.countNonZero(masks[number]), "no region is cut off"
        expected = np.pad(frames[number][y0:y1, x0:x1], (*around, (0, 0)))
        assert np.abs(clip[number].astype(int) - expected).mean() < tolerance


def test_a_clip_has_the_pixels_of_its_crops(shard: ClipShard, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", pictures(50, 240, 320))
    shard.source("a", path, rights="CC-BY", split="val")
    masks = moving(240, 320, 24)
    key = shard.scene("a", 13, masks, track=3)
    rows = shard.cut()
    check(shard, rows[key], plain(path), masks)
    row = rows[key]
    assert (row["source"], row["rights"], row["split"], row["track"], row["first"]) == ("a", "CC-BY", "val", 3, 13)
    assert (row["rate"], row["time"][:2]) == (25.0, pytest.approx([0.52, 0.56]))
    assert (row["frame_width"], row["frame_height"]) == (320, 240)
    assert (row["block_v1_normal"], row["block_v3"]) == (block_sizes(masks[12])[0], 4)
    assert shard.ledger() == {key: ("ok", "")}


@pytest.mark.slow
def test_overlapping_scenes_are_all_correct_and_do_not_depend_on_threads(shard: ClipShard, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", pictures(90, 120, 160))
    shard.source("a", path)
    other = film(tmp_path / "b.mp4", pictures(20, 96, 128))
    shard.source("b", other)
    spans = {"a": [(3, 30), (12, 20), (12, 5), (29, 10), (70, 20)], "b": [(0, 20)]}
    wanted = {
        shard.scene(name, first, masks := moving(*((120, 160) if name == "a" else (96, 128)), count), track): masks
        for name, ranges in spans.items()
        for track, (first, count) in enumerate(ranges)
    }
    rows = shard.cut(threads=1)
    assert list(rows) == list(wanted), "in the order of the scenes"
    for key, masks in wanted.items():
        check(shard, rows[key], plain(path if rows[key]["source"] == "a" else other), masks)
    (shard.folder / "cache").rename(shard.folder / "before")
    assert shard.cut(threads=4, out="again") == rows
    assert shard.bytes("again") == shard.bytes("out")


def test_one_pass_over_a_video_cuts_all_its_scenes(shard: ClipShard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[int]] = []

    def reading(path: Path, packets: Any, indices: Any, threads: int) -> Any:
        read.append(list(indices))
        return read_frames(path, packets, indices, threads=threads)

    monkeypatch.setattr(cut, "read_frames", reading)
    shard.source("a", film(tmp_path / "a.mp4", pictures(60, 120, 160)))
    keys = [shard.scene("a", first, moving(120, 160, 10), track) for track, first in enumerate((5, 9, 40))]
    rows = shard.cut()
    assert sorted(read) == [[*range(5, 19)], [*range(40, 50)]], "and nothing in between"
    monkeypatch.setattr(cut, "PIXELS", rows[keys[0]]["width"] * rows[keys[0]]["height"])
    (shard.folder / "cache").rename(shard.folder / "before")
    read.clear()
    assert shard.cut(out="again") == rows
    assert read == [[*range(5, 15)], [*range(9, 19)], [*range(40, 50)]], "clips that do not fit into memory are cut later"
    assert shard.bytes("again") == shard.bytes("out")


@pytest.mark.parametrize(
    ("scenes", "runs"),
    [
        ([(0, 20), (20, 40)], [(0, 20), (20, 40)]),  # the second begins at a keyframe
        ([(0, 25), (25, 40)], [(0, 40)]),  # not divided here: five frames would be decoded twice
        ([(0, 201), (201, 220)], [(0, 201), (201, 220)]),  # one of two hundred is little
        ([(0, 40), (10, 30), (20, 60), (90, 99)], [(0, 60), (90, 99)]),
    ],
)
def test_a_video_is_divided_where_few_frames_are_decoded_twice(
    scenes: list[tuple[int, int]], runs: list[tuple[int, int]], shard: ClipShard, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4", pictures(220, 48, 64), **{"x264-params": "bframes=0:scenecut=0"})
    shard.source("a", path)
    for track, (first, stop) in enumerate(scenes):
        shard.scene("a", first, [ellipse(48, 64, (32, 24), (10, 10))] * (stop - first), track)
    shard.write()
    frames: Any = read_table(shard.folder / "scene_frames.parquet", SceneFrames).partition_by("key", as_dict=True)
    plans = [
        cut._plan(scene, frames[scene["key"],], shard.sources[0], LOSSLESS, "code")
        for scene in sorted(shard.scenes, key=lambda scene: scene["first"])
    ]
    divided = cut._runs(path, plans, faults := {})
    assert not faults
    assert [(run.plans[0].first, max(plan.indices.stop for plan in run.plans)) for run in divided] == runs
    assert sum(len(run.plans) for run in divided) == len(plans)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.integers(1, 30)), max_size=12))
def test_every_clip_is_in_one_pass_and_no_pass_exceeds_the_memory(drawn: list[tuple[int, int, int]]) -> None:
    @dataclass(eq=False)
    class Plan:
        first: int
        indices: range
        pixels: int

    plans: list[Any] = [Plan(first, range(first, first + count), 200_000 * size) for first, count, size in drawn]
    passes = cut._passes(plans)
    assert sorted(map(id, (plan for group in passes for plan in group))) == sorted(map(id, plans))
    for group in passes:
        assert [plan.first for plan in group] == sorted(plan.first for plan in group)
        for index in range(70):
            at_once = [plan.pixels for plan in group if index in plan.indices]
            assert len(at_once) <= 1 or sum(at_once) <= cut.PIXELS


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p"])
def test_a_clip_of_odd_size_has_the_size_that_is_stated(shard: ClipShard, tmp_path: Path, pixel_format: Any) -> None:
    path = film(tmp_path / "a.mkv", pictures(12, 121, 161), pixel_format="yuv444p")
    shard.source("a", path)
    masks = [ellipse(121, 161, (61, 57), (14, 11))] * 6 + [ellipse(121, 161, (61, 57), (19, 11))] * 6
    key = shard.scene("a", 0, masks)
    settings = LOSSLESS.model_copy(update={"pixel_format": pixel_format, "growth": 0.5})
    rows = shard.cut(settings)
    assert (rows[key]["width"] % 2, rows[key]["height"] % 2) == ((0, 0) if pixel_format == "yuv420p" else (1, 1))
    check(shard, rows[key], plain(path), masks, tolerance=2 if pixel_format == "yuv444p" else 10)
    with av.open(str(shard.folder / "out" / "images" / f"{key}.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == pixel_format


def test_if_the_rate_varies_the_clip_has_the_mean_and_the_table_the_times(shard: ClipShard, tmp_path: Path) -> None:
    pts = np.cumsum([0, *np.random.default_rng(3).integers(10, 90, 39)]).tolist()
    path = film(tmp_path / "a.mkv", pictures(40, 96, 128), pts=pts)
    shard.source("a", path, variable_rate=True, average_rate=20.0)
    masks = moving(96, 128, 25)
    key = shard.scene("a", 10, masks)
    row = shard.cut()[key]
    check(shard, row, plain(path), masks)
    assert row["time"] == pytest.approx([stamp / 1000 for stamp in pts[10:35]])
    assert row["pts"] == pts[10:35]
    assert row["rate"] == pytest.approx(24 * 1000 / (pts[34] - pts[10]), rel=1e-4)
    with av.open(str(shard.folder / "out" / "masks" / f"{key}.mkv")) as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(row["rate"], rel=1e-2)


def test_a_clip_of_one_frame_has_the_rate_of_the_video(shard: ClipShard, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", pictures(8, 96, 128), pts=[0, 40, 45, 130, 200, 210, 400, 440])
    shard.source("a", path, variable_rate=True, average_rate=20.0)
    key = shard.scene("a", 2, moving(96, 128, 1))
    assert shard.cut()[key]["rate"] == 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "pixel_format"), [(96, 128, "yuv420p10le"), (96, 128, "yuv422p10le"), (2160, 3840, "yuv420p")]
)
def test_video_of_ten_bits_and_4k_is_cut(shard: ClipShard, tmp_path: Path, height: int, width: int, pixel_format: str) -> None:
    options = {"x265-params": "log-level=none"} if "10" in pixel_format else {}
    path = film(tmp_path / "a.mkv", pictures(3, height, width), pixel_format=pixel_format, **options)
    shard.source("a", path)
    masks = [ellipse(height, width, (width // 3, height // 2), (30, 20))] * 2
    key = shard.scene("a", 1, masks)
    check(shard, shard.cut()[key], plain(path), masks)


def test_extreme_scenes_are_cut(shard: ClipShard, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", pictures(12, 120, 160))
    fast = film(tmp_path / "b.mkv", pictures(12, 120, 160), pts=list(range(12)))
    shard.source("a", path)
    shard.source("b", fast, average_rate=1000.0)
    full, last = [np.full((120, 160), 255, np.uint8)] * 12, moving(120, 160, 1)
    wanted = {
        shard.scene("a", 0, full): (path, full),
        shard.scene("a", 11, last, 1): (path, last),
        shard.scene("b", 0, full): (fast, full),
    }
    rows = shard.cut()
    for key, (video, masks) in wanted.items():
        check(shard, rows[key], plain(video), masks)
    assert [row["rate"] for row in rows.values()] == [25.0, 25.0, 1000.0]
    assert rows["a-0000000-0"]["crops"][0] == [0, 0, 160, 120]


def test_compat_lada_gives_the_crops_of_lada(shard: ClipShard, tmp_path: Path) -> None:
    shard.source("a", film(tmp_path / "a.mp4", pictures(3, 720, 1280)))
    mask = np.zeros((720, 1280), np.uint8)
    mask[300:400, 600:700] = 255
    key = shard.scene("a", 0, [mask] * 3)
    assert shard.cut()[key]["crops"][0] == [522, 222, 778, 478]
    assert shard.cut(ClipSettings(compat="lada"), out="lada")[key]["crops"][0] == [551, 251, 749, 449]


def damage(path: Path, damaged: slice) -> None:
    """Overwrite the packets at `damaged` with noise."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in packets[damaged]:
        data[position : position + size] = np.random.default_rng(position).bytes(size)
    path.write_bytes(data)


def test_a_scene_that_cannot_be_cut_is_a_row_and_the_others_are_cut(shard: ClipShard, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", pictures(60, 96, 128))
    damage(path, slice(22, 26))
    shard.source("a", path)
    masks = moving(96, 128, 12)
    good = [shard.scene("a", 0, masks), shard.scene("a", 40, masks, 1)]
    broken = shard.scene("a", 18, masks, 2)
    larger = shard.scene("a", 41, [np.pad(mask, ((0, 0), (0, 4))) for mask in masks], 3)
    no_frames = shard.scene("a", 42, masks, 4)
    shard.frames = [row for row in shard.frames if row["key"] != no_frames or row["index"] != 45]
    nonsense = shard.scene("a", 43, masks, 5)
    next(row for row in shard.frames if row["key"] == nonsense)["rle"] = "no run lengths"
    endless = shard.scene("a", 44, masks, 6)
    shard.scenes[-1]["frames"] = 2**62
    outside = shard.scene("a", 45, masks, 7)
    next(row for row in shard.frames if row["key"] == outside)["x1"] = 129
    shard.source("replaced", path)
    replaced = shard.scene("replaced", 0, masks)
    film(tmp_path / "other.mkv", pictures(40, 96, 128), pts=list(range(0, 400, 10)))
    shard.sources[-1]["path"] = str(tmp_path / "other.mkv")
    shard.source("gone", path)
    gone = shard.scene("gone", 0, masks)
    shard.sources[-1]["path"] = str(tmp_path / "gone.mp4")
    shard.source("refused", path)
    refused = shard.scene("refused", 0, masks)
    del shard.sources[-1]
    rows = shard.cut()
    assert list(rows) == good
    assert shard.ledger() == {
        **dict.fromkeys(good, ("ok", "")),
        broken: ("failed", "frame cannot be decoded"),
        larger: ("failed", "frame of another size"),
        no_frames: ("failed", "scene without its frames"),
        nonsense: ("failed", "region does not match its frame"),
        endless: ("failed", "scene without its frames"),
        outside: ("failed", "region does not match its frame"),
        replaced: ("failed", "not the footage that was looked at"),
        gone: ("failed", "missing"),
        refused: ("failed", "source is not admitted"),
    }
    assert sorted(shard.bytes()) == sorted([*(f"images/{key}.mp4" for key in good), *(f"masks/{key}.mkv" for key in good)])
    assert len(list((shard.folder / "cache").iterdir())) == 2, "no incomplete clip is left"


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_an_invalid_rate_is_refused_and_its_table_named(shard: ClipShard, tmp_path: Path, rate: float) -> None:
    shard.source("a", film(tmp_path / "a.mp4", pictures(2, 96, 128)))
    shard.scene("a", 0, moving(96, 128, 2))
    shard.write()
    sources = tmp_path / "sources.parquet"
    pl.read_parquet(sources).with_columns(average_rate=rate).write_parquet(sources)
    with pytest.raises(TesseraError, match=r"sources\.parquet is not a table of Sources"):
        run(shard.folder)


def test_no_scenes_give_empty_outputs(shard: ClipShard) -> None:
    assert shard.cut() == {}
    assert shard.ledger() == {}
    assert (shard.folder / "out" / "images").is_dir()


@pytest.mark.slow
def test_a_scene_that_has_not_changed_is_not_cut_again(shard: ClipShard, tmp_path: Path) -> None:
    shard.source("a", film(tmp_path / "a.mp4", pictures(60, 96, 128)))
    for track in range(3):
        shard.scene("a", 15 * track, moving(96, 128, 12), track)
    shard.cut()
    before, cached = shard.bytes(), shard.cached()
    (shard.folder / "cache" / ".DS_Store").touch()
    shard.cut(out="same")
    assert (shard.bytes("same"), shard.cached()) == (before, cached)
    row = next(row for row in shard.frames if row["key"] == shard.scenes[1]["key"])
    row["rle"] = encode_rle(ellipse(96, 128, (35, 50), (9, 9)))
    shard.cut(out="changed")
    assert len(shard.cached().items() & cached.items()) == 4, "two clips are reused"
    assert len(shard.cached()) == 6, "and clips that are no longer needed are removed"
    changed = {name for name, content in shard.bytes("changed").items() if content != before[name]}
    assert changed == {f"masks/{shard.scenes[1]['key']}.mkv"}
    cached = shard.cached()
    shard.cut(LOSSLESS.model_copy(update={"crf": 30}), out="poorer")
    assert not shard.cached().items() & cached.items()


@pytest.mark.parametrize("fault", ["changed", "lost", "linked", "folder linked"])
def test_a_cached_clip_is_reused_only_if_it_is_complete(shard: ClipShard, tmp_path: Path, fault: str) -> None:
    shard.source("a", film(tmp_path / "a.mp4", pictures(20, 96, 128)))
    shard.scene("a", 0, moving(96, 128, 12))
    shard.cut()
    before = shard.bytes()
    (image, mask) = sorted(map(Path, shard.cached()))
    if fault == "changed":
        mask.unlink()
        mask.write_bytes(b"x" * 100)
    elif fault == "lost":
        (image.parent / CHECKSUMS).write_bytes(b"")
    else:
        moved = image if fault == "linked" else image.parent
        moved.symlink_to(moved.rename(tmp_path / "elsewhere"))
    shard.cut(out="again")
    assert shard.bytes("again") == before
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_files_that_cannot_be_linked_are_copied(shard: ClipShard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, file: Path) -> None:
        raise PermissionError(1, "this file system knows no links")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = film(tmp_path / "a.mp4", pictures(20, 96, 128))
    shard.source("a", path)
    key = shard.scene("a", 2, masks := moving(96, 128, 12))
    check(shard, shard.cut()[key], plain(path), masks)


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_finished_clip(shard: ClipShard, tmp_path: Path) -> None:
    shard.source("a", film(tmp_path / "a.mp4", pictures(40, 240, 320)))
    for track in range(3):
        shard.scene("a", 12 * track, moving(240, 320, 14), track)
    settings = ClipSettings(preset="veryslow")
    undisturbed = ClipShard(tmp_path / "undisturbed", shard.sources, shard.scenes, shard.frames)
    undisturbed.folder.mkdir()
    undisturbed.cut(settings)
    shard.write()
    code = f"""
import itertools, os, sys
from pathlib import Path
from clip_shards import *

moment, out = int(sys.argv[1]), sys.argv[2]
writes = itertools.count()

def kill(event, arguments):
    if event in ("open", "os.mkdir", "os.rename") and "/cache/" in str(arguments[0]) and next(writes) == moment:
        os.kill(os.getpid(), 9)

sys.addaudithook(kill)
run(Path({str(tmp_path)!r}), {settings!r}, threads=1, out=out)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    cached = shard.cached()
    # Each run lasts longer than the last one, and more of what it needs is there.
    for kills in itertools.count():
        ran = subprocess.run([sys.executable, "-c", code, str(3 * kills), f"killed {kills}"], env=environment)
        assert cached.items() <= shard.cached().items(), "finished clips are kept"
        cached = shard.cached()
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL
    shard.cut(settings)
    assert kills > 3
    assert cached.items() <= shard.cached().items()
    assert shard.bytes() == undisturbed.bytes()


@needs_media
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_clips_of_rotated_footage_are_upright(shard: ClipShard, angle: int) -> None:
    path = MEDIA / f"rotation_{angle}.mov"
    images = [frame.image() for frame in read_frames(path, read_packets(path))]
    height, width = images[0].shape[:2]
    shard.source("a", path)
    masks = [ellipse(height, width, (width // 3, height // 4), (30, 20))] * len(images)
    key = shard.scene("a", 0, masks)
    rows = shard.cut()
    assert (rows[key]["frame_width"], rows[key]["frame_height"]) == (width, height)
    check(shard, rows[key], images, masks)


@pytest.mark.slow
@needs_media
def test_clips_follow_the_tennis_player(shard: ClipShard) -> None:
    path = MEDIA / "tennis" / "tennis.mp4"
    files = sorted((MEDIA / "tennis" / "masks").glob("*.png"))
    masks = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    shard.source("tennis", path, average_rate=24.0)
    key = shard.scene("tennis", 0, masks)
    row = shard.cut()[key]
    check(shard, row, plain(path), masks)
    assert row["rate"] == 24.0
