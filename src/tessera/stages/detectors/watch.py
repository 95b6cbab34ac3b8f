"""Watch videos with a detector that was not trained on them: what flickers, and what it finds where nothing is."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import PositiveFloat

from tessera.core.errors import Dropped, Failed
from tessera.core.ledger import Ledger
from tessera.core.messages import pluralize
from tessera.core.provenance import digest, sha256_file
from tessera.core.settings import Settings
from tessera.core.store import Store
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region, Scaled
from tessera.learning.detection.settings import InferenceSettings, settings_of
from tessera.learning.detection.tracking import TINY, TrackSettings, track
from tessera.records.label_sets import SETS
from tessera.records.video_detections import Tables, detect_video, from_store

if TYPE_CHECKING:
    import polars as pl


class VideoMetricSettings(Settings):
    """Which frames of videos a trained detector is measured on."""

    max_seconds: PositiveFloat | None = 60.0
    """Longest time that is watched of a video in seconds, around its middle. `null` watches whole videos."""
    frames_per_second: PositiveFloat | None = None
    """Frames per second that the detector is run on. `null` runs it on every frame."""


class Flicker(NamedTuple):
    """How often tracks were interrupted. All numbers count frames that the detector ran on, or are sums over tracks."""

    tracks: int
    spanned: int  # frames from the first to the last detection of each track
    missed: int  # frames between two detections of a track that have none of it
    interruptions: int  # runs of such frames


def evaluate_on_videos(
    sources: Path,
    splits: Path,
    weights: Path,
    expected: Path | str,
    model: str,
    free: Collection[str],
    detect: InferenceSettings,
    settings: VideoMetricSettings,
    following: TrackSettings,
    cached: Path,
    *,
    code: str,
    threads: int,
    videos: Path,
    ledger: Path,
) -> None:
    """Run the detector `weights` on consecutive frames of videos that it was not trained on, and follow what it finds.

    `sources`: `tables.Sources` that are admitted. `splits`: `tables.Splits` of the dataset of the `model`. `expected`: see
    `Detector`. `free`: the ids of the sources that are known to show nothing that the model finds. Those of them that it was
    not trained on are watched, and so are the sources of the splits val and test. `following`: how detections are tracked. Its
    confidences are not used: all detections from `detect.confidence` on count, and begin and continue tracks.

    `videos` gets `tables.WatchedVideos`. `ledger` gets one row per source. Images, which cannot flicker, are dropped, and so
    are sources in `free` that the model was trained on. A video that cannot be read is failed.

    The detections in a video are kept in the `Store` in the folder `cached`, under a digest of everything that they depend on,
    including `code`. One video is held in memory at a time, without masks.
    """
    import polars as pl

    from tessera.records.tables.evaluation import WatchedVideos
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.splits import Splits
    from tessera.records.tables.table import read_table, types, write_table

    split_of = dict(read_table(splits, Splits).select("source", "split").unique().iter_rows())
    admitted = {row["source"]: row for row in read_table(sources, Sources).iter_rows(named=True)}
    detector = cache(partial(Detector, weights, expected, detect))

    def detect_in(source: str, path: Path, count: int) -> Tables:
        loaded = detector()

        def detect_boxes(images: Iterable[Scaled]) -> Iterator[list[Region]]:
            # Without masks, which would only be stored.
            return ([replace(region, rle=None) for region in regions] for regions in loaded.detect(images))

        return detect_video(source, path, count, detect_boxes, chosen, detect.batch, scale=loaded.scale_frame, threads=threads)

    sha256 = cache(sha256_file)
    chosen = partial(choose_frames, settings=settings)
    alike = following.model_copy(update=dict.fromkeys(("high", "low", "new"), detect.confidence))
    store = Store(cached, "videos")
    complete: set[str] = set()
    rows: list[dict[str, Any]] = []
    with Ledger(ledger) as writer:
        for source in sorted({*(name for name, split in split_of.items() if split != "train"), *free}):
            with writer.item(source) as note:
                row = _watchable(source, admitted, split_of)
                video = [source, row["sha256"], row["frames"]]
                name = digest([sha256(weights), settings_of(detect), settings.model_dump(mode="json"), code, video])
                arguments = source, Path(row["path"]), row["frames"]
                tables = from_store(store, name, partial(detect_in, *arguments))
                complete.add(name)
                tracks = track(*tables, alike, keeps_all=True)
                known = {"model": model, "source": source, "split": split_of.get(source, ""), "known_free": source in free}
                rows.append({**known, **account(*tables, tracks, chosen(tables[0]["time"].to_numpy()))})
                note["detail"] = f"{pluralize(rows[-1]['frames'], 'frames')}, {pluralize(rows[-1]['detections'], 'detections')}"
    write_table(pl.DataFrame(rows, schema=types(WatchedVideos)), WatchedVideos, videos)
    store.keep(complete)


def _watchable(source: str, admitted: Mapping[str, dict[str, Any]], split_of: Mapping[str, str]) -> dict[str, Any]:
    """Return the row of the table of sources of `source`. Raises `Dropped` if it is not watched."""
    from tessera.records.eligibility import NOT_ADMITTED

    if split_of.get(source) == "train":
        raise Dropped("the model was trained on it", "set its `split` to val or test")
    if source.startswith(SETS):
        raise Dropped("not a video", "a set of images, which cannot flicker")
    if source not in admitted:
        raise Dropped(*NOT_ADMITTED)
    kind = admitted[source]["kind"]
    if kind != "video":
        raise Dropped("not a video", f"{kind}: images cannot flicker")
    return admitted[source]


def choose_frames(time: np.ndarray, settings: VideoMetricSettings) -> np.ndarray:
    """Return whether a detector runs on each frame of a video: bool (n,), at least one. `time`: float64 (n,), their seconds.

    They lie in the middle of the video, because many videos begin and end with titles. With a `rate`, the first frame in each
    interval of `1 / rate` seconds is chosen.
    """
    start = 0.0 if settings.max_seconds is None else max(0.0, (time[-1] - settings.max_seconds) / 2)
    first = min(int(np.searchsorted(time, start - TINY)), len(time) - 1)
    chosen: np.ndarray = np.arange(len(time)) >= first
    if settings.max_seconds is not None:
        chosen &= time < time[first] + settings.max_seconds - TINY
        chosen[first] = True
    if settings.frames_per_second is not None:
        interval = np.floor((time - time[first] + TINY) * settings.frames_per_second)
        chosen &= np.diff(interval, prepend=-1.0) != 0
    return chosen


def account(frames: "pl.DataFrame", detections: "pl.DataFrame", tracks: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    """Return the columns of `tables.WatchedVideos` that follow from the detections in a video.

    `frames`, `detections`: `tables.VideoFrames` and `tables.VideoDetections`. `tracks`: int64 (detections,), the number of the
    track of each. `chosen`: bool (frames,), the frames that the detector was to run on. The watched time counts only as far as
    they could be decoded.
    """
    time, processed = frames["time"].to_numpy(), np.flatnonzero(frames["looked"].to_numpy())
    wanted = np.flatnonzero(chosen)
    if not len(processed):
        raise Failed("no frame can be decoded", f"of {pluralize(len(wanted), 'frames')} in the watched part")
    gaps = np.diff(time[wanted])
    length = float(gaps.sum() + np.median(gaps)) if len(gaps) else 0.0
    index = detections["index"].to_numpy()
    flicker = count_interruptions(tracks, np.searchsorted(processed, index))
    return {
        "seconds": length * len(processed) / len(wanted),
        "frames": len(processed),
        "with_detection": len(np.unique(index)),
        "detections": len(index),
        **flicker._asdict(),
    }


def count_interruptions(tracks: np.ndarray, looks: np.ndarray) -> Flicker:
    """Return how often tracks were interrupted.

    `tracks`, `looks`: int64 (detections,), the track of each detection, of which it has one per frame at most, and its frame,
    numbered among those that the detector ran on. The order of the detections does not matter.
    """
    order = np.lexsort([looks, tracks])
    apart = np.diff(looks[order])[np.diff(tracks[order]) == 0]
    missed = int((apart - 1).sum())
    return Flicker(len(np.unique(tracks)), len(tracks) + missed, missed, int((apart > 1).sum()))
