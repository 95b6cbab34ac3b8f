"""Read the means of the blocks of a mosaic in a frame, and draw a finer picture in their place.

Both work on a picture of `SIDE` by `SIDE` pixels a block: more detail than that can hardly be told from means.
"""

from math import ceil, floor
from typing import NamedTuple

import cv2
import numpy as np

from tessera.imaging.crops import Crop
from tessera.imaging.images import resize
from tessera.imaging.mosaic.blocks import Grid

SIDE = 4  # pixels of a block in the finer picture
FLAT = 12  # levels; the pixels in the middle of a block differ by less, even if it was compressed
BESIDE = 2  # blocks around an outline that may belong to the mosaic, too: outlines are inexact


class Span(NamedTuple):
    """Blocks along an axis, from number `first` up to `stop`, which lie at the pixels from `begin` to `end` of the frame."""

    first: int
    stop: int
    begin: int
    end: int

    def within(self, other: "Span") -> slice:
        """Return where these blocks are among those of `other`."""
        return slice(self.first - other.first, self.stop - other.first)


class Blocks(NamedTuple):
    """The blocks of a part of a frame, (h, w), and its pixels, `SIDE` by `SIDE` a block.

    `picture`: uint8 or uint16 (h * `SIDE`, w * `SIDE`, 3), RGB. `means`: float32 (h, w, 3), from 0 to 255. `flat`: bool (h, w),
    which blocks have one colour, as those of a mosaic do.
    """

    across: Span
    down: Span
    picture: np.ndarray
    means: np.ndarray
    flat: np.ndarray

    def part(self, box: Crop, grid: Grid) -> "Blocks":
        """Return the blocks that cover `box`, x0, y0, x1, y1 in pixels of the frame, of a larger part of the frame."""
        across, down = spans(box, grid)
        rows, columns = down.within(self.down), across.within(self.across)
        fine = slice(rows.start * SIDE, rows.stop * SIDE), slice(columns.start * SIDE, columns.stop * SIDE)
        return Blocks(across, down, self.picture[fine], self.means[rows, columns], self.flat[rows, columns])

    def filled(self, finer: np.ndarray) -> "Blocks":
        """Return the blocks with `finer` in the flat ones: float32, from 0 to 255, of the shape of their picture."""
        most = np.iinfo(self.picture.dtype).max
        levels = np.rint(finer * np.float32(most / 255)).clip(0, most).astype(self.picture.dtype)
        flat = self.flat.repeat(SIDE, axis=0).repeat(SIDE, axis=1)
        return self._replace(picture=np.where(flat[:, :, None], levels, self.picture))


def spans(box: Crop, grid: Grid) -> tuple[Span, Span]:
    """Return the blocks of `grid` across and down that cover `box`, both in pixels of the frame."""
    return _span(grid.left, grid.width, box[0], box[2]), _span(grid.top, grid.height, box[1], box[3])


def read_blocks(image: np.ndarray, box: Crop, grid: Grid) -> Blocks:
    """Return the blocks of `image`, uint8 or uint16 (H, W, 3), RGB, the part `box` of a frame. `grid`: in pixels of the frame.

    Blocks that `box` cuts count as if their pixels in it went on.
    """
    across, down = spans(box, grid)
    beyond = box[1] - down.begin, down.end - box[3], box[0] - across.begin, across.end - box[2]
    height, width = down.stop - down.first, across.stop - across.first
    picture = resize(cv2.copyMakeBorder(image, *beyond, cv2.BORDER_REPLICATE), height * SIDE, width * SIDE)
    pixels = picture.reshape(height, SIDE, width, SIDE, 3).astype(np.float32) * np.float32(255 / np.iinfo(image.dtype).max)
    # The pixels at the border of a block may be mixed with those beside it.
    middle = pixels[:, 1:-1, :, 1:-1]
    whole, inner = pixels.mean(axis=(1, 3)), middle.mean(axis=(1, 3))
    varied = np.maximum(np.ptp(middle, axis=(1, 3)), np.abs(whole - inner)).max(axis=-1)
    flat = varied < FLAT
    return Blocks(across, down, picture, np.where(flat[:, :, None], inner, whole), flat)


def draw_blocks(image: np.ndarray, box: Crop, mask: np.ndarray, blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """Return `image` with the picture of `blocks` in place of its mosaic, and where it changed: uint8 (H, W), 0 or 255.

    `image`: uint8 or uint16 (H, W, 3), RGB, the part `box` of a frame, which `blocks` cover. `mask`: uint8 (H, W), not 0 where
    the mosaic is. Blocks that it touches and `BESIDE` around them change, but only flat ones.
    """
    (_, _, left, right), (_, _, top, bottom) = blocks.across, blocks.down
    height, width = blocks.flat.shape
    beyond = box[1] - top, bottom - box[3], box[0] - left, right - box[2]
    touched = resize(cv2.copyMakeBorder(mask, *beyond, cv2.BORDER_CONSTANT), height * SIDE, width * SIDE)
    touched = touched.reshape(height, SIDE, width, SIDE).max(axis=(1, 3))
    chosen = (cv2.dilate(touched, np.ones((2 * BESIDE + 1,) * 2, np.uint8)) > 0) & blocks.flat
    part = slice(beyond[0], beyond[0] + len(image)), slice(beyond[2], beyond[2] + image.shape[1])
    size = right - left, bottom - top
    drawn = cv2.resize(blocks.picture, size, interpolation=cv2.INTER_CUBIC)[part]
    inside = chosen.repeat(SIDE, axis=0).repeat(SIDE, axis=1) * np.uint8(255)
    shown = cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST)[part]
    return np.where(shown[:, :, None], drawn, image), shown


def _span(line: float, side: float, begin: int, end: int) -> Span:
    """Return the blocks of `side` pixels from `line` on, and before it, that cover the pixels from `begin` to `end`."""
    first, stop = floor((begin - line) / side), ceil((end - line) / side)
    return Span(first, stop, min(round(line + first * side), begin), max(round(line + stop * side), end))
