"""Frames, those first whose regions the detector is least sure of, and false positives in footage that shows no region."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from tessera.core.ledger import read_ledger
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.review import FALSE_POSITIVES, FRAMES
from tessera.records.tables.table import read_table


class FrameFolder(NamedTuple):
    """The files of the sampled frames of a shard."""

    frames: Path  # `tables.Frames`
    images: Path  # folder of their pictures
    regions: Path  # `tables.Annotations`, what a detector saw


def find_frames(
    folders: Sequence[FrameFolder], free: Collection[str], selections: Sequence[Path], confidence: float
) -> Iterator[dict[str, Any]]:
    """Yield an item for each sampled frame with a detection.

    `free`: sources that show nothing that the detector finds, so that what it is sure of is a false positive. Their other
    frames are left out. `selections`: ledgers of the datasets of labelled frames. `confidence`: from which on a detection
    counts. A decision is worth most at this confidence or, of false positives, the surer the detector is.
    """
    rows = [row for path in selections for row in read_ledger(path)]
    labelled = {row["key"]: row["reason"] if row["status"] == "dropped" else "" for row in rows}
    for folder in folders:
        frames = read_table(folder.frames, Frames)
        sources = dict(frames.select("key", "source").iter_rows())
        seen = read_table(folder.regions, Annotations).filter(pl.col("key").is_in(list(sources)))
        files = {row["key"]: row for row in frames.iter_rows(named=True)}
        for (key,), own in seen.sort("key", "score", descending=[False, True]).group_by("key", maintain_order=True):
            scores = own["score"].to_list()
            is_free = sources[str(key)] in free
            if is_free and scores[0] < confidence:
                continue
            closest = min(scores, key=lambda score: abs(score - confidence))
            span = max(confidence, 1 - confidence)
            frame = files[str(key)]
            sides = [frame["width"], frame["height"]] * 2
            reason = labelled.get(str(key))
            yield {
                "queue": FALSE_POSITIVES if is_free else FRAMES,
                "key": key,
                "source": sources[str(key)],
                "value": scores[0] if is_free else 1 - abs(closest - confidence) / span,
                "reason": "shows none of it" if is_free else "near the limit" if reason is None else "labelled, near the limit",
                "detail": f"confidence {scores[0] if is_free else closest:.2f}, limit {confidence:.2f}",
                "state": "" if reason is None else "dropped" if reason else "kept",
                "picture": (folder.images / frame["file"]).as_posix(),
                "boxes": [
                    [value / side for value, side in zip(box, sides, strict=True)]
                    for box in own.select("x0", "y0", "x1", "y1").iter_rows()
                ],
                "box_texts": [f"{label} {score:.2f}" for label, score in own.select("label", "score").iter_rows()],
            }
