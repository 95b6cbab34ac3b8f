"""Every frame of a video is counted and the right ones are detected, for any footage, batches and threads."""

import gc
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tessera.core.errors import Failed
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.provenance import write_checksums
from tessera.imaging import video
from tessera.imaging.images import write_image
from tessera.imaging.masks import decode_patch, decode_rle, encode_rle
from tessera.imaging.mosaic.grid import CLEAR, grid_of
from tessera.imaging.video import read_packets
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region
from tessera.records import video_detections as videos
from tessera.records.tables.footage import Sources
from tessera.records.tables.scenes import VideoDetections, VideoFrames
from tessera.records.tables.table import read_table, types, write_table
from tessera.records.video_detections import detect_video, difference
from tessera.stages.clips.detect import VideoDetectionSettings, detect_videos, every

MEDIA = Path(__file__).parents[5] / "shared" / "media"
needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")
SETTINGS: dict[str, Any] = {"image_size": 64, "batch": 3, "confidence": 0.05, "max_regions": 3}
COUNT = 30
EVERY = partial(every, stride=1)


def pictures(count: int = COUNT, height: int = 48, width: int = 80, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield pictures that differ clearly: noise in coarse squares that moves, and the number of the frame as bright squares."""
    texture = np.random.default_rng(seed).integers(40, 160, (height // 8 + 1, (width + 3 * count) // 8 + 1, 3), np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    for number in range(count):
        picture = texture[:height, 3 * number : 3 * number + width].copy()
        for bit in range(10):
            picture[:8, 8 * bit : 8 * bit + 8] = 235 if number >> bit & 1 else 20
        yield picture


def write(path: Path, images: Iterable[np.ndarray], rate: int = 25, pts: list[int] | None = None, **options: str) -> Path:
    """Write a small video with a keyframe every tenth frame; `pts` are milliseconds."""
    images = list(images)
    base = Fraction(1, 1000) if pts else Fraction(1, rate)
    x264 = {"g": "10", "keyint_min": "10", "sc_threshold": "0", "bf": "2", "crf": "10", "preset": "veryfast"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=x264 | options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = base
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = (pts[number] if pts else number), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def look(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
    """Detect the bright half of each picture, and the number that is written into it."""
    for image in images:
        number = sum(1 << bit for bit in range(10) if image[2:6, 8 * bit + 2 : 8 * bit + 6].mean() > 128)
        mask = (image[..., 0] > 127) * np.uint8(255)
        yield [Region(str(number), 0.98765, (1.23456, 0, 2, 3), encode_rle(mask)), Region("box", 0.5, (0, 0, 1, 1), None)]


def detect(path: Path, threads: int = 2, frames: int = 0, **settings: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    used = VideoDetectionSettings(**{**SETTINGS, **settings})
    return detect_video("a", path, frames, look, partial(every, stride=used.every_frames), used.batch, threads=threads)


def plain(path: Path) -> list[np.ndarray]:
    """Return all pictures of a video without rotation, decoded in the obvious way."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def plain_change(before: np.ndarray, after: np.ndarray) -> float:
    """Return the change from one picture to the next by its definition: at the small size, pixel by pixel."""
    first, second = (
        cv2.cvtColor(cv2.resize(image, videos.SMALL, interpolation=cv2.INTER_LINEAR), cv2.COLOR_RGB2HSV).astype(int)
        for image in (before, after)
    )
    hue = np.abs(first - second)[..., 0]
    hue = np.where(hue > 90, 180 - hue, hue)
    return float((hue + np.abs(first - second)[..., 1:].sum(-1)).mean() / 3)


VIDEOS: dict[str, dict[str, Any]] = {
    "film.mp4": {},
    "open.mkv": {"x264-params": "open-gop=1"},
    "variable.mkv": {"pts": np.cumsum(np.random.default_rng(0).integers(1, 200, COUNT)).tolist()},
    "fast.mp4": {"rate": 1000},
    "film.ts": {},
    "film.avi": {"bf": "0"},
}


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize(("stride", "short"), [(1, 5), (4, 5), (4, 60)])
def test_the_tables_agree_with_decoding_all_frames(
    name: str, stride: int, short: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "SHORT", short)  # the video is decoded in parts, or as a whole
    path = write(tmp_path / name, pictures(), **VIDEOS[name])
    images = plain(path)
    frames, detections = detect(path, every_frames=stride)
    assert frames["index"].to_list() == list(range(COUNT))
    assert frames["source"].unique().to_list() == ["a"]
    packets = read_packets(path)
    assert frames["pts"].to_list() == (packets.pts.tolist() if packets.timed else [None] * COUNT)
    assert frames["time"].to_list() == packets.time.tolist()
    assert set(frames.select("width", "height").rows()) == {(80, 48)}
    changes = [0.0] + [plain_change(before, after) for before, after in pairwise(images)]
    assert frames["change"].to_list() == pytest.approx(changes, abs=2)
    wanted = sorted({*range(0, COUNT, stride), COUNT - 1})
    assert frames.filter("looked")["index"].to_list() == wanted
    expected = []
    for index in wanted:
        rle = encode_rle((images[index][..., 0] > 127) * np.uint8(255))
        expected.append(("a", index, 0, str(index), 0.9877, rle, 1.23, 0, 2, 3, None))
        expected.append(("a", index, 1, "box", 0.5, None, 0, 0, 1, 1, None))
    assert detections.rows() == expected


@pytest.mark.parametrize("short", [5, 60])
def test_only_the_chosen_part_of_a_video_is_decoded(short: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "SHORT", short)
    path = write(tmp_path / "film.mp4", pictures(), bf="0")
    all_frames, all_detections = detect(path)

    def chosen(time: np.ndarray) -> np.ndarray:
        return np.isin(np.arange(len(time)), [13, 15, 22])

    frames, detections = detect_video("a", path, COUNT, look, chosen, 2, threads=2)
    assert frames.filter("looked")["index"].to_list() == [13, 15, 22]
    assert_frame_equal(detections, all_detections.filter(pl.col("index").is_in([13, 15, 22])))
    # From the keyframe before the first to the last.
    part = pl.col("index").is_between(10, 22)
    assert frames.filter(width=0)["index"].to_list() == all_frames.filter(~part)["index"].to_list()
    columns = ["index", "pts", "time", "width", "height"]
    assert_frame_equal(frames.filter(part).select(columns), all_frames.filter(part).select(columns))
    assert frames.filter(pl.col("index").is_between(11, 22))["change"].to_list() == pytest.approx(
        all_frames.filter(pl.col("index").is_between(11, 22))["change"].to_list()
    )


def test_a_video_of_one_frame_is_a_video(tmp_path: Path) -> None:
    frames, detections = detect(write(tmp_path / "one.mp4", pictures(1)), every_frames=5)
    assert frames.rows() == [("a", 0, 0, 0.0, 80, 48, 0.0, True)]
    assert detections["label"].to_list() == ["0", "box"]


def test_a_wrong_count_of_frames_is_detected(tmp_path: Path) -> None:
    path = write(tmp_path / "film.avi", pictures(), bf="0")
    data = bytearray(path.read_bytes())
    for header, offset in ((b"avih", 24), (b"strh", 40)):
        position = data.index(header) + offset
        assert int.from_bytes(data[position : position + 4], "little") == COUNT
        data[position : position + 4] = (9999).to_bytes(4, "little")
    path.write_bytes(data)
    assert detect(path)[0].height == COUNT


@pytest.mark.parametrize("settings", [{"batch": 1}, {"batch": 7}, {"batch": 100}, {"threads": 1}, {"threads": 4}])
def test_results_do_not_depend_on_batches_and_threads(settings: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", pictures())
    for ours, other in zip(detect(path), detect(path, **settings), strict=True):
        assert_frame_equal(ours, other)


def test_batches_are_full_at_any_speed_and_smaller_for_large_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "film.mp4", pictures())

    def sizes(slow: bool) -> list[int]:
        batches = []

        def count(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
            batches.append(len(list(images)))
            time.sleep(0.02 * slow)
            return iter([[]] * batches[-1])

        detect_video("a", path, 0, count, EVERY, 8, threads=2)
        return batches

    assert sizes(slow=False) == sizes(slow=True) == [8, 8, 8, 6]
    monkeypatch.setattr(videos, "BATCH_BYTES", 2 * 48 * 80 * 3 + 1)
    assert sizes(slow=False) == [3] * 10
    monkeypatch.setattr(videos, "BATCH_BYTES", 1)
    assert sizes(slow=False) == [1] * COUNT


@pytest.mark.slow
def test_few_frames_are_held_even_if_the_detector_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "SHORT", 10)
    path = write(tmp_path / "film.mp4", pictures(200))
    held = []

    def count(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        time.sleep(0.02)
        held.append(sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects()))
        return ([] for _ in images)

    gc.collect()
    gc.freeze()  # leaves out what was there before: with PyTorch, a million objects
    gc.disable()  # garbage counts too
    try:
        detect_video("a", path, 0, count, EVERY, 2, threads=4)
    finally:
        gc.enable()
        gc.unfreeze()
    # The batch of the detector, one more for each part, and the frames that each decoder returns at once.
    assert 0 < max(held) <= 2 + 4 * (2 + 5)


def test_an_error_of_the_detector_ends_the_work_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", pictures())
    before = threading.active_count()

    def fail(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        detect_video("a", path, 0, fail, EVERY, 2, threads=2)
    assert threading.active_count() == before


@needs_media
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_detector_gets_rotated_video_upright(turn: int) -> None:
    shapes = []

    def note(images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        shapes.extend(image.shape[1::-1] for image in images)
        return iter([[]] * len(shapes))

    path = MEDIA / f"rotation_{turn}.mov"
    frames, _ = detect_video("a", path, 0, note, EVERY, 8, threads=2)
    assert frames.select("width", "height").rows() == shapes
    assert set(shapes) == ({(568, 320)} if turn in (0, 180) else {(320, 568)})


def test_a_change_of_size_is_in_the_tables(tmp_path: Path) -> None:
    small = write(tmp_path / "one.ts", pictures(10), bf="0")
    large = write(tmp_path / "two.ts", pictures(10, 96, 120), bf="0", pts=list(range(400, 800, 40)))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames, detections = detect(both, batch=4)
    assert frames.select("width", "height").rows() == [(80, 48)] * 10 + [(120, 96)] * 10
    assert frames["looked"].all()
    assert detections.filter(number=0)["label"].to_list() == [str(number) for number in [*range(10), *range(10)]]
    for index, rle in detections.filter(number=0).select("index", "rle").iter_rows():
        assert decode_rle(rle, *((48, 80) if index < 10 else (96, 120))).any()


def test_frames_beyond_all_limits_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_PIXELS", 8000)
    small = write(tmp_path / "one.ts", pictures(10), bf="0")
    large = write(tmp_path / "two.ts", pictures(10, 96, 120), bf="0", pts=list(range(400, 800, 40)))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames, _ = detect(both)
    assert frames.select("width", "height").rows() == [(80, 48)] * 10 + [(0, 0)] * 10


def damaged(path: Path, spoil: range, *, lost: bool = False) -> Path:
    """Return a copy of the MP4 `path` with the packets `spoil`, in decoding order, damaged in the middle, or `lost`."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in spoil:
        position, size = packets[number]
        for byte in range(position + size // 3, position + size // 2):
            data[byte] ^= 0xFF
        if lost:
            data[position : position + size] = bytes(size)
    copy = path.with_name("damaged.mp4")
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("short", [5, 60])
@pytest.mark.parametrize("gone", [False, True])
def test_damaged_frames_are_left_out_up_to_the_next_keyframe(
    gone: bool, short: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "SHORT", short)
    path = write(tmp_path / "film.mp4", pictures(height=240, width=320), bf="0", crf="2")
    frames, detections = detect(damaged(path, range(13, 15), lost=gone))
    lost = list(range(13, 20))
    assert frames.filter(width=0)["index"].to_list() == lost
    assert frames.filter(width=0).select("height", "change", "looked").unique().rows() == [(0, 0.0, False)]
    expected, expected_detections = detect(path)
    intact = ~pl.col("index").is_in(lost)
    assert_frame_equal(detections, expected_detections.filter(intact))
    ours, theirs = (table.filter(intact & (pl.col("index") != 20)) for table in (frames, expected))
    assert_frame_equal(ours, theirs)
    # The frame after the gap is compared with the last one before it.
    images = plain(path)
    assert frames["change"][20] == pytest.approx(plain_change(images[12], images[20]), abs=2)


def test_hue_is_a_circle() -> None:
    reds = [np.full((4, 4, 3), (hue, 200, 200), np.uint8) for hue in (1, 179, 91)]
    assert difference(reds[0], reds[1]) == pytest.approx(2 / 3)
    assert difference(reds[0], reds[2]) == pytest.approx(90 / 3)


@given(st.lists(st.tuples(st.integers(0, 179), *[st.integers(0, 255)] * 2), min_size=2, max_size=2))
def test_the_difference_is_the_mean_over_hue_saturation_and_value(pixels: list[tuple[int, int, int]]) -> None:
    first, second = pixels
    hue = min(abs(first[0] - second[0]), 180 - abs(first[0] - second[0]))
    expected = (hue + abs(first[1] - second[1]) + abs(first[2] - second[2])) / 3
    assert difference(np.array([[first]], np.uint8), np.array([[second]], np.uint8)) == pytest.approx(expected)


def test_a_cut_changes_more_than_motion(tmp_path: Path) -> None:
    large = [np.ascontiguousarray(image.repeat(8, 0).repeat(8, 1)) for image in pictures(2)]
    moving = [np.roll(large[0], number, 1) for number in range(10)]
    frames, _ = detect(write(tmp_path / "cut.mp4", [*moving, *(255 - image for image in moving)]))
    assert frames["change"].arg_max() == 10
    assert frames["change"][10] > 27 > 5 * frames["change"].sort()[-2]


def shard(folder: Path, rows: list[dict[str, Any]]) -> Path:
    empty: dict[str, Any] = dict.fromkeys(types(Sources))
    common = {
        "shard": "s",
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "series": "",
        "use": [],
    }
    rest = {"split": "", "sha256": "0", "size": 1, "kind": "video", "frames": COUNT}
    folder.mkdir(exist_ok=True)
    with Ledger(folder / "admission.jsonl") as entries:
        for row in rows:
            entries.row(row["source"], "dropped" if "refused" in row else "ok", row.get("refused", ""))
    known = [{**empty, **common, **rest, **row, "path": str(row["path"])} for row in rows if "refused" not in row]
    table = pl.DataFrame(known, schema=types(Sources))
    write_table(table, Sources, folder / "sources.parquet")
    return folder / "sources.parquet"


def run(
    weights: Path, sources: Path, code: str = "code", measures_grids: bool = False, **settings: Any
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, tuple[str, str, str]]]:
    frames, detections, ledger = (sources.parent / name for name in ("frames.parquet", "seen.parquet", "ledger.jsonl"))
    detect_videos(
        sources,
        sources.parent / "admission.jsonl",
        weights,
        weights.parent / "SHA256SUMS",
        ["mosaic_restoration"],
        VideoDetectionSettings(**{**SETTINGS, **settings}),
        sources.parent / "kept",
        code=code,
        threads=2,
        frames=frames,
        detections=detections,
        ledger=ledger,
        measures_grids=measures_grids,
    )
    rows = {row["key"]: (row["status"], row["reason"], row["detail"]) for row in read_ledger(ledger)}
    return read_table(frames, VideoFrames), read_table(detections, VideoDetections), rows


def test_a_video_is_detected_again_only_if_something_that_it_depends_on_changed(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights.parent, folder)
    weights = folder / weights.name
    rows = [
        {"source": name, "path": write(tmp_path / f"{name}.mp4", pictures(count=6, seed=seed)), "frames": 6, "sha256": name}
        for seed, name in enumerate(("one", "two"))
    ]
    sources = shard(tmp_path / "shard", rows)
    results = run(weights, sources)
    items = tmp_path / "shard" / "kept"
    before = {path.name for path in items.iterdir()}
    assert len(before) == 2

    def made(**changes: Any) -> int:
        """Return the number of videos that were detected again."""
        again = run(weights, shard(tmp_path / "shard", rows), **changes)
        if not changes:
            assert all(new.equals(old) for new, old in zip(again[:2], results[:2], strict=True)) and again[2] == results[2]
        return len({path.name for path in items.iterdir()} - before)

    assert made() == 0
    for changes in ({"code": "another"}, {"confidence": 0.1}, {"every_frames": 2}):
        assert made(**changes) == 2, changes
        assert made() == 0
    rows[0]["sha256"] = "another"
    assert made() == 1
    weights.write_bytes(weights.read_bytes() + b"\0")
    write_checksums([weights], folder, folder / "SHA256SUMS")
    assert made() == 2
    (folder / "SHA256SUMS").unlink()
    del rows[0]
    run(weights, shard(tmp_path / "shard", rows))  # no detector is loaded
    assert len(list(items.iterdir())) == 1, "the results of withdrawn sources are removed"


def test_every_source_is_a_row_and_bad_sources_do_not_affect_others(weights: Path, tmp_path: Path) -> None:
    good = write(tmp_path / "good.mp4", pictures(height=96, width=160))
    stream = write(tmp_path / "good.ts", pictures())
    (tmp_path / "cut.ts").write_bytes(stream.read_bytes()[: stream.stat().st_size // 2])
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        container.mux([*sound.encode(silence), *sound.encode()])
    hurt = write(tmp_path / "hurt.mp4", pictures(height=240, width=320), bf="0", crf="2")
    hurt = damaged(hurt, range(13, 15)).rename(tmp_path / "hurt.mp4")
    write_image(tmp_path / "still.png", next(pictures(1)))
    rows: list[dict[str, Any]] = [
        {"source": "gone", "path": tmp_path / "gone.mp4"},
        {"source": "cut stream", "path": tmp_path / "cut.ts"},
        {"source": "cut", "path": tmp_path / "cut.mp4"},
        {"source": "text", "path": tmp_path / "text.mp4"},
        {"source": "sound", "path": tmp_path / "sound.m4a"},
        {"source": "hurt", "path": hurt},
        {"source": "still", "path": tmp_path / "still.png", "kind": "image", "frames": 1},
        {"source": "folder", "path": tmp_path, "kind": "folder"},
        {"source": "other", "path": good, "use": ["nsfw_detection"]},
        {"source": "refused", "path": good, "refused": "no rights"},
        {"source": "good", "path": good, "use": ["mosaic_restoration"]},
    ]
    frames, detections, ledger = run(weights, shard(tmp_path / "s", rows), every_frames=4)
    assert list(ledger) == [row["source"] for row in rows]
    assert {source: row[:2] for source, row in ledger.items() if row[0] == "failed"} == {
        "gone": ("failed", "missing"),
        "cut stream": ("failed", "video breaks off"),
        "cut": ("failed", "not a media file"),
        "text": ("failed", "not a media file"),
        "sound": ("failed", "no video stream"),
    }
    assert {source: row for source, row in ledger.items() if row[0] != "failed"} == {
        "hurt": ("ok", "frames that cannot be decoded", "30 frames, 8 looked at, 7 cannot be decoded"),
        "still": ("dropped", "not a video", "image"),
        "folder": ("dropped", "not a video", "folder"),
        "other": ("dropped", "source not for mosaic_restoration", ""),
        "refused": ("dropped", "source refused", "no rights"),
        "good": ("ok", "", "30 frames, 9 looked at"),
    }
    assert frames["source"].unique(maintain_order=True).to_list() == ["hurt", "good"]
    assert set(detections["source"]) <= {"hurt", "good"}
    assert set(detections["label"]) == {"nsfw"}


def test_a_video_without_a_decodable_frame_fails(tmp_path: Path) -> None:
    path = damaged(write(tmp_path / "film.mp4", pictures(10, 240, 320), bf="0", crf="2"), range(10))
    with pytest.raises(Failed, match="no frame can be decoded"):
        detect(path)


def test_detections_in_a_video_are_those_of_the_detector_and_do_not_depend_on_the_shard(weights: Path, tmp_path: Path) -> None:
    rows = [
        {"source": name, "path": write(tmp_path / f"{name}.mp4", pictures(7, 96, 160, seed=number)), "frames": 7}
        for number, name in enumerate(["one", "two"])
    ]
    both = run(weights, shard(tmp_path / "both", rows))
    turned = run(weights, shard(tmp_path / "turned", rows[::-1]))
    alone = run(weights, shard(tmp_path / "alone", rows[1:]))
    assert not alone[1].is_empty()
    for ours, other, single in zip(both[:2], turned[:2], alone[:2], strict=True):
        assert_frame_equal(ours.filter(source="two"), single)
        assert_frame_equal(other.filter(source="two"), single)
    detector = Detector(weights, weights.parent / "SHA256SUMS", VideoDetectionSettings(**SETTINGS))
    expected = [
        ("two", index, number, "nsfw", round(region.score, 4), *(round(edge, 2) for edge in region.box))
        for index, regions in enumerate(detector.predict(plain(tmp_path / "two.mp4")))
        for number, region in enumerate(regions)
    ]
    assert alone[1].drop("rle", "grid").rows() == expected
    for row in alone[1].iter_rows(named=True):
        assert decode_rle(row["rle"], 96, 160).any()


def test_the_grid_of_a_detection_is_that_of_its_region_in_the_whole_frame(weights: Path, tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", pictures(7, 96, 160))
    sources = shard(tmp_path / "shard", [{"source": "film", "path": film, "frames": 7}])
    lumas = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in plain(film)]
    plainly = run(weights, sources)[1]
    assert set(plainly["grid"]) == {None}
    found = run(weights, sources, code="other", measures_grids=True)[1]
    for row, other in zip(found.iter_rows(named=True), plainly.iter_rows(named=True), strict=True):
        luma, patch = lumas[row["index"]], decode_patch(other["rle"], 96, 160)
        grid = grid_of(luma, patch)
        assert row["grid"] == pytest.approx(grid.evidence, abs=0.5)
        # A mosaic with a clear grid is outlined as a whole.
        if row["grid"] < CLEAR:
            assert row["rle"] == other["rle"]
        else:
            shown = decode_patch(row["rle"], 96, 160)
            assert shown.box == tuple(row[edge] for edge in ("x0", "y0", "x1", "y1"))
            whole = (0, 0, 160, 96)
            assert (shown.inside(whole) >= patch.inside(whole)).all()
    assert found["grid"].max() > 3  # these pictures are made of squares


def test_a_shard_without_videos_needs_no_weights(tmp_path: Path) -> None:
    rows = [{"source": "still", "path": "no.png", "kind": "image"}]
    frames, detections, ledger = run(tmp_path / "none.pt", shard(tmp_path / "s", rows))
    assert frames.is_empty()
    assert detections.is_empty()
    assert ledger == {"still": ("dropped", "not a video", "image")}
