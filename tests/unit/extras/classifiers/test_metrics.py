"""The metrics are those of scikit-learn, and their intervals those of the sources that are drawn."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tessera.extras.classifiers.metrics import measure
from tessera.learning.classification.settings import ScoreRange
from tessera.learning.intervals import LEVEL, draws
from tessera.records.tables.classification import Predictions
from tessera.records.tables.table import types

LABELS = ("a", "b", "c")


def of_classes(targets: np.ndarray, probabilities: np.ndarray, sources: list[str]) -> pl.DataFrame:
    labels = LABELS[: probabilities.shape[1]]
    content = {
        "key": [f"k{number}" for number in range(len(targets))],
        "source": sources,
        "group": sources,
        "split": "test",
        "fold": None,
        "label": [labels[number] for number in targets],
        "predicted": [labels[number] for number in probabilities.argmax(1)],
        "probabilities": probabilities.tolist(),
        "score": None,
        "predicted_score": None,
    }
    return pl.DataFrame(content, schema_overrides=types(Predictions))


def of_scores(true: np.ndarray, predicted: np.ndarray, sources: list[str]) -> pl.DataFrame:
    rows = of_classes(np.zeros(len(true), int), np.ones((len(true), 1)), sources)
    return rows.with_columns(label=None, predicted=None, score=pl.Series(true), predicted_score=pl.Series(predicted))


def draw(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.append(np.arange(classes), rng.integers(0, classes, count - classes))
    logits = rng.normal(0, 1, (count, classes)) + 1.5 * np.eye(classes)[targets]
    # Rounded, so that there are ties.
    scores = np.exp(logits).round(1) + 0.1
    return targets, scores / scores.sum(axis=1, keepdims=True)


def expected(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    classes = probabilities.shape[1]
    predicted, onehot = probabilities.argmax(1), np.eye(classes)[targets]
    pairs = [(onehot[:, number], probabilities[:, number]) for number in range(classes)]
    return {
        "accuracy": oracle.accuracy_score(targets, predicted),
        "balanced_accuracy": oracle.balanced_accuracy_score(targets, predicted),
        "f1": oracle.f1_score(targets, predicted, average="macro"),
        "auroc": float(np.mean([oracle.roc_auc_score(*pair) for pair in pairs])),
        "average_precision": float(np.mean([oracle.average_precision_score(*pair) for pair in pairs])),
        "brier": float(((probabilities - onehot) ** 2).sum(1).mean() / (2 if classes == 2 else 1)),
    }


@given(st.integers(10, 60), st.integers(2, 3), st.integers(0, 1000))
@settings(max_examples=25)
def test_metrics_of_classes_are_those_of_scikit_learn(count: int, classes: int, seed: int) -> None:
    targets, probabilities = draw(count, classes, seed)
    found = measure(of_classes(targets, probabilities, ["s"] * count), LABELS[:classes], 0, "test")
    wanted = expected(targets, probabilities)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert found["confusion"] == oracle.confusion_matrix(targets, probabilities.argmax(1)).tolist()
    precision, recall, _, support = oracle.precision_recall_fscore_support(
        targets, probabilities.argmax(1), zero_division=np.nan
    )
    for number, name in enumerate(LABELS[:classes]):
        each = found["classes"][name]
        assert each["pictures"] == support[number]
        assert each["recall"] == pytest.approx(recall[number], abs=1e-6)
        assert (
            each["precision"] is None
            if np.isnan(precision[number])
            else each["precision"] == pytest.approx(precision[number], abs=1e-6)
        )
    if classes == 2:
        assert found["brier"] == pytest.approx(oracle.brier_score_loss(targets, probabilities[:, 1]), abs=1e-6)


def test_intervals_are_those_of_repeated_pictures() -> None:
    """Each draw restated: the pictures of a source as often as it is drawn, and scikit-learn on them."""
    targets, probabilities = draw(60, 3, 0)
    sources = [f"s{number // 6}" for number in range(60)]
    found = measure(of_classes(targets, probabilities, sources), LABELS, 7, "test")
    samples: list[dict[str, float]] = []
    for row in draws(10, 7, "classifier test")[:150]:
        chosen = np.repeat(np.arange(60), np.repeat(row, 6))
        samples.append(expected(targets[chosen], probabilities[chosen]))
    assert found["sources"] == 10
    for name in samples[0]:
        low, high = np.quantile([each[name] for each in samples], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        assert found["intervals"][name] == pytest.approx([low, high], abs=0.05), name
        assert found["intervals"][name][0] <= found[name] <= found["intervals"][name][1]
    assert set(found["intervals"]) == {*samples[0], "calibration_error"}


def test_the_draws_are_weighted_as_repeated_pictures_exactly() -> None:
    from tessera.extras.classifiers import metrics

    targets, probabilities = draw(40, 3, 1)
    counts = draws(8, 0, "x")[:20]
    values, _ = metrics._of_classes(targets, probabilities, np.repeat(np.arange(8), 5), counts, LABELS)
    for number, row in enumerate(counts):
        chosen = np.repeat(np.arange(40), np.repeat(row, 5))
        if len(set(targets[chosen])) == 3:
            wanted = expected(targets[chosen], probabilities[chosen])
            assert {name: values[name][number] for name in wanted} == pytest.approx(wanted, abs=1e-9)


def test_metrics_of_scores() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, 80).astype(float)
    predicted = (true + rng.normal(0, 1, 80)).clip(0, 5).round(1)
    sources = [f"s{number // 8}" for number in range(80)]
    found = measure(of_scores(true, predicted, sources), ScoreRange(most=5), 0, "test")
    assert found["mae"] == pytest.approx(np.abs(true - predicted).mean(), abs=1e-6)
    assert found["spearman"] == pytest.approx(spearmanr(true, predicted).statistic, abs=1e-6)
    assert found["intervals"]["mae"][0] < found["mae"] < found["intervals"]["mae"][1]
    assert measure(of_scores(true, np.ones(80), sources), ScoreRange(most=5), 0, "t")["spearman"] is None


def test_what_is_not_defined_is_null_and_few_sources_have_no_interval() -> None:
    found = measure(of_classes(np.zeros(3, int), np.array([[0.9, 0.1]] * 3), ["s"] * 3), LABELS[:2], 0, "test")
    assert found["auroc"] is None and found["average_precision"] is None
    assert found["accuracy"] == 1 and found["balanced_accuracy"] == 1
    assert found["intervals"] == "too few sources for an interval (1)"
    assert found["classes"]["b"] == {
        "pictures": 0,
        **dict.fromkeys(("precision", "recall", "auroc", "average_precision")),
        "f1": None,
    }


def test_the_worst_sources_come_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    found = measure(of_classes(np.zeros(5, int), probabilities, ["x", "y", "x", "z", "z"]), LABELS[:2], 0, "test")
    rows: list[dict[str, Any]] = found["worst_sources"]
    assert rows == [
        {"source": "y", "pictures": 1, "accuracy": 0},
        {"source": "z", "pictures": 2, "accuracy": 0.5},
        {"source": "x", "pictures": 2, "accuracy": 1},
    ]
    scores = measure(of_scores(np.zeros(3), np.array([0, 1, 5.0]), ["x", "y", "z"]), ScoreRange(most=5), 0, "test")
    assert [row["source"] for row in scores["worst_sources"]] == ["z", "y", "x"] and scores["worst_sources"][0]["mae"] == 5


@pytest.mark.parametrize(("sources", "by"), [(10, "sources"), (2, "pictures")])
def test_a_classifier_is_better_than_chance_if_its_intervals_exclude_what_a_guess_reaches(sources: int, by: str) -> None:
    targets = np.arange(80) % 2
    names = [f"s{number // 2 % sources}" for number in range(80)]
    certain = np.where(targets[:, None] == [0, 1], 0.9, 0.1)
    good = measure(of_classes(targets, certain, names), LABELS[:2], 0, "test")["chance"]
    assert good == {
        "guessed": {"balanced_accuracy": 0.5, "average_precision": 0.5},
        "intervals": {"balanced_accuracy": [1.0, 1.0], "average_precision": [1.0, 1.0]},
        "is_better": True,
        "by": by,
    }
    guess = np.random.default_rng(0).uniform(0, 1, 80)
    poor = measure(of_classes(targets, np.stack([guess, 1 - guess], 1), names), LABELS[:2], 0, "test")["chance"]
    assert poor["is_better"] is False
    assert any(low <= 0.5 <= high for low, high in poor["intervals"].values())


def test_always_one_answer_is_no_better_than_chance_however_often_it_is_right() -> None:
    targets = (np.arange(80) % 5 == 0).astype(int)
    always = measure(of_classes(targets, np.array([[0.9, 0.1]] * 80), [f"s{n // 8}" for n in range(80)]), LABELS[:2], 0, "test")
    assert always["accuracy"] == 0.8 and always["chance"]["is_better"] is False


def test_ranks_that_do_not_correlate_are_no_better_than_chance_and_one_class_says_nothing() -> None:
    rng = np.random.default_rng(1)
    true, sources = rng.integers(0, 5, 80).astype(float), [f"s{number // 8}" for number in range(80)]
    assert measure(of_scores(true, true, sources), ScoreRange(most=5), 0, "test")["chance"]["is_better"] is True
    guess = measure(of_scores(true, rng.uniform(0, 5, 80), sources), ScoreRange(most=5), 0, "test")["chance"]
    assert guess["is_better"] is False and guess["guessed"] == {"spearman": 0.0}
    one = measure(of_classes(np.zeros(9, int), np.array([[0.9, 0.1]] * 9), list("abcdefghi")), LABELS[:2], 0, "test")
    assert one["chance"]["is_better"] is None
