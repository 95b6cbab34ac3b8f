"""The methods that restore regions: with a model of clips, or with one of the blocks of mosaics."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from tessera.imaging.crops import Crop
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import Patch, trim
from tessera.imaging.mosaic.blocks import Grid
from tessera.imaging.mosaic.grid import CLEAR, common_grid, grid_of
from tessera.imaging.mosaic.means import BESIDE, Blocks, draw_blocks, read_blocks, spans
from tessera.stages.restore.restore import Region

# A function of a clip, (T, S, S, 3), RGB, of two or more frames, that returns it restored, with the same shape and dtype. That
# is uint8 or, for videos with more than 8 bits, uint16; see `VideoFrame.depth`.
Restore = Callable[[np.ndarray], np.ndarray]
NEAR = BESIDE + 4  # blocks around the mask that are looked at


class ClipModel:
    """Restores regions with a model of clips, which gets them as squares; see `Fit`."""

    def __init__(self, restore: Restore) -> None:
        self._restore = restore

    def look(self, region: Region, frame: VideoFrame) -> np.ndarray:
        """Return the square of `frame`."""
        position = frame.index - region.first
        return region.fit.square(frame.image(region.crops[position], frame.depth), region.pads[position])

    def restore(self, window: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the squares of a `window`, restored."""
        clip = np.stack(_alike(*window))
        # Restorers compare neighbouring frames, and need at least two.
        return list(self._restore(clip if len(clip) > 1 else clip.repeat(2, axis=0))[: len(window)])

    def blend(self, last: np.ndarray, result: np.ndarray, fraction: float) -> np.ndarray:
        """Return the square between `last` and `result`."""
        last, result = _alike(last, result)
        blended: np.ndarray = np.rint(last + (result.astype(np.float32) - last) * np.float32(fraction)).astype(result.dtype)
        return blended

    def draw(self, region: Region, frame: VideoFrame, result: np.ndarray) -> tuple[np.ndarray, Patch]:
        """Return the crop in the square `result`, and the mask of the region."""
        return region.fit.crop(result, region.pads[frame.index - region.first]), region.mask(frame.index)


class Found(NamedTuple):
    """A frame of a region: the clearest grid in its mask, in pixels of the frame, and the box of the mask."""

    frame: VideoFrame
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


class BlockModel:
    """Restores the blocks of mosaics from their means, with a model of blocks.

    The blocks of a mosaic mostly stay where they are while what they show moves. Then they are those that most frames of a
    window show, and each frame is restored from the means in all of them. Otherwise, each frame has the blocks that it shows
    itself or, if they are unclear, those of the nearest frame, moved with the region, and is restored alone.
    """

    def __init__(self, model: Callable[[np.ndarray, int], np.ndarray]) -> None:
        """Restore with `model`.

        It gets the means of blocks in consecutive frames, float32 (T, h, w, 3), RGB, in levels, and the number of one of them,
        and returns the picture of that one: float32 (h * `SIDE`, w * `SIDE`, 3).
        """
        self._model = model

    def look(self, region: Region, frame: VideoFrame) -> Found:
        """Return the grid of `frame`."""
        mask = region.mask(frame.index)
        return Found(frame, grid_of(frame.luma(), mask), mask.box)

    def restore(self, window: Sequence[Found]) -> Sequence[Restored | None]:
        """Return what was restored of each frame of a `window`, or None if no grid is clear."""
        grids = grids_of(window)
        first = grids[0]
        if first and all(grid == first for grid in grids):
            return self._together(window, first)
        return [self._alone(found, grid) if grid else None for found, grid in zip(window, grids, strict=True)]

    def blend(self, last: Restored | None, result: Restored | None, fraction: float) -> Restored | None:
        """Return the result of the window in whose middle the frame is."""
        return result if fraction > 0.5 else last

    def draw(self, region: Region, frame: VideoFrame, result: Restored | None) -> tuple[np.ndarray, Patch]:
        """Return the crop with its mosaic restored, and where. Without a grid, it stays as it is."""
        crop, mask = region.crops[frame.index - region.first], region.mask(frame.index)
        if result is not None:
            # What is restored may extend beyond the crop.
            whole = _around([crop, result.box])
            image = frame.image(whole, frame.depth)
            part = image[_within(result.box, whole)]
            part[:], shown = draw_blocks(part, result.box, mask.inside(result.box), result.blocks)
            if shown.any():
                return image[_within(crop, whole)], trim(Patch(shown, result.box[0], result.box[1]))
        # Nothing is blended: on the way through RGB, colours that it has not would change.
        return frame.image(crop, frame.depth), mask._replace(mask=np.zeros_like(mask.mask))

    def _together(self, window: Sequence[Found], grid: Grid) -> list[Restored]:
        """Return what was restored of each frame of a `window`, in which all frames have the blocks of `grid`."""
        boxes = [found.near(grid) for found in window]
        whole = _around(boxes)
        seen = [found.blocks(whole, grid) for found in window]
        means = np.stack([blocks.means for blocks in seen])
        results = []
        for number, (box, blocks) in enumerate(zip(boxes, seen, strict=True)):
            part = blocks.part(box, grid)
            shown = means[:, part.down.within(blocks.down), part.across.within(blocks.across)]
            results.append(Restored(box, part.filled(self._model(shown, number))))
        return results

    def _alone(self, found: Found, grid: Grid) -> Restored:
        """Return what was restored of a frame that has the blocks of `grid`."""
        box = found.near(grid)
        blocks = found.blocks(box, grid)
        return Restored(box, blocks.filled(self._model(blocks.means[None], 0)))


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


def _around(boxes: Sequence[Crop]) -> Crop:
    """Return the smallest box with all `boxes`."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _within(box: Crop, other: Crop) -> tuple[slice, slice]:
    """Return where `box` is in an image of the part `other` of the frame."""
    (x0, y0, x1, y1), (left, top, _, _) = box, other
    return slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def _alike(*images: np.ndarray) -> list[np.ndarray]:
    """Return `images`, uint8 or uint16, as uint16 if one of them is: a video may change its depth."""
    deepest = np.result_type(*images)
    return [image if image.dtype == deepest else image * np.uint16(257) for image in images]
