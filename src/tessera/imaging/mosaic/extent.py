"""Find all blocks of a mosaic of which an outline shows a part: detectors miss those that differ little from each other."""

import cv2
import numpy as np

from tessera.imaging.masks import Patch, trim
from tessera.imaging.mosaic.blocks import Grid

ROUGH = 3.0  # levels, the largest mean step from pixel to pixel inside a block: compression leaves some,
CALM = 1.5  # and the largest inside a block without steps at its borders
STEP = 3.0  # levels, the smallest mean step at the border of a block,
CLEARER = 3.0  # and its smallest ratio to those inside: a slope has the same steps everywhere
STEPPED = 2  # borders of a block, of four, that have such a step
SMALLEST = 5  # pixels of a block, of which the outermost two on each side do not count as inside


def whole_mosaic(image: np.ndarray, patch: Patch, grid: Grid) -> Patch:
    """Return `patch`, a part of a mosaic with the blocks of `grid`, with all blocks of it that are connected to that part.

    `image`: uint8 (H, W), grey. A block belongs to the mosaic if it is of one colour and has steps at its borders. Blocks that
    are farther away than the patch is long are not looked for.
    """
    if min(grid.width, grid.height) < SMALLEST or not patch.mask.any():
        return patch
    x0, y0, x1, y1 = patch.box
    columns = _edges(x0 - (x1 - x0), x1 + (x1 - x0), grid.left, grid.width, image.shape[1])
    rows = _edges(y0 - (y1 - y0), y1 + (y1 - y0), grid.top, grid.height, image.shape[0])
    if min(len(columns), len(rows)) < 2:
        return patch
    part = image[rows[0] : rows[-1], columns[0] : columns[-1]]
    across = _belongs(part, rows - rows[0], columns - columns[0])
    down = _belongs(part.T.copy(), columns - columns[0], rows - rows[0])
    inside = np.maximum(across[0], down[0].T)
    stepped = (across[1] + down[1].T >= STEPPED) & (inside <= ROUGH)
    flat = stepped | (inside <= CALM)
    box = int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
    known = _means(patch.inside(box).astype(np.float32), rows - rows[0], columns - columns[0]) > 127
    # A block without a step may lie between others.
    likely = cv2.morphologyEx((stepped | known).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    _, labels = cv2.connectedComponents((likely & flat | known).astype(np.uint8))
    blocks = np.isin(labels, np.unique(labels[known & (labels > 0)])) & flat
    sides = np.diff(rows), np.diff(columns)
    found = (blocks * np.uint8(255)).repeat(sides[0], axis=0).repeat(sides[1], axis=1)
    left, top, right, bottom = min(x0, box[0]), min(y0, box[1]), max(x1, box[2]), max(y1, box[3])
    mask = patch.inside((left, top, right, bottom))
    mask[box[1] - top : box[3] - top, box[0] - left : box[2] - left] |= found
    return trim(Patch(mask, left, top))


def _edges(low: float, high: float, start: float, side: float, length: int) -> np.ndarray:
    """Return where the blocks of an axis begin that lie between `low` and `high` in the frame, and where the last one ends."""
    first, last = np.ceil((max(low, 0) - start) / side), np.floor((min(high, length) - start) / side)
    return np.rint(start + np.arange(first, last + 1) * side).astype(int)


def _means(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the means of `image` in the blocks between the edges `rows` and `columns`, from 0 to its end."""
    sums = np.add.reduceat(np.add.reduceat(image, rows[:-1], axis=0), columns[:-1], axis=1)
    means: np.ndarray = sums / np.outer(np.diff(rows), np.diff(columns))
    return means


def _belongs(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean horizontal step inside blocks, in levels, and how many clear ones are at their left and right borders."""
    steps = np.zeros(image.shape, np.float32)  # from the pixel at the left
    steps[:, 1:] = cv2.absdiff(image[:, 1:], image[:, :-1])
    by_row = np.add.reduceat(steps, rows[:-1], axis=0) / np.diff(rows)[:, None]
    sums = np.pad(np.cumsum(by_row, axis=1), ((0, 0), (1, 0)))
    begin, end = columns[:-1] + 2, np.maximum(columns[1:] - 1, columns[:-1] + 3)
    inside = (sums[:, end] - sums[:, begin]) / (end - begin)
    lines = np.stack([by_row[:, (columns[1:-1] + off).clip(0, image.shape[1] - 1)] for off in (-1, 0, 1)]).max(axis=0)
    lines = np.pad(lines, ((0, 0), (1, 1)))
    least = np.maximum(STEP, CLEARER * inside)
    return inside, (lines[:, :-1] >= least).astype(int) + (lines[:, 1:] >= least)
