"""The loops over the pixels of a picture, compiled by numba. Importing this module loads the compiled code, or compiles it."""

import math

import numpy as np

from tessera.imaging.compiled import compiled

MARGIN = 5  # pixels around a pixel on which its Laplacian, and those on which the gradient of a neighbour depend
BLOCK = 64  # pixels, the side of a block
_STRIP = 8  # rows whose gradient is computed at a time
_ENOUGH = 8  # a block is measured if more pixels than these, 0.2 %, are edges
_LEAST = 0.2  # levels: the least gradient of these edges
_LOW_CONTRAST = 50  # levels
_SLOPE = 0.41421356237309503  # the tangent of 22.5 degrees
# Weights of a pixel, and of those at a distance of 1 to 4: a blur of one pixel, and the binomial coefficients.
_BELL = np.exp(-(np.arange(5) ** 2) / 2)
_BLUR = tuple((_BELL / (2 * _BELL.sum() - 1)).astype(np.float32))
_BINOMIAL = tuple(np.array([70, 56, 28, 8, 1], np.float32))


@compiled("void(UniTuple(float32[::1], 9), UniTuple(float32, 5), float32[::1])")
def _weigh(parts: tuple[np.ndarray, ...], weights: tuple[np.float32, ...], result: np.ndarray) -> None:
    """Write the weighted sums of nine neighbours to `result`: of each, the fifth of the `parts` has the pixel itself."""
    p0, p1, p2, p3, p4, p5, p6, p7, p8 = parts
    w0, w1, w2, w3, w4 = weights
    for x in range(len(result)):
        near, far = w0 * p4[x] + w1 * (p3[x] + p5[x]), w2 * (p2[x] + p6[x]) + w3 * (p1[x] + p7[x])
        result[x] = near + far + w4 * (p0[x] + p8[x])


@compiled("void(float32[:, ::1], intp, intp, intp, UniTuple(float32, 5), float32[::1], float32[::1])")
def _smooth(
    padded: np.ndarray, y: int, x: int, step: int, weights: tuple[np.float32, ...], columns: np.ndarray, result: np.ndarray
) -> None:
    """Write a part of a row of a picture to `result`, float32 (W,), with its pixels averaged by `weights`, across and down.

    The first value takes the 9 by 9 of `padded` from `y` and `x`, with the columns `step` apart. `columns`: space for (W +
    8 `step`,).
    """
    width, count = len(columns), len(result)
    rows = (
        padded[y, x : x + width],
        padded[y + 1, x : x + width],
        padded[y + 2, x : x + width],
        padded[y + 3, x : x + width],
        padded[y + 4, x : x + width],
        padded[y + 5, x : x + width],
        padded[y + 6, x : x + width],
        padded[y + 7, x : x + width],
        padded[y + 8, x : x + width],
    )
    _weigh(rows, weights, columns)
    parts = (
        columns[:count],
        columns[step : step + count],
        columns[2 * step : 2 * step + count],
        columns[3 * step : 3 * step + count],
        columns[4 * step : 4 * step + count],
        columns[5 * step : 5 * step + count],
        columns[6 * step : 6 * step + count],
        columns[7 * step : 7 * step + count],
        columns[8 * step : 8 * step + count],
    )
    _weigh(parts, weights, result)


@compiled("UniTuple(float64, 2)(float32[:, ::1], intp)")
def sum_laplacian(padded: np.ndarray, channels: int) -> tuple[float, float]:
    """Return the sum and the sum of squares of half the Laplacian of a picture, with an aperture of 11 pixels.

    `padded`: float32 (H + 10, (W + 10) * `channels`), whole levels up to 255. The Laplacian is that of the picture smoothed
    nine by nine: the four diagonal neighbours, less the pixel four times. All of it is exact: the smoothed levels are below
    2**24, and the rest is of float64.
    """
    height, width = padded.shape[0] - 2 * MARGIN, padded.shape[1] - 2 * MARGIN * channels
    columns, smooth = np.empty(padded.shape[1], np.float32), np.empty((3, width + 2 * channels), np.float32)
    totals, squares = np.zeros(width), np.zeros(width)  # of columns: a single sum would have to wait for itself
    for y in range(height + 2):
        _smooth(padded, y, 0, channels, _BINOMIAL, columns, smooth[y % 3])
        if y < 2:
            continue
        above, middle, below = smooth[(y - 2) % 3], smooth[(y - 1) % 3, channels:], smooth[y % 3]
        above_right, below_right = above[2 * channels :], below[2 * channels :]
        for x in range(width):
            diagonal = float(above[x]) + float(above_right[x]) + float(below[x]) + float(below_right[x])
            value = diagonal - 4 * float(middle[x])
            totals[x] += value
            squares[x] += value * value
    return totals.sum(), squares.sum()


@compiled("boolean(float32[:, ::1], intp, intp, intp, intp)")
def _has_edges(padded: np.ndarray, top: int, bottom: int, left: int, right: int) -> bool:
    """Return whether enough pixels of a part have a gradient larger than those of both neighbours in its direction.

    `padded`: the picture, with `MARGIN` more pixels at each side. The part lies inside its outermost pixels. The gradient is
    computed in strips from the top: in most parts, the first ones have enough edges.
    """
    width = right - left
    columns, smooth = np.empty(width + 12, np.float32), np.empty((_STRIP + 4, width + 4), np.float32)
    across, down = np.empty((_STRIP + 2, width + 2), np.float32), np.empty((_STRIP + 2, width + 2), np.float32)
    size = np.empty((_STRIP + 2, width + 2), np.float32)
    found = 0
    for start in range(top, bottom, _STRIP):
        count = min(_STRIP, bottom - start)
        for y in range(count + 4):
            # From two pixels above and left of the strip, less four of the blur.
            _smooth(padded, start + y - 6 + MARGIN, left - 6 + MARGIN, 1, _BLUR, columns, smooth[y])
        for y in range(count + 2):
            above, middle, below = smooth[y], smooth[y + 1], smooth[y + 2]
            for x in range(width + 2):
                dx = above[x + 2] - above[x] + 2 * (middle[x + 2] - middle[x]) + below[x + 2] - below[x]
                dy = below[x] - above[x] + 2 * (below[x + 1] - above[x + 1]) + below[x + 2] - above[x + 2]
                across[y, x], down[y, x], size[y, x] = dx, dy, dx * dx + dy * dy
        for y in range(1, count + 1):
            for x in range(1, width + 1):
                own, dx, dy = size[y, x], across[y, x], down[y, x]
                if own < _LEAST * _LEAST:
                    continue
                to_right, below_it = 1, 1
                if abs(dy) <= _SLOPE * abs(dx):
                    below_it = 0
                elif abs(dx) <= _SLOPE * abs(dy):
                    to_right = 0
                elif (dx < 0) != (dy < 0):
                    below_it = -1
                if own > size[y - below_it, x - to_right] and own >= size[y + below_it, x + to_right]:
                    found += 1
                    if found > _ENOUGH:
                        return True
    return False


@compiled("boolean(float32[:, :])")
def _has_contrast(levels: np.ndarray) -> bool:
    """Return whether `levels`, float32 (H, W), differ by more than `_LOW_CONTRAST`."""
    lowest = highest = levels[0, 0]
    for y in range(levels.shape[0]):
        for x in range(levels.shape[1]):
            lowest, highest = min(lowest, levels[y, x]), max(highest, levels[y, x])
        if highest - lowest > _LOW_CONTRAST:
            return True
    return False


@compiled("void(float32[::1], float32[::1], float32[::1], float64, boolean[::1])")
def _find_peaks(above: np.ndarray, row: np.ndarray, below: np.ndarray, least: float, is_peak: np.ndarray) -> None:
    """Write to `is_peak`, (W,), which values of `row`, (W + 2,), exceed `least` and their neighbours in it, or across it.

    Its first value and its last are only neighbours.
    """
    before, own, after, upper, lower = row[:-2], row[1:-1], row[2:], above[1:-1], below[1:-1]
    for x in range(len(is_peak)):
        in_row, in_column = (own[x] > before[x]) & (own[x] > after[x]), (own[x] > upper[x]) & (own[x] > lower[x])
        is_peak[x] = (own[x] > least) & (in_row | in_column)


@compiled("UniTuple(intp, 2)(float32[:, ::1], float32[:, ::1], UniTuple(intp, 4), UniTuple(intp, 2))")
def count_edges(
    padded: np.ndarray, strength: np.ndarray, box: tuple[int, int, int, int], shape: tuple[int, int]
) -> tuple[int, int]:
    """Return how many edges there are in a picture, and how many of them do not look blurred, see `sharp_edges`.

    `box`: x0, y0, x1, y1: the part of the picture of the `shape`, (height, width), that is given. The rest is black, and so are
    more than `MARGIN` pixels inside of where it meets the rest. `padded`: the levels of the part, with `MARGIN` more pixels at
    each side, float32. `strength`: of its gradient across, in eighths of a level, float32.
    """
    x0, y0, x1, y1 = box
    height, width = shape
    squares, is_peak = np.zeros(x1 - x0), np.empty(BLOCK, np.bool_)
    for y in range(y1 - y0):
        row = strength[y]
        for x in range(len(row)):
            squares[x] += float(row[x]) * float(row[x])
    least = 8 * math.sqrt(2 * math.sqrt(squares.sum() / 64 / (height * width)))
    edges, sharp = 0, 0
    for block in range((height // BLOCK) * (width // BLOCK)):
        top, left = block // (width // BLOCK) * BLOCK - y0, block % (width // BLOCK) * BLOCK - x0
        upper, lower = max(top, 1), min(top + BLOCK, y1 - y0 - 1)
        first, last = max(left, 1), min(left + BLOCK, x1 - x0 - 1)
        if upper >= lower or first >= last or not _has_edges(padded, upper, lower, first, last):
            continue
        rows = slice(max(top, 0) + MARGIN, min(top + BLOCK, y1 - y0) + MARGIN)
        inside = padded[rows, max(left, 0) + MARGIN : min(left + BLOCK, x1 - x0) + MARGIN]
        noticeable = 3 if _has_contrast(inside) else 5
        for y in range(upper, lower):
            row, above, below = padded[y + MARGIN], padded[y + MARGIN - 1], padded[y + MARGIN + 1]
            peaks = is_peak[: last - first]
            columns = slice(first - 1, last + 1)
            _find_peaks(strength[y - 1, columns], strength[y, columns], strength[y + 1, columns], least, peaks)
            for x in range(last - first):
                if not peaks[x]:
                    continue
                at = first + x + MARGIN
                rise, fall = row[at + 1] - row[at - 1], below[at] - above[at]
                # The program of the authors measures an edge between two equal pixels, too, as rising.
                if rise != 0 and abs(fall) > _SLOPE * abs(rise):
                    continue
                sign = -1 if rise < 0 else 1
                size, start, end = 2, at - 1, at + 1
                while size <= noticeable and start > MARGIN and (row[start] - row[start - 1]) * sign > 0:
                    start -= 1
                    size += 1
                while size <= noticeable and end < MARGIN + x1 - x0 - 1 and (row[end + 1] - row[end]) * sign > 0:
                    end += 1
                    size += 1
                edges += 1
                sharp += size <= noticeable
    return edges, sharp


@compiled("float64[::1](int32[::1], int32[:, ::1])")
def sum_differences(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the sum of the absolute differences of `one`, int32 (M,), from each of `others`, int32 (N, M): float64 (N,)."""
    result = np.empty(len(others))
    for number in range(len(others)):
        other, total = others[number], 0
        for x in range(len(one)):
            total += abs(one[x] - other[x])
        result[number] = total
    return result
