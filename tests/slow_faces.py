"""The measures of faces in slow, obvious code."""

import math

import numpy as np
from skimage.feature import canny


def run(row: list[int], start: int, step: int, sign: int) -> int:
    """Return the pixels from `start` to where the levels no longer rise or fall, and the one beside the edge, at most 101."""
    margin = 0
    while margin < 100:
        inner, outer = start + step * margin, start + step * (margin + 1)
        if not 0 <= outer < len(row) or (row[outer] - row[inner]) * step * sign <= 0:
            break
        margin += 1
    return margin + 1


def sharp_edges(levels: np.ndarray) -> float:
    """Return the measure with its probabilities and its histogram, pixel by pixel, as its paper and its program define it."""
    values = levels.astype(int).tolist()
    height, width = levels.shape
    padded = np.pad(levels.astype(float), 1, mode="symmetric")
    strength = np.zeros(levels.shape)
    for y in range(height):
        for x in range(width):
            part = padded[y : y + 3, x : x + 3]
            strength[y, x] = ((part[:, 2] - part[:, 0]) @ (1, 2, 1) / 8) ** 2
    strength[strength <= 2 * math.sqrt(strength.mean())] = 0
    marks = canny(levels.astype(float))
    bins, edges = [0] * 101, 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            top, left = y // 64 * 64, x // 64 * 64
            if top + 64 > height or left + 64 > width:
                continue
            own = strength[y, x]
            in_row = own > strength[y, x - 1] and own > strength[y, x + 1]
            in_column = own > strength[y - 1, x] and own > strength[y + 1, x]
            if not (in_row or in_column):
                continue
            across, down = values[y][x + 1] - values[y][x - 1], values[y + 1][x] - values[y - 1][x]
            angle = math.degrees(math.atan2(down, across)) if across else 0.0
            if abs(angle) > 22.5 and abs(angle) < 157.5:
                continue
            if np.count_nonzero(marks[top : top + 64, left : left + 64]) <= 0.002 * 64 * 64:
                continue
            sign = 1 if abs(angle) <= 22.5 else -1
            block = levels[top : top + 64, left : left + 64]
            noticeable = 5 if int(block.max()) - int(block.min()) <= 50 else 3
            edge_width = run(values[y], x - 1, -1, sign) + run(values[y], x + 1, 1, sign)
            bins[round((1 - math.exp(-((edge_width / noticeable) ** 3.6))) * 100)] += 1
            edges += 1
    return sum(bins[:64]) / edges if edges else 0.0
