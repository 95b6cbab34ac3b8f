"""The loops over blocks and pixels that draw a mosaic, compiled by numba.

Importing this module loads the compiled code, or compiles it, which takes seconds. So import it only where it is needed.

LLVM vectorizes loops over whole one-dimensional arrays, but not those over a part of a larger array. So the innermost loops
are functions of their own, which take slices.
"""

import numpy as np
from numba import njit, types

from tessera.imaging.compiled import compiled

CLEAR, FLAT, SOFT = 0, 1, 2  # blocks that are not drawn, that replace the image, and that are blended into it

PLANE, CONSTANT = types.Array(types.uint8, 2, "C"), types.Array(types.uint8, 2, "C", readonly=True)
AXIS = types.UniTuple(types.intp[::1], 3)
SIGNATURE = types.void(PLANE, PLANE, CONSTANT, types.uint8[::1], AXIS, AXIS, types.boolean, types.boolean)

Axis = tuple[np.ndarray, np.ndarray, np.ndarray]
_part = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)  # of a function below; only compiled code calls it


@_part
def _fill(row: np.ndarray, value: int) -> None:
    for i in range(len(row)):
        row[i] = value


@_part
def _copy(row: np.ndarray, other: np.ndarray) -> None:
    for i in range(len(row)):
        row[i] = other[i]


@_part
def _intersect(row: np.ndarray, other: np.ndarray) -> None:
    for i in range(len(row)):
        row[i] &= other[i]


@_part
def _unite(row: np.ndarray, other: np.ndarray) -> None:
    for i in range(len(row)):
        row[i] |= other[i]


@_part
def _add(sums: np.ndarray, row: np.ndarray) -> None:
    for i in range(len(row)):
        sums[i] += row[i]


@_part
def _round(mean: float) -> np.uint8:
    return np.uint8(np.rint(mean))


@_part
def _count(counts: np.ndarray, mask: np.ndarray) -> None:
    """Add the pixels of a row of a mask to the number in each column."""
    for i in range(len(mask)):
        counts[i] += mask[i] & 1


@_part
def _exchange(counts: np.ndarray, entering: np.ndarray, leaving: np.ndarray) -> None:
    """Update the number of pixels in each column when one row enters a window and another one leaves it."""
    for i in range(len(counts)):
        counts[i] += entering[i] & 1
        counts[i] -= leaving[i] & 1


@_part
def _slide(
    weight: np.ndarray, levels: np.ndarray, counts: np.ndarray, total: int, entering: np.ndarray, leaving: np.ndarray
) -> None:
    """Set the weights along a row, over which a window slides. `total`: pixels in the window before the first column enters."""
    for i in range(len(weight)):
        total += counts[entering[i]]
        weight[i] = levels[total]
        total -= counts[leaving[i]]


@_part
def _blend(row: np.ndarray, shown: np.ndarray, colours: np.ndarray, weight: np.ndarray) -> None:
    """Blend `colours` into `row` with opacity `weight` / 255, rounded to the nearest level; ties cannot occur."""
    for i in range(len(weight)):
        shown[i] = 255 if weight[i] > 127 else 0
    for i in range(len(weight)):
        more = np.uint16(weight[i])
        less = np.uint16(255 - more)
        for c in range(3):
            # Exactly what division by 255 gives, in numbers of 16 bits, which LLVM vectorizes best.
            mixed = np.uint16(np.uint16(row[3 * i + c]) * less + np.uint16(colours[3 * i + c]) * more + np.uint16(128))
            row[3 * i + c] = np.uint16(mixed + np.uint16(mixed >> np.uint16(8))) >> np.uint16(8)


@_part
def _soften(
    image: np.ndarray,
    shown: np.ndarray,
    mask: np.ndarray,
    levels: np.ndarray,
    near_down: np.ndarray,
    near: np.ndarray,
    colours: np.ndarray,
    weight: np.ndarray,
    counts: np.ndarray,
    top: int,
    bottom: int,
    left: int,
    right: int,
    incomplete: bool,
) -> None:
    """Blend `colours` into the pixels from `top` to `bottom` and `left` to `right`, with the blurred mask as weight."""
    side = len(near) - mask.shape[1]
    low, high = max(0, left - side), min(right + side, mask.shape[1])
    around, weights, flat = counts[low:high], weight[left:right], colours[3 * left : 3 * right]
    _fill(around, 0)
    for y in range(top, top + side):
        _count(around, mask[near_down[y], low:high])
    for y in range(top, bottom):
        if y > top:
            _exchange(around, mask[near_down[y + side - 1], low:high], mask[near_down[y - 1], low:high])
        total = 0
        for x in range(left, left + side - 1):
            total += counts[near[x]]
        _slide(weights, levels, counts, total, near[left + side - 1 : right + side - 1], near[left:right])
        if incomplete:
            _intersect(weights, mask[y, left:right])
        _blend(image[y, 3 * left : 3 * right], shown[y, left:right], flat, weights)


@compiled(SIGNATURE)
def draw(
    image: np.ndarray,
    shown: np.ndarray,
    mask: np.ndarray,
    levels: np.ndarray,
    rows: Axis,
    columns: Axis,
    middle: bool,
    incomplete: bool,
) -> None:
    """Pixelate the region `mask` of `image` in place, and set `shown` to 255 where the mosaic has the greater weight.

    `image`: uint8 (H, 3 W). `shown`, `mask`: uint8 (H, W), of 0 and 255; `shown` is 0. `rows`, `columns`: along each axis, the
    pixels at which blocks begin and, behind them, the length; the middle pixel of each block; and the pixels that a window of
    `side` pixels passes as it moves over the axis. `levels`: the weight of the mosaic at the centre of such a window for each
    number of pixels of the region in it. With a `side` of 0, blocks have hard edges. `middle`: blocks take the colour of their
    middle pixel, not the mean. `incomplete`: the outline of the region cuts blocks.
    """
    height, width = mask.shape
    (edges_down, middles_down, near_down), (edges, middles, near) = rows, columns
    side = len(near) - width
    sums, colours = np.empty(3 * width, np.uint32), np.empty(3 * width, np.uint8)
    chosen, full, fulls = np.empty(width, np.uint8), np.empty(width, np.uint8), np.zeros(width + 1, np.intp)
    weight, counts = np.empty(width, np.uint8), np.empty(width, np.int32)
    kinds = np.empty(len(middles), np.uint8)
    for down in range(len(middles_down)):
        top, bottom, centre = edges_down[down], edges_down[down + 1], middles_down[down]
        first, last = width, 0
        _copy(chosen, mask[centre])
        if incomplete:
            for y in range(top, bottom):
                _unite(chosen, mask[y])
        for n in range(len(middles)):
            kinds[n] = CLEAR
            for x in range(edges[n] if incomplete else middles[n], edges[n + 1] if incomplete else middles[n] + 1):
                if chosen[x]:
                    kinds[n] = FLAT
            if kinds[n]:
                first, last = min(first, edges[n]), edges[n + 1]
        if not last:
            continue
        if not middle:
            _fill(sums[3 * first : 3 * last], 0)
            for y in range(top, bottom):
                _add(sums[3 * first : 3 * last], image[y, 3 * first : 3 * last])
        if side:
            # The number of columns before each that the region fills as far as windows reach from this row of blocks.
            _fill(full, 255)
            for y in range(max(0, top - side // 2), min(bottom + side // 2, height)):
                _intersect(full, mask[y])
            for x in range(width):
                fulls[x + 1] = fulls[x] + (full[x] & 1)
        for n in range(len(middles)):
            if not kinds[n]:
                continue
            left, right = edges[n], edges[n + 1]
            if middle:
                offset = 3 * middles[n]
                red, green, blue = image[centre, offset], image[centre, offset + 1], image[centre, offset + 2]
            else:
                reds, greens, blues, pixels = 0, 0, 0, (bottom - top) * (right - left)
                for x in range(left, right):
                    reds, greens, blues = reds + sums[3 * x], greens + sums[3 * x + 1], blues + sums[3 * x + 2]
                red, green, blue = _round(reds / pixels), _round(greens / pixels), _round(blues / pixels)
            for x in range(left, right):
                colours[3 * x], colours[3 * x + 1], colours[3 * x + 2] = red, green, blue
            low, high = max(0, left - side // 2), min(right + side // 2, width)
            if side and fulls[high] - fulls[low] < high - low:
                kinds[n] = SOFT
        # Neighbours of one kind are drawn together.
        end = 0
        while end < len(kinds):
            start = end
            while end < len(kinds) and kinds[end] == kinds[start]:
                end += 1
            left, right = edges[start], edges[end]
            if kinds[start] == FLAT:
                for y in range(top, bottom):
                    _copy(image[y, 3 * left : 3 * right], colours[3 * left : 3 * right])
                    _fill(shown[y, left:right], 255)
            elif kinds[start] == SOFT:
                _soften(
                    image, shown, mask, levels, near_down, near, colours, weight, counts, top, bottom, left, right, incomplete
                )
