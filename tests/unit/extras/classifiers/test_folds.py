"""Folds never divide a group, share the classes evenly, and do not depend on the order of the pictures."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classification_dataset import write_pictures, write_vectors
from tessera.core.errors import TesseraError
from tessera.extras.classifiers.dataset import TABLE, Samples
from tessera.extras.classifiers.folds import assign_folds, divide_into_folds, join_predictions, with_fold
from tessera.learning.classification.settings import ScoreRange
from tessera.records.tables.classification import Folds, Pictures, Predictions
from tessera.records.tables.table import read_table, types, write_table

LABELS = ("a", "b", "c")


def pictures(*rows: tuple[str, str], scores: bool = False) -> pl.DataFrame:
    """Return a table with a row for each label and group."""
    content = [
        {
            "key": f"k{number:03}",
            "source": group,
            "group": group,
            "split": "train",
            "label": None if scores else label,
            "score": float(number) if scores else None,
            "weight": 1.0,
        }
        for number, (label, group) in enumerate(rows)
    ]
    return pl.DataFrame(content, schema=types(Pictures))


def many(groups: int, each: int) -> list[tuple[str, str]]:
    return [(LABELS[group % 3], f"g{group}") for group in range(groups) for _ in range(each)]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 8).map(str)), min_size=2, max_size=40).filter(
        lambda rows: len({group for _, group in rows}) > 1
    ),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_every_picture_is_in_one_fold_with_its_whole_group(rows: list[tuple[str, str]], count: int, seed: int) -> None:
    table = pictures(*rows)
    folds, _ = assign_folds(table, LABELS, count, seed)
    assert folds["key"].to_list() == table["key"].to_list()
    of_group = table.join(folds, on="key").group_by("group").agg(pl.col("fold").n_unique())
    assert set(of_group["fold"]) == {1}
    assert set(folds["fold"]) <= set(range(count))


def test_classes_are_shared_evenly_in_any_order_of_the_pictures() -> None:
    table = pictures(*many(30, 4))
    folds, remarks = assign_folds(table, LABELS, 5, 0)
    counts = Counter(table.join(folds, on="key").select("label", "fold").iter_rows())
    assert set(counts.values()) == {8} and len(counts) == 15 and not remarks
    shuffled, _ = assign_folds(table.sample(fraction=1, shuffle=True, seed=3), LABELS, 5, 0)
    assert shuffled.equals(folds)
    assert not assign_folds(table, LABELS, 5, 1)[0].equals(folds), "another seed gives other folds"


def test_scores_are_shared_evenly() -> None:
    table = pictures(*[("", f"g{number}") for number in range(100)], scores=True)
    folds, _ = assign_folds(table, ScoreRange(most=100), 5, 0)
    means = table.join(folds, on="key").group_by("fold").agg(pl.col("score").mean(), pl.len())
    assert set(means["len"]) == {20} and means["score"].min() > 40 and means["score"].max() < 60


def test_what_cannot_be_divided_is_reported_and_the_rest_is_divided() -> None:
    rows = [*many(30, 1), ("b", "g1"), *[("lone", "h")] * 3, ("two", "i"), ("two", "j")]
    labels = (*LABELS, "lone", "two")
    folds, remarks = assign_folds(pictures(*rows), labels, 5, 0)
    assert sorted(Counter(folds["fold"])) == [0, 1, 2, 3, 4]
    assert "the class 'lone' has 3 pictures from one group" in remarks[0] and "has not learned this class" in remarks[0]
    assert "the class 'two' has 2 groups" in remarks[1]
    folds, remarks = assign_folds(pictures(("a", "x"), ("b", "y"), ("a", "z")), LABELS, 5, 0)
    assert remarks[0] == "3 groups: 3 folds in place of 5" and set(folds["fold"]) == {0, 1, 2}
    with pytest.raises(TesseraError, match="2 pictures are of one group, which is never divided"):
        assign_folds(pictures(("a", "x"), ("b", "x")), LABELS, 5, 0)


def test_a_fold_is_predicted_by_a_classifier_that_never_saw_it(tmp_path: Path) -> None:
    content = [{"key": f"k{number}", "split": "train", "label": LABELS[number % 3]} for number in range(12)]
    dataset = write_pictures(tmp_path / "dataset", content)
    divide_into_folds(dataset, tmp_path / "folds.parquet", LABELS, count=3, seed=0)
    folds = dict(read_table(tmp_path / "folds.parquet", Folds).iter_rows())
    samples = Samples(read_table(dataset / TABLE, Pictures).sort("key"), None)  # type: ignore[arg-type]
    for fold in range(3):
        splits = dict(with_fold(samples, tmp_path / "folds.parquet", fold).pictures.select("key", "split").iter_rows())
        expected = {fold: "test", (fold + 1) % 3: "val"}
        assert splits == {key: expected.get(number, "train") for key, number in folds.items()}
    beyond = with_fold(samples, tmp_path / "folds.parquet", 3)
    assert not len(beyond.indices("test"))
    other = Samples(samples.pictures[:5], None)  # type: ignore[arg-type]
    with pytest.raises(TesseraError, match="is of other pictures than the dataset"):
        with_fold(other, tmp_path / "folds.parquet", 0)
    # Some may have no vector.
    head = Samples(samples.pictures[:5], None, vectors=np.ones((5, 2), np.float32))  # type: ignore[arg-type]
    assert len(with_fold(head, tmp_path / "folds.parquet", 0).indices("test")) == [*folds.values()][:5].count(0)


@pytest.mark.parametrize(
    "seed", [*range(20), 235, 626, 1658]
)  # with the last three, the splitter leaves a fold without a group
def test_no_fold_is_empty_while_there_are_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, most = int(rng.integers(2, 14)), int(rng.integers(2, 8))
    table = pictures(*[(LABELS[rng.integers(3)], f"g{rng.integers(most)}") for _ in range(size)])
    if (groups := table["group"].n_unique()) > 1:
        folds, _ = assign_folds(table, LABELS, 5, seed)
        assert set(folds["fold"]) == set(range(min(5, groups)))
        assert set(table.join(folds, on="key").group_by("group").agg(pl.col("fold").n_unique())["fold"]) == {1}


def test_joined_predictions_cover_each_picture_once(tmp_path: Path) -> None:
    dataset = write_pictures(tmp_path / "dataset", [{"key": key, "split": "train", "label": "a"} for key in "xyz"])

    def table(name: str, keys: str) -> Path:
        row: dict[str, Any] = {"source": "s", "group": "s", "split": "train", "fold": 0, "label": "a", "predicted": "b"}
        rows = [{"key": key, **row, "probabilities": [0.1, 0.9], "score": None, "predicted_score": None} for key in keys]
        write_table(pl.DataFrame(rows, schema=types(Predictions)), Predictions, tmp_path / name)
        return tmp_path / name

    join_predictions(dataset, None, [table("0", "zx"), table("1", "y"), table("2", "")], tmp_path / "all.parquet")
    assert read_table(tmp_path / "all.parquet", Predictions)["key"].to_list() == ["x", "y", "z"]
    with pytest.raises(TesseraError, match="the folds predict 2 pictures, and the dataset has 3"):
        join_predictions(dataset, None, [tmp_path / "0"], tmp_path / "all.parquet")
    write_vectors(tmp_path / "vectors", ["x", "z"], np.eye(2))
    join_predictions(dataset, tmp_path / "vectors", [tmp_path / "0"], tmp_path / "all.parquet")
    with pytest.raises(TesseraError, match="the folds predict 1 picture, and the dataset has 2"):
        join_predictions(dataset, tmp_path / "vectors", [table("3", "z")], tmp_path / "all.parquet")
