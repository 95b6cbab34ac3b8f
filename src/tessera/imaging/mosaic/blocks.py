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

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tessera.imaging.mosaic.settings import MIN_BLOCK, Type


class Grid(NamedTuple):
    """The grid of a mosaic that was found in a frame; all lengths are in pixels.

    `evidence`: how clear it is, see `tessera.imaging.mosaic.grid`. `left`, `top`: the corner of a block. `width`, `height`: of
    all blocks; the grid extends from the corner in all directions.
    """

    evidence: float
    left: float
    top: float
    width: float
    height: float


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
    cover(result, mask, mosaic)
    return result


def cover(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic) -> np.ndarray:
    """Pixelate the region `mask` of `image` in place, and return where it shows the mosaic: uint8 (H, W), 0 or 255.

    These are the pixelated pixels; in a feathered edge, only pixels in which the mosaic has the greater weight. See `pixelate`.
    """
    import cv2

    from tessera.imaging.mosaic.kernel import draw

    if image.shape[:2] != mask.shape:
        raise ValueError(f"the shape of the image is {image.shape[:2]}, but the shape of its mask is {mask.shape}")
    if mosaic.dilation:
        mask = cv2.dilate(mask, np.ones((2 * mosaic.dilation + 1,) * 2, np.uint8))
    (height, width), (x, y) = mask.shape, mosaic.origin
    # A window of one pixel lets the mask itself cut the blocks.
    side = mosaic.feather or int(mosaic.incomplete)
    rows, columns = _axis(height, y % mosaic.height, mosaic.height, side), _axis(width, x % mosaic.width, mosaic.width, side)
    shown = np.zeros((height, width), np.uint8)
    # The compiled code takes contiguous arrays, which a crop of a frame is not.
    covered, region = np.ascontiguousarray(image), np.ascontiguousarray(mask)
    draw(covered.reshape(height, -1), shown, region, _levels(side), rows, columns, mosaic.type == "squa_mid", mosaic.incomplete)
    if covered is not image:
        image[:] = covered
    return shown


def whole_blocks(shown: np.ndarray, mosaic: Mosaic) -> int:
    """Return the number of blocks of `mosaic` that lie entirely within `shown`, the result of `cover`."""
    inside = shown[mosaic.origin[1] % mosaic.height :, mosaic.origin[0] % mosaic.width :]
    down, across = inside.shape[0] // mosaic.height, inside.shape[1] // mosaic.width
    inside = inside[: down * mosaic.height, : across * mosaic.width]
    columns = inside.reshape(down, mosaic.height, inside.shape[1]).min(axis=1)
    return int(np.count_nonzero(columns.reshape(down, across, mosaic.width).min(axis=2)))


@lru_cache(256)  # the frames of a clip have few different grids
def _axis(length: int, origin: int, block: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the description of an axis of `length` pixels for `draw`: intp, of `blocks + 1`, `blocks` and `length + side`.

    Blocks of `block` pixels begin at `origin`. The middle pixel of a block is the nearest one in the image if it lies outside.
    Behind a border of the image, windows of `side` pixels find it mirrored, as in OpenCV.
    """
    starts = np.arange(-(-origin % block), length, block)
    edges, middles = np.append(starts, length).clip(0), (starts + block // 2).clip(0, length - 1)
    return edges, middles, np.pad(np.arange(length), (side // 2, side - side // 2), mode="reflect")


@lru_cache(256)
def _levels(side: int) -> np.ndarray:
    """Return what `cv2.blur` gives for each number of pixels of 255 in a square of `side` pixels: uint8."""
    import cv2

    # A window of as many pixels slides from zeros into pixels of 255. So rounding is OpenCV's own.
    area = max(1, side**2)
    step = np.repeat(np.array([[0, 255]], np.uint8), area, axis=1)
    return np.ascontiguousarray(cv2.blur(step, (area, 1))[0, area // 2 :][: area + 1])
