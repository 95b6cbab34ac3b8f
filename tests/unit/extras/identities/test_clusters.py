"""What was split is merged, noise joins the cluster that it is like, and members that are unlike the others leave."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.extras.identities.clusters import drop_unlike, find_clusters, join_noise, merge_clusters
from tessera.extras.identities.settings import ClusterSettings
from tessera.learning.embedding.density import count_same
from tessera.learning.embedding.representatives import l2_normalise

NOISE = -1


def at(*degrees: float) -> np.ndarray:
    """Return a vector in each of these directions in a plane, float16 (N, 2)."""
    angles = np.radians(degrees)
    return l2_normalise(np.stack([np.cos(angles), np.sin(angles)], axis=1))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 359), st.integers(NOISE, 3)), min_size=1, max_size=12))
def test_the_same_are_counted_in_each_cluster_without_the_vector_itself(points: list[tuple[int, int]]) -> None:
    degrees, labels = zip(*points, strict=True)
    vectors = at(*degrees)
    exact = vectors.astype(np.float64)
    expected = np.zeros((len(points), 4), int)
    for one, own in enumerate(exact):
        for other, label in enumerate(labels):
            same = own @ exact[other] / np.sqrt((own @ own) * (exact[other] @ exact[other])) >= 0.7
            if one != other and label != NOISE and same:
                expected[one, label] += 1
    assert (count_same(vectors, np.array(labels), 0.7, 4) == expected).all()


def test_clusters_merge_from_the_share_of_pairs_that_are_the_same() -> None:
    # Within 45 degrees: all but one of the four pairs of the first two clusters, and none with the third.
    vectors, labels = at(0, 10, 40, 50, 180, 190), np.array([0, 0, 1, 1, 2, 2])
    counts = count_same(vectors, labels, 0.7, 3)
    assert merge_clusters(labels, counts, 0.75).tolist() == [0, 0, 1]
    assert merge_clusters(labels, counts, 0.76).tolist() == [0, 1, 2]


def test_a_chain_of_clusters_is_one() -> None:
    labels = np.array([0, 1, 2])
    assert merge_clusters(labels, count_same(at(0, 40, 80), labels, 0.7, 3), 1).tolist() == [0, 0, 0]


def test_noise_joins_the_cluster_of_the_largest_share_by_rate_or_count() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, NOISE, NOISE])
    counts = np.zeros((8, 2), np.int32)
    counts[6] = 3, 1  # three of four, one of two
    counts[7] = 2, 0

    def joined(rate: float, count: int) -> list[int]:
        return join_noise(labels, counts, ClusterSettings(rate=rate, count=count)).tolist()[6:]

    assert joined(0.75, 9) == [0, NOISE]
    assert joined(0.76, 9) == [NOISE, NOISE]
    assert joined(0.76, 2) == [0, 0]


def test_members_that_would_not_join_leave_and_so_does_what_remains_of_too_small_clusters() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    counts = np.zeros((7, 2), np.int32)
    counts[:4, 0] = 2, 2, 1, 0  # of three others
    counts[4:, 1] = 2, 2, 2

    def left(**how: float) -> list[int]:
        return drop_unlike(labels, counts, ClusterSettings(**{"rate": 0.6, "count": 9, "members": 2, **how})).tolist()

    assert left() == [0, 0, NOISE, NOISE, 1, 1, 1]
    assert left(count=1) == [0, 0, 0, NOISE, 1, 1, 1]
    assert left(members=3) == [NOISE] * 4 + [0, 0, 0]


def test_what_density_splits_is_one_cluster_and_its_fringe_belongs_to_it() -> None:
    vectors = at(0, 1, 2, 20, 21, 22, 11, 180)
    found = find_clusters(vectors, ClusterSettings(dense=0.999, members=3, same=0.9))
    assert found.labels.tolist() == [0] * 7 + [NOISE]
    assert found.medoids.tolist() == [6]
