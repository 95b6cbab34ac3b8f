"""The measures and sorts of faces in slow, obvious code."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from skimage.feature import canny

from tessera.extras.face_sets.pose import estimate_pose
from tessera.extras.face_sets.sorts import AlignedFace
from tessera.imaging.sharpness import luma

Distance = Callable[[np.ndarray, np.ndarray], float]


def histogram(levels: np.ndarray) -> np.ndarray:
    return np.bincount(levels.ravel(), minlength=256)


def histogram_distance(one: np.ndarray, other: np.ndarray) -> float:
    total = 0.0
    for first, second in zip(one, other, strict=True):
        product = first.astype(float) * second
        total += math.sqrt(max(0.0, 1 - np.sqrt(product).sum() / math.sqrt(float(first.sum()) * float(second.sum()))))
    return total


def pixel_distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int16) - other).sum())


def totals(items: Sequence[np.ndarray], distance: Distance) -> list[float]:
    return [sum(distance(one, other) for other in items) for one in items]


def chain(items: Sequence[np.ndarray], distance: Distance) -> tuple[list[int], list[float]]:
    order, links, left = [0], [0.0], list(range(1, len(items)))
    while left:
        link, nearest = min((distance(items[order[-1]], items[other]), other) for other in left)
        left.remove(nearest)
        order.append(nearest)
        links.append(link)
    return order, links


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


def best(faces: list[AlignedFace], target: int, quality: Callable[[AlignedFace], float]) -> list[str]:
    """Return the selected faces, step by step: bins of yaw, the best of each, bins of pitch, the least similar, in turns."""
    faces = sorted(faces, key=lambda face: face.name)
    poses = {face.name: estimate_pose(face.landmarks, face.size) for face in faces}
    qualities = {face.name: quality(face) for face in faces}
    grey = {face.name: histogram(luma(face.load()))[None] for face in faces}

    def divided(names: list[str], angles: dict[str, float], most: float, count: int) -> list[list[str]]:
        limits = [-most + 2 * most * number / (count - 1) for number in range(count)] if count > 1 else [-most]
        bins: list[list[str]] = [[] for _ in range(count)]
        for name in names:
            number = 0
            while number + 1 < count and angles[name] >= limits[number + 1]:
                number += 1
            bins[number].append(name)
        return bins

    yaws = divided([face.name for face in faces], {name: -pose.yaw for name, pose in poses.items()}, 1.2, 128)
    share = round(target / 128)
    share += sum(max(0, share - len(names)) for names in yaws) // 128
    selected = []
    for names in yaws:
        sharpest = sorted(names, key=lambda name: (-qualities[name], name))[: 10 * share]
        cells = divided(sharpest, {name: pose.pitch for name, pose in poses.items()}, math.pi / 2, share)
        for cell in cells:
            totals = {name: round(sum(histogram_distance(grey[name], grey[other]) for other in cell), 9) for name in cell}
            cell.sort(key=lambda name, totals=totals: (-totals[name], name))
        taken: list[str] = []
        while len(taken) < share and any(cells):
            for cell in cells:
                if cell and len(taken) < share:
                    taken.append(cell.pop(0))
        selected += taken
    return selected
