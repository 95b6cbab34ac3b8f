"""Blocks: a region of an image is flattened, to one grid for as many images as there are.

The types of mosaics and their values are those of Lada 0.11 (https://github.com/ladaapp/lada) and DeepMosaics before it, but
where those are wrong:

- A block has at least 2 pixels a side; there, 1 leaves the image as it is, and 0 ends in an error.
- A block that the border of the image cuts is decided, and coloured, by its pixels inside; there, by its middle even where that
  lies outside, so that a strip along the border stays clear, and by pixels mirrored at the border.
- A mean is rounded to the nearest value and a tie to the even one, as NumPy and OpenCV round: in sum nothing gets lighter or
  darker. There it is cut off, which darkens every mosaic by half a level. So is the blend of a soft edge.
- A feather of 0 is none; there, it is one as wide as a block.
- The mask says where a mosaic is to be seen; there, also where a soft edge has left next to nothing of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tessera.imaging.mosaic.settings import MIN_BLOCK, Type

BAND = 32  # rows


@dataclass(frozen=True)
class Mosaic:
    """How a region is flattened; everything in pixels.

    A block of `squa_mid` takes the colour of its middle pixel, one of `squa_avg` and `rect_avg` the mean of its pixels.
    """

    type: Type
    width: int  # of a block
    height: int
    feather: int = 0  # width of the soft edge along the outline of the region; 0: none
    dilation: int = 0  # by which the region grows on every side
    origin: tuple[int, int] = (0, 0)  # x and y of a corner of a block; the grid runs on from there on all sides
    incomplete: bool = False  # blocks end at the outline of the region; else they are whole, where their middle lies inside

    def __post_init__(self) -> None:
        if min(self.width, self.height) < MIN_BLOCK or min(self.feather, self.dilation) < 0:
            raise ValueError(f"blocks have at least {MIN_BLOCK} pixels a side, feather and dilation at least 0: {self}")
        if self.type != "rect_avg" and self.width != self.height:
            raise ValueError(f"blocks of {self.type} are square: {self}")


def pixelate(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return `image` with the region `mask` flattened to the blocks of `mosaic`.

    `image`: uint8 (H, W, 3), RGB. `mask`: uint8 (H, W), 0 or 255. The inputs are not changed. Raises `ValueError` where the
    shapes differ.
    """
    result = image.copy()
    _flatten(result, mask, mosaic)
    return result


def pixelate_clip(
    frames: np.ndarray, masks: np.ndarray, mosaic: Mosaic, moves: Sequence[tuple[int, int]] | None = None
) -> np.ndarray:
    """Return the clip `frames` with the regions `masks` flattened as `pixelate` does, all to one grid.

    `frames`: uint8 (T, H, W, 3), RGB. `masks`: uint8 (T, H, W), 0 or 255. Where the frames are crops that move, the grid moves
    along, unless `moves` has the x and y by which each has moved away from the one that `mosaic` was drawn for.
    """
    result = frames.copy()
    x, y = mosaic.origin
    for frame, mask, (right, down) in zip(result, masks, moves or [(0, 0)] * len(frames), strict=True):
        _flatten(frame, mask, replace(mosaic, origin=(x - right, y - down)))
    return result


def mosaic_mask(mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return where `pixelate` shows the mosaic rather than the image: uint8 (H, W), 0 or 255.

    Every pixel that it flattens, and of a feathered edge those that are more of the mosaic than of the image.
    """
    import cv2

    shown: np.ndarray = cv2.threshold(_weigh(mask, mosaic), 127, 255, cv2.THRESH_BINARY)[1]
    return shown


def whole_blocks(shown: np.ndarray, mosaic: Mosaic) -> int:
    """Return how many blocks of `mosaic` lie wholly within `shown`, what `mosaic_mask` returns."""
    import cv2

    height, width = shown.shape
    rows, columns = _lines(mosaic.origin[1], mosaic.height, 0, height), _lines(mosaic.origin[0], mosaic.width, 0, width)
    rows, columns = rows[(rows >= 0) & (rows <= height)], columns[(columns >= 0) & (columns <= width)]
    return int((_sums(cv2.integral(shown // 255), rows, columns) == mosaic.width * mosaic.height).sum())


def _flatten(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> None:
    """Do to `image` itself what `pixelate` does."""
    import cv2

    if image.shape[:2] != mask.shape:
        raise ValueError(f"the image has {image.shape[:2]} pixels, its mask {mask.shape}")
    height, width = mask.shape
    weight = _weigh(mask, mosaic)
    x, y, across, down = cv2.boundingRect(weight)
    if not across:
        return
    # What lies outside the blocks that are touched is not looked at.
    rows, columns = _lines(mosaic.origin[1], mosaic.height, y, y + down), _lines(mosaic.origin[0], mosaic.width, x, x + across)
    top, left = rows.clip(0, height), columns.clip(0, width)
    place = slice(top[0], top[-1]), slice(left[0], left[-1])
    if mosaic.type == "squa_mid":
        colours = _at(image, _middles(rows, mosaic.height, height), _middles(columns, mosaic.width, width))
    else:
        colours = _means(image[place], top - top[0], left - left[0])
    colours, of_row = colours.repeat(np.diff(left), axis=1), np.arange(len(colours)).repeat(np.diff(top))
    image, weight = image[place], weight[place]
    # By bands that fit the cache of the processor.
    for first in range(0, len(image), BAND):
        band = slice(first, first + BAND)
        flat = colours.take(of_row[band], axis=0)
        if mosaic.feather:
            image[band] = _blend(image[band], flat, weight[band])
        else:
            cv2.copyTo(flat, weight[band], image[band])


def _weigh(mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Return how much of the mosaic each pixel takes, the rest being of the image: uint8 (H, W), 255 is all."""
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
    """Return the lines between blocks from the last one that is not above `low` to the first one not below `high`."""
    return np.arange(low - (low - origin) % side, high + side, side)


def _middles(lines: np.ndarray, side: int, length: int) -> np.ndarray:
    """Return the pixel in the middle of each block, or the nearest one within `length` pixels."""
    return (lines[:-1] + side // 2).clip(0, length - 1)


def _means(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the mean of each block of `image` between the lines `rows` and `columns`: uint8 (blocks, blocks, 3)."""
    import cv2

    # Exact in either; integers are faster, but must hold the sum of the whole image.
    depth = cv2.CV_32S if image.size // 3 * 255 < 2**31 else cv2.CV_64F
    sums = _sums(cv2.integral(image, sdepth=depth), rows, columns)
    means: np.ndarray = np.rint(sums / np.outer(np.diff(rows), np.diff(columns))[..., None])
    return means.astype(np.uint8)


def _sums(integral: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the sum over each block between the lines `rows` and `columns`."""
    return np.diff(np.diff(_at(integral, rows, columns), axis=0), axis=1)


def _at(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the pixels of `image` where `rows` and `columns` cross; faster than by `numpy.ix_`."""
    crossings: np.ndarray = image.take(rows, axis=0).take(columns, axis=1)
    return crossings


def _blend(image: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return `image` and `other` mixed, `other` by `weight` / 255, rounded to the nearest value; there is never a tie."""
    import cv2

    share = cv2.merge([weight] * 3).astype(np.uint16)
    mixed: np.ndarray = (image * (255 - share) + other * share + 127) // 255
    return mixed
