"""Cluster vectors by density, exactly and in bounded memory: no matrix of all pairs is ever held."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tessera.core.progress import progress
from tessera.learning.embedding.representatives import BLOCK, PAIRS, cosines, margin, scaled

NONE = -1  # the label of a vector that is in no cluster


def dense_clusters(vectors: np.ndarray, least: float, members: int) -> np.ndarray:
    """Return the cluster of each of `vectors`, float16 (N, D) from `l2_normalise`: int64 (N,), from 0, or `NONE`.

    This is DBSCAN (Ester et al. 1996) with cosines. A vector is a core if its cosine with at least `members` vectors, itself
    included, is `least` or more. Cores within this reach of each other are in one cluster. A vector that is no core joins
    the cluster of the core with the largest cosine that it reaches, the first of equals. Clusters are numbered by their first
    core.

    The result is that of comparing all pairs in float64: products of matrices in float32 decide only what is beyond their
    error. So threads do not matter, and the order of `vectors` only between equal cosines. Each pair is compared once. Besides
    `vectors`, less than 400 MB are used for up to 1,024 dimensions, and 16 bytes per vector and member.
    """
    count = len(vectors)
    reached = np.zeros(count, np.int64)
    part = np.arange(count)
    # Pairs of which one was not yet known to be a core. A vector that is not reaches fewer than `members`, so they are few.
    open_pairs = [np.empty((2, 0), np.int64)]
    for left, right in _near(vectors, least, "blocks of neighbours"):
        reached += np.bincount(left, minlength=count) + np.bincount(right, minlength=count)
        is_joined = (reached[left] >= members - 1) & (reached[right] >= members - 1)
        _join(part, left[is_joined], right[is_joined])
        open_pairs.append(np.stack([left[~is_joined], right[~is_joined]]))
    is_core = reached >= members - 1
    left, right = np.concatenate(open_pairs, axis=1)
    is_joined = is_core[left] & is_core[right]
    _join(part, left[is_joined], right[is_joined])
    labels = np.where(is_core, part, NONE)
    is_border = is_core[left] != is_core[right]
    left, right = left[is_border], right[is_border]
    _reach(vectors, np.where(is_core[left], right, left), np.where(is_core[left], left, right), labels)
    return numbered(labels)


def numbered(labels: np.ndarray) -> np.ndarray:
    """Return `labels`, int64 (N,), with the numbers from 0 in place of those that are not `NONE`, in their order."""
    used = np.unique(labels[labels != NONE])
    return np.where(labels == NONE, NONE, np.searchsorted(used, labels))


def count_same(vectors: np.ndarray, labels: np.ndarray, least: float, clusters: int) -> np.ndarray:
    """Return how many members of each cluster have a cosine of `least` or more with each vector: int32 (N, `clusters`).

    `labels`: int64 (N,), the cluster of each vector, or `NONE`. A vector is not counted with itself.
    """
    counts = np.zeros((len(vectors), clusters), np.int32)
    for left, right in _near(vectors, least, "blocks of members"):
        for vector_indices, members in ((left, labels[right]), (right, labels[left])):
            is_member = members != NONE
            cells, numbers = np.unique_counts(vector_indices[is_member] * clusters + members[is_member])
            counts.ravel()[cells] += numbers.astype(np.int32)
    return counts


def _join(part: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Unite the parts of the pairs `left`, `right` in `part`, int64 (N,), the first vector of the part of each."""
    left_parts, right_parts = part[left], part[right]
    is_apart = left_parts != right_parts
    # As one number each, which are sorted many times as fast as pairs.
    pairs = np.stack(np.divmod(np.unique(left_parts[is_apart] * len(part) + right_parts[is_apart]), len(part)))
    if pairs.size:
        distinct = np.unique(pairs)
        graph = coo_array((np.ones(pairs.shape[1], bool), tuple(np.searchsorted(distinct, pairs))), shape=(len(distinct),) * 2)
        _, component = connected_components(graph, directed=False)
        first = np.full(component.max() + 1, len(part))
        np.minimum.at(first, component, distinct)
        names = np.arange(len(part))
        names[distinct] = first[component]
        part[:] = names[part]


def _reach(vectors: np.ndarray, borders: np.ndarray, cores: np.ndarray, labels: np.ndarray) -> None:
    """Give each of the vectors `borders` the label of that of its `cores` with the largest cosine, the first of equals."""
    exact = np.empty(len(borders))
    for start in range(0, len(borders), PAIRS):
        part = slice(start, start + PAIRS)
        exact[part] = cosines(vectors[borders[part]], vectors[cores[part]])
    order = np.lexsort((cores, -exact, borders))
    distinct, first = np.unique(borders[order], return_index=True)
    labels[distinct] = labels[cores[order][first]]


def _near(vectors: np.ndarray, least: float, unit: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of vectors with a cosine of `least` or more, each pair once, as two arrays of indices, int64."""
    error = margin(vectors.shape[1] if vectors.ndim > 1 else 0)
    blocks: Sequence[slice] = [slice(start, min(start + BLOCK, len(vectors))) for start in range(0, len(vectors), BLOCK)]
    for number, rows in enumerate(progress(blocks, unit=unit)):
        block = scaled(vectors[rows])
        for columns in blocks[number:]:
            products = block @ scaled(vectors[columns]).T
            left, right = np.nonzero(products >= np.float32(least) - error)
            is_near = products[left, right] >= np.float32(least) + error
            left, right = left + rows.start, right + columns.start
            doubtful = np.flatnonzero(~is_near)
            for start in range(0, len(doubtful), PAIRS):
                part = doubtful[start : start + PAIRS]
                is_near[part] = cosines(vectors[left[part]], vectors[right[part]]) >= least
            is_near &= left < right
            yield left[is_near], right[is_near]
