"""Clips that look the same over all of their time."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

PLACES = 8  # in a clip
BITS = 64  # of a hash
FEW = 512  # clips; up to here, comparing all pairs is faster than anything cleverer
PAIRS_AT_ONCE = 1 << 18


def signature(hashes: Sequence[int]) -> np.ndarray:
    """Return `PLACES` of the perceptual `hashes` of a clip, evenly spaced from the first to the last: uint64 (PLACES,)."""
    places = np.linspace(0, len(hashes) - 1, PLACES).round().astype(int)
    chosen: np.ndarray = np.array(hashes, np.uint64)[places]
    return chosen


def find_similar(signatures: np.ndarray, distance: float, fixed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each clip, which one stays in its place, and how many bits a hash of the two differs in on average.

    `signatures`: uint64 (N, PLACES). Results: int64 (N,) and float64 (N,). In the order given, a clip stays unless one that
    stays lies within `distance` of it; it then stands for itself. The first `fixed` stay in any case. One that does not stay is
    stood for by the nearest of all that stay, the earliest of those. Equal to comparing every clip with all that stay.
    """
    limit = int(distance * PLACES)
    stay = np.arange(fixed)
    rest = fixed + np.flatnonzero(_nearest(signatures[fixed:], signatures[stay], limit)[1] > limit)
    stay = np.concatenate([stay, rest[_greedy(signatures[rest], limit)]])
    nearest, bits = _nearest(signatures, signatures[stay], limit)
    place = stay[nearest] if len(stay) else nearest
    # The fixed ones may look like one another.
    place[:fixed], bits[:fixed] = np.arange(fixed), 0
    return place, bits / PLACES


def _greedy(signatures: np.ndarray, limit: int) -> np.ndarray:
    """Return the places of those of the clips that stay, ascending."""
    if len(signatures) <= FEW:
        free = np.ones(len(signatures), bool)
        for place in range(len(signatures)):
            if free[place]:
                free[place + 1 :] &= _bits(signatures[place], signatures[place + 1 :]) > limit
        return np.flatnonzero(free)
    # What one of the first half stands for need not be compared with each other: where thousands look the same, few are.
    half = len(signatures) // 2
    left = _greedy(signatures[:half], limit)
    rest = half + np.flatnonzero(_nearest(signatures[half:], signatures[left], limit)[1] > limit)
    return np.concatenate([left, rest[_greedy(signatures[rest], limit)]])


def _nearest(queries: np.ndarray, signatures: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, per query, the place of the nearest of `signatures`, the first of equals, and its distance in bits in all.

    Where none lies within `limit`, the place means nothing and the distance is greater than that.
    """
    # Distance and place in one number, so that the smallest is the answer.
    count = max(1, len(signatures))
    best = np.full(len(queries), (BITS * PLACES + 1) * count, np.int64)
    for asking, answering in _candidates(queries, signatures, limit) if len(queries) and len(signatures) else ():
        bits = _bits(queries[asking], signatures[answering])
        np.minimum.at(best, asking, bits * count + answering)
    return best % count, best // count


def _candidates(queries: np.ndarray, signatures: np.ndarray, limit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places of queries and of signatures, pair by pair: all pairs within `limit` are among them, some more than once.

    Of `PLACES` hashes that differ in `limit` bits in all, one differs in a `PLACES`th of that at most; and where its bits are
    dealt to two bands more than that, two bands are the same in both.
    """
    most = limit // PLACES
    bands = [np.uint64(sum(1 << bit for bit in range(band, BITS, most + 2))) for band in range(most + 2)]
    for asked, given in zip(queries.T, signatures.T, strict=True):
        for one, other in combinations(bands, 2):
            # Sorted queries walk through the signatures in the order of memory.
            own, wanted = given & (one | other), asked & (one | other)
            order, turn = np.argsort(own), np.argsort(wanted)
            own, wanted = own[order], wanted[turn]
            starts = np.searchsorted(own, wanted, side="left")
            counts = np.searchsorted(own, wanted, side="right") - starts
            ends = np.cumsum(counts)
            for part in np.split(np.arange(len(turn)), np.flatnonzero(np.diff(ends // PAIRS_AT_ONCE)) + 1):
                many = counts[part]
                asking = np.repeat(turn[part], many)
                within = np.arange(len(asking)) - np.repeat(np.cumsum(many) - many, many)
                answering = order[np.repeat(starts[part], many) + within]
                close = np.bitwise_count(asked[asking] ^ given[answering]) <= most
                yield asking[close], answering[close]


def _bits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return in how many bits signatures differ, for each of them."""
    bits: np.ndarray = np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64)
    return bits
