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
    roots = np.sqrt(histograms / histograms.sum(axis=-1, keepdims=True)).astype(np.float32).transpose(1, 0, 2).copy()

    def bounds(one: int) -> np.ndarray:
        common = (roots @ roots[:, one, :, None])[..., 0] + np.float32(_SLACK)
        lowest: np.ndarray = np.sqrt(np.maximum(1 - common, 0, dtype=np.float64)).sum(axis=0)
        return lowest

    return _chain(len(histograms), bounds, lambda one, others: histogram_distances(histograms[one], histograms[others]))


def chain_pictures(pictures: np.ndarray) -> Chain:
    """Return the chain of nearest neighbours of `pictures`, uint8 (N, H, W, 3), see `_chain`.

    The distance of two is the sum of the absolute differences of all values.
    """
    import cv2
    from scipy.spatial.distance import cdist

    # Sums over parts of two pictures never differ by more than the pictures do.
    starts = [np.unique(np.arange(_GRID) * side // _GRID) for side in pictures.shape[1:3]]
    sums = np.empty((len(pictures), 3 * len(starts[0]) * len(starts[1])))
    for number, picture in enumerate(pictures):
        rows = np.add.reduceat(picture, starts[0], axis=0, dtype=np.int32)
        sums[number] = np.add.reduceat(rows, starts[1], axis=1).ravel()

    def bounds(one: int) -> np.ndarray:
        lowest: np.ndarray = cdist(sums[one, None], sums, "cityblock")[0]
        return lowest

    def distances(one: int, others: np.ndarray) -> np.ndarray:
        return np.array([cv2.norm(pictures[one], pictures[other], cv2.NORM_L1) for other in others])

    return _chain(len(pictures), bounds, distances)


def _chain(count: int, bounds: Callable[[int], np.ndarray], distances: Callable[[int, np.ndarray], np.ndarray]) -> Chain:
    """Return a chain of `count` items: the first one, and then always the nearest of those that are left.

    Of several at the same distance, it is the first. `bounds`: lower bounds of the distances of an item to all: float64 (N,).
    `distances`: the distances of an item to each of some others.
    """
    order, links = np.zeros(count, dtype=np.int64), np.zeros(count)
    is_left = np.ones(count, dtype=bool)
    for place in range(1, count):
        one = order[place - 1]
        is_left[one] = False
        lowest = np.where(is_left, bounds(one), np.inf)
        limit = distances(one, np.array([lowest.argmin()]))[0]
        near = np.flatnonzero(lowest <= limit)
        near = near[np.argsort(lowest[near], kind="stable")]
        best = np.inf, count
        for start in range(0, len(near), _BATCH):
            batch = near[start : start + _BATCH]
            # Equal items have a bound of 0, in their order: none after the first can be better.
            if lowest[batch[0]] > best[0] or best[0] == 0:
                break
            best = min(best, *zip(distances(one, batch).tolist(), batch.tolist(), strict=True))
        links[place], order[place] = best
    return order, links
