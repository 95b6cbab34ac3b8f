"""What a detector sees in frames, as rows of the annotation tables."""

from collections.abc import Iterable, Iterator
from itertools import tee
from typing import Any

import numpy as np

from tessera.core.ledger import Ledger
from tessera.imaging.detection.detector import Predictor, Region
from tessera.imaging.masks import encode_rle
from tessera.records.annotation.hub import annotation_rows
from tessera.records.annotation.model import Annotation


def look(
    predictor: Predictor, pictures: Iterable[tuple[dict[str, Any], np.ndarray]], book: Ledger
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each of the frames `pictures` of one source, and the rows of what is seen in it; `book` gets a row for it.

    Of one source, because no batch may hold two: what one shows must not depend on its shard.
    """
    frames_of, images_of = tee(pictures)  # each frame waits here for its batch
    for (frame, _), regions in zip(frames_of, predictor.predict(image for _, image in images_of), strict=True):
        book.row(frame["key"], "ok")
        yield frame, annotation_rows(frame["key"], map(_annotation, regions))


def _annotation(region: Region) -> Annotation:
    x0, y0, x1, y1 = (round(edge, 2) for edge in region.box)
    rle = None if region.mask is None else encode_rle(region.mask)
    return Annotation(region.label, None, rle, (x0, y0, x1, y1), score=round(region.score, 4))
