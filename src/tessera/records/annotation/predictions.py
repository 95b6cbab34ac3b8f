"""Run a detector on frames, with its detections as rows of the annotation tables."""

from collections.abc import Iterable, Iterator
from itertools import tee
from typing import Any

import numpy as np

from tessera.core.ledger import Ledger
from tessera.imaging.detection.detector import Detector, Region
from tessera.imaging.masks import encode_rle
from tessera.records.annotation.model import Annotation


def look(
    detector: Detector, pictures: Iterable[tuple[dict[str, Any], np.ndarray]], book: Ledger
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each frame of `pictures` with the rows of its detections, and write a row for it to the ledger `book`.

    `pictures` are pairs of a row with a `key` and an image, uint8 (H, W, 3), RGB. They must come from one source. A batch with
    two sources would make the detections in one depend on the other, and so on the shard.
    """
    from tessera.records.annotation.hub import annotation_rows

    frames_of, images_of = tee(pictures)  # frames wait here while a batch is filled
    for (frame, _), regions in zip(frames_of, detector.predict(image for _, image in images_of), strict=True):
        book.row(frame["key"], "ok")
        yield frame, annotation_rows(frame["key"], map(_annotation, regions))


def _annotation(region: Region) -> Annotation:
    x0, y0, x1, y1 = (round(edge, 2) for edge in region.box)
    rle = None if region.mask is None else encode_rle(region.mask)
    return Annotation(region.label, None, rle, (x0, y0, x1, y1), score=round(region.score, 4))
