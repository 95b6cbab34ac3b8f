"""Representatives of vectors equal those of comparing all pairs, whatever the size of blocks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tessera.learning.embedding import representatives
from tessera.learning.embedding.representatives import cosines, find_representatives, l2_normalise


def all_pairs(vectors: np.ndarray, limits: Any) -> tuple[list[int], list[float]]:
    """Return the representatives of `vectors` by comparing each with all earlier ones, one after another."""
    indices, best, kept = [], [], []
    for own in range(len(vectors)):
        others = np.array(kept, int)
        found = cosines(vectors[others], vectors[[own] * len(kept)])
        fits = np.flatnonzero(found >= limits(others, np.full(len(kept), own)))
        # `argmax` returns the first of equals.
        chosen = fits[found[fits].argmax()] if len(fits) else None
        indices.append(own if chosen is None else kept[chosen])
        best.append(1.0 if chosen is None else found[chosen])
        if chosen is None:
            kept.append(own)
    return indices, best


def test_two_thousand_vectors_are_grouped_as_by_comparing_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(2000, 64)) * draw.choice([0, 0.05, 0.2, 0.4], 2000)[:, None]
    vectors = l2_normalise(draw.normal(size=(300, 64))[draw.integers(0, 300, 2000)] + noise)
    source = draw.integers(0, 5, 2000)

    def limits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.where(source[one] == source[other], 0.9, 0.95)

    expected = all_pairs(vectors, limits)
    assert 300 < sum(stay != own for own, stay in enumerate(expected[0])) < 1700
    for block in (100, 2048):
        monkeypatch.setattr(representatives, "BLOCK", block)
        found = find_representatives(vectors, 0.9, limits)
        assert found.indices.tolist() == expected[0]
        assert found.cosines.tolist() == expected[1]


@given(
    arrays.arrays(np.int8, st.tuples(st.integers(0, 24), st.just(3)), elements=st.integers(-2, 2)),
    st.sampled_from([0.5, 0.9, 1.0]),
    st.integers(1, 9),
)
def test_equal_and_opposite_vectors_are_grouped_as_by_comparing_all_pairs(small: np.ndarray, limit: float, block: int) -> None:
    vectors = l2_normalise(small[small.any(axis=1)].astype(float))

    def limits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.full(len(one), limit)

    before = representatives.BLOCK, representatives.PAIRS
    representatives.BLOCK = representatives.PAIRS = block
    try:
        found = find_representatives(vectors, limit, limits)
    finally:
        representatives.BLOCK, representatives.PAIRS = before
    expected = all_pairs(vectors, limits)
    assert found.indices.tolist() == expected[0]
    assert found.cosines.tolist() == expected[1]
    # A star: whoever represents another stays itself.
    assert (found.indices[found.indices] == found.indices).all()


def test_cosines_are_exact() -> None:
    vectors = l2_normalise(np.random.default_rng(1).normal(size=(50, 700)))
    forwards = cosines(vectors[:25], vectors[25:])
    turned = np.random.default_rng(2).permutation(700)
    assert cosines(vectors[25:, turned], vectors[:25, turned]).tolist() == forwards.tolist()
    assert (cosines(vectors, vectors) == 1).all()
