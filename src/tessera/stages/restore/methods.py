"""The methods that restore regions: with a model of clips, or with one of the blocks of mosaics."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import Patch, trim
from tessera.imaging.mosaic.blocks import Grid
from tessera.stages.restore.restore import Region

# A function of a clip, (T, S, S, 3), RGB, of two or more frames, that returns it restored, with the same shape and dtype. That
# is uint8 or, for videos with more than 8 bits, uint16; see `VideoFrame.depth`.
Restore = Callable[[np.ndarray], np.ndarray]


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
    """The clearest grid in the mask of a frame, in pixels of the frame, and the middle and the size of the mask."""

    grid: Grid
    middle: tuple[float, float]
    size: tuple[int, int]


class BlockModel:
    """Restores the blocks of mosaics from their means, with a model of blocks; see `tessera.imaging.mosaic.smooth`.

    The blocks of a mosaic mostly stay where they are while the region moves. Then they are those that most frames of a window
    show. Otherwise, each frame has those that it shows itself or, if they are unclear, those of the nearest frame, moved with
    the region.
    """

    def __init__(self, guess: Callable[[np.ndarray], np.ndarray]) -> None:
        self._guess = guess

    def look(self, region: Region, frame: VideoFrame) -> Found:
        """Return the grid of `frame`."""
        from tessera.imaging.mosaic.grid import grid_of

        mask = region.mask(frame.index)
        x0, y0, x1, y1 = mask.box
        return Found(grid_of(frame.luma(), mask), ((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0))

    def restore(self, window: Sequence[Found]) -> Sequence[Grid | None]:
        """Return the grid of each frame of a `window`, or None if none is clear."""
        from tessera.imaging.mosaic.grid import CLEAR, common_grid

        clear = [number for number, found in enumerate(window) if found.grid.evidence >= CLEAR]
        if not clear:
            return [None] * len(window)
        if common := common_grid([found.grid for found in window], [found.size for found in window]):
            return [common] * len(window)
        nearest = (min(clear, key=lambda other: abs(other - number)) for number in range(len(window)))
        return [_moved(window[other], found.middle) for other, found in zip(nearest, window, strict=True)]

    def blend(self, last: Grid | None, result: Grid | None, fraction: float) -> Grid | None:
        """Return the grid of the window in whose middle the frame is."""
        return result if fraction > 0.5 else last

    def draw(self, region: Region, frame: VideoFrame, result: Grid | None) -> tuple[np.ndarray, Patch]:
        """Return the crop with its mosaic restored, and where. Without a grid, it stays as it is."""
        from tessera.imaging.mosaic.smooth import smooth

        box = region.crops[frame.index - region.first]
        crop, mask = frame.image(box, frame.depth), region.mask(frame.index)
        if result is not None:
            grid = result._replace(left=result.left - box[0], top=result.top - box[1])
            crop, shown = smooth(crop, mask.inside(box), grid, self._guess)
            if shown.any():
                return crop, trim(Patch(shown, box[0], box[1]))
        # Nothing is blended: on the way through RGB, colours that it has not would change.
        return crop, mask._replace(mask=np.zeros_like(mask.mask))


def _moved(found: Found, middle: tuple[float, float]) -> Grid:
    """Return the grid of `found` in a frame in which the middle of the mask is at `middle`."""
    (x, y), (to_x, to_y) = found.middle, middle
    return found.grid._replace(left=found.grid.left + to_x - x, top=found.grid.top + to_y - y)


def _alike(*images: np.ndarray) -> list[np.ndarray]:
    """Return `images`, uint8 or uint16, as uint16 if one of them is: a video may change its depth."""
    deepest = np.result_type(*images)
    return [image if image.dtype == deepest else image * np.uint16(257) for image in images]
