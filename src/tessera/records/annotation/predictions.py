"""What a detector sees in frames, as rows of the annotation tables."""

from collections.abc import Iterable, Iterator
from itertools import tee
from typing import Any

import numpy as np

from tessera.core.ledger import Ledger
from tessera.imaging.detection.detector import Predictor, Region
from tessera.imaging.masks import encode_rle


def look(
    predictor: Predictor, pictures: Iterable[tuple[dict[str, Any], np.ndarray]], book: Ledger
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each of the frames `pictures` of one source, and the rows of what is seen in it; `book` gets a row for it.

    Of one source, because no batch may hold two: what one shows must not depend on its shard.
    """
    frames_of, images_of = tee(pictures)  # each frame waits here for its batch
    for (frame, _), regions in zip(frames_of, predictor.predict(image for _, image in images_of), strict=True):
        book.row(frame["key"], "ok")
        yield frame, [_row(frame["key"], number, region) for number, region in enumerate(regions)]


def _row(key: str, number: int, region: Region) -> dict[str, Any]:
    x0, y0, x1, y1 = (round(edge, 2) for edge in region.box)
    return {
        "key": key,
        "number": number,
        "label": region.label,
        "polygons": None,
        "rle": None if region.mask is None else encode_rle(region.mask),
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "crowd": False,
        "score": round(region.score, 4),
    }
