"""Restore the regions of a video in overlapping windows, with any method, and blend them back.

Windows lie on one grid over the frames of the video: each has `window` frames, of which it shares `overlap` with the next. In
shared frames, the results of both are blended, so that they do not differ visibly where one window ends. At most one window of
frames is held, however long the video is. A region never extends beyond a cut, so no window mixes two shots.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from tessera.core.errors import Failed
from tessera.imaging.crops import Crop, Fit, Pad
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import Patch as Mask
from tessera.imaging.masks import decode_patch

if TYPE_CHECKING:
    import polars as pl

Seen = TypeVar("Seen")
Result = TypeVar("Result")


class Method(Protocol[Seen, Result]):
    """A way to restore regions. A frame of a region is looked at, restored in a window with others, and then drawn."""

    def look(self, region: "Region", frame: VideoFrame) -> Seen:
        """Return what is needed of a `frame`, which can be decoded, to restore others."""

    def restore(self, window: Sequence[Seen]) -> Sequence[Result]:
        """Return what was restored of each frame of a `window`."""

    def blend(self, last: Result, result: Result, fraction: float) -> Result:
        """Return what is between two results of one frame: `last` at the `fraction` 0, and `result` at 1."""

    def draw(self, region: "Region", frame: VideoFrame, result: Result) -> tuple[np.ndarray, Mask]:
        """Return the crop of `region` in `frame`, restored, uint8 or uint16 (h, w, 3), RGB, and the mask of what changed."""


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

    def mask(self, index: int) -> Mask:
        """Return its mask in the frame of this index."""
        return decode_patch(self.masks[index - self.first], *self.size)


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
    frames: Iterable[VideoFrame],
    regions: Sequence[Region],
    method: Method[Seen, Result],
    *,
    window: int,
    overlap: int,
    feather: float,
) -> Iterator[tuple[VideoFrame, list[Patch]]]:
    """Yield each of `frames` with the patches of the `regions` that it shows, restored by `method`.

    `frames`: all frames of a video, or those from `restart` on. Those that cannot be decoded have no patches. `feather`: the
    width of the soft edge around a region, as a fraction of the longer side of its crop. Raises `Failed` if a frame has another
    size than its region.
    """
    coming = sorted(regions, key=lambda region: region.first, reverse=True)
    held: deque[VideoFrame] = deque()
    seen: dict[Region, dict[int, Seen | None]] = {}  # of the frames in the current window; None: cannot be decoded
    results: dict[Region, dict[int, Result]] = {}
    ready = 0  # the number of frames at the front whose results are final

    def release() -> tuple[VideoFrame, list[Patch]]:
        """Return the first frame that is held."""
        frame = held.popleft()
        shown = [(region, result.pop(frame.index)) for region, result in results.items() if frame.index in result]
        for region in [region for region in results if frame.index + 1 >= region.stop]:
            del seen[region], results[region]
        if frame.picture is None:
            return frame, []
        crops = ((region.crops[frame.index - region.first], *method.draw(region, frame, result)) for region, result in shown)
        return frame, [_patch(*each, feather) for each in crops]

    for frame in frames:
        held.append(frame)
        while coming and coming[-1].first <= frame.index:
            region = coming.pop()
            if frame.index < region.stop:
                seen[region], results[region] = {}, {}
        for region, in_window in seen.items():
            if frame.index < region.stop:
                in_window[frame.index] = _look(method, region, frame)
        if len(held) - ready == window:
            start = held[ready].index
            ready += window - overlap
            for region, in_window in seen.items():
                _restore(in_window, results[region], method, start, overlap)
                seen[region] = {index: each for index, each in in_window.items() if index >= start + window - overlap}
        # One for one, and not all at once, so that who gets the frames works while the next window is read.
        if ready:
            ready -= 1
            yield release()
    for region, in_window in seen.items():
        # The frames at the end may all have been in the last window.
        if in_window.keys() - results[region].keys():
            _restore(in_window, results[region], method, held[ready].index, overlap)
    while held:
        yield release()


def restart(first: int, window: int, overlap: int) -> int:
    """Return the frame from which `restored` needs the frames of a video, to yield those from `first` on as if it had got all.

    `first`: the first frame of a window. Its frames are blended with those of the window before it.
    """
    return max(0, first - (window - overlap))


def _look(method: Method[Seen, Result], region: Region, frame: VideoFrame) -> Seen | None:
    """Return what is seen of `frame`; None for a frame that cannot be decoded."""
    if frame.picture is None:
        return None
    if frame.size[::-1] != region.size:
        raise Failed("frame of another size", f"{frame.size[::-1]} pixels, the region has {region.size}")
    return method.look(region, frame)


def _restore(
    seen: Mapping[int, Seen | None], results: dict[int, Result], method: Method[Seen, Result], start: int, overlap: int
) -> None:
    """Restore what was `seen` in a window that begins at frame `start`, and blend it with the `results` of the last one.

    A frame that cannot be decoded counts as the nearest frame of the window before it or, if there is none, after it.
    """
    known = [index for index, each in seen.items() if each is not None]
    if not known:
        return
    nearest = (max((other for other in known if other <= index), default=known[0]) for index in seen)
    made = method.restore([each for other in nearest if (each := seen[other]) is not None])
    for index, result in zip(seen, made, strict=True):
        if index in results:
            result = method.blend(results[index], result, (index - start + 1) / (overlap + 1))
        results[index] = result


def _patch(crop: Crop, restored_crop: np.ndarray, mask: Mask, feather: float) -> Patch:
    """Return the `restored_crop` at `crop` as it is blended into the frame where `mask` is, with a soft edge."""
    left, top, right, bottom = crop
    width = max(1, round(max(right - left, bottom - top) * feather / 2))
    # Beyond the soft edge, nothing is blended. Even corners keep the pixels of subsampled chroma whole.
    x0, y0 = (max(low, (edge - 2 * width) // 2 * 2) for low, edge in zip(crop[:2], mask.box[:2], strict=True))
    x1, y1 = (min(high, -(-(edge + 2 * width) // 2) * 2) for high, edge in zip(crop[2:], mask.box[2:], strict=True))
    image = restored_crop[y0 - top : y1 - top, x0 - left : x1 - left]
    return Patch(crop, (x0, y0, x1, y1), image, soften(mask.inside((x0, y0, x1, y1)), width))


def soften(mask: np.ndarray, width: int) -> np.ndarray:
    """Return weights of `mask`, uint8 (H, W), 0 or 255: 1 inside, falling to 0 at twice `width` pixels from it; float32 (H, W).

    At the border of the mask, they are as if the mask went on.
    """
    import cv2

    side = 2 * width + 1
    grown = cv2.dilate(mask, np.ones((side, side), np.uint8))
    return cv2.blur(grown.astype(np.float32) / 255, (side, side), borderType=cv2.BORDER_REPLICATE)
