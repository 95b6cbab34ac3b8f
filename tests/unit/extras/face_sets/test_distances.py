"""Sums of distances and chains are those of a loop over all pairs, also where many are equal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slow_faces
from tessera.extras.face_sets.distances import chain_histograms, chain_pictures, histogram_distances, total_distances


def histograms_of(seed: int, count: int, channels: int) -> np.ndarray:
    """Return histograms of 100 values, many of them equal or nearly so."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 256, (max(1, count // 3), channels, 100))
    rows = values[draw.integers(0, len(values), count)]
    rows[draw.random(count) < 0.3, :, 0] = 0
    return np.stack([[np.bincount(channel, minlength=256) for channel in row] for row in rows])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 3))
def test_a_chain_of_histograms_is_that_of_a_loop(seed: int, count: int, channels: int) -> None:
    histograms = histograms_of(seed, count, channels)
    order, links = chain_histograms(histograms)
    expected, distances = slow_faces.chain(histograms, slow_faces.histogram_distance)
    assert order.tolist() == expected
    assert links == pytest.approx(distances, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_sums_of_distances_are_those_of_a_loop(seed: int, count: int) -> None:
    histograms = histograms_of(seed, count, 1)
    expected = slow_faces.totals(histograms, slow_faces.histogram_distance)
    totals = total_distances(histograms[:, 0])
    assert totals == pytest.approx(expected, abs=2e-9)
    # Equal histograms have exactly equal sums.
    for number in range(count):
        same = (histograms == histograms[number]).all(axis=(1, 2))
        assert len(set(totals[same])) == 1


def test_sums_are_those_of_a_loop_over_several_blocks_of_rows() -> None:
    histograms = histograms_of(0, 600, 1)
    histograms[:, 0, :4] += np.arange(600)[:, None] % (7, 11, 13, 17)
    expected = [histogram_distances(one, histograms).sum() for one in histograms]
    assert total_distances(histograms[:, 0]) == pytest.approx(expected, abs=2e-9)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 150),
    st.sampled_from([1, 2, 40]),
    st.sampled_from([(1, 1), (5, 9), (16, 16), (33, 20)]),
    st.sampled_from([2, 256]),
)
def test_a_chain_of_pictures_is_that_of_a_loop(seed: int, count: int, copies: int, shape: tuple[int, int], levels: int) -> None:
    draw = np.random.default_rng(seed)
    distinct = draw.integers(0, levels, (-(-count // copies), *shape, 3), dtype=np.uint8)
    pictures = distinct[draw.integers(0, len(distinct), count)]
    order, links = chain_pictures(len(pictures), pictures.__getitem__)
    expected, distances = slow_faces.chain(pictures, slow_faces.pixel_distance)
    assert (order.tolist(), links.tolist()) == (expected, distances)
