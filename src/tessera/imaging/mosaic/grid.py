"""Measure how clearly a region of an image shows the grid of a mosaic.

The blocks of a mosaic have one colour each. So the rows and columns of pixels with many steps lie at equal distances, and there
are none in between. Other flat surfaces, which a detector may take for a mosaic, have no such rows and columns. The texture of
dithered pictures and of some codecs repeats every two or four pixels, and drawn grids have two steps at each line. Old codecs
have blocks of their own.
"""

import cv2
import numpy as np
from numba import types

from tessera.imaging.compiled import compiled
from tessera.imaging.masks import Patch

STEP = 4  # levels, from which on a difference of two pixels counts fully: as an edge of what is shown does, and no more
REACH = 2  # pixels on both sides of a step, beyond which its difference must last: a thin line has none there
CODED = 8  # pixels; codecs without a loop filter, such as MPEG-2, divide the frame into blocks of this side
MOSTLY = 0.6  # of the lines of a grid, from which on they are those of a codec
FAINT = 4  # levels, which steps must exceed on lines where such blocks may meet,
CONTRAST = 3  # and this many times those elsewhere: what a codec leaves is never flat between these lines
SMOOTH = 0.05  # is added to the standard deviation: the faint blocks of a codec are no grid
FEWEST = 3  # lines of a grid
SHORTEST = 5  # pixels, the smallest distance of two lines
APART = 2  # pixels from one line, from which on there should be no others until the next one
LARGEST = 400  # pixels; of a larger region, the middle is as clear, and takes less time
FILLED = 0.3  # of the most pixels that a column of the mask has; columns with fewer do not count


def grid_of(image: np.ndarray, patch: Patch) -> float:
    """Return the evidence of a grid of square or oblong blocks in the region `patch` of `image`; it may have any position.

    `image`: uint8 (H, W), grey. The evidence in a direction is that of the clearest lines, whose distance is between `SHORTEST`
    pixels and a third of the region: by how many standard deviations their steps exceed those of all other positions at this
    distance. The smaller one of both directions is returned. Mosaics mostly have 3 to 12, even if they were scaled or
    compressed, and other pictures less than 2. It is 0 if the region is too small for `FEWEST` lines.
    """
    height, width = patch.mask.shape
    left, top = max(0, (width - LARGEST) // 2), max(0, (height - LARGEST) // 2)
    mask = patch.mask[top : top + LARGEST, left : left + LARGEST]
    inside = image[patch.y + top :, patch.x + left :][: mask.shape[0], : mask.shape[1]]
    across = _clearest(inside, mask, patch.x + left)
    return min(across, _clearest(inside.T.copy(), mask.T.copy(), patch.y + top))


def _clearest(image: np.ndarray, mask: np.ndarray, left: int) -> float:
    """Return the evidence of vertical lines in the pixels of `mask`. `left`: the column of the frame where `image` begins."""
    inside = mask[:, 1:] & mask[:, :-1]
    counts = np.count_nonzero(inside, axis=0)
    columns = np.flatnonzero(counts > FILLED * counts.max(initial=0))
    if not len(columns):
        return 0.0
    span = slice(columns[0], columns[-1] + 1)
    wide = cv2.copyMakeBorder(image, 0, 0, REACH, REACH, cv2.BORDER_REPLICATE)
    near, far = cv2.absdiff(image[:, 1:], image[:, :-1]), cv2.absdiff(wide[:, 2 * REACH + 1 :], wide[:, : -2 * REACH - 1])
    steps = np.minimum(near, far)[:, span]

    def evidence(faint: int, *, coded: bool) -> float:
        counted = np.minimum(np.maximum(steps, faint) - np.uint8(faint), STEP) & inside[:, span]
        shares = counted.sum(axis=0) / (STEP * np.maximum(counts[span], 1))
        return float(_evidence(shares, left + columns[0], coded))

    return max(evidence(0, coded=False), evidence(FAINT, coded=True))


@compiled(types.float64(types.float64[::1], types.intp, types.boolean))
def _evidence(steps: np.ndarray, left: int, coded: bool) -> float:
    """Return the evidence of equidistant lines in `steps`, float64 (n,), in [0, 1]; see `grid_of`.

    `steps`: how much the pixels of each column differ from their right neighbours. `left`: the first of these columns in the
    frame. `coded`: whether lines count that mostly lie where the blocks of codecs meet.
    """
    length, best = len(steps), 0.0
    if length < FEWEST * SHORTEST:
        return best
    mean, deviation, contrast = steps.mean(), steps.std() + SMOOTH, CONTRAST if coded else 1
    means, counts, borders = np.zeros(length), np.zeros(length), np.zeros(length)
    distance = float(SHORTEST)
    while distance * FEWEST <= length:
        starts = int(np.ceil(distance))
        clearest = 0
        for start in range(starts):
            count, border, total, position = 0, 0, 0.0, float(start)
            while position < length - 0.5:
                column = int(position + 0.5)
                total += steps[column]
                border += (left + column + 2) % CODED <= 2  # or a pixel beside it
                count += 1
                position += distance
            means[start], counts[start], borders[start] = total / count if count >= FEWEST else 0.0, count, border
            if means[start] > means[clearest]:
                clearest = start
        other = mean
        for start in range(starts):
            gap = abs(start - clearest)
            if min(gap, distance - gap) >= APART:
                other = max(other, means[start])
        if coded or borders[clearest] < MOSTLY * counts[clearest]:
            best = max(best, (means[clearest] - contrast * other) / deviation * np.sqrt(counts[clearest]))
        distance *= 1 + 1 / length  # from one distance to the next, the last line moves by a pixel
    return best
