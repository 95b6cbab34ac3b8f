"""The model that every format is read into and written from.

Geometry is kept as it was given: polygons stay polygons and masks stay run lengths, and one becomes the other only where a
format cannot carry it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tessera.imaging.boxes import Box, mask_box
from tessera.imaging.masks import decode_rle, encode_rle
from tessera.imaging.polygons import Part, polygon_box, rasterize

MAX_PIXELS = 2**28  # of an image; a file that says more is broken or means harm


@dataclass(frozen=True, eq=False)
class Annotation:
    """One region of an image: polygons or run lengths or, where both are None, the box alone."""

    label: str
    polygons: tuple[Part, ...] | None
    rle: str | None  # COCO's compressed run lengths
    box: Box
    crowd: bool = False
    score: float | None = None

    def __post_init__(self) -> None:
        if self.polygons is not None and self.rle is not None:
            raise ValueError("an annotation has polygons or run lengths, not both")

    @classmethod
    def of_parts(cls, label: str, parts: tuple[Part, ...], crowd: bool = False, score: float | None = None) -> "Annotation":
        """Return the region that is the union of `parts`."""
        return cls(label, tuple(parts), None, polygon_box(parts), crowd, score)

    @classmethod
    def of_mask(cls, label: str, mask: np.ndarray, crowd: bool = False, score: float | None = None) -> "Annotation":
        """Return the region that is set in `mask`, uint8 (H, W)."""
        return cls(label, None, encode_rle(mask), mask_box(mask), crowd, score)

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the mask of the region, uint8 (height, width), 0 or 255. Raises `ValueError` for a box alone."""
        if self.polygons is not None:
            return rasterize(self.polygons, height, width)
        if self.rle is not None:
            return decode_rle(self.rle, height, width)
        raise ValueError("a box alone has no mask")


@dataclass(frozen=True, eq=False)
class ImageAnnotations:
    """An image and its regions, none of them where it is known to hold none."""

    key: str
    width: int  # pixels
    height: int  # pixels
    annotations: tuple[Annotation, ...] = ()


class Loss(NamedTuple):
    """Something that could not be carried: a row for the ledger of whoever asked."""

    key: str  # of the image, or of one of its regions as `key#number`
    reason: str
    detail: str = ""
    status: Literal["dropped", "failed"] = "dropped"  # failed: unusable through a fault of its own
    kept: bool = False  # whether the rest of it was carried


def remark(note: dict[str, str], losses: Sequence[Loss]) -> None:
    """Say in `note`, which the row of an image in a ledger takes, what was lost of it."""
    if losses:
        note["reason"] = "; ".join(sorted({loss.reason for loss in losses}))
        note["detail"] = "; ".join(f"{loss.key}: {loss.reason} {loss.detail}".strip() for loss in losses)
