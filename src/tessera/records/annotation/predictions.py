"""Run a detector on frames, with its detections as rows of the annotation tables, and outline detections for people."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import tee
from typing import Any

import numpy as np

from tessera.core.ledger import Ledger
from tessera.imaging.masks import decode_rle
from tessera.imaging.polygons import Part, Ring, trace
from tessera.learning.detection.anywhere import Anywhere
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region
from tessera.records.annotation.model import Annotation


def detect_frames(
    detector: Detector | Anywhere,
    pictures: Iterable[tuple[dict[str, Any], np.ndarray]],
    ledger: Ledger,
    refine: Callable[[np.ndarray, Iterable[Region]], Iterable[Region]] = lambda image, regions: regions,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each frame of `pictures` with the rows of its detections, and write a row for it to `ledger`.

    `pictures` are pairs of a row with a `key` and an image, uint8 (H, W, 3), RGB. They must come from one source. A batch with
    two sources would make the detections in one depend on the other, and so on the shard. `refine` returns what becomes of the
    regions in an image.
    """
    from tessera.records.annotation.annotation_tables import annotation_rows

    frames_of, images_of = tee(pictures)  # frames wait here while a batch is filled
    for (frame, image), regions in zip(frames_of, detector.predict(image for _, image in images_of), strict=True):
        ledger.row(frame["key"], "ok")
        yield frame, annotation_rows(frame["key"], map(_annotation, refine(image, regions)))


def _annotation(region: Region) -> Annotation:
    x0, y0, x1, y1 = (round(edge, 2) for edge in region.box)
    return Annotation(region.label, None, region.rle, (x0, y0, x1, y1), score=round(region.score, 4))


def outlined(region: Mapping[str, Any], width: int, height: int, simplify: float) -> Annotation:
    """Return the detection `region`, a row of `tables.Annotations`, in an image of `width` by `height` pixels, with polygons.

    Vertices are left out if the outline moves by at most `simplify` pixels. A detection without a mask becomes its box.
    """
    mask = None if region["rle"] is None else decode_rle(region["rle"], height, width)
    parts = [] if mask is None else [simpler for part in trace(mask) if (simpler := _simplified(part, simplify))]
    if parts:
        return Annotation.of_parts(region["label"], tuple(parts), score=region["score"])
    return Annotation(
        region["label"], None, None, (region["x0"], region["y0"], region["x1"], region["y1"]), score=region["score"]
    )


def _simplified(part: Part, distance: float) -> Part | None:
    """Return `part` with fewer vertices, moved by at most `distance` pixels; None if fewer than 3 vertices are left."""
    outer, *holes = (_simplify(ring, distance) for ring in (part.outer, *part.holes))
    return Part(outer, tuple(hole for hole in holes if len(hole) > 2)) if len(outer) > 2 else None


def _simplify(ring: Ring, distance: float) -> Ring:
    import cv2

    return cv2.approxPolyDP(ring.astype(np.float32).reshape(-1, 1, 2), distance, closed=True).reshape(-1, 2).astype(np.float64)
