"""Restore the regions of a video: crop them, restore the crops in overlapping windows, and blend them back.

Windows lie on one grid over the frames of the video: each has `window` frames, of which it shares `overlap` with the next. In
shared frames, the results of both are blended, so that they do not differ visibly where one window ends. At most one window of
frames is held, however long the video is. A region never extends beyond a cut, so no window mixes two shots.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tessera.core.errors import Failed
from tessera.imaging.crops import Crop, Fit, Pad
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import decode_patch

if TYPE_CHECKING:
    import polars as pl

# A function of a clip, (T, S, S, 3), RGB, of two or more frames, that returns it restored, with the same shape and dtype. That
# is uint8 or, for videos with more than 8 bits, uint16; see `VideoFrame.depth`.
Restore = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Region:
    """A region of a video in consecutive frames: its crop in each, and its mask as COCO's compressed run lengths."""

    first: int  # index of the first frame
    crops: Sequence[Crop]
    pads: Sequence[Pad]
    fit: Fit
    masks: "pl.Series"
    size: tuple[int, int]  # height and width of the frames

    @property
    def stop(self) -> int:
        """The frame after its last."""
        return self.first + len(self.crops)


@dataclass(frozen=True, eq=False)
class Patch:
    """What is blended into a frame: `image`, uint8 or uint16 (h, w, 3), RGB, at `box`, with `weight`, float32 (h, w), 0 to 1.

    `crop`: the part of the frame that was restored. `box` lies in it, and holds the region with its soft edge.
    """

    crop: Crop
    box: Crop
    image: np.ndarray
    weight: np.ndarray


def restored(
    frames: Iterable[VideoFrame], regions: Sequence[Region], restore: Restore, *, window: int, overlap: int, feather: float
) -> Iterator[tuple[VideoFrame, list[Patch]]]:
    """Yield each of `frames` with the patches of the restored `regions` that it shows.

    `frames`: all frames of a video, or those from `restart` on. Those that cannot be decoded have no patches. `feather`: the
    width of the soft edge around a region, as a fraction of the longer side of its crop. Raises `Failed` if a frame has another
    size than its region.
    """
    coming = sorted(regions, key=lambda region: region.first, reverse=True)
    held: deque[VideoFrame] = deque()
    squares: dict[Region, dict[int, np.ndarray | None]] = {}  # of the frames in the current window
    results: dict[Region, dict[int, np.ndarray]] = {}
    ready = 0  # the number of frames at the front whose results are final

    def release() -> tuple[VideoFrame, list[Patch]]:
        """Return the first frame that is held."""
        frame = held.popleft()
        shown = [(region, result.pop(frame.index)) for region, result in results.items() if frame.index in result]
        for region in [region for region in results if frame.index + 1 >= region.stop]:
            del squares[region], results[region]
        return frame, [] if frame.picture is None else [_patch(*each, frame.index, feather) for each in shown]

    for frame in frames:
        held.append(frame)
        while coming and coming[-1].first <= frame.index:
            region = coming.pop()
            if frame.index < region.stop:
                squares[region], results[region] = {}, {}
        for region, in_window in squares.items():
            if frame.index < region.stop:
                in_window[frame.index] = _square(region, frame)
        if len(held) - ready == window:
            start = held[ready].index
            ready += window - overlap
            for region, in_window in squares.items():
                _restore(in_window, results[region], restore, start, overlap)
                squares[region] = {index: square for index, square in in_window.items() if index >= start + window - overlap}
        # One for one, and not all at once, so that who gets the frames works while the next window is read.
        if ready:
            ready -= 1
            yield release()
    for region, in_window in squares.items():
        # The frames at the end may all have been in the last window.
        if in_window.keys() - results[region].keys():
            _restore(in_window, results[region], restore, held[ready].index, overlap)
    while held:
        yield release()


def restart(first: int, window: int, overlap: int) -> int:
    """Return the frame from which `restored` needs the frames of a video, to yield those from `first` on as if it had got all.

    `first`: the first frame of a window. Its frames are blended with those of the window before it.
    """
    return max(0, first - (window - overlap))


def _square(region: Region, frame: VideoFrame) -> np.ndarray | None:
    """Return the crop of `frame` as a restorer gets it; None for a frame that cannot be decoded."""
    if frame.picture is None:
        return None
    if frame.size[::-1] != region.size:
        raise Failed("frame of another size", f"{frame.size[::-1]} pixels, the region has {region.size}")
    index = frame.index - region.first
    return region.fit.square(frame.image(region.crops[index], frame.depth), region.pads[index])


def _restore(
    squares: Mapping[int, np.ndarray | None], results: dict[int, np.ndarray], restore: Restore, start: int, overlap: int
) -> None:
    """Restore the `squares` of a window that begins at frame `start`, and blend them with the `results` of the last one.

    A frame that cannot be decoded has the square of the nearest frame of the window before it or, if there is none, after it.
    """
    known = [index for index, square in squares.items() if square is not None]
    if not known:
        return
    nearest = (max((other for other in known if other <= index), default=known[0]) for index in squares)
    clip = np.stack(_alike(*(square for other in nearest if (square := squares[other]) is not None)))
    # Restorers compare neighbouring frames, and need at least two.
    made = restore(clip if len(clip) > 1 else clip.repeat(2, axis=0))
    for index, image in zip(squares, made, strict=False):
        if index in results:
            fraction = np.float32((index - start + 1) / (overlap + 1))
            last, image = _alike(results[index], image)
            image = np.rint(last + (image.astype(np.float32) - last) * fraction).astype(image.dtype)
        results[index] = image


def _alike(*images: np.ndarray) -> list[np.ndarray]:
    """Return `images`, uint8 or uint16, as uint16 if one of them is: a video may change its depth."""
    deepest = np.result_type(*images)
    return [image if image.dtype == deepest else image * np.uint16(257) for image in images]


def _patch(region: Region, square: np.ndarray, index: int, feather: float) -> Patch:
    """Return the restored `square` of `region` as it is blended into frame `index`."""
    position = index - region.first
    crop, mask = region.crops[position], decode_patch(region.masks[position], *region.size)
    left, top, right, bottom = crop
    width = max(1, round(max(right - left, bottom - top) * feather / 2))
    # Beyond the soft edge, nothing is blended. Even corners keep the pixels of subsampled chroma whole.
    x0, y0 = (max(low, (edge - 2 * width) // 2 * 2) for low, edge in zip(crop[:2], mask.box[:2], strict=True))
    x1, y1 = (min(high, -(-(edge + 2 * width) // 2) * 2) for high, edge in zip(crop[2:], mask.box[2:], strict=True))
    image = region.fit.crop(square, region.pads[position])[y0 - top : y1 - top, x0 - left : x1 - left]
    return Patch(crop, (x0, y0, x1, y1), image, soften(mask.inside((x0, y0, x1, y1)), width))


def soften(mask: np.ndarray, width: int) -> np.ndarray:
    """Return weights of `mask`, uint8 (H, W), 0 or 255: 1 inside, falling to 0 at twice `width` pixels from it; float32 (H, W).

    At the border of the mask, they are as if the mask went on.
    """
    import cv2

    side = 2 * width + 1
    grown = cv2.dilate(mask, np.ones((side, side), np.uint8))
    return cv2.blur(grown.astype(np.float32) / 255, (side, side), borderType=cv2.BORDER_REPLICATE)
