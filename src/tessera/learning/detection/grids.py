"""Measure how clearly detected regions show the grid of a mosaic."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import ceil, floor
from typing import Any

import numpy as np
from pydantic import NonNegativeFloat

from tessera.core.settings import Fraction, Settings
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import Patch, decode_patch, encode_patch
from tessera.learning.detection.anywhere import Anywhere
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region


class GridSettings(Settings):
    """Which detections count as mosaics."""

    grid: NonNegativeFloat = 2.5
    """Smallest evidence of a grid of blocks in a detected mosaic, in standard deviations. Most mosaics have 3 to 12, and flat
    surfaces that a detector takes for one have less. So have mosaics that are blurred, or of blocks of two to four pixels. 0
    takes whatever is detected.
    """
    sure: Fraction = 0.85
    """Confidence from which a detection is taken whether it shows a grid or not."""

    def accept(self, grid: Any, score: Any) -> Any:
        """Return whether detections count. `grid`: their evidence. `score`: their confidence. Both are numbers or columns."""
        return (grid >= self.grid) | (score >= self.sure)


def with_grids(luma: np.ndarray, regions: Iterable[Region]) -> list[Region]:
    """Return `regions` of an image with their `grid`. `luma`: its brightness at its full size, uint8 (H, W).

    Outlines of which a grid is clear are those of the whole mosaic.
    """
    from tessera.imaging.mosaic.extent import whole_mosaic
    from tessera.imaging.mosaic.grid import CLEAR, grid_of

    measured = []
    for region in regions:
        patch = _patch(region, *luma.shape)
        grid = grid_of(luma, patch)
        if region.rle is not None and grid.evidence >= CLEAR:
            patch = whole_mosaic(luma, patch, grid)
            x0, y0, x1, y1 = patch.box
            region = replace(region, rle=encode_patch(patch, *luma.shape), box=(float(x0), float(y0), float(x1), float(y1)))
        measured.append(replace(region, grid=grid.evidence))
    return measured


def _patch(region: Region, height: int, width: int) -> Patch:
    """Return the mask of `region`, or its box if it has none."""
    if region.rle is not None:
        return decode_patch(region.rle, height, width)
    x0, y0, x1, y1 = region.box
    x, y, right, bottom = max(floor(x0), 0), max(floor(y0), 0), min(ceil(x1), width), min(ceil(y1), height)
    return Patch(np.full((max(bottom - y, 0), max(right - x, 0)), 255, np.uint8), x, y)


class WithGrids:
    """A detector whose regions in videos have their `grid`, measured in whole frames: in scaled ones, blocks are too small."""

    def __init__(self, detector: Detector | Anywhere) -> None:
        self._detector = detector

    def scale_frame(self, frame: VideoFrame) -> tuple[Any, np.ndarray]:
        """Return the frame as the detector gets it, and its brightness."""
        return self._detector.scale_frame(frame), frame.luma()

    def detect(self, frames: Iterable[tuple[Any, np.ndarray]]) -> Iterator[list[Region]]:
        """Yield the regions of each of `frames`, results of `scale_frame`."""
        waiting: deque[np.ndarray] = deque()

        def scaled() -> Iterator[Any]:
            for image, luma in frames:
                waiting.append(luma)
                yield image

        for regions in self._detector.detect(scaled()):
            yield with_grids(waiting.popleft(), regions)
