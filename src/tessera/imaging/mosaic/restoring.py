"""Restore the blocks of mosaics in consecutive pictures from their means, with a model of blocks."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple, Protocol

import numpy as np

from tessera.imaging.crops import Crop
from tessera.imaging.frame import Depth
from tessera.imaging.masks import Patch
from tessera.imaging.mosaic.blocks import Grid
from tessera.imaging.mosaic.grid import CLEAR, common_grid, grid_of
from tessera.imaging.mosaic.means import BESIDE, Blocks, read_blocks, spans

# A function of the means of blocks in consecutive frames, float32 (T, h, w, 3), RGB, in levels, and of the number of one of
# them, that returns the picture of that one: float32 (h * `SIDE`, w * `SIDE`, 3).
Model = Callable[[np.ndarray, int], np.ndarray]
NEAR = BESIDE + 4  # blocks around the mask that are looked at


class Picture(Protocol):
    """What is read of a frame; see `VideoFrame`."""

    @property
    def size(self) -> tuple[int, int]:
        """The width and height in pixels."""

    @property
    def depth(self) -> Depth:
        """The type of `image`, uint8 or uint16."""

    def image(self, box: Crop | None = None, dtype: Depth = np.uint8) -> np.ndarray:
        """Return the part `box`: `dtype` (H, W, 3), RGB."""

    def luma(self) -> np.ndarray:
        """Return the brightness: uint8 (H, W)."""


class Found(NamedTuple):
    """A frame of a region: the clearest grid in its mask, in pixels of the frame, and the box of the mask."""

    frame: Picture
    grid: Grid
    box: Crop

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the mask."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of the mask."""
        x0, y0, x1, y1 = self.box
        return x1 - x0, y1 - y0

    def near(self, grid: Grid) -> Crop:
        """Return the part of the frame with the mask and `NEAR` blocks of `grid` around it, which cuts no block."""
        x0, y0, x1, y1 = self.box
        width, height = self.frame.size
        across, down = ceil(NEAR * grid.width), ceil(NEAR * grid.height)
        (_, _, left, right), (_, _, top, bottom) = spans((x0 - across, y0 - down, x1 + across, y1 + down), grid)
        return max(left, 0), max(top, 0), min(right, width), min(bottom, height)

    def blocks(self, box: Crop, grid: Grid) -> Blocks:
        """Return the blocks that cover `box` in the frame."""
        return read_blocks(self.frame.image(box, self.frame.depth), box, grid)


class Restored(NamedTuple):
    """The blocks that cover the part `box` of a frame, with the picture that takes their place."""

    box: Crop
    blocks: Blocks


def look(frame: Picture, mask: Patch) -> Found:
    """Return the grid of `frame` in `mask`."""
    return Found(frame, grid_of(frame.luma(), mask), mask.box)


def restore_blocks(window: Sequence[Found], model: Model) -> Sequence[Restored | None]:
    """Return what was restored of each frame of a `window`, or None if no grid is clear.

    The blocks of a mosaic mostly stay where they are while what they show moves. Then they are those that most frames of a
    window show, and each frame is restored from the means in all of them. Otherwise, each frame has the blocks that it shows
    itself or, if they are unclear, those of the nearest frame, moved with the region, and is restored alone.
    """
    grids = grids_of(window)
    first = grids[0]
    if first and all(grid == first for grid in grids):
        return _together(window, first, model)
    return [_alone(found, grid, model) if grid else None for found, grid in zip(window, grids, strict=True)]


def grids_of(window: Sequence[Found]) -> list[Grid | None]:
    """Return the grid of each frame of a `window`, or None if none is clear."""
    clear = [number for number, found in enumerate(window) if found.grid.evidence >= CLEAR]
    if not clear:
        return [None] * len(window)
    if common := common_grid([found.grid for found in window], [found.size for found in window]):
        return [common] * len(window)
    nearest = (min(clear, key=lambda other: abs(other - number)) for number in range(len(window)))
    return [_moved(window[other], found) for other, found in zip(nearest, window, strict=True)]


def _moved(found: Found, other: Found) -> Grid:
    """Return the grid of `found` where the region is in the frame of `other`."""
    (x, y), (to_x, to_y) = found.middle, other.middle
    return found.grid._replace(left=found.grid.left + to_x - x, top=found.grid.top + to_y - y)


def _together(window: Sequence[Found], grid: Grid, model: Model) -> list[Restored]:
    """Return what was restored of each frame of a `window`, in which all frames have the blocks of `grid`."""
    boxes = [found.near(grid) for found in window]
    whole = around(boxes)
    seen = [found.blocks(whole, grid) for found in window]
    means = np.stack([blocks.means for blocks in seen])
    results = []
    for number, (box, blocks) in enumerate(zip(boxes, seen, strict=True)):
        part = blocks.part(box, grid)
        shown = means[:, part.down.within(blocks.down), part.across.within(blocks.across)]
        results.append(Restored(box, part.filled(model(shown, number))))
    return results


def _alone(found: Found, grid: Grid, model: Model) -> Restored:
    """Return what was restored of a frame that has the blocks of `grid`."""
    box = found.near(grid)
    blocks = found.blocks(box, grid)
    return Restored(box, blocks.filled(model(blocks.means[None], 0)))


def around(boxes: Sequence[Crop]) -> Crop:
    """Return the smallest box with all `boxes`."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
