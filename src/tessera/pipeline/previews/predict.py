"""Run a detector on the footage to preview."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveInt

from tessera.core.errors import Failed
from tessera.core.job import progress
from tessera.core.ledger import Ledger
from tessera.imaging.detection.detector import Detector
from tessera.imaging.detection.settings import InferenceSettings
from tessera.imaging.footage import read_footage, read_stills
from tessera.records.annotation.predictions import look
from tessera.records.frame_keys import frame_key


class PreviewDetectionSettings(InferenceSettings):
    """How a detector runs for a preview, and on which frames."""

    stride: PositiveInt = 1
    max_frames: PositiveInt = 3000


def predict_previews(
    sources: Path,
    weights: Path,
    expected: Path | str,
    wanted: Sequence[str],
    settings: PreviewDetectionSettings,
    frames: Path,
    predictions: Path,
    ledger: Path,
) -> None:
    """Run the detector `weights` over the sources `wanted` of a shard.

    `sources`: `tables.Sources`. `expected`: see `Detector`. Every `settings.stride`-th frame of a source is predicted. If
    these are more than `settings.max_frames`, the stride is increased. `frames` gets the predicted frames
    (`tables.PredictedFrames`), and `predictions` the detections (`tables.Annotations`). `ledger` gets one row per frame, and
    one for each source that was refused or cannot be read.
    """
    import polars as pl

    from tessera.records.tables.annotation import Annotations, PredictedFrames
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_table, types, write_table

    asked = read_table(sources, Sources).filter(pl.col("source").is_in(list(wanted)))
    admitted = asked.filter(pl.col("status") == "admitted").to_dicts()
    detector = Detector(weights, expected, settings) if admitted else None
    looked: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    with Ledger(ledger) as book:
        for source, reason in asked.filter(pl.col("status") == "refused").select("source", "reason").iter_rows():
            book.row(source, "dropped", "source refused", reason)
        for source in admitted:
            assert detector is not None
            chosen = _evenly(_frames_of(source), settings.stride, settings.max_frames)
            pictures = progress(_pictures(source, chosen, book), len(chosen), f"frames of {source['source']!r}")
            for frame, rows in look(detector, pictures, book):
                looked.append(frame)
                seen += rows
    write_table(pl.DataFrame(looked, schema=types(PredictedFrames)), PredictedFrames, frames)
    write_table(pl.DataFrame(seen, schema=types(Annotations)), Annotations, predictions)


def _frames_of(source: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all frames of `source`, as `read_footage` takes them."""
    if source["kind"] == "video":
        return [{"index": index, "name": None} for index in range(source["frames"])]
    return [{"index": still.index, "name": still.name} for still in read_stills(Path(source["path"]))]


def _evenly(found: list[dict[str, Any]], stride: int, limit: int) -> list[dict[str, Any]]:
    """Return at most `limit` of the frames `found`, evenly spaced, `stride` or more apart."""
    return found[:: max(stride, -(-len(found) // limit))]


def _pictures(
    source: dict[str, Any], wanted: list[dict[str, Any]], book: Ledger
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the row of `tables.PredictedFrames` and the image, uint8 (H, W, 3), RGB, of each frame that can be decoded.

    `book` gets a row for each frame that cannot be decoded, and one for the source if it cannot be read.
    """
    name = source["source"]
    try:
        for frame in read_footage(Path(source["path"]), source["kind"], wanted):
            key = frame_key(name, frame)
            try:
                image = frame.image()
            except Failed as error:
                book.row(key, "failed", error.reason, error.detail)
                continue
            height, width = image.shape[:2]
            row = {"key": key, "source": name, "index": frame.index, "name": frame.name, "pts": frame.pts, "time": frame.time}
            yield {**row, "width": width, "height": height}, image
    except Failed as error:
        book.row(name, "failed", error.reason, error.detail)
