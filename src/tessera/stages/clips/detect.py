"""Run a detector on the videos of a shard."""

import functools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from pydantic import PositiveInt

from tessera.core.errors import Failed
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.provenance import digest, sha256_file
from tessera.core.store import Store
from tessera.imaging.spans import Span, inside, parse_spans
from tessera.learning.detection.anywhere import Anywhere
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.grids import WithGrids
from tessera.learning.detection.settings import RegionDetectionSettings, TrainedDetectionSettings, settings_of
from tessera.records.video_detections import Tables, detect_video, from_store

if TYPE_CHECKING:
    import polars as pl


class VideoDetectionSettings(TrainedDetectionSettings):
    """The detector that runs on the frames of videos, and the frames that it runs on."""

    every_frames: PositiveInt = 1
    """The detector is run on every n-th frame and on the last one. Regions are interpolated in between. 1 runs it on every
    frame, which is exact.
    """


class SceneDetectionSettings(RegionDetectionSettings, VideoDetectionSettings):
    """The detector that finds what clips show."""


def detect_videos(
    sources: Path,
    admission: Path,
    weights: Path | None,
    expected: Path | str,
    datasets: Sequence[str] | None,
    settings: VideoDetectionSettings,
    cache: Path,
    *,
    code: str,
    threads: int,
    seed: int = 0,
    frames: Path,
    detections: Path,
    ledger: Path,
    wanted: Sequence[str] | None = None,
    spans: Mapping[str, Sequence[str]] = MappingProxyType({}),
    measures_grids: bool = False,
) -> None:
    """Run the detector `weights` on the admitted videos of a shard that may feed one of `datasets`, on all if it is None.

    `sources`: `tables.Sources`. `admission`: the ledger of `admit_sources`. `expected`: see `Detector`. Without `weights`,
    regions are anywhere, drawn from `seed`; see `Anywhere`. `frames` gets all frames of the videos as `tables.VideoFrames`, and
    `detections` gets `tables.VideoDetections`; see `detect_video`. `ledger` gets one row per source; `wanted`: the ids of the
    sources that count, or None for all. `spans`: the time spans of sources outside of which the detector does not run; see
    `parse_spans`. `measures_grids`: whether to measure how clearly each detection shows a grid of blocks. A video is ok if the
    detector reached its end, with the reason `frames that cannot be decoded` if there are such frames. A source is dropped if
    it was refused, is not a video, or is not for the dataset. A video that cannot be read is failed, and not in the tables.

    The results of a video are kept in the `Store` in the folder `cache`, under a digest of everything that they depend on,
    including `code`. The detector is loaded only if some are missing there.
    """
    import polars as pl

    from tessera.records.eligibility import refusal, refused
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.scenes import VideoDetections, VideoFrames
    from tessera.records.tables.table import read_table, types, write_table

    load = functools.cache(partial(Detector, weights, expected, settings)) if weights else None

    def detect(source: str, path: Path, count: int) -> Tables:
        found_by = load() if load else Anywhere(seed, source)
        detector = WithGrids(found_by) if measures_grids else found_by
        chosen = partial(every, stride=settings.every_frames, spans=parse_spans(spans.get(source, ())))
        return detect_video(
            source, path, count, detector.detect, chosen, settings.batch, scale=detector.scale_frame, threads=threads
        )

    identity = functools.cache(lambda: sha256_file(weights) if weights else ["anywhere", seed])
    store = Store(cache, "videos")
    admitted = {row["source"]: row for row in read_table(sources, Sources).iter_rows(named=True)}
    complete: set[str] = set()
    tables = pl.DataFrame(schema=types(VideoFrames)), pl.DataFrame(schema=types(VideoDetections))
    with Ledger(ledger) as entries:
        for decided in read_ledger(admission):
            source = decided["key"]
            if wanted is not None and source not in wanted:
                continue
            row = admitted.get(source, {})
            reason, detail = refusal(row, datasets) if row else refused(decided)
            if reason:
                entries.row(source, "dropped", reason, detail)
            elif row["kind"] != "video":
                entries.row(source, "dropped", "not a video", row["kind"])
            else:
                video = [source, row["sha256"], row["frames"]]
                source_spans = spans.get(source, ())
                name = digest([identity(), settings_of(settings), code, video, *([list(source_spans)] if source_spans else [])])
                with entries.item(source) as note:
                    video_arguments = source, Path(row["path"]), row["frames"]
                    video_tables = from_store(store, name, partial(detect, *video_arguments))
                    note |= _describe(video_tables[0])
                    tables = tables[0].vstack(video_tables[0]), tables[1].vstack(video_tables[1])
                    complete.add(name)
    write_table(tables[0], VideoFrames, frames)
    write_table(tables[1], VideoDetections, detections)
    store.keep(complete)


def every(time: np.ndarray, stride: int, spans: Sequence[Span] = ()) -> np.ndarray:
    """Return whether each frame of a video is a `stride`-th one in `spans`, or the last in them: bool (n,).

    `time`: float64 (n,), seconds. Without spans, all frames count. Raises `Failed` if no frame lies in the spans.
    """
    within = np.flatnonzero(inside(time, spans))
    if not len(within):
        raise Failed("no frame lies in its spans", f"the last frame is at {time[-1]:.3f} s")
    chosen = np.zeros(len(time), bool)
    chosen[within[::stride]] = chosen[within[-1]] = True
    return chosen


def _describe(frames: "pl.DataFrame") -> dict[str, str]:
    """Return the reason and the detail for the ledger, of a video with `frames`."""
    lost = frames.filter(width=0).height
    summary = f"{frames.height} frames, {frames['looked'].sum()} looked at"
    if not lost:
        return {"detail": summary}
    return {"reason": "frames that cannot be decoded", "detail": f"{summary}, {lost} cannot be decoded"}
