"""Find clips that look the same over their whole length."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

PLACES = 8  # hashes in the signature of a clip
BITS = 64  # in a hash
FEW = 512  # clips; up to this number, comparing all pairs is the fastest method
PAIRS_AT_ONCE = 1 << 18


def signature(hashes: Sequence[int]) -> np.ndarray:
    """Return `PLACES` of the perceptual `hashes` of a clip, evenly spaced from the first to the last: uint64 (PLACES,)."""
    indices = np.linspace(0, len(hashes) - 1, PLACES).round().astype(int)
    chosen: np.ndarray = np.array(hashes, np.uint64)[indices]
    return chosen


def find_similar(signatures: np.ndarray, distance: float, fixed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each clip, the index of the kept clip that represents it, and the mean distance between the two.

    `signatures`: uint64 (N, PLACES). `distance`: differing bits per hash, on average. Results: int64 (N,) and float64 (N,).

    Clips are processed in the order given. A clip is kept, and represents itself, unless an earlier kept clip is within
    `distance` of it. The first `fixed` clips are always kept. A clip that is not kept is represented by the nearest of all kept
    clips, and of equally near ones by the first. The result equals that of comparing each clip with all kept clips.
    """
    limit = int(distance * PLACES)
    representatives = np.arange(fixed)
    rest = fixed + np.flatnonzero(_nearest(signatures[fixed:], signatures[representatives], limit)[1] > limit)
    representatives = np.concatenate([representatives, rest[_greedy(signatures[rest], limit)]])
    nearest, bits = _nearest(signatures, signatures[representatives], limit)
    representative = representatives[nearest] if len(representatives) else nearest
    # Fixed clips may look like each other, but each represents itself.
    representative[:fixed], bits[:fixed] = np.arange(fixed), 0
    return representative, bits / PLACES


def _greedy(signatures: np.ndarray, limit: int) -> np.ndarray:
    """Return the indices of the clips that are kept, ascending."""
    if len(signatures) <= FEW:
        free = np.ones(len(signatures), bool)
        for number in range(len(signatures)):
            if free[number]:
                free[number + 1 :] &= _bits(signatures[number], signatures[number + 1 :]) > limit
        return np.flatnonzero(free)
    # Clips that the first half represents are removed before the second half is compared. This saves most of the work if
    # thousands of clips look the same.
    half = len(signatures) // 2
    left = _greedy(signatures[:half], limit)
    rest = half + np.flatnonzero(_nearest(signatures[half:], signatures[left], limit)[1] > limit)
    return np.concatenate([left, rest[_greedy(signatures[rest], limit)]])


def _nearest(queries: np.ndarray, signatures: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each query, the index of the nearest of `signatures`, the first of equals, and the sum of differing bits.

    If no signature is within `limit` bits, the index is meaningless and the distance is greater than `limit`.
    """
    # Distance and index are combined in one number, so that the minimum gives both.
    count = max(1, len(signatures))
    best = np.full(len(queries), (BITS * PLACES + 1) * count, np.int64)
    for asking, answering in _candidates(queries, signatures, limit) if len(queries) and len(signatures) else ():
        bits = _bits(queries[asking], signatures[answering])
        np.minimum.at(best, asking, bits * count + answering)
    return best % count, best // count


def _candidates(queries: np.ndarray, signatures: np.ndarray, limit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield indices of queries and of signatures that form pairs. All pairs within `limit` bits are among them, some repeated.

    If `PLACES` hashes differ in at most `limit` bits together, at least one of them differs in at most `limit // PLACES` bits.
    If its bits are divided into two bands more than that, at least two bands are equal. So only pairs with two equal bands are
    compared.
    """
    most = limit // PLACES
    bands = [np.uint64(sum(1 << bit for bit in range(band, BITS, most + 2))) for band in range(most + 2)]
    for asked, given in zip(queries.T, signatures.T, strict=True):
        for one, other in combinations(bands, 2):
            # Sorting the queries too makes the accesses to memory sequential.
            keys, wanted = given & (one | other), asked & (one | other)
            order, turn = np.argsort(keys), np.argsort(wanted)
            keys, wanted = keys[order], wanted[turn]
            starts = np.searchsorted(keys, wanted, side="left")
            counts = np.searchsorted(keys, wanted, side="right") - starts
            ends = np.cumsum(counts)
            for part in np.split(np.arange(len(turn)), np.flatnonzero(np.diff(ends // PAIRS_AT_ONCE)) + 1):
                many = counts[part]
                asking = np.repeat(turn[part], many)
                within = np.arange(len(asking)) - np.repeat(np.cumsum(many) - many, many)
                answering = order[np.repeat(starts[part], many) + within]
                close = np.bitwise_count(asked[asking] ^ given[answering]) <= most
                yield asking[close], answering[close]


def _bits(hashes: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the number of bits in which signatures differ: int64, the shape of the arguments without its last dimension."""
    bits: np.ndarray = np.bitwise_count(hashes ^ other).sum(axis=-1, dtype=np.int64)
    return bits
