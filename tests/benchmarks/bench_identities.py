"""The memory and time of clustering 50,000 vectors, and how well planted identities are found, in any order."""

import json
import subprocess
import sys
from pathlib import Path
from time import process_time

import numpy as np
from memory import largest_memory
from sklearn.metrics import adjusted_rand_score

from tessera.extras.identities.classify import Group, classify
from tessera.extras.identities.clusters import find_clusters
from tessera.extras.identities.settings import ClusterSettings
from tessera.learning.embedding import representatives

DIMENSIONS = 768
NOISE = 0.1  # fraction of the vectors that show no identity
SPREAD = 0.5  # of the vectors around the centre of an identity, whose length is about 1; their cosines are about 0.8
SETTINGS = ClusterSettings(dense=0.75, same=0.7)


def planted(count: int, identities: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors, float16 (N, D), and the identity of each, or -1: int64 (N,). The sizes follow Zipf's law."""
    draw = np.random.default_rng(0)
    sizes = 1 / np.arange(3, identities + 3)
    truth = draw.choice(identities, count, p=sizes / sizes.sum())
    truth[draw.random(count) < NOISE] = -1
    centres = draw.standard_normal((identities, DIMENSIONS), np.float32)
    vectors = np.empty((count, DIMENSIONS), np.float16)
    for start in range(0, count, 5_000):
        own = truth[start : start + 5_000]
        numbers = draw.standard_normal((len(own), DIMENSIONS), np.float32)
        around = centres[own] + SPREAD * numbers
        vectors[start : start + 5_000] = representatives.l2_normalise(np.where(own[:, None] < 0, numbers, around))
    return vectors, truth


def bare(blocks: int) -> float:
    """Return the seconds of processor time of one of `blocks` products of two blocks of vectors."""
    block = np.full((representatives.BLOCK, DIMENSIONS), 0.03, np.float32)
    start = process_time()
    for _ in range(blocks):
        block @ block.T
    return (process_time() - start) / blocks


def measure(count: int, identities: int) -> dict[str, float]:
    vectors, truth = planted(count, identities)
    pairs = count / representatives.BLOCK * (count / representatives.BLOCK + 1) / 2
    before = bare(16)
    start = process_time()
    found = find_clusters(vectors, SETTINGS)
    spent = process_time() - start
    product = (before + bare(16)) / 2 * pairs
    score = adjusted_rand_score(truth, found.labels)
    clusters = int(found.labels.max()) + 1
    return {"seconds": spent, "product": product, "score": score, "clusters": clusters, "memory": largest_memory()}


def test_50_000_vectors_are_clustered_in_2_gigabytes_and_planted_identities_are_found() -> None:
    command = [sys.executable, "-c", "import json, bench_identities as own; print(json.dumps(own.measure(50_000, 200)))"]
    run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    ratio = found["seconds"] / found["product"]
    print(
        f"\n{found['seconds']:,.0f} s of processor time, {ratio:.1f} times that of the products of all pairs;"
        f" {found['memory'] / 1e6:,.0f} MB; {found['clusters']} clusters, adjusted Rand index {found['score']:.4f}"
    )
    assert found["memory"] <= 2e9
    assert found["score"] >= 0.95
    # All pairs are compared three times.
    assert ratio <= 8


def test_clusters_do_not_depend_on_the_order_of_vectors() -> None:
    vectors, truth = planted(6_000, 60)
    order = np.random.default_rng(1).permutation(len(vectors))
    one, other = find_clusters(vectors, SETTINGS), find_clusters(vectors[order], SETTINGS)
    assert adjusted_rand_score(truth, one.labels) >= 0.95
    assert adjusted_rand_score(one.labels[order], other.labels) == 1
    assert ((one.labels[order] < 0) == (other.labels < 0)).all()
    assert sorted(order[other.medoids]) == sorted(one.medoids)
    # Certainties hang on means, whose rounding depends on the order of summation.
    np.testing.assert_allclose(one.certainty[order], other.certainty, atol=1e-6)


def test_three_references_of_each_identity_name_99_percent_of_its_vectors_and_no_noise() -> None:
    vectors, truth = planted(6_000, 60)
    places = [np.flatnonzero(truth == identity)[:3] for identity in range(60)]
    references = np.concatenate(places)
    groups = [Group(str(identity), "", tuple(range(3 * identity, 3 * identity + 3))) for identity in range(60)]
    rest = np.setdiff1d(np.arange(len(vectors)), references)
    found = classify(vectors[rest], vectors[references], groups)
    is_named = (found.similarity >= 0.6) & (found.certainty >= 0.1)
    named = np.where(is_named, found.group, -1)
    is_known = truth[rest] >= 0
    right = float((named == truth[rest])[is_known].mean())
    wrong = int(is_named[~is_known].sum())
    print(f"\n{right:.2%} of {int(is_known.sum()):,} vectors get their name, and {wrong} of noise get one")
    assert right >= 0.99
    assert wrong == 0
