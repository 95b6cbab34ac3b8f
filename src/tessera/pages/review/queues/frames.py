"""Frames and the regions in them, those first that the detector is least sure of, and false positives."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from tessera.core.ledger import read_ledger
from tessera.records.decisions import region_key
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.review import FALSE_POSITIVES, FRAMES, REGIONS
from tessera.records.tables.table import read_table


class FrameFolder(NamedTuple):
    """The files of the sampled frames of a shard."""

    frames: Path  # `tables.Frames`
    images: Path  # folder of their pictures
    seen: Mapping[str, Path]  # `tables.Annotations`, the detections of each detector
    verdicts: Path  # ledger of the detections, which says which of them are regions
    labels: Path | None = None  # `tables.Annotations` of the labels of the frames


def find_frames(
    folders: Sequence[FrameFolder], detector: str, free: Collection[str], selections: Sequence[Path], confidence: float
) -> Iterator[dict[str, Any]]:
    """Yield an item for each sampled frame with a detection of `detector`.

    `free`: sources that show nothing that the detector finds, so that what it is sure of is a false positive. Their other
    frames are left out. `selections`: ledgers of the datasets of labelled frames. `confidence`: from which on a detection
    counts. A decision is worth most at this confidence or, of false positives, the surer the detector is.
    """
    rows = [row for path in selections for row in read_ledger(path)]
    labelled = {row["key"]: row["reason"] if row["status"] == "dropped" else "" for row in rows}
    for folder in folders:
        for key, frame, of_frame in _detections(folder, detector):
            scores = of_frame["score"].to_list()
            is_free = frame["source"] in free
            if is_free and scores[0] < confidence:
                continue
            closest = min(scores, key=lambda score: abs(score - confidence))
            reason = labelled.get(key)
            yield {
                "queue": FALSE_POSITIVES if is_free else FRAMES,
                "key": key,
                "source": frame["source"],
                "value": scores[0] if is_free else _nearness(closest, confidence),
                "reason": "shows none of it" if is_free else "near the limit" if reason is None else "labelled, near the limit",
                "detail": f"confidence {scores[0] if is_free else closest:.2f}, limit {confidence:.2f}"
                + (f"; dropped: {reason}" if reason else ""),
                "state": "" if reason is None else "dropped" if reason else "kept",
                "picture": (folder.images / frame["file"]).as_posix(),
                "outlines": folder.seen[detector].as_posix(),
                "labelled": folder.labels.as_posix() if folder.labels and reason is not None else "",
                **_boxes(of_frame, frame, confidence),
            }


def find_regions(folders: Sequence[FrameFolder], confidences: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Yield an item for each detection that is a region, or could be one.

    `confidences`: from which on a detection of each detector counts. A decision is worth most at this confidence.
    """
    for folder in folders:
        verdicts = {row["key"]: row for row in read_ledger(folder.verdicts)}
        taken: set[str] = set()
        for detector in folder.seen:
            confidence = confidences[detector]
            for frame_key, frame, of_frame in _detections(folder, detector):
                for row in of_frame.iter_rows(named=True):
                    key = region_key(frame_key, (row["x0"], row["y0"], row["x1"], row["y1"]))
                    verdict = verdicts.get(f"{frame_key}#{detector}-{row['number']}")
                    # Of two detections with the same pixels, a decision would be on either.
                    if key in taken or verdict is None:
                        continue
                    taken.add(key)
                    yield {
                        "queue": REGIONS,
                        "key": key,
                        "source": frame["source"],
                        "value": _nearness(row["score"], confidence),
                        "reason": verdict["reason"] or "gets a mosaic",
                        "detail": f"confidence {row['score']:.2f}, limit {confidence:.2f}",
                        "state": "kept" if verdict["status"] == "ok" else "dropped",
                        "picture": (folder.images / frame["file"]).as_posix(),
                        **_boxes(of_frame.filter(number=row["number"]), frame, confidence),
                    }


def _detections(folder: FrameFolder, detector: str) -> Iterator[tuple[str, dict[str, Any], pl.DataFrame]]:
    """Yield the key and the row of each frame with a detection of `detector`, and its detections, the surest first."""
    frames = {row["key"]: row for row in read_table(folder.frames, Frames).iter_rows(named=True)}
    detections = read_table(folder.seen[detector], Annotations).filter(pl.col("key").is_in(list(frames)))
    for (key,), of_frame in detections.sort("key", "score", "number", descending=[False, True, False]).group_by(
        "key", maintain_order=True
    ):
        yield str(key), frames[str(key)], of_frame


def _nearness(score: float, confidence: float) -> float:
    return 1 - abs(score - confidence) / max(confidence, 1 - confidence)


def _boxes(detections: pl.DataFrame, frame: Mapping[str, Any], confidence: float) -> dict[str, Any]:
    sides = [frame["width"], frame["height"]] * 2
    edges = detections.select("x0", "y0", "x1", "y1").iter_rows()
    return {
        "boxes": [[value / side for value, side in zip(box, sides, strict=True)] for box in edges],
        "box_texts": [f"{label} {score:.2f}" for label, score in detections.select("label", "score").iter_rows()],
        "box_counts": [score >= confidence for score in detections["score"]],
    }
