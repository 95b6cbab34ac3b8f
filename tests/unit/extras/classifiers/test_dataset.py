"""Faults of a dataset are all named before the training, and what can be learned in spite of them is."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from classification_dataset import CLASSES, checksum, make_pictures, write_pictures, write_vectors
from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.settings import load
from tessera.extras.classifiers.dataset import check_pictures, read_samples, read_vectors
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.learning.classification.settings import ScoreRange


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The messages for the terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(log, "_terminal", stream)
    return stream


def check(dataset: Path, labels: Any = CLASSES, vectors: Path | None = None) -> dict[str, Any]:
    check_pictures(dataset, labels, dataset.with_name("report.json"), vectors=vectors, threads=1)
    content: dict[str, Any] = json.loads(dataset.with_name("report.json").read_text())
    return content


def rows(*labels: str, **others: Any) -> list[dict[str, Any]]:
    return [{"key": f"k{number}", "split": "train", "label": label, **others} for number, label in enumerate(labels)]


def test_a_dataset_is_counted_by_split_class_and_source(tmp_path: Path) -> None:
    found = check(make_pictures(tmp_path / "dataset"))
    assert found["classes"] == ["plain", "marked"]
    assert found["splits"]["train"] == {"pictures": 24, "sources": 6, "classes": {"plain": 12, "marked": 12}}
    assert found["splits"]["val"]["pictures"] == 8


def test_every_fault_of_the_labels_is_named_at_once(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"
    write_vectors(vectors, ["k0", "k1", "k2"], np.array([[1.0, 2], [np.nan, 1], [0, 1]]))
    content = rows("plain", "other", "marked", "plain")
    content[2] |= {"source": "twice"}
    content[3] |= {"source": "twice", "split": "val"}
    with pytest.raises(TesseraError) as error:
        read_samples(write_pictures(tmp_path / "dataset", content), CLASSES, vectors)
    message = str(error.value)
    assert "has 3 faults" in message
    assert "'k1' has the class 'other', which is none of plain, marked" in message
    assert "the group 'twice' is in the splits train and val" in message
    assert "'k1' has a vector that is not finite" in message


def test_a_head_learns_without_the_pictures_that_could_not_be_embedded(tmp_path: Path, terminal: io.StringIO) -> None:
    write_vectors(tmp_path / "vectors.parquet", ["k2", "k0"], np.array([[3.0, 4], [1, 2]]))
    dataset = write_pictures(tmp_path / "dataset", rows("plain", "plain", "marked"))
    samples = read_samples(dataset, CLASSES, tmp_path / "vectors.parquet")
    assert samples.pictures["key"].to_list() == ["k0", "k2"] and samples.targets.tolist() == [0, 1]
    assert samples.vectors is not None and samples.vectors.tolist() == [[1, 2], [3, 4]]
    assert "left out, because they could not be embedded: 1 of 3 pictures" in terminal.getvalue()


def test_scores_that_are_missing_or_out_of_range_are_faults_and_nan_is_no_score(tmp_path: Path) -> None:
    content = [{"key": f"k{number}", "split": "train", "score": score} for number, score in enumerate((1.0, None, 11.0))]
    vectors = tmp_path / "vectors.parquet"
    write_vectors(vectors, ["k0", "k1", "k2"], np.eye(3))
    with pytest.raises(TesseraError, match=r"'k1' has the score None(.|\n)*'k2' has the score 11"):
        read_samples(write_pictures(tmp_path / "dataset", content), ScoreRange(most=10), vectors)
    good = tmp_path / "good"
    write_pictures(good, content[:1])
    table = pl.read_parquet(good / "pictures.parquet").with_columns(score=pl.lit(float("nan")))
    table.write_parquet(good / "pictures.parquet")
    with pytest.raises(TesseraError, match="is not a table of Pictures"):
        read_samples(good, ScoreRange(most=10))


@pytest.mark.parametrize("kind", [pl.List(pl.Float16), pl.Array(pl.Float16, 2), pl.Array(pl.Float32, 2)])
def test_vectors_of_half_and_single_precision_are_read_in_the_order_of_the_keys(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "vectors.parquet"
    write_vectors(path, ["c", "a", "b", "other"], np.arange(8).reshape(4, 2) / 4)
    table = pl.read_parquet(path)
    table.with_columns(pl.col("vector").cast(kind)).write_parquet(path)
    vectors, known, faults = read_vectors(path, ["a", "gone", "b", "c"])
    assert vectors.dtype == np.float32 and vectors.tolist() == [[0.5, 0.75], [1, 1.25], [0, 0.25]] and not faults
    assert known.tolist() == [True, False, True, True]
    pl.DataFrame({"key": ["a", "b"], "vector": [[0.5], [1.0, 2.0]]}).write_parquet(path)
    with pytest.raises(TesseraError, match="differ in length"):
        read_vectors(path, ["a", "b"])
    pl.DataFrame({"key": ["a"], "vector": [0.5]}).write_parquet(path)
    with pytest.raises(TesseraError, match="is no table of vectors"):
        read_vectors(path, ["a"])
    path.write_bytes(b"nothing")
    with pytest.raises(TesseraError, match="is no table of vectors"):
        read_vectors(path, ["a"])


def test_a_picture_that_is_missing_damaged_or_html_is_named(tmp_path: Path) -> None:
    dataset = make_pictures(tmp_path / "dataset")
    folder = dataset / "images/train"
    (folder / "train-003.png").write_text("<html>not found</html>")
    (folder / "train-004.png").write_bytes((folder / "train-005.png").read_bytes()[:200])
    with pytest.raises(TesseraError) as error:
        check(checksum(dataset))
    assert "has 2 faults" in str(error.value)
    assert "train-003.png: image cannot be decoded" in str(error.value) and "train-004.png" in str(error.value)
    (folder / "train-003.png").unlink()
    with pytest.raises(TesseraError, match="'train-003' has no picture in images/train"):
        check(dataset)


def test_a_dataset_of_one_class_cannot_be_learned(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"
    write_vectors(vectors, ["k0", "k1"], np.ones((2, 3)))
    with pytest.raises(TesseraError, match="2 pictures, and all of one label: there is nothing to learn"):
        check(write_pictures(tmp_path / "dataset", rows("plain", "plain")), vectors=vectors)


def test_a_class_without_pictures_or_of_one_source_is_reported_and_the_others_are_learned(
    tmp_path: Path, terminal: io.StringIO
) -> None:
    vectors = tmp_path / "vectors.parquet"
    write_vectors(vectors, [f"k{number}" for number in range(4)], np.eye(4))
    content = rows("plain", "plain", "plain", "marked")
    content[1]["split"], content[2]["split"] = "val", "test"
    check(write_pictures(tmp_path / "dataset", content), (*CLASSES, "old"), vectors)
    assert "no picture has the class 'old': it will not be learned" in terminal.getvalue()
    assert "the class 'marked' has 1 picture from 1 group, and none in val and test" in terminal.getvalue()
    # Nothing is missing in a split that is not wanted.
    terminal.truncate(0)
    content = rows("plain", "plain", "marked", "marked")
    content[1]["split"] = content[3]["split"] = "val"
    check(write_pictures(tmp_path / "whole", content), vectors=vectors)
    assert not terminal.getvalue().strip("\0")


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({"architecture": "resnet19"}, "did you mean 'resnet1[0-9]+"),
        ({"architecture": "head"}, "`embedding` should be stated"),
        ({"embedding": "e"}, "and only then"),
        ({"training": {"class_weights": {"plain": 2}}}, "a number for each of plain, marked"),
        ({"labels": {"most": 3}, "training": {"class_weights": "balanced"}}, "should be none for a score"),
        ({"labels": ["plain"]}, "labels"),
        ({"weights": {"source": "a.onnx", "sha256": "0123456789abcdef" * 3 + "fedcba9876543210"}}, "cannot be trained"),
        ({"training": {"batch_size": 8}}, "did you mean 'batch'|allowed: "),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], answer: str) -> None:
    with pytest.raises(TesseraError, match=answer):
        load(ClassifierSettings, {"labels": list(CLASSES), **settings}, "the settings")


def test_settings_are_accepted_as_json_writes_them() -> None:
    settings = ClassifierSettings(
        labels=CLASSES, architecture="resnet18.a1_in1k", training={"class_weights": {"plain": 1, "marked": 2}}
    )
    assert ClassifierSettings.model_validate(settings.model_dump(mode="json")) == settings
    with pytest.raises(ValidationError):
        ClassifierSettings(labels=CLASSES, label_errors={"folds": 1})
