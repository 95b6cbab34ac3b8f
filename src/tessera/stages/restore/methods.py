"""The methods that restore regions: with a model of clips, or with one of the blocks of mosaics."""

from collections.abc import Callable, Sequence

import numpy as np

from tessera.imaging.crops import Crop
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import Patch, trim
from tessera.imaging.mosaic.means import draw_blocks
from tessera.imaging.mosaic.restoring import Found, Model, Restored, around, look, restore_blocks
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


class BlockModel:
    """Restores the blocks of mosaics with a model of blocks; see `restore_blocks`."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def look(self, region: Region, frame: VideoFrame) -> Found:
        """Return the grid of `frame`."""
        return look(frame, region.mask(frame.index))

    def restore(self, window: Sequence[Found]) -> Sequence[Restored | None]:
        """Return what was restored of each frame of a `window`, or None if no grid is clear."""
        return restore_blocks(window, self._model)

    def blend(self, last: Restored | None, result: Restored | None, fraction: float) -> Restored | None:
        """Return the result of the window in whose middle the frame is."""
        return result if fraction > 0.5 else last

    def draw(self, region: Region, frame: VideoFrame, result: Restored | None) -> tuple[np.ndarray, Patch]:
        """Return the crop with its mosaic restored, and where. Without a grid, it stays as it is."""
        crop, mask = region.crops[frame.index - region.first], region.mask(frame.index)
        if result is not None:
            # What is restored may extend beyond the crop.
            whole = around([crop, result.box])
            image = frame.image(whole, frame.depth)
            part = image[_within(result.box, whole)]
            part[:], shown = draw_blocks(part, result.box, mask.inside(result.box), result.blocks)
            if shown.any():
                return image[_within(crop, whole)], trim(Patch(shown, result.box[0], result.box[1]))
        # Nothing is blended: on the way through RGB, colours that it has not would change.
        return frame.image(crop, frame.depth), mask._replace(mask=np.zeros_like(mask.mask))


def _within(box: Crop, other: Crop) -> tuple[slice, slice]:
    """Return where `box` is in an image of the part `other` of the frame."""
    (x0, y0, x1, y1), (left, top, _, _) = box, other
    return slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def _alike(*images: np.ndarray) -> list[np.ndarray]:
    """Return `images`, uint8 or uint16, as uint16 if one of them is: a video may change its depth."""
    deepest = np.result_type(*images)
    return [image if image.dtype == deepest else image * np.uint16(257) for image in images]
