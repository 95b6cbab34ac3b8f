"""Pixelate regions of images and clips to a grid of blocks.

The types of mosaics and their values are those of Lada 0.11 (https://github.com/ladaapp/lada), which took them from
DeepMosaics. They differ from Lada where Lada has a bug:

- Blocks have at least 2 pixels per side. In Lada, 1 leaves the image unchanged, and 0 ends in an error.
- If the border of the image cuts a block, only its pixels inside decide whether it is pixelated, and with which colour. Lada
  uses the middle of the block even if it lies outside, so that a strip along the border stays clear, and takes colours from
  pixels mirrored at the border.
- Means are rounded to the nearest level, and ties to the even one, as in NumPy and OpenCV: on average the image gets neither
  lighter nor darker. Lada truncates means and the blend of a soft edge, which darkens every mosaic by half a level.
- A feather of 0 means no feather. In Lada, it means one as wide as a block.
- The mask covers the pixels where the mosaic is visible. In Lada, it also covers pixels of a soft edge with almost no mosaic.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tessera.imaging.mosaic.settings import MIN_BLOCK, Type

BAND = 2**18  # bytes

_local = threading.local()


@dataclass(frozen=True)
class Mosaic:
    """How a region is pixelated; all lengths are in pixels.

    A block of `squa_mid` takes the colour of its middle pixel; a block of `squa_avg` and `rect_avg` the mean of its pixels.
    """

    type: Type
    width: int  # of a block
    height: int  # of a block
    feather: int = 0  # width of the soft edge along the outline of the region; 0: none
    dilation: int = 0  # by which the region grows on every side
    origin: tuple[int, int] = (0, 0)  # x and y of the corner of any block; the grid extends from it in all directions
    incomplete: bool = False  # True: the outline of the region cuts blocks; False: only whole blocks whose middle is inside

    def __post_init__(self) -> None:
        if min(self.width, self.height) < MIN_BLOCK or min(self.feather, self.dilation) < 0:
            raise ValueError(f"blocks need {MIN_BLOCK} pixels or more per side, feather and dilation 0 or more: {self}")
        if self.type != "rect_avg" and self.width != self.height:
            raise ValueError(f"blocks of {self.type} must be square: {self}")


def pixelate(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return `image` with the region `mask` pixelated to the blocks of `mosaic`.

    `image`: uint8 (H, W, 3), RGB. `mask`: uint8 (H, W), 0 or 255. The inputs are not changed. Raises `ValueError` if their
    shapes differ.
    """
    result = image.copy()
    _draw(result, mosaic, *_weigh(mask, mosaic))
    return result


def pixelate_clip(
    frames: np.ndarray, masks: np.ndarray, mosaic: Mosaic, moves: Sequence[tuple[int, int]] | None = None
) -> np.ndarray:
    """Return the clip `frames` with the regions `masks` pixelated to one grid; see `pixelate`.

    `frames`: uint8 (T, H, W, 3), RGB. `masks`: uint8 (T, H, W), 0 or 255. `moves`: if the frames are crops that move, the
    offset x and y, in pixels, of each crop from the crop for which `mosaic` was drawn, so that the grid stays still in the
    footage. Without it, the grid moves with the crops.
    """
    result = frames.copy()
    x, y = mosaic.origin
    for frame, mask, (right, down) in zip(result, masks, moves or [(0, 0)] * len(frames), strict=True):
        cover(frame, mask, replace(mosaic, origin=(x - right, y - down)))
    return result


def cover(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Pixelate the region `mask` of `image` in place, and return `mosaic_mask(mask, mosaic)`; see `pixelate`."""
    rows, columns, weight = _weigh(mask, mosaic)
    _draw(image, mosaic, rows, columns, weight)
    return _shown(mosaic, rows, columns, weight)


def mosaic_mask(mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return where `pixelate` shows the mosaic rather than the image: uint8 (H, W), 0 or 255.

    These are the pixelated pixels; in a feathered edge, only pixels in which the mosaic has the greater weight.
    """
    return _shown(mosaic, *_weigh(mask, mosaic))


def whole_blocks(shown: np.ndarray, mosaic: Mosaic) -> int:
    """Return the number of blocks of `mosaic` that lie entirely within `shown`, the result of `mosaic_mask`."""
    rows, columns = _grid(shown, mosaic)
    sums = _sums(_whole(shown, rows, columns)[..., None], rows, columns)
    return int((sums == 255 * mosaic.width * mosaic.height).sum())


class _Blocks(NamedTuple):
    """The blocks along one axis of an image."""

    first: int  # pixel at which the first block begins; negative if the border of the image cuts it
    side: int  # of a block, in pixels
    length: int  # of the image, in pixels
    middles: np.ndarray  # the middle pixel of each block; the nearest one in the image if it lies outside

    def part(self, start: int, stop: int) -> "_Blocks":
        """Return the blocks from number `start` to the one before number `stop`."""
        return _Blocks(self.first + start * self.side, self.side, self.length, self.middles[start:stop])

    def touching(self, low: int, high: int) -> "_Blocks":
        """Return the blocks that hold the pixels from `low` to the one before `high`."""
        return self.part((low - self.first) // self.side, -(-(high - self.first) // self.side))

    @property
    def last(self) -> int:
        """The pixel at which the last block ends; beyond the image if its border cuts the block."""
        return self.first + self.side * len(self.middles)

    @property
    def inside(self) -> slice:
        """The pixels of the blocks in the image."""
        return slice(max(0, self.first), min(self.length, self.last))

    @property
    def cut(self) -> tuple[int, int]:
        """The numbers of pixels before and behind the image."""
        return max(0, -self.first), max(0, self.last - self.length)

    @property
    def lengths(self) -> np.ndarray:
        """The number of pixels of each block that are in the image."""
        lengths = np.full(len(self.middles), self.side)
        before, behind = self.cut
        lengths[0] -= before
        lengths[-1] -= behind
        return lengths


@lru_cache(256)  # the frames of a clip have few different grids
def _along(origin: int, side: int, length: int) -> _Blocks:
    """Return all blocks along an axis of `length` pixels. One of them begins at `origin`, which is less than `side`."""
    first = origin - side if origin else 0
    middles = np.arange(first + side // 2, length + side // 2, side)[: -(-(length - first) // side)].clip(0, length - 1)
    return _Blocks(first, side, length, middles)


def _grid(mask: np.ndarray, mosaic: Mosaic) -> tuple[_Blocks, _Blocks]:
    """Return all rows and columns of blocks."""
    (height, width), (x, y) = mask.shape, mosaic.origin
    return _along(y % mosaic.height, mosaic.height, height), _along(x % mosaic.width, mosaic.width, width)


def _weigh(mask: np.ndarray, mosaic: Mosaic) -> tuple[_Blocks, _Blocks, np.ndarray]:
    """Return the rows and columns of blocks that the region touches, and the weight of the mosaic at their pixels.

    It is uint8, from 0, only the image, to 255, only the mosaic. Everywhere else it is 0.
    """
    import cv2

    if mosaic.dilation:
        mask = cv2.dilate(mask, np.ones((2 * mosaic.dilation + 1,) * 2, np.uint8))
    rows, columns = _grid(mask, mosaic)
    if mosaic.incomplete:
        x, y, across, down = cv2.boundingRect(mask)
        rows, columns = rows.touching(y, y + down), columns.touching(x, x + across)
        weight = mask[rows.inside, columns.inside]
    else:
        chosen = _at(mask, rows.middles, columns.middles)
        x, y, across, down = cv2.boundingRect(chosen)
        rows, columns = rows.part(y, y + down), columns.part(x, x + across)
        strips = chosen[y : y + down, x : x + across].repeat(columns.side, axis=1)
        weight = _within(_stack(strips, rows.side, "weight"), rows, columns)
    if mosaic.feather and weight.size:
        soft = _blur(mask, mosaic.feather, rows.inside, columns.inside)
        weight = cv2.bitwise_and(weight, soft)
    return rows, columns, weight


def _blur(mask: np.ndarray, side: int, rows: slice, columns: slice) -> np.ndarray:
    """Return the pixels at `rows` and `columns` of `mask` blurred with a square of `side` pixels."""
    import cv2

    # Only what these pixels need. Behind a border of the image, OpenCV mirrors it.
    top, left = max(0, rows.start - side), max(0, columns.start - side)
    around = mask[top : rows.stop + side, left : columns.stop + side]
    if cv2.countNonZero(around) == around.size:
        return mask[rows, columns]
    near = cv2.blur(around, (side, side), dst=_memory("blur", around.shape))
    return near[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _draw(image: np.ndarray, mosaic: Mosaic, rows: _Blocks, columns: _Blocks, weight: np.ndarray) -> None:
    """Draw the blocks at `rows` and `columns` on `image` with the opacity `weight`, the results of `_weigh`."""
    import cv2

    if image.shape[:2] != (rows.length, columns.length):
        raise ValueError(
            f"the shape of the image is {image.shape[:2]}, but the shape of its mask is {rows.length, columns.length}"
        )
    if not weight.size:
        return
    inside = image[rows.inside, columns.inside]
    colours = _at(image, rows.middles, columns.middles) if mosaic.type == "squa_mid" else _means(inside, rows, columns)
    strips = _strips(colours, columns)
    # In bands of blocks that fit into the cache of the processor.
    count = max(1, BAND // (strips[0].size * rows.side))
    for start in range(0, len(strips), count):
        band = rows.part(start, start + count)
        flat = _within(_stack(strips[start : start + count], rows.side, "flat"), band, columns)
        place = slice(band.inside.start - rows.inside.start, band.inside.stop - rows.inside.start)
        if mosaic.feather and cv2.countNonZero(cv2.inRange(weight[place], 1, 254)):
            _blend(inside[place], flat, weight[place])
        else:
            cv2.copyTo(flat, weight[place], inside[place])


def _shown(mosaic: Mosaic, rows: _Blocks, columns: _Blocks, weight: np.ndarray) -> np.ndarray:
    """Return `mosaic_mask` for the results of `_weigh`."""
    import cv2

    shown = np.zeros((rows.length, columns.length), np.uint8)
    if weight.size:
        more = cv2.threshold(weight, 127, 255, cv2.THRESH_BINARY)[1] if mosaic.feather else weight
        shown[rows.inside, columns.inside] = more
    return shown


def _means(image: np.ndarray, rows: _Blocks, columns: _Blocks) -> np.ndarray:
    """Return the mean of each block, for the pixels `image` of `rows` and `columns`: uint8 (blocks, blocks, 3)."""
    sums, pixels = _sums(_whole(image, rows, columns), rows, columns), np.array(rows.side * columns.side)
    if any(rows.cut) or any(columns.cut):
        pixels = np.outer(rows.lengths, columns.lengths)[..., None]
    means: np.ndarray = np.rint(sums / pixels).astype(np.uint8)
    return means


def _whole(image: np.ndarray, rows: _Blocks, columns: _Blocks) -> np.ndarray:
    """Return the pixels `image` of `rows` and `columns` with zeros for the pixels of these blocks outside the image."""
    import cv2

    cut = *rows.cut, *columns.cut
    return cv2.copyMakeBorder(image, *cut, cv2.BORDER_CONSTANT, value=0) if any(cut) else image


def _sums(image: np.ndarray, rows: _Blocks, columns: _Blocks) -> np.ndarray:
    """Return the sum of each block of `image`, uint8 (H, W, C), which holds whole blocks: int64 (blocks, blocks, C)."""
    import cv2

    count, across, channels = len(rows.middles), image.shape[1], image.shape[2]
    # The sums over columns of pixels are the bulk of the work, which NumPy does fastest in small integers.
    depth = np.uint16 if rows.side * 255 < 2**16 else np.int32
    sums = np.add.reduce(image.reshape(count, rows.side, across * channels), axis=1, dtype=depth)
    # NumPy adds rows far faster than columns.
    sums = cv2.transpose(sums.reshape(count, across, channels)).reshape(-1, columns.side, count * channels)
    turned = np.add.reduce(sums, axis=1, dtype=np.int64)
    return np.asarray(turned.reshape(-1, count, channels).swapaxes(0, 1))


def _strips(colours: np.ndarray, columns: _Blocks) -> np.ndarray:
    """Return one row of pixels for each row of blocks of `colours`, uint8 (blocks, blocks, 3): uint8 (blocks, W, 3)."""
    import cv2

    # NumPy repeats numbers of four bytes far faster than three bytes.
    numbers = cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA).view(np.uint32).repeat(columns.side, axis=1)
    strips: np.ndarray = cv2.cvtColor(numbers.view(np.uint8), cv2.COLOR_RGBA2RGB)
    return strips


def _stack(strips: np.ndarray, side: int, use: str) -> np.ndarray:
    """Return each of `strips`, uint8 (blocks, W) or (blocks, W, 3), repeated `side` times, in the memory for `use`."""
    blocks = _memory(use, (len(strips), side, *strips.shape[1:]))
    blocks[:] = strips[:, None]
    return blocks.reshape(len(strips) * side, *strips.shape[1:])


def _memory(use: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return memory of `shape` for `use`, uint8. This thread keeps it, because new memory is slower than the work on it."""
    size, memory = math.prod(shape), getattr(_local, use, None)
    if memory is None or memory.size < size:
        memory = np.empty(size, np.uint8)
        setattr(_local, use, memory)
    shaped: np.ndarray = memory[:size].reshape(shape)
    return shaped


def _within(blocks: np.ndarray, rows: _Blocks, columns: _Blocks) -> np.ndarray:
    """Return the part of `blocks`, the pixels of whole blocks, that is in the image."""
    (top, bottom), (left, right) = rows.cut, columns.cut
    return blocks[top : len(blocks) - bottom, left : blocks.shape[1] - right]


def _at(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the pixels of `image` at which `rows` and `columns` cross; faster than `numpy.ix_`."""
    crossings: np.ndarray = image[rows].take(columns, axis=1)
    return crossings


def _blend(image: np.ndarray, other: np.ndarray, weight: np.ndarray) -> None:
    """Blend `other` into `image` with opacity `weight` / 255, rounded to the nearest level; ties cannot occur."""
    import cv2

    # Each value moves towards the other by the rounded fraction of their distance.
    step, share, low = (_memory(use, other.shape) for use in ("step", "share", "low"))
    cv2.absdiff(image, other, dst=step)
    cv2.multiply(step, cv2.cvtColor(weight, cv2.COLOR_GRAY2RGB, dst=share), dst=step, scale=1 / 255)
    cv2.max(other, cv2.subtract(image, step, dst=low), dst=low)
    cv2.min(low, cv2.add(image, step, dst=step), dst=image)
