"""Distances between many faces: the sum of all distances of each, and chains of nearest neighbours.

The results do not depend on how a library adds numbers up: bounds of the distances only choose which ones are computed, and
these are computed one by one, in a fixed order.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

_SLACK = 2e-5  # more than the rounding error of a product of 256 roots in float32
_GRID = 16  # cells per side in which pixels are summed
_BATCH = 64  # distances computed at a time
_ROWS = 256  # of a matrix of distances computed at a time
_DIGITS = 9  # decimals of a sum of distances

# The order, int64 (N,), and for each item in this order its distance from the one before, float64 (N,).
Chain: TypeAlias = tuple[np.ndarray, np.ndarray]


def histogram_distances(histogram: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance of `histogram`, int (C, B), from each of `others`, int (N, C, B): float64 (N,), 0 to C.

    It is the sum over the channels C of sqrt(1 - c), where c is the Bhattacharyya coefficient of the B fractions; 0 if equal.
    """
    product = histogram.sum(axis=-1, dtype=np.float64) * others.sum(axis=-1)
    common = np.sqrt(histogram.astype(np.float64) * others).sum(axis=-1) / np.sqrt(product)
    distances: np.ndarray = np.sqrt(np.maximum(1 - common, 0)).sum(axis=-1)
    return distances


def total_distances(histograms: np.ndarray) -> np.ndarray:
    """Return the sum of the distances of each of `histograms`, int (N, B), to all others: float64 (N,), to nine decimals."""
    # Equal ones have equal sums, and a distance of exactly 0 from each other.
    rows, number, counts = np.unique(histograms, axis=0, return_inverse=True, return_counts=True)
    roots = np.sqrt(rows / rows.sum(axis=1, keepdims=True))
    totals = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):
        distances = np.sqrt(np.maximum(1 - roots[start : start + _ROWS] @ roots.T, 0))
        np.fill_diagonal(distances[:, start:], 0)
        totals[start : start + _ROWS] = (distances * counts).sum(axis=1)
    return np.round(totals, _DIGITS)[number.ravel()]


def chain_histograms(histograms: np.ndarray) -> Chain:
    """Return the chain of nearest neighbours of `histograms`, int (N, C, B), see `_chain` and `histogram_distances`."""
    roots = np.sqrt(histograms / histograms.sum(axis=-1, keepdims=True), dtype=np.float32)

    def bounds(one: np.ndarray, others: np.ndarray) -> np.ndarray:
        common = np.stack([others[:, channel] @ one[channel] for channel in range(len(one))]) + np.float32(_SLACK)
        lowest: np.ndarray = np.sqrt(np.maximum(1 - common, 0, dtype=np.float64)).sum(axis=0)
        return lowest

    return _chain(roots, bounds, lambda one, others: histogram_distances(histograms[one], histograms[others]))


def chain_pictures(count: int, read: Callable[[int], np.ndarray]) -> Chain:
    """Return the chain of nearest neighbours of `count` pictures, see `_chain`. `read` returns one: uint8 (H, W, 3).

    The distance of two is the sum of the absolute differences of all values.
    """
    import cv2

    from tessera.extras.face_sets.kernel import sum_differences

    # Sums over parts of two pictures never differ by more than the pictures do.
    def sums(picture: np.ndarray) -> np.ndarray:
        starts = [np.unique(np.arange(_GRID) * side // _GRID) for side in picture.shape[:2]]
        rows = np.add.reduceat(picture, starts[0], axis=0, dtype=np.int32)
        return np.add.reduceat(rows, starts[1], axis=1, dtype=np.int32).ravel()

    def distances(one: int, others: np.ndarray) -> np.ndarray:
        picture = read(one)
        return np.array([cv2.norm(picture, read(other), cv2.NORM_L1) for other in others])

    return _chain(np.stack([sums(read(number)) for number in range(count)]), sum_differences, distances)


def _chain(
    items: np.ndarray,
    bounds: Callable[[np.ndarray, np.ndarray], np.ndarray],
    distances: Callable[[int, np.ndarray], np.ndarray],
) -> Chain:
    """Return a chain of `items`, of any type (N, ...): the first one, and then always the nearest of those that are left.

    Of several at the same distance, it is the first. `bounds`: lower bounds of the distances of an item to each of some others:
    float64 (M,). `distances`: the distances of an item to each of some others, by their numbers.
    """
    count = len(items)
    order, links = np.zeros(count, dtype=np.int64), np.zeros(count)
    is_left = np.ones(count, dtype=bool)
    numbers = np.arange(count)  # of the items that are compared
    for place in range(1, count):
        last = order[place - 1]
        one = items[np.searchsorted(numbers, last)]
        is_left[last] = False
        if 2 * (count - place) <= len(numbers):
            kept = is_left[numbers]
            items, numbers = items[kept], numbers[kept]
        lowest = np.where(is_left[numbers], bounds(one, items), np.inf)
        limit = distances(last, numbers[[lowest.argmin()]])[0]
        near = np.flatnonzero(lowest <= limit)
        near = near[np.argsort(lowest[near], kind="stable")]
        best = np.inf, count
        for start in range(0, len(near), _BATCH):
            batch = near[start : start + _BATCH]
            # Equal items have a bound of 0, in their order: none after the first can be better.
            if lowest[batch[0]] > best[0] or best[0] == 0:
                break
            best = min(best, *zip(distances(last, numbers[batch]).tolist(), numbers[batch].tolist(), strict=True))
        links[place], order[place] = best
    return order, links
