"""Cluster vectors by density, exactly and in bounded memory: no matrix of all pairs is ever held."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tessera.core.job import progress
from tessera.imaging.embedding.stars import BLOCK, PAIRS, cosines, margin, scaled

NONE = -1  # the label of a vector that is in no cluster


def dense_clusters(vectors: np.ndarray, least: float, members: int) -> np.ndarray:
    """Return the cluster of each of `vectors`, float16 (N, D) from `unit`: int64 (N,), from 0, or `NONE`.

    This is DBSCAN (Ester et al. 1996) with cosines. A vector is a core if its cosine with at least `members` vectors, itself
    included, is `least` or more. Cores within this reach of each other are in one cluster. A vector that is no core joins
    the cluster of the core with the largest cosine that it reaches, the first of equals. Clusters are numbered by their first
    core.

    The result is that of comparing all pairs in float64: products of matrices in float32 decide only what is beyond their
    error. So threads do not matter, and the order of `vectors` only between equal cosines. Besides `vectors`, less than 300 MB
    are used for up to 1,024 dimensions.
    """
    count = len(vectors)
    reached = np.zeros(count, np.int64)
    for rows, columns, is_near in _near(vectors, least, "blocks of neighbours"):
        reached[rows] += is_near.sum(axis=1)
        if rows.start != columns.start:
            reached[columns] += is_near.sum(axis=0)
    is_core = reached >= members
    part, best, nearest = np.arange(count), np.full(count, -np.inf), np.full(count, NONE)
    for rows, columns, is_near in _near(vectors, least, "blocks of clusters"):
        one, other = np.nonzero(is_near & is_core[rows, None] & is_core[columns])
        _join(part, one + rows.start, other + columns.start)
        _reach(vectors, is_near & ~is_core[rows, None] & is_core[columns], rows.start, columns.start, best, nearest)
        if rows.start != columns.start:
            _reach(vectors, (is_near & is_core[rows, None] & ~is_core[columns]).T, columns.start, rows.start, best, nearest)
    labels = np.where(is_core, part, np.where(nearest == NONE, NONE, part[nearest]))
    return numbered(labels)


def numbered(labels: np.ndarray) -> np.ndarray:
    """Return `labels`, int64 (N,), with the numbers from 0 in place of those that are not `NONE`, in their order."""
    known = np.unique(labels[labels != NONE])
    return np.where(labels == NONE, NONE, np.searchsorted(known, labels))


def count_same(vectors: np.ndarray, labels: np.ndarray, least: float, clusters: int) -> np.ndarray:
    """Return how many members of each cluster have a cosine of `least` or more with each vector: int32 (N, `clusters`).

    `labels`: int64 (N,), the cluster of each vector, or `NONE`. A vector is not counted with itself.
    """
    found = np.zeros((len(vectors), clusters), np.int32)
    for rows, columns, is_near in _near(vectors, least, "blocks of members"):
        if rows.start == columns.start:
            np.fill_diagonal(is_near, val=False)
            _add(found, rows, is_near, labels[columns])
        else:
            _add(found, rows, is_near, labels[columns])
            _add(found, columns, is_near.T, labels[rows])
    return found


def _add(found: np.ndarray, rows: slice, is_near: np.ndarray, labels: np.ndarray) -> None:
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] != NONE]
    if len(order):
        known, starts = np.unique(labels[order], return_index=True)
        found[rows, known] += np.add.reduceat(is_near[:, order], starts, axis=1, dtype=np.int32)


def _join(part: np.ndarray, ones: np.ndarray, others: np.ndarray) -> None:
    """Unite the parts of the pairs `ones`, `others` in `part`, int64 (N,), the first vector of the part of each."""
    pairs = np.unique(np.stack([part[ones], part[others]]), axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    if pairs.size:
        known = np.unique(pairs)
        graph = coo_array((np.ones(pairs.shape[1], bool), tuple(np.searchsorted(known, pairs))), shape=(len(known),) * 2)
        _, component = connected_components(graph, directed=False)
        first = np.full(component.max() + 1, len(part))
        np.minimum.at(first, component, known)
        names = np.arange(len(part))
        names[known] = first[component]
        part[:] = names[part]


def _reach(vectors: np.ndarray, is_near: np.ndarray, top: int, left: int, best: np.ndarray, nearest: np.ndarray) -> None:
    """Note in `best` and `nearest` which core has the largest cosine with each vector that is no core."""
    found, columns = np.nonzero(is_near)
    for start in range(0, len(found), PAIRS):
        one, other = found[start : start + PAIRS] + top, columns[start : start + PAIRS] + left
        exact = cosines(vectors[one], vectors[other])
        order = np.lexsort((other, -exact, one))
        _, first = np.unique(one[order], return_index=True)
        one, other, exact = one[order][first], other[order][first], exact[order][first]
        is_better = (exact > best[one]) | ((exact == best[one]) & (other < nearest[one]))
        best[one[is_better]], nearest[one[is_better]] = exact[is_better], other[is_better]


def _near(vectors: np.ndarray, least: float, unit: str) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield each pair of blocks of vectors once, and which cosines are `least` or more: bool (rows, columns)."""
    error = margin(vectors.shape[1] if vectors.ndim > 1 else 0)
    blocks: Sequence[slice] = [slice(start, min(start + BLOCK, len(vectors))) for start in range(0, len(vectors), BLOCK)]
    for number, rows in enumerate(progress(blocks, unit=unit)):
        block = scaled(vectors[rows])
        for columns in blocks[number:]:
            products = block @ scaled(vectors[columns]).T
            is_near = products >= np.float32(least) + error
            one, other = np.nonzero((products >= np.float32(least) - error) & ~is_near)
            for start in range(0, len(one), PAIRS):
                part = one[start : start + PAIRS], other[start : start + PAIRS]
                is_near[part] = cosines(vectors[part[0] + rows.start], vectors[part[1] + columns.start]) >= least
            yield rows, columns, is_near
