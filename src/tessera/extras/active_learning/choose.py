"""Choose the pictures whose labels are asked for: those of which a classifier is least certain, and that differ."""

from collections.abc import Collection

import numpy as np

from tessera.core.seeds import fraction


def margins(probabilities: np.ndarray) -> np.ndarray:
    """Return by how much the most probable class leads the second: float64 (N,), smallest for the least certain pictures.

    `probabilities`: (N, classes). They need not add up to 1.
    """
    ordered = np.sort(np.asarray(probabilities, np.float64), axis=1)
    lead: np.ndarray = ordered[:, -1] - ordered[:, -2]
    return lead


def choose(
    keys: Collection[str], vectors: np.ndarray, certainty: np.ndarray | None, count: int, candidates: float
) -> list[int]:
    """Return the numbers of at most `count` pictures that are far from each other, of `candidates` times as many.

    `vectors`: (N, features). The candidates are the pictures with the smallest `certainty`, (N,); if it is None, all are.
    Among equal pictures, the `keys` decide, so that the order of the pictures does not matter.
    """
    by_key = np.argsort(np.array(list(keys), object), kind="stable")
    order = by_key
    if certainty is not None:
        order = by_key[np.argsort(certainty[by_key], kind="stable")][: max(count, int(candidates * count))]
    return [int(order[number]) for number in far_apart(vectors[order], count)]


def far_apart(vectors: np.ndarray, count: int) -> list[int]:
    """Return the numbers of at most `count` of the `vectors`, (N, features), that are far from each other.

    The first vector is taken first. Each next is the one farthest from all that were taken, the first of several. No set of as
    many vectors leaves another one less than half as far away (Gonzalez, Clustering to minimize the maximum intercluster
    distance, 1985).
    """
    values = np.asarray(vectors, np.float32)
    nearest = np.full(len(values), np.inf, np.float32)
    chosen: list[int] = []
    for _ in range(min(count, len(values))):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((values - values[chosen[-1]]) ** 2).sum(axis=1))
        nearest[chosen[-1]] = -1  # also if others are equal to it
    return chosen


def at_random(keys: Collection[str], count: int, seed: int) -> list[int]:
    """Return the numbers of at most `count` pictures, drawn by a hash of their `keys`, so that their order does not matter."""
    drawn = [(fraction(f"asking {seed}", key), key, number) for number, key in enumerate(keys)]
    return [number for _, _, number in sorted(drawn)[:count]]


def bits(hashes: np.ndarray) -> np.ndarray:
    """Return the bits of perceptual hashes, uint64 (N,), as vectors: float32 (N, 64)."""
    return (np.asarray(hashes, np.uint64)[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(np.float32)


def look_like(hashes: np.ndarray, others: np.ndarray, distance: int) -> np.ndarray:
    """Return whether each of `hashes` differs from one of `others` in at most `distance` bits: bool (N,). Both uint64."""
    are_alike = np.zeros(len(hashes), bool)
    for other in np.unique(others):
        are_alike |= np.bitwise_count(hashes ^ other) <= distance
    return are_alike
