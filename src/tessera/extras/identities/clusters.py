"""Cluster the vectors of a series, heal what was split, and keep noise apart."""

from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from tessera.extras.identities.classify import FAR, margin_fraction
from tessera.extras.identities.settings import ClusterSettings
from tessera.learning.embedding.density import NONE, count_same, dense_clusters, numbered

DIGITS = 9  # decimals of mean cosines, beyond which the order of summation may matter


class Clusters(NamedTuple):
    """The cluster of each vector, int64 (N,), or -1 for noise, its certainty, float64 (N,), and the medoid of each cluster."""

    labels: np.ndarray
    certainty: np.ndarray
    medoids: np.ndarray


def find_clusters(vectors: np.ndarray, settings: ClusterSettings) -> Clusters:
    """Return the clusters of `vectors`, float16 (N, D) from `l2_normalise`, sorted by key.

    Dense clusters are found first. Then, with `same` of `settings`, the share of pairs that show the same: two clusters are
    merged from `merge` on. Noise joins the cluster with the largest share from `rate` on or, if there are `count` such members,
    in any case; members that would not join their cluster again become noise. What remains of a cluster with fewer than
    `members` members is noise.
    """
    labels = dense_clusters(vectors, settings.dense, settings.members)
    number = int(labels.max(initial=NONE)) + 1
    if number:
        counts = count_same(vectors, labels, settings.same, number)
        joined = merge_clusters(labels, counts, settings.merge)
        labels = np.where(labels == NONE, NONE, joined[labels])
        labels = join_noise(labels, summed(counts, joined), settings)
        number = int(labels.max(initial=NONE)) + 1
        labels = drop_unlike(labels, count_same(vectors, labels, settings.same, number), settings)
    return _with_medoids(vectors, labels)


def merge_clusters(labels: np.ndarray, counts: np.ndarray, least: float) -> np.ndarray:
    """Return the new number of each cluster, int64 (C,). Two merge if at least the share `least` of their pairs is the same.

    `labels`: int64 (N,). `counts`: those of `count_same`, int32 (N, C). Merged clusters merge with others through each of them.
    """
    number = counts.shape[1]
    sizes = np.bincount(labels[labels != NONE], minlength=number).astype(np.int64)
    pairs = np.zeros((number, number), np.int64)
    for start in range(0, len(labels), 4096):
        part = slice(start, start + 4096)
        is_member = labels[part] != NONE
        np.add.at(pairs, labels[part][is_member], counts[part][is_member])
    _, component = connected_components(pairs >= least * sizes[:, None] * sizes[None, :], directed=False)
    _, first = np.unique(component, return_index=True)
    order = np.argsort(first)
    names = np.empty(len(order), np.int64)
    names[order] = np.arange(len(order))
    merged: np.ndarray = names[component]
    return merged


def summed(counts: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Return `counts`, int32 (N, C), of the clusters that got the new numbers `joined`, int64 (C,)."""
    sums = np.zeros((len(counts), int(joined.max()) + 1), np.int32)
    for old, new in enumerate(joined.tolist()):
        sums[:, new] += counts[:, old]
    return sums


def join_noise(labels: np.ndarray, counts: np.ndarray, settings: ClusterSettings) -> np.ndarray:
    """Return `labels`, int64 (N,), where noise has joined the cluster with the largest share of the same, if that is enough.

    `counts`: those of `count_same`, int32 (N, C).
    """
    sizes = np.bincount(labels[labels != NONE], minlength=counts.shape[1])
    noise = np.flatnonzero(labels == NONE)
    rates = counts[noise] / sizes
    # The largest share and, of equals, the larger count, then the first cluster.
    order = np.lexsort((np.broadcast_to(-np.arange(len(sizes)), rates.shape), counts[noise], rates), axis=1)
    nearest = order[:, -1] if len(noise) else np.empty(0, np.int64)
    rows = np.arange(len(noise))
    fits = (rates[rows, nearest] >= settings.rate) | (counts[noise][rows, nearest] >= settings.count)
    labels = labels.copy()
    labels[noise[fits]] = nearest[fits]
    return labels


def drop_unlike(labels: np.ndarray, counts: np.ndarray, settings: ClusterSettings) -> np.ndarray:
    """Return `labels`, int64 (N,), where members that are the same as too few others are noise, and so are clusters too small.

    `counts`: those of `count_same`, int32 (N, C). The clusters that remain are numbered again.
    """
    sizes = np.bincount(labels[labels != NONE], minlength=counts.shape[1])
    members = np.flatnonzero(labels != NONE)
    alike = counts[members, labels[members]]
    is_member = (alike >= settings.rate * (sizes[labels[members]] - 1)) | (alike >= settings.count)
    labels = labels.copy()
    labels[members[~is_member]] = NONE
    left = np.bincount(labels[labels != NONE], minlength=len(sizes))
    labels[(labels != NONE) & (left < settings.members)[labels]] = NONE
    return numbered(labels)


def _with_medoids(vectors: np.ndarray, labels: np.ndarray) -> Clusters:
    """Return the clusters `labels` with the member of each that has the largest mean cosine with it, the first of equals."""
    number = int(labels.max(initial=NONE)) + 1
    members = [np.flatnonzero(labels == each) for each in range(number)]
    # Not products of matrices, whose rounding depends on the threads.
    means = [vectors[own].astype(np.float64).mean(axis=0) for own in members]
    own, rival = np.full(len(labels), FAR), np.full(len(labels), FAR)
    for each, mean in enumerate(means):
        for start in range(0, len(labels), 4096):
            part = slice(start, start + 4096)
            similar = np.einsum("nd,d->n", vectors[part].astype(np.float32), mean.astype(np.float32)).round(DIGITS)
            is_own = labels[part] == each
            own[part][is_own] = similar[is_own]
            rival[part][~is_own] = np.maximum(rival[part][~is_own], similar[~is_own])
    medoids = np.array([each[np.argmax(own[each])] for each in members], np.int64)
    certainty = np.where(labels == NONE, 0.0, margin_fraction(own, rival))
    return Clusters(labels, certainty, medoids)
