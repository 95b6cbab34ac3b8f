"""Close hashes are those of comparing all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.imaging import near_hashes
from tessera.imaging.near_hashes import close_pairs, find_duplicates


def compare_all(hashes: list[int], distance: int) -> tuple[list[int], list[int]]:
    """The definition, in slow and obvious code."""
    kept: list[int] = []
    for place, one in enumerate(hashes):
        if all((one ^ hashes[other]).bit_count() > distance for other in kept):
            kept.append(place)
    nearest = [min(((one ^ hashes[other]).bit_count(), other) for other in kept) for one in hashes]
    return [place for _, place in nearest], [bits for bits, _ in nearest]


def clustered(count: int, centres: int, flips: int, seed: int) -> np.ndarray:
    """Return `count` hashes, each a few flipped bits from one of a few centres."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, centres, np.uint64)[random.integers(0, centres, count)]
    for _ in range(flips):
        hashes ^= np.uint64(1) << random.integers(0, 64, count, np.uint64)
    return hashes


def assert_equal_to_comparing_all(hashes: np.ndarray, distance: int) -> None:
    found = find_duplicates(hashes, distance)
    assert [result.dtype for result in found] == [np.int64, np.int64]
    assert tuple(result.tolist() for result in found) == compare_all(hashes.tolist(), distance)


@settings(deadline=None)
@given(
    count=st.integers(0, 120),
    centres=st.integers(1, 20),
    flips=st.integers(0, 12),
    seed=st.integers(0, 2**32),
    distance=st.integers(0, 16),
    small=st.sampled_from([1, 3, 512]),
)
def test_duplicates_are_those_of_comparing_all_pairs(
    count: int, centres: int, flips: int, seed: int, distance: int, small: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_hashes, "SMALL", small)
        patch.setattr(near_hashes, "PAIRS_AT_ONCE", 7)
        assert_equal_to_comparing_all(clustered(count, centres, flips, seed), distance)


@pytest.mark.parametrize("distance", [0, 1, 4, 8, 16])
def test_duplicates_among_thousands_are_those_of_comparing_all_pairs(distance: int) -> None:
    assert_equal_to_comparing_all(clustered(1500, 60, 5, distance), distance)


def test_the_nearest_kept_image_is_named_or_the_earliest_of_several() -> None:
    hashes = np.array([0b0, 0b1111, 0b0011, 0b0111, 0b1111], np.uint64)
    stays, distances = find_duplicates(hashes, 3)
    assert stays.tolist() == [0, 1, 0, 1, 1]
    assert distances.tolist() == [0, 0, 2, 1, 0]


def test_a_hundred_thousand_black_frames_take_little_time() -> None:
    hashes = clustered(100_000, 1, 4, 0)
    stays, distances = find_duplicates(hashes, 8)
    assert (stays == 0).all()
    assert distances.max() <= 8


@settings(deadline=None)
@given(sizes=st.tuples(st.integers(0, 60), st.integers(0, 60)), seed=st.integers(0, 2**32), distance=st.integers(0, 16))
def test_close_pairs_are_those_of_comparing_all(sizes: tuple[int, int], seed: int, distance: int) -> None:
    queries, hashes = clustered(sizes[0], 4, 5, seed), clustered(sizes[1], 4, 5, seed)
    pairs = [
        (place, other)
        for place, one in enumerate(queries.tolist())
        for other, two in enumerate(hashes.tolist())
        if (one ^ two).bit_count() <= distance
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_hashes, "PAIRS_AT_ONCE", 7)
        assert list(zip(*(result.tolist() for result in close_pairs(queries, hashes, distance)), strict=True)) == pairs
