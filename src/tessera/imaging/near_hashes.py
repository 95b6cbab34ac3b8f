"""Perceptual hashes that are close to each other, found without comparing all pairs."""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np

BITS = 64
SMALL = 512  # hashes; up to this number, comparing all pairs is the fastest method
PAIRS_AT_ONCE = 1 << 17


def find_duplicates(hashes: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each of `hashes`, the index of the hash that represents it, and the Hamming distance to it in bits.

    `hashes`: uint64 (N,). Both results: int64 (N,). A hash represents itself if no earlier representative lies within
    `distance` of it. Any other hash is represented by the nearest representative, the earliest of several. The result is
    the same as comparing every hash with all representatives, but takes far less time for small distances.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    chosen = _greedy(distinct[order], distance)
    nearest, bits = _nearest(distinct, distinct[order][chosen], distance)
    return first[order][chosen][nearest][inverse], bits[inverse]


def _greedy(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Return the indices of the distinct `hashes` that represent themselves, ascending."""
    if len(hashes) <= SMALL:
        free = np.ones(len(hashes), bool)
        near = np.bitwise_count(hashes[:, None] ^ hashes) <= distance
        for index in range(len(hashes)):
            if free[index]:
                free[index + 1 :] &= ~near[index, index + 1 :]
        return np.flatnonzero(free)
    # Hashes of the second half that the first half represents need no comparison with each other. Otherwise, thousands of
    # nearly black frames would be compared all with all.
    half = len(hashes) // 2
    left = _greedy(hashes[:half], distance)
    _, bits = _nearest(hashes[half:], hashes[left], distance)
    rest = half + np.flatnonzero(bits > distance)
    return np.concatenate([left, rest[_greedy(hashes[rest], distance)]])


def _nearest(queries: np.ndarray, hashes: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each query, the index of the nearest of `hashes`, the first of equally near ones, and its distance in bits.

    If none lies within `distance`, the index is meaningless and the returned distance is greater than `distance`.
    """
    # Distance and index in one number, so that the smallest number is the answer.
    best = np.full(len(queries), (BITS + 1) * len(hashes), np.int64)
    for query_indices, begins, positions, order, bits in _candidates(queries, hashes, distance):
        # The sort is stable, so indices ascend within a bucket.
        winners = np.minimum.reduceat(bits * np.int64(len(hashes)) + positions, begins)
        best[query_indices] = np.minimum(best[query_indices], winners - winners % len(hashes) + order[winners % len(hashes)])
    return best % len(hashes), best // len(hashes)


def close_pairs(queries: np.ndarray, hashes: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of one of `queries` and one of `hashes` that differ in at most `distance` bits, sorted by their indices.

    `queries`: uint64 (N,). `hashes`: uint64 (M,). Results: int64 (P,), the indices of the queries and those of the hashes.
    """
    pairs = [np.zeros(0, np.int64)]
    for query_indices, begins, positions, order, bits in _candidates(queries, hashes, distance):
        near = bits <= distance
        left = np.repeat(query_indices, np.diff(begins, append=len(positions)))[near]
        pairs.append(left * np.int64(len(hashes)) + order[positions[near]])
    codes = np.unique(np.concatenate(pairs))
    return codes // max(1, len(hashes)), codes % max(1, len(hashes))


def _candidates(
    queries: np.ndarray, hashes: np.ndarray, distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield pairs to compare; all pairs within `distance` bits are among them, and some several times.

    Each item: the indices of some `queries`; where the pairs of each begin in the following; the positions of their partners
    in the order of `hashes` that comes next; and the distance of each pair in bits.
    """
    for mask in _masks(len(queries), len(hashes), distance):
        order = np.argsort(hashes & mask, kind="stable")
        sorted_hashes = hashes[order]
        # Sorted queries visit the buckets in the order of memory.
        query_order = np.argsort(queries & mask)
        buckets = queries[query_order] & mask
        starts = np.searchsorted(sorted_hashes & mask, buckets, side="left")
        counts = np.searchsorted(sorted_hashes & mask, buckets, side="right") - starts
        has_partner = counts > 0
        query_order, starts, counts = query_order[has_partner], starts[has_partner], counts[has_partner]
        for part in _parts(counts):
            query_indices, count = query_order[part], counts[part]
            begins = np.cumsum(count) - count
            positions = np.repeat(starts[part] - begins, count)
            positions += np.arange(len(positions))
            bits = np.bitwise_count(np.repeat(queries[query_indices], count) ^ sorted_hashes[positions])
            yield query_indices, begins, positions, order, bits


def _masks(queries: int, hashes: int, distance: int) -> Iterator[np.uint64]:
    """Yield masks of bits such that any two hashes within `distance` are equal under at least one mask.

    The bits are divided into `distance + equal` bands. Two hashes that differ in `distance` bits differ in at most as many
    bands, so at least `equal` bands are the same. There is one mask for each choice of `equal` bands. More equal bands mean
    more masks, but fewer hashes in each bucket. The number with the lowest cost is used, assuming evenly distributed hashes.
    """

    def cost(equal: int) -> float:
        bits = BITS * equal / (distance + equal)
        return comb(distance + equal, equal) * (4 * (queries + hashes) + queries * hashes / 2**bits)

    equal = min(range(1, BITS - distance + 1), key=cost)
    bands = [sum(1 << bit for bit in range(band, BITS, distance + equal)) for band in range(distance + equal)]
    for chosen in combinations(bands, equal):
        yield np.uint64(sum(chosen))


def _parts(counts: np.ndarray) -> Iterator[slice]:
    """Yield slices of `counts`, each with at least one item and a sum of about `PAIRS_AT_ONCE`."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        stop = int(np.searchsorted(ends, (ends[start - 1] if start else 0) + PAIRS_AT_ONCE, side="right"))
        stop = max(stop, start + 1)
        yield slice(start, stop)
        start = stop
