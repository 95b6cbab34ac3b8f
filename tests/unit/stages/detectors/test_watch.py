"""What flickers, and what is found where nothing is, follows from the frames that a detector finds something in."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fixed_detector import write_detector
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.encode import write_video
from tessera.imaging.images import write_image
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.detection.tracking import TrackSettings
from tessera.records.tables.evaluation import WatchedVideos
from tessera.records.tables.footage import Sources
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.detectors.watch import Flicker, VideoMetricSettings, choose_frames, count_interruptions, evaluate_on_videos

RATE = 25
# A second and more without a detection ends a track.
ALONE = "1" + "0" * 30
PATTERNS = {
    "steady": "1" * 50,
    "flickering": "1101" * 12 + "11",
    "every second": "10" * 25,
    "thrice": ALONE * 3,
    "nothing": "0" * 50,
    "unused": "1" * 10,
}
SPLITS = {"steady": "val", "flickering": "test", "every second": "val", "short": "val", "photo": "val", "trained": "train"}


def slow_flicker(detections: Sequence[tuple[int, int]]) -> Flicker:
    """Count by looking at every frame of every track. `detections`: the track and the frame of each detection."""
    spanned = missed = interruptions = 0
    for one in {track for track, _ in detections}:
        frames = {frame for track, frame in detections if track == one}
        was_missed = False
        for frame in range(min(frames), max(frames) + 1):
            spanned += 1
            is_missed = frame not in frames
            missed += is_missed
            interruptions += is_missed and not was_missed
            was_missed = is_missed
    return Flicker(len({track for track, _ in detections}), spanned, missed, interruptions)


@given(
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=60).flatmap(lambda seen: st.permutations(sorted(seen)))
)
def test_interruptions_are_those_that_one_counts_frame_by_frame_in_any_order(seen: list[tuple[int, int]]) -> None:
    tracks, looks = np.array(seen, int).reshape(-1, 2).T
    assert count_interruptions(tracks, looks) == slow_flicker(seen)


def test_interruptions_of_a_list_made_by_hand() -> None:
    # Track 0 is in frames 0, 1, 4 and 6, and track 1 in frames 2 and 3.
    tracks, looks = np.array([0, 0, 1, 1, 0, 0]), np.array([0, 1, 2, 3, 4, 6])
    assert count_interruptions(tracks, looks) == Flicker(tracks=2, spanned=9, missed=3, interruptions=2)
    assert count_interruptions(tracks[:0], looks[:0]) == Flicker(0, 0, 0, 0)


def test_the_frames_lie_in_the_middle_and_have_the_rate() -> None:
    time = np.arange(250) / RATE

    def chosen(**settings: Any) -> list[int]:
        return np.flatnonzero(choose_frames(time, VideoMetricSettings(**settings))).tolist()

    assert chosen(max_seconds=2.0) == list(range(100, 150))
    assert chosen(max_seconds=2.0, frames_per_second=5.0) == list(range(100, 150, 5))
    assert chosen(max_seconds=60.0) == chosen(max_seconds=None) == list(range(250))
    assert chosen(max_seconds=0.001) == [125]
    assert chosen(max_seconds=None, frames_per_second=100.0) == list(range(250))
    irregular = np.array([0.0, 0.1, 0.9, 1.0, 1.2, 5.0])
    assert choose_frames(irregular, VideoMetricSettings(frames_per_second=1.0)).tolist() == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert choose_frames(np.zeros(1), VideoMetricSettings(frames_per_second=1.0)).tolist() == [True]


def pictures(pattern: str) -> Iterator[np.ndarray]:
    """Yield a picture with a bright corner for each 1 of `pattern`, and one without for each 0."""
    for each in pattern:
        picture = np.full((64, 64, 3), 90, np.uint8)
        picture[:16, :16] = 230 if each == "1" else 10
        yield picture


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write videos of all `PATTERNS`, an image and a detector, and the tables of them."""
    folder = tmp_path_factory.mktemp("footage")
    write_detector(folder / "corner.onnx", ["mosaic"], sees_corner=True)
    rows = []
    for source, pattern in PATTERNS.items():
        write_video(folder / f"{source}.mp4", pictures(pattern), RATE)
        rows.append({"source": source, "path": f"{source}.mp4", "kind": "video", "frames": len(pattern)})
    write_image(folder / "photo.png", next(pictures("1")))
    (folder / "empty.mp4").touch()
    rows += [
        {"source": "short", "path": "steady.mp4", "kind": "video", "frames": 51},
        {"source": "photo", "path": "photo.png", "kind": "image", "frames": 1},
        {"source": "trained", "path": "steady.mp4", "kind": "video", "frames": 50},
        {"source": "empty", "path": "empty.mp4", "kind": "video", "frames": 0},
    ]
    common = {
        "shard": "s",
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "series": "",
        "use": [],
    }
    rest: dict[str, Any] = {**dict.fromkeys(types(Sources)), **common, "split": "", "sha256": "0", "size": 1, "streams": []}
    table = [{**rest, **row, "path": str(folder / str(row["path"]))} for row in rows]
    write_table(pl.DataFrame(table, schema=types(Sources)), Sources, folder / "sources.parquet")
    samples = [{"key": f"{source}-0", "source": source, "split": split} for source, split in SPLITS.items()]
    samples.append({"key": "still", "source": "labels:mine", "split": "val"})
    write_table(pl.DataFrame(samples, schema=types(Splits)), Splits, folder / "splits.parquet")
    return folder


def watch(
    footage: Path, folder: Path, free: Sequence[str] = (), threads: int = 2, **settings: Any
) -> tuple[pl.DataFrame, dict[str, tuple[str, str]]]:
    folder.mkdir(exist_ok=True)
    evaluate_on_videos(
        footage / "sources.parquet",
        footage / "splits.parquet",
        footage / "corner.onnx",
        sha256_file(footage / "corner.onnx"),
        "mosaic_detection",
        free,
        InferenceSettings(confidence=0.25, image_size=64),
        VideoMetricSettings(**settings),
        TrackSettings(),
        folder / "kept",
        code="code",
        threads=threads,
        videos=folder / "videos.parquet",
        ledger=folder / "ledger.jsonl",
    )
    rows = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(folder / "ledger.jsonl")}
    return read_table(folder / "videos.parquet", WatchedVideos), rows


def test_a_video_has_the_flicker_of_its_pattern_and_every_source_a_row(footage: Path, tmp_path: Path) -> None:
    free = ["thrice", "nothing", "trained", "empty", "gone"]
    watched, ledger = watch(footage, tmp_path, free)
    assert ledger == {
        **dict.fromkeys(["steady", "flickering", "every second", "thrice", "nothing"], ("ok", "")),
        "short": ("failed", "video breaks off"),
        "empty": ("failed", "empty file"),
        "photo": ("dropped", "not a video"),
        "labels:mine": ("dropped", "not a video"),
        "trained": ("dropped", "the model was trained on it"),
        "gone": ("dropped", "source not admitted"),
    }
    assert watched["source"].to_list() == ["every second", "flickering", "nothing", "steady", "thrice"]
    for row in watched.iter_rows(named=True):
        source = row["source"]
        pattern = PATTERNS[source]
        hits = [frame for frame, each in enumerate(pattern) if each == "1"]
        track = dict(zip(hits, range(len(hits)), strict=True)) if source == "thrice" else dict.fromkeys(hits, 0)
        expected = slow_flicker([(track[frame], frame) for frame in hits])
        assert tuple(row[name] for name in Flicker._fields) == expected, source
        assert (row["frames"], row["with_detection"], row["detections"]) == (len(pattern), len(hits), len(hits))
        assert row["seconds"] == pytest.approx(len(pattern) / RATE)
        assert (row["split"], row["known_free"]) == (SPLITS.get(source, ""), source in free)
    thrice = watched.row(by_predicate=pl.col("source") == "thrice", named=True)
    assert thrice["tracks"] / thrice["seconds"] * 60 == pytest.approx(3 / (93 / RATE / 60))


def test_the_order_of_the_tables_and_the_threads_change_nothing(footage: Path, tmp_path: Path) -> None:
    expected, _ = watch(footage, tmp_path / "one", ["thrice", "nothing"], max_seconds=1.5, frames_per_second=12.5)
    turned = tmp_path / "turned"
    turned.mkdir()
    (turned / "corner.onnx").symlink_to(footage / "corner.onnx")
    for name, schema in (("sources", Sources), ("splits", Splits)):
        write_table(read_table(footage / f"{name}.parquet", schema).reverse(), schema, turned / f"{name}.parquet")
    found, _ = watch(turned, tmp_path / "other", ["nothing", "thrice"], threads=1, max_seconds=1.5, frames_per_second=12.5)
    assert_frame_equal(found, expected)
    assert (tmp_path / "one" / "videos.parquet").read_bytes() == (tmp_path / "other" / "videos.parquet").read_bytes()
    # Frames 6 to 43, and every second of them.
    assert expected.filter(source="steady")["frames"].item() == 19
    assert expected.filter(source="steady")["seconds"].item() == pytest.approx(1.5, abs=0.03)


def test_what_was_detected_is_kept_when_another_source_is_free(footage: Path, tmp_path: Path) -> None:
    watch(footage, tmp_path, ["nothing"])
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.parquet")}
    watched, _ = watch(footage, tmp_path, ["nothing", "thrice", "steady"])
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.parquet")}
    assert len(now) == len(made) + 2 and made.items() <= now.items()
    assert watched.filter("known_free")["source"].to_list() == ["nothing", "steady", "thrice"]
    watch(footage, tmp_path)
    assert len(list((tmp_path / "kept").rglob("*.parquet"))) == len(made) - 2
