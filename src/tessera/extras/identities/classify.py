"""Find the identity of vectors by a few reference pictures of each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tessera.learning.embedding.representatives import BLOCK, all_cosines

FAR = -1.0  # the cosine with what is not there


class Group(NamedTuple):
    """The places of the references of one appearance of an identity; the identity is empty for noise."""

    identity: str
    appearance: str
    indices: tuple[int, ...]


class Found(NamedTuple):
    """For each vector the number of its nearest group, int64 (N,), and float64 (N,): the cosine with it and the certainty."""

    group: np.ndarray
    similarity: np.ndarray
    certainty: np.ndarray


def classify(vectors: np.ndarray, references: np.ndarray, groups: Sequence[Group]) -> Found:
    """Return the nearest of `groups` to each of `vectors`, by the mean cosine with its references.

    `vectors`, `references`: float16 (N, D) and (R, D) from `l2_normalise`. The certainty is the fraction of the margin, see
    `margin_fraction`. Noise counts as one more identity. Of equals, the first group is nearest.
    """
    similar = np.full((len(vectors), len(groups)), FAR)
    for start in range(0, len(vectors), BLOCK):
        part = all_cosines(vectors[start : start + BLOCK], references)
        for number, group in enumerate(groups):
            similar[start : start + BLOCK, number] = part[:, list(group.indices)].mean(axis=1)
    nearest = similar.argmax(axis=1)
    names = sorted({group.identity for group in groups})
    owner = np.array([names.index(group.identity) for group in groups])
    best = similar[np.arange(len(vectors)), nearest]
    best_of_others = np.where(owner[None, :] == owner[nearest][:, None], FAR, similar).max(axis=1, initial=FAR)
    return Found(nearest, best, margin_fraction(best, best_of_others))


def margin_fraction(similar: np.ndarray, rival: np.ndarray) -> np.ndarray:
    """Return how far the cosines `similar` lie from `rival` towards 1, as a fraction from 0 to 1: float64 (N,)."""
    rival = np.maximum(rival, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction: np.ndarray = np.nan_to_num(np.clip((similar - rival) / (1 - rival), 0, 1), nan=0.0)
    return fraction
