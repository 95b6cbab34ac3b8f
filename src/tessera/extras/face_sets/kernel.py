"""The loops over the edges of a picture, compiled by numba. Importing this module loads the compiled code, or compiles it."""

import numpy as np

from tessera.imaging.compiled import compiled

BLOCK = 64  # pixels, the side of a block
_ENOUGH = 8  # a block is measured if more pixels than these, 0.2 %, are edges
_LEAST = 0.2  # levels: the least gradient of these edges
_LOW_CONTRAST = 50  # levels
_SLOPE = 0.41421356237309503  # the tangent of 22.5 degrees


@compiled("boolean(float32[:, ::1], float32[:, ::1], intp, intp)")
def _has_edges(across: np.ndarray, down: np.ndarray, top: int, left: int) -> bool:
    """Return whether enough pixels of a block have a gradient larger than those of both neighbours in its direction."""
    height, width = across.shape
    found = 0
    for y in range(max(top, 1), min(top + BLOCK, height - 1)):
        for x in range(max(left, 1), min(left + BLOCK, width - 1)):
            dx, dy = across[y, x], down[y, x]
            size = dx * dx + dy * dy
            if size < _LEAST * _LEAST:
                continue
            right, below = 1, 1
            if abs(dy) <= _SLOPE * abs(dx):
                below = 0
            elif abs(dx) <= _SLOPE * abs(dy):
                right = 0
            elif (dx < 0) != (dy < 0):
                below = -1
            before = across[y - below, x - right] ** 2 + down[y - below, x - right] ** 2
            after = across[y + below, x + right] ** 2 + down[y + below, x + right] ** 2
            if size > before and size >= after:
                found += 1
                if found > _ENOUGH:
                    return True
    return False


@compiled("UniTuple(intp, 2)(int32[:, ::1], float32[:, ::1], float64, float32[:, ::1], float32[:, ::1])")
def count_edges(
    levels: np.ndarray, strength: np.ndarray, least: float, across: np.ndarray, down: np.ndarray
) -> tuple[int, int]:
    """Return how many edges there are in `levels`, and how many of them do not look blurred, see `sharp_edges`.

    `levels`: int32 (H, W), 0 to 255. `strength`: their squared horizontal gradient; edges have more than `least`. `across` and
    `down`: the gradient of the smoothed levels. These three are float32 (H, W).
    """
    height, width = levels.shape
    edges, sharp = 0, 0
    for block in range((height // BLOCK) * (width // BLOCK)):
        top, left = block // (width // BLOCK) * BLOCK, block % (width // BLOCK) * BLOCK
        if not _has_edges(across, down, top, left):
            continue
        lowest, highest = 255, 0
        for y in range(top, top + BLOCK):
            for x in range(left, left + BLOCK):
                lowest, highest = min(lowest, levels[y, x]), max(highest, levels[y, x])
        noticeable = 5 if highest - lowest <= _LOW_CONTRAST else 3
        for y in range(max(top, 1), min(top + BLOCK, height - 1)):
            for x in range(max(left, 1), min(left + BLOCK, width - 1)):
                own = strength[y, x]
                if own <= least:
                    continue
                is_largest = own > strength[y, x - 1] and own > strength[y, x + 1]
                if not is_largest and not (own > strength[y - 1, x] and own > strength[y + 1, x]):
                    continue
                rise, fall = levels[y, x + 1] - levels[y, x - 1], levels[y + 1, x] - levels[y - 1, x]
                # The program of the authors measures an edge between two equal pixels, too, as rising.
                if rise != 0 and abs(fall) > _SLOPE * abs(rise):
                    continue
                sign = -1 if rise < 0 else 1
                size, first, last = 2, x - 1, x + 1
                while size <= noticeable and first > 0 and (levels[y, first] - levels[y, first - 1]) * sign > 0:
                    first -= 1
                    size += 1
                while size <= noticeable and last < width - 1 and (levels[y, last + 1] - levels[y, last]) * sign > 0:
                    last += 1
                    size += 1
                edges += 1
                sharp += size <= noticeable
    return edges, sharp
