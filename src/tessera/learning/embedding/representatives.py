"""Choose representatives of vectors: each vector is close to the one that represents it, so that no chains arise."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tessera.core.progress import progress

BLOCK = 2048  # vectors that are compared with others at a time
PAIRS = 8192  # pairs whose cosine is computed exactly at a time
# For any pairs of vectors, given by two arrays of indices: the cosine from which on the first represents the second.
Limits = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Representatives(NamedTuple):
    """For each vector, the index of the vector that represents it, int64 (N,), and the cosine between them, float64 (N,)."""

    indices: np.ndarray
    cosines: np.ndarray


def l2_normalise(vectors: np.ndarray) -> np.ndarray:
    """Return `vectors` (N, D), finite, scaled to length 1 and rounded: float16 (N, D). Vectors of length 0 stay zero."""
    result = np.empty(vectors.shape, np.float16)
    for part in _parts(len(vectors)):
        exact = vectors[part].astype(np.float64)
        result[part] = exact / _or_one(np.sqrt((exact * exact).sum(axis=1, keepdims=True)))
    return result


def _or_one(lengths: np.ndarray) -> np.ndarray:
    """Return `lengths` with 1 in place of 0, so that a vector without a direction has the cosine 0 with all others."""
    return np.where(lengths == 0, lengths.dtype.type(1), lengths)


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosines of the pairs of rows of `left` and `right`, float16 (N, D) from `l2_normalise`: float64 (N,).

    The result does not depend on the order of summation: products of two such numbers are multiples of 2**-48 and their sums
    are about 1 at most, so that float64 holds every sum exactly.
    """
    a, b = left.astype(np.float64), right.astype(np.float64)
    dots, left_lengths, right_lengths = ((x * y).sum(axis=1) for x, y in ((a, b), (a, a), (b, b)))
    result: np.ndarray = dots / _or_one(np.sqrt(left_lengths * right_lengths))
    return result


def all_cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosine of each of `left` with each of `right`, float16 (N, D) and (M, D) from `l2_normalise`: float64 (N, M).

    The results are those of `cosines`, to the last bit and with any number of threads, for the same reason.
    """
    a, b = left.astype(np.float64), right.astype(np.float64)
    left_lengths, right_lengths = ((x * x).sum(axis=1) for x in (a, b))
    result: np.ndarray = (a @ b.T) / _or_one(np.sqrt(left_lengths[:, None] * right_lengths))
    return result


def find_representatives(vectors: np.ndarray, lowest: float, limits: Limits) -> Representatives:
    """Return the representatives of `vectors`, float16 (N, D) from `l2_normalise`, in the order of preference.

    A vector represents itself unless it reaches the limit with an earlier representative. Otherwise, of those earlier ones,
    the one with the largest cosine represents it, the first of equals. `limits` gives the limit of each pair; no
    limit is below `lowest`.

    The result is that of comparing all pairs in float64. Pairs are sought with products of matrices in float32, whose error is
    bounded, and decided by their exact cosines. So threads, and the size of blocks, do not matter. Besides `vectors`, less than
    200 MB are used for up to 1,024 dimensions.
    """
    search = _Search(vectors, lowest, limits)
    representatives = np.empty(len(vectors), np.int64)
    number = 0
    for part in progress(list(_parts(len(vectors))), unit="blocks of vectors"):
        indices = np.arange(part.start, part.stop)
        block = scaled(vectors[part])
        for start in range(0, number, BLOCK):
            chosen = representatives[start : min(start + BLOCK, number)]
            search.represent(chosen, indices, scaled(vectors[chosen]) @ block.T)
        # Within the block, one after another, because each decides which later ones are representatives.
        free = search.free(indices)
        products = block[free - part.start] @ block.T
        near = (products >= search.least) & (indices[None, :] > free[:, None])
        for row in np.flatnonzero(near.any(axis=1)).tolist():
            if search.indices[free[row]] == free[row]:
                columns = np.flatnonzero(near[row])
                search.represent(free[[row]], indices[columns], products[[row]][:, columns])
        free = search.free(indices)
        representatives[number : number + len(free)] = free
        number += len(free)
    return Representatives(search.indices, search.best)


class _Search:
    """The representatives that are known so far. `indices` and `best` become the fields of `Representatives`."""

    def __init__(self, vectors: np.ndarray, lowest: float, limits: Limits) -> None:
        self._vectors, self._limits = vectors, limits
        self._margin = margin(vectors.shape[1])
        self.least = np.float32(lowest) - self._margin
        self.indices, self.best = np.arange(len(vectors)), np.ones(len(vectors))

    def free(self, indices: np.ndarray) -> np.ndarray:
        """Return those of `indices` that nothing represents so far."""
        free: np.ndarray = indices[self.indices[indices] == indices]
        return free

    def represent(self, representatives: np.ndarray, candidates: np.ndarray, products: np.ndarray) -> None:
        """Let the vectors `representatives` (K,), represent those of `candidates` (B,) that they reach.

        `products`: about the cosines of all pairs, float32 (K, B). The indices in `representatives` ascend from call to call.
        """
        for rows, columns in _candidates(products, self.least):
            chosen, represented = representatives[rows], candidates[columns]
            limits = self._limits(chosen, represented)
            is_likely = products[rows, columns] >= limits - self._margin
            chosen, represented, limits = chosen[is_likely], represented[is_likely], limits[is_likely]
            exact = cosines(self._vectors[chosen], self._vectors[represented])
            fits = exact >= limits
            chosen, represented, exact = chosen[fits], represented[fits], exact[fits]
            # The best of each: the largest cosine and, of equals, the first place.
            order = np.lexsort((chosen, -exact, represented))
            _, first = np.unique(represented[order], return_index=True)
            chosen, represented, exact = chosen[order][first], represented[order][first], exact[order][first]
            is_better = (self.indices[represented] == represented) | (exact > self.best[represented])
            self.indices[represented[is_better]], self.best[represented[is_better]] = chosen[is_better], exact[is_better]


def margin(dimensions: int) -> np.float32:
    """Return a bound of the error of a product in float32: each of the sums is rounded, and so are the lengths."""
    return np.float32(dimensions * 2.0**-22 + 1e-6)


def scaled(vectors: np.ndarray) -> np.ndarray:
    """Return `vectors`, float16 (N, D) from `l2_normalise`, as float32 of length 1. Vectors of length 0 stay zero."""
    numbers = vectors.astype(np.float32)
    numbers /= _or_one(np.sqrt(np.einsum("nd,nd->n", numbers, numbers)))[:, None]
    return numbers


def _candidates(products: np.ndarray, least: np.float32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows and columns of `products` that are `least` or more, at most `PAIRS` at a time."""
    # Most rows have none. Looking for the largest number of a row is several times as fast as comparing each.
    rows = np.flatnonzero(products.max(axis=1, initial=-np.inf) >= least)
    if len(rows):
        near_rows, columns = np.nonzero(products[rows] >= least)
        for start in range(0, len(near_rows), PAIRS):
            yield rows[near_rows[start : start + PAIRS]], columns[start : start + PAIRS]


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))
