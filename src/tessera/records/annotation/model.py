"""The annotation model, which every file format is read into and written from.

Geometry stays as it was given: polygons stay polygons and masks stay run lengths. A format that cannot store one of them gets
the other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import PureWindowsPath
from typing import Literal, NamedTuple

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.imaging.boxes import Box, mask_box
from tessera.imaging.masks import decode_rle, encode_rle
from tessera.imaging.polygons import Part, polygon_box, rasterize

OUTSIDE_IMAGE = "region outside the image"  # the reason of a loss
MAX_PIXELS = 2**28  # of an image; a file that states more is broken or malicious


@dataclass(frozen=True, eq=False)
class Annotation:
    """A region of an image: polygons or run lengths or, if both are None, only the box."""

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
        """Return the region of the nonzero pixels in `mask`, uint8 (H, W)."""
        return cls(label, None, encode_rle(mask), mask_box(mask), crowd, score)

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the mask of the region, uint8 (height, width), 0 or 255. Raises `ValueError` if it is only a box."""
        if self.polygons is not None:
            return rasterize(self.polygons, height, width)
        if self.rle is not None:
            return decode_rle(self.rle, height, width)
        raise ValueError("an annotation with only a box has no mask")


@dataclass(frozen=True, eq=False)
class ImageAnnotations:
    """An image and its regions. An empty tuple means that the image is known to have none."""

    key: str
    width: int  # pixels
    height: int  # pixels
    annotations: tuple[Annotation, ...] = ()

    def scaled(self, width: int, height: int) -> "ImageAnnotations":
        """Return the regions in a copy of the image with `width` by `height` pixels."""
        if (width, height) == (self.width, self.height):
            return self
        factors = np.array([width / self.width, height / self.height])
        return ImageAnnotations(
            self.key, width, height, tuple(self._scaled(each, factors, width, height) for each in self.annotations)
        )

    def _scaled(self, region: Annotation, factors: np.ndarray, width: int, height: int) -> Annotation:
        import cv2

        if region.polygons is not None:
            parts = tuple(Part(part.outer * factors, tuple(ring * factors for ring in part.holes)) for part in region.polygons)
            return replace(region, polygons=parts, box=polygon_box(parts))
        if region.rle is not None:
            # A pixel is set where the region covers any of it, so that no region is lost.
            mask = cv2.resize(region.mask(self.height, self.width), (width, height), interpolation=cv2.INTER_AREA)
            return replace(region, rle=encode_rle(mask), box=mask_box(mask))
        x0, y0, x1, y1 = np.array(region.box) * np.tile(factors, 2)
        return replace(region, box=(x0, y0, x1, y1))


def image_fault(name: object, width: object, height: object) -> str:
    """Return why an image cannot have this `name`, a path below the top of its set, and this size; empty if it can."""
    if not isinstance(name, str) or not name or "\0" in name:
        return "no file name"
    relative = PureWindowsPath(name)
    if relative.anchor or ".." in relative.parts:
        return f"file name {name!r:.200} leaves the folder of the images"
    if type(width) is not int or type(height) is not int or width < 1 or height < 1 or width * height > MAX_PIXELS:
        return f"width {width!r:.20} and height {height!r:.20} are not those of an image"
    return ""


class Loss(NamedTuple):
    """Something that a format could not store, or that could not be read: a row for the ledger of the caller."""

    key: str  # key of the image, or `key#number` for one of its regions
    reason: str
    detail: str = ""
    status: Literal["dropped", "failed"] = "dropped"  # failed: unusable because of an error in it
    kept: bool = False  # whether the rest of it was kept
    minor: bool = False  # whether it is no region beside others, such as a point


def check_complete(losses: Sequence[Loss], regions: Collection[object], where: str) -> None:
    """Raise `Dropped` if one of `losses` is a region of an image that was not kept, or `Failed` if an error in it is the cause.

    Without that region, a model would learn that there is nothing in its place. So an image is either complete, or leaves its
    dataset: what was lost never makes it a negative. Minor losses count if the image has no `regions` left. `where`: where the
    labels of the image are, for the message.
    """
    lost = [loss for loss in losses if not loss.kept and not (loss.minor and regions)]
    if lost:
        reasons = sorted({loss.reason for loss in lost})
        details = sorted({f"{loss.reason} {loss.detail}".strip() for loss in lost})
        kind = Failed if any(loss.status == "failed" for loss in lost) else Dropped
        raise kind(f"region lost: {'; '.join(reasons)}", f"{where}: {'; '.join(details)}")


def remark(note: dict[str, str], losses: Sequence[Loss]) -> None:
    """Write the `losses` of an image to `note`, the reason and detail of its ledger row."""
    if losses:
        note["reason"] = "; ".join(sorted({loss.reason for loss in losses}))
        note["detail"] = "; ".join(f"{loss.key}: {loss.reason} {loss.detail}".strip() for loss in losses)
