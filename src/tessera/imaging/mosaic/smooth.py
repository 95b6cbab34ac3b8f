"""Smooth mosaics: replace their blocks by the smoothest picture whose blocks have the same means.

Of a mosaic, the means of its blocks are known, and little else. Bicubic interpolation does not keep them, and does not see what
is around the mosaic. The picture with the least total variation does: see Alter, Durand and Froment, Adapted total variation
for artifact free decompression of JPEG images (2005), where the coefficients of blocks are given instead of their means. It is
computed at `SIDE` by `SIDE` pixels a block: more detail than that can hardly be told from means.
"""

from collections.abc import Callable
from math import ceil, floor

import cv2
import numpy as np
from numba import types

from tessera.imaging.compiled import compiled
from tessera.imaging.images import resize
from tessera.imaging.mosaic.blocks import Grid

# A function of the means of blocks, float32 (h, w, 3), in levels, that returns a picture that has them, roughly: float32
# (h * SIDE, w * SIDE, 3).
Guess = Callable[[np.ndarray], np.ndarray]

SIDE = 4  # pixels of a block in the picture that is computed
FLAT = 12  # levels; the pixels in the middle of a block differ by less, even if it was compressed
BESIDE = 2  # blocks around an outline that may belong to the mosaic, too: outlines are inexact
STEPS = 10
RATE = 2.0  # levels by which the first step changes a pixel at most; later ones are smaller
ROUND = 12.0  # levels; smaller differences count by their square: without this, slopes become stairs


def smooth(crop: np.ndarray, mask: np.ndarray, grid: Grid, guess: Guess) -> tuple[np.ndarray, np.ndarray]:
    """Return `crop`, a part of a frame, uint8 or uint16 (h, w, 3), with its mosaic smoothed, and where it changed.

    `mask`: uint8 (h, w), not 0 where the mosaic is. Blocks that it touches and `BESIDE` around them change, but only if they
    are of one colour; the changed pixels are uint8 (h, w), 0 or 255. `grid`: the blocks, in pixels of the crop. `guess`: what
    is smoothed. What is around the mosaic counts for what is smooth.
    """
    height, width = mask.shape
    (x0, x1, columns), (y0, y1, rows) = _cover(grid.left, grid.width, width), _cover(grid.top, grid.height, height)
    beyond = -y0, y1 - height, -x0, x1 - width
    shape = rows * SIDE, columns * SIDE
    picture = resize(cv2.copyMakeBorder(crop, *beyond, cv2.BORDER_REPLICATE), *shape)
    touched = resize(cv2.copyMakeBorder(mask, *beyond, cv2.BORDER_CONSTANT), *shape)
    changed, inside = smooth_blocks(picture, touched, guess)
    size, part = (x1 - x0, y1 - y0), (slice(-y0, height - y0), slice(-x0, width - x0))
    whole = cv2.resize(changed, size, interpolation=cv2.INTER_CUBIC)[part]
    shown = cv2.resize(inside * np.uint8(255), size, interpolation=cv2.INTER_NEAREST)[part]
    return np.where(shown[:, :, None], whole, crop), shown


def _cover(start: float, side: float, length: int) -> tuple[int, int, int]:
    """Return where the blocks of an axis begin and end that cover the pixels from 0 to `length`, and their number."""
    first, last = floor(-start / side), ceil((length - start) / side)
    return min(round(start + first * side), 0), max(round(start + last * side), length), last - first


def smooth_blocks(picture: np.ndarray, mask: np.ndarray, guess: Guess) -> tuple[np.ndarray, np.ndarray]:
    """Return `picture` with its mosaic smoothed, and where it changed; see `smooth`. Its blocks are squares of `SIDE` pixels.

    `picture`: uint8 or uint16 (h, w, 3). `mask`: uint8 (h, w). The changed pixels are bool (h, w).
    """
    height, width = mask.shape
    most = np.iinfo(picture.dtype).max
    levels = picture.astype(np.float32) * np.float32(255 / most)
    blocks = levels.reshape(height // SIDE, SIDE, width // SIDE, SIDE, 3)
    # The pixels at the border of a block may be mixed with those beside it.
    middle = blocks[:, 1:-1, :, 1:-1]
    touched = mask.reshape(height // SIDE, SIDE, width // SIDE, SIDE).max(axis=(1, 3))
    near = cv2.dilate(touched, np.ones((2 * BESIDE + 1,) * 2, np.uint8)) > 0
    whole, inner = blocks.mean(axis=(1, 3)), middle.mean(axis=(1, 3))
    varied = np.maximum(np.ptp(middle, axis=(1, 3)), np.abs(whole - inner)).max(axis=-1)
    chosen = near & (varied < FLAT)
    means = np.where(chosen[:, :, None], inner, whole)
    inside = chosen.repeat(SIDE, axis=0).repeat(SIDE, axis=1)
    result = np.where(inside[:, :, None], guess(means), levels)
    _lessen_variation(result, inside, chosen, means)
    return np.rint(result * (most / 255)).clip(0, most).astype(picture.dtype), inside


@compiled(
    types.void(types.float32[:, :, ::1], types.boolean[:, ::1], types.boolean[:, ::1], types.float32[:, :, ::1]), fastmath=True
)
def _lessen_variation(picture: np.ndarray, inside: np.ndarray, chosen: np.ndarray, means: np.ndarray) -> None:
    """Lessen the variation of `picture`, float32 (h, w, 3), in the pixels `inside` of the `chosen` blocks, which keep `means`.

    Each step goes down the gradient, by less than the one before, and then adds to each block what its mean lacks.
    """
    height, width = inside.shape
    across, down = np.zeros_like(picture), np.zeros_like(picture)
    for step in range(STEPS):
        rate = np.float32(RATE * (1 - step / STEPS))
        for y in range(height):
            below = min(y + 1, height - 1)
            for x in range(width):
                right = min(x + 1, width - 1)
                total = np.float32(ROUND * ROUND)
                for c in range(3):
                    level = picture[y, x, c]
                    across[y, x, c], down[y, x, c] = picture[y, right, c] - level, picture[below, x, c] - level
                    total += across[y, x, c] * across[y, x, c] + down[y, x, c] * down[y, x, c]
                factor = rate / np.sqrt(total)
                for c in range(3):
                    across[y, x, c] *= factor
                    down[y, x, c] *= factor
        for y in range(height):
            for x in range(width):
                if inside[y, x]:
                    for c in range(3):
                        change = across[y, x, c] + down[y, x, c]
                        if x:
                            change -= across[y, x - 1, c]
                        if y:
                            change -= down[y - 1, x, c]
                        picture[y, x, c] += change
        for row in range(chosen.shape[0]):
            for column in range(chosen.shape[1]):
                if chosen[row, column]:
                    for c in range(3):
                        total = np.float32(0)
                        for y in range(row * SIDE, (row + 1) * SIDE):
                            for x in range(column * SIDE, (column + 1) * SIDE):
                                total += picture[y, x, c]
                        missing = means[row, column, c] - total / np.float32(SIDE * SIDE)
                        for y in range(row * SIDE, (row + 1) * SIDE):
                            for x in range(column * SIDE, (column + 1) * SIDE):
                                picture[y, x, c] += missing
