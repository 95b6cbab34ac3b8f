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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tessera.imaging.mosaic.settings import MIN_BLOCK, Type

BAND = 32  # rows


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
    _flatten(result, mask, mosaic)
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
        _flatten(frame, mask, replace(mosaic, origin=(x - right, y - down)))
    return result


def mosaic_mask(mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return where `pixelate` shows the mosaic rather than the image: uint8 (H, W), 0 or 255.

    These are the pixelated pixels; in a feathered edge, only pixels in which the mosaic has the greater weight.
    """
    import cv2

    shown: np.ndarray = cv2.threshold(_weigh(mask, mosaic), 127, 255, cv2.THRESH_BINARY)[1]
    return shown


def whole_blocks(shown: np.ndarray, mosaic: Mosaic) -> int:
    """Return the number of blocks of `mosaic` that lie entirely within `shown`, the result of `mosaic_mask`."""
    import cv2

    height, width = shown.shape
    rows, columns = _lines(mosaic.origin[1], mosaic.height, 0, height), _lines(mosaic.origin[0], mosaic.width, 0, width)
    rows, columns = rows[(rows >= 0) & (rows <= height)], columns[(columns >= 0) & (columns <= width)]
    return int((_sums(cv2.integral(shown // 255), rows, columns) == mosaic.width * mosaic.height).sum())


def _flatten(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> None:
    """Pixelate `image` in place; see `pixelate`."""
    import cv2

    if image.shape[:2] != mask.shape:
        raise ValueError(f"the shape of the image is {image.shape[:2]}, but the shape of its mask is {mask.shape}")
    height, width = mask.shape
    weight = _weigh(mask, mosaic)
    x, y, across, down = cv2.boundingRect(weight)
    if not across:
        return
    # Only the blocks that touch the region are processed.
    rows, columns = _lines(mosaic.origin[1], mosaic.height, y, y + down), _lines(mosaic.origin[0], mosaic.width, x, x + across)
    top, left = rows.clip(0, height), columns.clip(0, width)
    place = slice(top[0], top[-1]), slice(left[0], left[-1])
    if mosaic.type == "squa_mid":
        colours = _at(image, _middles(rows, mosaic.height, height), _middles(columns, mosaic.width, width))
    else:
        colours = _means(image[place], top - top[0], left - left[0])
    colours, of_row = colours.repeat(np.diff(left), axis=1), np.arange(len(colours)).repeat(np.diff(top))
    image, weight = image[place], weight[place]
    # In bands of rows that fit into the cache of the processor.
    for first in range(0, len(image), BAND):
        band = slice(first, first + BAND)
        flat = colours.take(of_row[band], axis=0)
        if mosaic.feather:
            image[band] = _blend(image[band], flat, weight[band])
        else:
            cv2.copyTo(flat, weight[band], image[band])


def _weigh(mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return the weight of the mosaic at each pixel: uint8 (H, W), from 0, only the image, to 255, only the mosaic."""
    import cv2

    if mosaic.dilation:
        mask = cv2.dilate(mask, np.ones((2 * mosaic.dilation + 1,) * 2, np.uint8))
    flattened: np.ndarray = mask
    if not mosaic.incomplete:
        height, width = mask.shape
        rows, columns = _lines(mosaic.origin[1], mosaic.height, 0, height), _lines(mosaic.origin[0], mosaic.width, 0, width)
        chosen = _at(mask, _middles(rows, mosaic.height, height), _middles(columns, mosaic.width, width))
        flattened = chosen.repeat(np.diff(columns.clip(0, width)), axis=1).repeat(np.diff(rows.clip(0, height)), axis=0)
    if mosaic.feather:
        flattened = flattened & cv2.blur(mask, (mosaic.feather, mosaic.feather))
    return flattened


def _lines(origin: int, side: int, low: int, high: int) -> np.ndarray:
    """Return the grid lines from the last one at or below the coordinate `low` to the first one at or above `high`."""
    return np.arange(low - (low - origin) % side, high + side, side)


def _middles(lines: np.ndarray, side: int, length: int) -> np.ndarray:
    """Return the coordinate of the middle pixel of each block, clipped to an image of `length` pixels."""
    return (lines[:-1] + side // 2).clip(0, length - 1)


def _means(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the mean of each block of `image` between the lines `rows` and `columns`: uint8 (blocks, blocks, 3)."""
    import cv2

    # Both types are exact. Integers are faster, but must be able to hold the sum over the whole image.
    depth = cv2.CV_32S if image.size // 3 * 255 < 2**31 else cv2.CV_64F
    sums = _sums(cv2.integral(image, sdepth=depth), rows, columns)
    means: np.ndarray = np.rint(sums / np.outer(np.diff(rows), np.diff(columns))[..., None])
    return means.astype(np.uint8)


def _sums(integral: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the sum over each block between the lines `rows` and `columns`, from an integral image."""
    return np.diff(np.diff(_at(integral, rows, columns), axis=0), axis=1)


def _at(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the pixels of `image` at which `rows` and `columns` cross; faster than `numpy.ix_`."""
    crossings: np.ndarray = image.take(rows, axis=0).take(columns, axis=1)
    return crossings


def _blend(image: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Blend `other` into `image` with opacity `weight` / 255, rounded to the nearest level; ties cannot occur."""
    import cv2

    share = cv2.merge([weight] * 3).astype(np.uint16)
    mixed: np.ndarray = (image * (255 - share) + other * share + 127) // 255
    return mixed
