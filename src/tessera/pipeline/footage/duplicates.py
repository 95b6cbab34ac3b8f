"""Duplicates: images that look the same, found by perceptual hash."""

from collections.abc import Iterator
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
from pydantic import Field

from tessera.core.ledger import Ledger
from tessera.core.settings import Settings

BITS = 64
SMALL = 512  # hashes; up to this number, comparing all pairs is the fastest method
PAIRS_AT_ONCE = 1 << 17


class DuplicateSettings(Settings):
    """When two images count as duplicates."""

    distance: int = Field(4, ge=0, le=16)
    embeddings: tuple[str, ...] = ()


def drop_duplicates(frames: list[Path], labelled: list[Path], table: Path, ledger: Path, settings: DuplicateSettings) -> None:
    """Write the images that duplicate a kept image to `table` (`tables.Duplicates`); `ledger` gets one row per image.

    `frames`: files of `tables.Frames`. `labelled`: files of `tables.Images`. Of several duplicates, a labelled image is kept
    rather than a frame, because labels are work; otherwise the first one by source and index. The division into shards does
    not matter.
    """
    import polars as pl

    from tessera.records.tables.annotation import Images
    from tessera.records.tables.footage import Duplicates, Frames
    from tessera.records.tables.table import read_tables, types, write_table

    order = pl.concat(
        [
            read_tables(labelled, Images).sort("source", "key").select("key", "phash"),
            read_tables(frames, Frames).sort("source", "index").select("key", "phash"),
        ]
    ).unique("key", keep="first", maintain_order=True)
    keys = order["key"].to_list()
    stays, distances = find_duplicates(order["phash"].to_numpy(), settings.distance)
    rows = []
    with Ledger(ledger) as book:
        for number, (key, other, distance) in enumerate(zip(keys, stays.tolist(), distances.tolist(), strict=True)):
            if other == number:
                book.row(key, "ok")
            else:
                book.row(key, "dropped", "looks like another", keys[other])
                rows.append((key, keys[other], distance))
    write_table(pl.DataFrame(rows, schema=types(Duplicates), orient="row"), Duplicates, table)


def find_duplicates(hashes: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each of `hashes`, the index of the kept hash that represents it, and the Hamming distance to it in bits.

    `hashes`: uint64 (N,). Both results: int64 (N,). A hash is kept, and represents itself, if no earlier kept hash lies within
    `distance` of it. Any other hash is represented by the nearest kept hash, the earliest of several. The result is the same as
    comparing every hash with all kept ones, but takes far less time for small distances.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    kept = _greedy(distinct[order], distance)
    nearest, bits = _nearest(distinct, distinct[order][kept], distance)
    return first[order][kept][nearest][inverse], bits[inverse]


def _greedy(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Return the indices of the distinct `hashes` that are kept, ascending."""
    if len(hashes) <= SMALL:
        free = np.ones(len(hashes), bool)
        near = np.bitwise_count(hashes[:, None] ^ hashes) <= distance
        for place in range(len(hashes)):
            if free[place]:
                free[place + 1 :] &= ~near[place, place + 1 :]
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
    for mask in _masks(len(queries), len(hashes), distance):
        # The sort is stable, so indices ascend within a bucket. Sorted queries visit the buckets in the order of memory.
        order = np.argsort(hashes & mask, kind="stable")
        sorted_hashes = hashes[order]
        asking = np.argsort(queries & mask)
        wanted = queries[asking] & mask
        starts = np.searchsorted(sorted_hashes & mask, wanted, side="left")
        counts = np.searchsorted(sorted_hashes & mask, wanted, side="right") - starts
        found = counts > 0
        asking, starts, counts = asking[found], starts[found], counts[found]
        for part in _parts(counts):
            asked, count = asking[part], counts[part]
            begins = np.cumsum(count) - count
            candidates = np.repeat(starts[part] - begins, count)
            candidates += np.arange(len(candidates))
            bits = np.bitwise_count(np.repeat(queries[asked], count) ^ sorted_hashes[candidates])
            winners = np.minimum.reduceat(bits * np.int64(len(hashes)) + candidates, begins)
            best[asked] = np.minimum(best[asked], winners - winners % len(hashes) + order[winners % len(hashes)])
    return best % len(hashes), best // len(hashes)


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
