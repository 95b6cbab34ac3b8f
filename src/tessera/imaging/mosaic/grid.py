"""Find the grid of a mosaic in a region of an image, and measure how clear it is.

The blocks of a mosaic have one colour each. So the rows and columns of pixels with many steps lie at equal distances, and there
are none in between. Other flat surfaces, which a detector may take for a mosaic, have no such rows and columns. The texture of
dithered pictures and of some codecs repeats every two or four pixels, and drawn grids have two steps at each line. Old codecs
have blocks of their own.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numba import types

from tessera.imaging.compiled import compiled
from tessera.imaging.masks import Patch
from tessera.imaging.mosaic.blocks import Grid

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
OBLONG = 1.9  # times their height, from which on blocks are not believed to be so wide, or the other way round,
NEAR = 0.05  # but as high as wide, up to this fraction
CLEAR = 2.5  # evidence from which on there is a grid; most mosaics have more
MOST = 0.5  # of the evidence of all frames, which the frames with a common distance of lines must have
AGREED = 0.8  # the least length of the mean of their lines, as directions: 1 if all lines are the same
FILLED = 0.3  # of the most pixels that a column of the mask has; columns with fewer do not count


def grid_of(image: np.ndarray, patch: Patch) -> Grid:
    """Return the clearest grid of square or oblong blocks in the region `patch` of `image`; it may have any position.

    `image`: uint8 (H, W), grey. The evidence in a direction is that of the clearest lines, whose distance is between `SHORTEST`
    pixels and a third of the region: by how many standard deviations their steps exceed those of all other positions at this
    distance. The smaller one of both directions is returned. Mosaics mostly have 3 to 12, even if they were scaled or
    compressed, and other pictures less than 2. It is 0 if the region is too small for `FEWEST` lines. The corner of the grid is
    the one nearest to the middle of the region.
    """
    height, width = patch.mask.shape
    left, top = max(0, (width - LARGEST) // 2), max(0, (height - LARGEST) // 2)
    mask = patch.mask[top : top + LARGEST, left : left + LARGEST]
    inside = image[patch.y + top :, patch.x + left :][: mask.shape[0], : mask.shape[1]]
    columns, rows = (inside, mask, patch.x + left), (inside.T.copy(), mask.T.copy(), patch.y + top)
    across, down = _clearest(*columns), _clearest(*rows)
    evidence = min(across[0], down[0])
    # Blocks are rarely twice as long as wide. Where the picture is much alike along an axis, other distances may be as clear.
    if max(across[2], down[2]) > OBLONG * min(across[2], down[2]):
        if across[0] > down[0]:
            down = _clearest(*rows, across[2])
        else:
            across = _clearest(*columns, down[2])
    return Grid(evidence, across[1], down[1], across[2], down[2])


def _clearest(image: np.ndarray, mask: np.ndarray, left: int, about: float = 0) -> tuple[float, float, float]:
    """Return the evidence of vertical lines in the pixels of `mask`, the one in the middle, and their distance.

    `left`: the column of the frame where `image` begins. `about`: the distance, if it is known roughly.
    """
    inside = mask[:, 1:] & mask[:, :-1]
    counts = np.count_nonzero(inside, axis=0)
    columns = np.flatnonzero(counts > FILLED * counts.max(initial=0))
    if not len(columns):
        return 0.0, float(left), 1.0
    span = slice(columns[0], columns[-1] + 1)
    wide = cv2.copyMakeBorder(image, 0, 0, REACH, REACH, cv2.BORDER_REPLICATE)
    near, far = cv2.absdiff(image[:, 1:], image[:, :-1]), cv2.absdiff(wide[:, 2 * REACH + 1 :], wide[:, : -2 * REACH - 1])
    steps = np.minimum(near, far)[:, span]

    def evidence(faint: int, *, coded: bool) -> tuple[float, float, float]:
        counted = np.minimum(np.maximum(steps, faint) - np.uint8(faint), STEP) & inside[:, span]
        shares = counted.sum(axis=0) / (STEP * np.maximum(counts[span], 1))
        shortest, longest = ((1 - NEAR) * about, (1 + NEAR) * about) if about else (SHORTEST, len(shares) / FEWEST)
        found: tuple[float, float, float] = _evidence(shares, left + columns[0], coded, shortest, longest)
        return found

    strength, first, distance = max(evidence(0, coded=False), evidence(FAINT, coded=True))
    # A step is between two columns, and a block begins at the second one.
    return strength, left + columns[0] + 1 + first + round((len(columns) / 2 - first) / distance) * distance, distance


@compiled(types.UniTuple(types.float64, 3)(types.float64[::1], types.intp, types.boolean, types.float64, types.float64))
def _evidence(steps: np.ndarray, left: int, coded: bool, shortest: float, longest: float) -> tuple[float, float, float]:
    """Return the evidence of equidistant lines in `steps`, float64 (n,), in [0, 1], the first one, and their distance.

    `steps`: how much the pixels of each column differ from their right neighbours. `left`: the first of these columns in the
    frame. `coded`: whether lines count that mostly lie where the blocks of codecs meet. `shortest`, `longest`: their distance.
    """
    length, best = len(steps), (0.0, 0.0, 1.0)
    if length < FEWEST * SHORTEST:
        return best
    mean, deviation, contrast = steps.mean(), steps.std() + SMOOTH, CONTRAST if coded else 1
    means, counts, borders = np.zeros(length), np.zeros(length), np.zeros(length)
    distance = shortest
    while distance <= longest and distance * FEWEST <= length:
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
            evidence = (means[clearest] - contrast * other) / deviation * np.sqrt(counts[clearest])
            if evidence > best[0]:
                best = (evidence, float(clearest), distance)
        distance *= 1 + 1 / length  # from one distance to the next, the last line moves by a pixel
    return best


def common_grid(grids: Sequence[Grid], lengths: Sequence[tuple[float, float]]) -> Grid | None:
    """Return the grid that most of `grids` show, as they were found in the frames of a video, or None if they differ.

    `lengths`: the width and height of the region that each was found in: the longer it is, the more exact is the distance. What
    differs is the grid of a mosaic that moves with its region, or no grid.
    """
    weights = np.array([grid.evidence for grid in grids])
    if not weights.any():
        return None
    across = _common([grid.left for grid in grids], [grid.width for grid in grids], [width for width, _ in lengths], weights)
    down = _common([grid.top for grid in grids], [grid.height for grid in grids], [height for _, height in lengths], weights)
    return Grid(float(weights.mean()), across[0], down[0], across[1], down[1]) if across and down else None


def _common(
    lines: Sequence[float], distances: Sequence[float], lengths: Sequence[float], weights: np.ndarray
) -> tuple[float, float] | None:
    """Return a line and the distance that most of the grids have along an axis, or None if most differ."""
    order = np.argsort(distances)
    middle = order[np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)]
    # Pixels, by which it may be wrong: the last line of the region then moves by two.
    distance, wrong = distances[middle], 2 * distances[middle] / min(max(lengths), LARGEST)
    alike = np.abs(np.array(distances) - distance) <= 2 * wrong
    # Few mosaics were scaled: blocks mostly have whole pixels.
    if abs(distance - round(distance)) <= wrong:
        distance = float(round(distance))
    whole = distance.is_integer()
    turns = np.exp(2j * np.pi * np.array(lines) / distance) * weights
    mean = turns[alike].sum()
    if weights[alike].sum() < MOST * weights.sum() or abs(mean) < AGREED * weights[alike].sum():
        return None
    line = float(np.angle(mean) / (2 * np.pi) * distance % distance)
    return round(line) % distance if whole else line, distance
