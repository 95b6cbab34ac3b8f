"""What detectors get, and what they find."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tessera.imaging.boxes import Box


@dataclass(frozen=True)
class Region:
    """One detected region of an image.

    `box`: x0, y0, x1, y1 in pixels of the image, half-open. `rle`: COCO's compressed run lengths of its mask, which has the
    size of the image and no pixel outside `box`; None if the detector returns only boxes. `score`: the confidence in [0, 1].
    `points`: its landmarks, x and y in pixels of the image, which may be outside of it; empty if the detector finds none.
    `grid`: the evidence of a grid of blocks, see `grid_of`; None if it was not measured.
    """

    label: str
    score: float
    box: Box
    rle: str | None
    points: tuple[tuple[float, float], ...] = ()
    grid: float | None = None


class Scaled(NamedTuple):
    """An image as a model gets it: uint8 (h, w, 3), BGR, with its padding; and the height and width that it had before."""

    image: np.ndarray
    shape: tuple[int, int]
