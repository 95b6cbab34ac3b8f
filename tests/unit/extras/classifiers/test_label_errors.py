"""Wrong labels, outliers and near-duplicates with different labels are found, and what people decided stays silent."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classification_dataset import write_vectors
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.classifiers import label_errors as module
from tessera.extras.classifiers.label_errors import find_label_errors, find_neighbours, wrong_labels
from tessera.extras.classifiers.settings import LabelErrorSettings
from tessera.learning.classification.settings import Labels, ScoreRange
from tessera.learning.embedding.representatives import l2_normalise
from tessera.records.decisions import Decision, read_decisions
from tessera.records.tables.classification import CONTRADICTION, OUTLIER, WRONG, LabelErrors, Predictions
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import read_table, types, write_table

CLASSES = ("clean", "marked")
SIZE = 60


def predictions(probabilities: np.ndarray, labels: list[str]) -> pl.DataFrame:
    """Return out-of-fold predictions of classes, (N, classes), for pictures that are sources of their own."""
    rows = [
        {"key": f"k{number:02}", "source": f"k{number:02}", "group": f"k{number:02}", "label": label, "probabilities": row}
        for number, (label, row) in enumerate(zip(labels, probabilities.tolist(), strict=True))
    ]
    predicted = [CLASSES[place] for place in probabilities.argmax(axis=1)]
    shared = {"split": "train", "fold": 0, "score": None, "predicted_score": None}
    return pl.DataFrame(
        [{**row, **shared, "predicted": name} for row, name in zip(rows, predicted, strict=True)], types(Predictions)
    )


def sure(labels: list[str]) -> np.ndarray:
    """Return the probabilities of a good classifier, which is sure of 3, 10 and 59, in this order."""
    right = np.random.default_rng(0).uniform(0.7, 0.96, max(len(labels), SIZE))
    right[[3, 10, 59]] = 0.99, 0.98, 0.97
    right = right[: len(labels)]
    return np.array([[p, 1 - p] if label == "clean" else [1 - p, p] for p, label in zip(right, labels, strict=True)])


def scores(given: list[float], predicted: list[float]) -> pl.DataFrame:
    frame = predictions(sure(["clean"] * len(given)), ["clean"] * len(given))
    return frame.with_columns(
        label=pl.lit(None, pl.String),
        predicted=pl.lit(None, pl.String),
        probabilities=pl.lit([], pl.List(pl.Float64)),
        score=pl.Series(given),
        predicted_score=pl.Series(predicted),
    )


TRUE = [CLASSES[number % 2] for number in range(SIZE)]


def find(folder: Path, rows: pl.DataFrame, labels: Labels, vectors: np.ndarray | None = None, **others: Any) -> pl.DataFrame:
    """Return what is found. `kept`, `degraded`: keys. Others are settings."""
    folder.mkdir(exist_ok=True)
    write_table(rows, Predictions, folder / "predictions")
    if vectors is not None:
        stays = ~rows["key"].is_in(others.pop("lost", [])).to_numpy()
        write_vectors(folder / "vectors", rows["key"].filter(stays).to_list(), vectors[stays])
    blank = {name: kind.to_python()() if kind in (pl.String, pl.Float64) else 1 for name, kind in types(ImageLabels).items()}
    made = [{**blank, "key": key, "origin": "degraded"} for key in others.pop("degraded", [])]
    write_table(pl.DataFrame(made, types(ImageLabels)), ImageLabels, folder / "degraded")
    said = {"decision": "keep", "who": "Ada", "when": "2026-01-31", "classifier": "marks"}
    find_label_errors(
        folder / "predictions",
        None if vectors is None else folder / "vectors",
        [folder / "degraded"],
        [Decision(key=key, **said) for key in others.pop("kept", [])],
        labels,
        LabelErrorSettings(**others),
        classifier="marks",
        errors=folder / "errors",
        suggestions=folder / "suggestions.tsv",
        ledger=folder / "ledger",
    )
    return read_table(folder / "errors", LabelErrors)


def test_flipped_labels_are_found_the_least_probable_first_with_the_likely_class(tmp_path: Path) -> None:
    given = list(TRUE)
    given[3], given[10] = "clean", "marked"
    rows = predictions(sure(TRUE), given)
    found = find(tmp_path, rows, CLASSES)
    assert dict(found.select("key", "suggested").iter_rows()) == {
        "k03": "marked",
        "k10": "clean",
    }
    assert set(found["kind"]) == {WRONG} and found["key"].to_list() == ["k03", "k10"]
    assert found["strength"].to_list() == pytest.approx([0.99, 0.98])
    ledger = {row["key"]: row for row in read_ledger(tmp_path / "ledger")}
    assert list(ledger) == rows["key"].to_list() and {row["status"] for row in ledger.values()} == {"ok"}
    assert {key for key, row in ledger.items() if row["reason"] == WRONG} == {"k03", "k10"}
    assert find(tmp_path, rows.sample(fraction=1, shuffle=True, seed=1), CLASSES).equals(found), "in any order"
    assert find(tmp_path, predictions(sure(TRUE), TRUE), CLASSES).is_empty()


def test_no_label_is_called_wrong_that_the_classifier_predicts_too(tmp_path: Path) -> None:
    probabilities = np.random.default_rng(0).dirichlet([1, 1], SIZE)
    found = find(tmp_path, predictions(probabilities, TRUE), CLASSES)
    assert found.height and not (found["suggested"] == found["label"]).any() and not found["suggested"].has_nulls()
    assert find(tmp_path, predictions(probabilities, ["clean"] * SIZE), CLASSES).is_empty(), "one class, nothing to compare"


def test_a_score_is_wrong_if_it_differs_from_the_prediction_by_a_fraction_of_the_range(tmp_path: Path) -> None:
    found = find(tmp_path, scores([1.0, 5.0, 9.0], [1.5, 9.0, 6.0]), ScoreRange(most=10), residual=0.3)
    assert found.select("key", "score", "suggested_score", "strength").rows() == [("k01", 5, 9, 0.4), ("k02", 9, 6, 0.3)]


def test_a_label_that_a_person_keeps_is_silent_and_a_decision_on_no_picture_is_reported(tmp_path: Path) -> None:
    given = [*TRUE[:-1], "clean"]
    rows = predictions(sure(TRUE), given)
    assert find(tmp_path, rows, CLASSES)["key"].to_list() == ["k59"]
    assert find(tmp_path, rows, CLASSES, kept=["k59", "gone"]).is_empty()
    ledger = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(tmp_path / "ledger")}
    assert ledger["k59"] == ("ok", "kept by decision") and ledger["gone"] == ("dropped", "decision on no picture")


def test_suggestions_become_decisions_when_a_person_signs_them(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(0, 1, (SIZE, 16)) + 3
    vectors[7], vectors[4] = -vectors[7], vectors[5]
    find(tmp_path, predictions(sure(TRUE), [*TRUE[:-1], "clean"]), CLASSES, vectors, near_duplicates=0.999)
    with pytest.raises(TesseraError, match="who: String should have at least 1 character"):
        read_decisions(tmp_path / "suggestions.tsv", {"marks": CLASSES})
    with (tmp_path / "suggestions.tsv").open(newline="") as file:
        rows = [{**row, "who": "Ada", "when": "2026-01-31"} for row in csv.DictReader(file, delimiter="\t")]
    with (tmp_path / "signed.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    said = read_decisions(tmp_path / "signed.tsv", {"marks": CLASSES})
    assert [(each.key, each.decision, each.label) for each in said] == [
        *[("k59", "relabel", "marked"), ("k07", "drop", "")],
        *[("k04", "keep", ""), ("k05", "keep", "")],
    ]


def test_pictures_unlike_all_others_and_twins_with_other_labels_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 1, (SIZE, 16)) + 3
    vectors[8] = vectors[5] * 2  # the even pictures are clean
    vectors[12] = vectors[4]
    vectors[20] = -vectors[20]
    rows = predictions(sure(TRUE), TRUE)
    found = find(tmp_path, rows, CLASSES, vectors, near_duplicates=0.999)
    assert found.filter(kind=OUTLIER)["key"].to_list() == ["k20"] and found.filter(kind=OUTLIER)["suggested"].null_count() == 1
    twins = found.filter(kind=CONTRADICTION)
    assert set(twins.select("key", "other").iter_rows()) == {("k05", "k08"), ("k08", "k05")}
    assert twins["strength"].to_list() == pytest.approx([1, 1], abs=1e-6)
    both = find(tmp_path, rows, CLASSES, vectors, near_duplicates=0.999, degraded=["k05", "k08"])
    assert CONTRADICTION not in both["kind"], "they differ in nothing but their level"
    one = find(tmp_path, rows, CLASSES, vectors, near_duplicates=0.999, degraded=["k05"])
    assert one.filter(kind=CONTRADICTION).height == 2
    assert find(tmp_path, rows, CLASSES, vectors, near_duplicates=None, outlier=None).is_empty()


def test_a_picture_without_a_vector_is_a_remark_and_hides_nothing(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(0, 1, (SIZE, 16)) + 3
    vectors[8], vectors[20] = vectors[5] * 2, -vectors[20]
    rows = predictions(sure(TRUE), TRUE)
    whole = find(tmp_path / "whole", rows, CLASSES, vectors, near_duplicates=0.999)
    with_zero = np.where(np.arange(SIZE)[:, None] == 30, 0, vectors)
    for name, change in (("zero", with_zero), ("none", vectors)):
        folder = tmp_path / name
        found = find(folder, rows, CLASSES, change, near_duplicates=0.999, lost=["k30"] if name == "none" else [])
        assert found.select("key", "kind", "other").equals(whole.select("key", "kind", "other"))
    ledger = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(tmp_path / "none" / "ledger")}
    assert ledger["k30"] == ("ok", "no vector") and len(ledger) == SIZE
    with pytest.raises(TesseraError, match="'k30' has a vector that is not finite"):
        find(tmp_path / "nan", rows, CLASSES, np.where(np.arange(SIZE)[:, None] == 30, np.nan, vectors))


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_class_that_a_fold_did_not_learn_is_not_judged_and_replaces_no_wrong_label(tmp_path: Path, is_folded: bool) -> None:
    labels = (*CLASSES, "lone")
    given = [CLASSES[number % 2] for number in range(40)] + ["lone"] * 8
    probabilities = np.array([[0.9 - place / 1000, 0.1 + place / 1000, 1e-4] for place in range(48)])
    probabilities[1:40:2] = probabilities[1:40:2, [1, 0, 2]]
    wrong = [4, 5, 30, 31]
    probabilities[wrong] = probabilities[wrong][:, [1, 0, 2]]
    probabilities[6] = 0.3, 0.1, 0.6  # a class without a meaning in this fold
    rows = predictions(probabilities[:, :2] / probabilities[:, :2].sum(axis=1, keepdims=True), given)
    rows = rows.with_columns(
        probabilities=pl.Series((probabilities / probabilities.sum(axis=1, keepdims=True)).tolist()),
        predicted=pl.Series([labels[place] for place in probabilities.argmax(axis=1)]),
        group=pl.when(label="lone").then(pl.lit("one")).otherwise("group"),
        fold=pl.when(label="lone").then(0).otherwise(pl.int_range(pl.len()) // 2 % 3) if is_folded else pl.lit(None, pl.Int64),
    )
    if is_folded:
        rows = rows.with_columns(fold=pl.when(key="k06").then(0).otherwise("fold").cast(pl.Int64))
    found = find(tmp_path, rows, labels)
    assert sorted(found["key"]) == [f"k{place:02}" for place in wrong] and set(found["suggested"]) == set(CLASSES)
    reasons = {row["key"]: row["reason"] for row in read_ledger(tmp_path / "ledger")}
    assert {key for key, reason in reasons.items() if reason == "class not learned"} == {f"k{place}" for place in range(40, 48)}


def test_vectors_without_a_direction_have_no_neighbours_and_hide_none() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 16))
    vectors[1::2] = vectors[::2] + 1e-4
    zero = np.vstack([vectors, np.zeros((2, 16))])
    same: list[np.ndarray] = []
    for used in (vectors, zero):
        numbers = np.arange(len(used))
        found = find_neighbours(l2_normalise(used), numbers, numbers % 2.0, np.zeros(len(used), bool), apart=1, count=3)
        assert (found.cosines[:40] >= 0.98).sum() == 40 and (found.cosines[40:] == -np.inf).all()
        same.append(found.distances[:40])
    assert np.array_equal(*same)


def test_scores_of_near_duplicates_differ_by_a_fraction_of_the_range(tmp_path: Path) -> None:
    rows = scores([0.0, 2.0, 4.0, 9.0], [0.0, 2.0, 4.0, 9.0])
    vectors = np.array([[1, 0.0], [1, 0.01], [0, 1], [0.01, 1]])
    found = find(tmp_path, rows, ScoreRange(most=10), vectors, residual=0.5, outlier=None)
    assert set(found.select("key", "other").iter_rows()) == {("k02", "k03"), ("k03", "k02")}


@given(st.integers(1, 24), st.integers(1, 5), st.integers(0, 5), st.sampled_from([1, 7, 256]))
@settings(max_examples=25, deadline=None)
def test_neighbours_equal_those_of_a_loop_for_any_size_of_blocks(size: int, count: int, seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = l2_normalise(rng.normal(0, 1, (size, 3)))
    groups, values, made = rng.integers(0, 4, size), rng.integers(0, 3, size).astype(float), rng.random(size) < 0.3
    before, module.BLOCK = module.BLOCK, block
    try:
        found = find_neighbours(vectors, groups, values, made, apart=1, count=count)
    finally:
        module.BLOCK = before
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    for one in range(size):
        cosines = {other: float(exact[one] @ exact[other] / lengths[one] / lengths[other]) for other in range(size)}
        foreign = sorted(1 - cosines[other] for other in range(size) if groups[other] != groups[one])[:count]
        assert found.distances[one] == pytest.approx(np.mean(foreign) if foreign else np.nan, nan_ok=True)
        differing = [
            cosines[other] for other in range(size) if values[other] != values[one] and not (made[one] and made[other])
        ]
        assert found.cosines[one] == pytest.approx(max(differing, default=-np.inf))
        if differing:
            assert cosines[int(found.others[one])] == pytest.approx(max(differing))


def test_a_class_without_a_picture_is_no_obstacle() -> None:
    rows = predictions(sure(TRUE), [*TRUE[:-1], "clean"])
    wider = rows.with_columns(probabilities=pl.col("probabilities").map_elements(lambda row: [*row, 0.0], pl.List(pl.Float64)))
    found = wrong_labels(wider, (*CLASSES, "never"), 0.3)
    assert [row["key"] for row in found] == ["k59"]
