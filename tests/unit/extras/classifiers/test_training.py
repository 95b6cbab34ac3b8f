"""Training gives the same bytes with and without kills, on any number of loaders, and stops at the best weights."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from classification_dataset import CLASSES, COUNTS, checksum, make_digits, make_pictures
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.extras.classifiers import train as module
from tessera.extras.classifiers.augment import augment, crop
from tessera.extras.classifiers.dataset import read_samples
from tessera.extras.classifiers.folds import divide_into_folds, join_predictions
from tessera.extras.classifiers.settings import ClassifierAugmentationSettings, ClassifierSettings
from tessera.extras.classifiers.train import train_classifier, train_fold
from tessera.learning.classification.classifier import Classifier, read_classifier
from tessera.learning.classification.settings import ScoreRange
from tessera.learning.trainings import RECORD, Record, Trainings
from tessera.learning.weights.declare import WeightsSettings
from tessera.records.tables.classification import Pictures, Predictions
from tessera.records.tables.table import read_table, write_table

pytestmark = pytest.mark.slow
EPOCHS = 4
SETTINGS = ClassifierSettings(
    labels=CLASSES,
    architecture="test_resnet",
    image_size=32,
    augmentation={"flip_vertical": 0.5, "grayscale": 0.2, "crop": 0.8, "colour": 0.2},
    training={"epochs": EPOCHS, "batch": 8, "learning_rate": 3e-3, "patience": 0, "class_weights": "balanced"},
)
SCORES = SETTINGS.model_validate(
    {**SETTINGS.model_dump(), "labels": {"most": 14}, "training": {"epochs": EPOCHS, "batch": 8, "learning_rate": 3e-3}}
)
HEAD = ClassifierSettings(
    labels=tuple(map(str, range(10))),
    architecture="head",
    embedding="pixels",
    hidden=64,
    training={"epochs": 40, "batch": 32, "learning_rate": 2e-3, "patience": 5},
)


def change(settings: ClassifierSettings, **training: Any) -> ClassifierSettings:
    """Return `settings` with other values in `training`."""
    return settings.model_validate({**settings.model_dump(), "training": {**settings.training.model_dump(), **training}})


@dataclass(frozen=True)
class Trained:
    dataset: Path
    folder: Path


def train(dataset: Path, folder: Path, settings: ClassifierSettings = SETTINGS, **others: Any) -> dict[str, bytes]:
    """Train, and return the files that were written."""
    folder.mkdir(exist_ok=True)
    vectors, weights = others.pop("vectors", None), others.pop("weights", None)
    files = [folder / name for name in ("best.safetensors", "curves.csv", RECORD)]
    arguments = {"seed": 0, "threads": 1, "code": "", **others}
    train_classifier(dataset, vectors, weights, *files, Trainings(folder / "runs"), settings, **arguments)
    return {path.name: path.read_bytes() for path in files[:2]}


def train_kind(kind: str, dataset: str | Path, folder: str | Path) -> dict[str, bytes]:
    """Train on pictures, or a head on digits whose vectors lie beside `dataset`."""
    if kind == "pictures":
        return train(Path(dataset), Path(folder))
    vectors = Path(dataset).with_name("vectors.parquet")
    return train(Path(dataset), Path(folder), change(HEAD, epochs=30, patience=0), vectors=vectors)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    dataset = make_pictures(folder / "dataset")
    train(dataset, folder / "training")
    return Trained(dataset, folder / "training")


def curves(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def accuracy(classifier: Path, dataset: Path, labels: Any, vectors: Path) -> float:
    samples = read_samples(dataset, labels, vectors)
    places = samples.indices("test")
    assert samples.vectors is not None
    found = read_classifier(classifier).predict_vectors(samples.vectors[places])
    return float((found.argmax(1) == samples.targets[places]).mean())


# The pictures are changed at random, and the head has dropout.
@pytest.mark.parametrize("kind", ["pictures", "head"])
def test_a_killed_training_ends_like_an_undisturbed_one_without_network_access(
    trained: Trained, tmp_path: Path, terminal: io.StringIO, kind: str
) -> None:
    code = """
import os, signal, sys

def listen(event, arguments):
    if event == "socket.getaddrinfo" or event == "socket.connect" and not isinstance(arguments[1], (str, bytes)):
        print("network:", event, arguments[1], file=sys.stderr, flush=True)

sys.addaudithook(listen)

class Mortal:
    # Kills the process in the second epoch; whoever reads what it writes may come too late.
    def write(self, text):
        sys.__stderr__.write(text)
        if text.startswith("epoch 2/"):
            sys.__stderr__.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    def __getattr__(self, name):
        return getattr(sys.__stderr__, name)

sys.stderr = Mortal()
from test_training import train_kind
train_kind(*sys.argv[1:])
"""
    dataset, whole = trained.dataset, trained.folder
    if kind == "head":
        dataset, whole = make_digits(tmp_path / "dataset", tmp_path / "vectors.parquet", (100, 50, 0)), tmp_path / "whole"
        train_kind(kind, dataset, whole)
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", code, kind, str(dataset), str(folder)]
    path = ":".join([str(Path(__file__).parent), str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    assert process.stderr is not None
    told = list(process.stderr)
    assert process.wait() == -signal.SIGKILL, "".join(told)
    assert not [line for line in told if line.startswith("network:")]
    (run,) = (folder / "runs").iterdir()
    (run / ".partial.state.pt").write_bytes(b"half")

    terminal.truncate(0)
    files = train_kind(kind, dataset, folder)
    assert "resuming after epoch" in terminal.getvalue() and "epoch 1/" not in terminal.getvalue()
    assert files == {name: (whole / name).read_bytes() for name in files}


def test_any_number_of_loaders_gives_the_same_bytes(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "loaders", lambda threads: 2)
    files = train(trained.dataset, tmp_path)
    assert files == {name: (trained.folder / name).read_bytes() for name in files}
    again = train(trained.dataset, tmp_path, seed=1)
    assert again["best.safetensors"] != files["best.safetensors"]


def test_curves_have_a_row_per_epoch_and_the_training_learns(trained: Trained) -> None:
    rows = curves(trained.folder)
    assert list(rows[0]) == ["epoch", "learning_rate", "train_loss", "val_loss", "val_accuracy"]
    assert [row["epoch"] for row in rows] == [str(epoch + 1) for epoch in range(EPOCHS)]
    assert float(rows[-1]["train_loss"]) < 0.7 * float(rows[0]["train_loss"])
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"]) == 3e-3


def test_a_finished_training_is_reused_and_another_one_is_not_mistaken_for_it(
    trained: Trained, tmp_path: Path, terminal: io.StringIO
) -> None:
    quick = change(HEAD, epochs=2)
    dataset = make_digits(tmp_path / "dataset", tmp_path / "vectors.parquet", (100, 50, 10))
    files = train(dataset, tmp_path, quick, vectors=tmp_path / "vectors.parquet")
    record = Record.model_validate_json((tmp_path / RECORD).read_text())
    assert record.identity.keys() == {"data", "settings", "weights", "seed", "code"}
    assert record.made_with[0].keys() == {"torch", "timm", "python", "device"}
    assert train(dataset, tmp_path, quick, vectors=tmp_path / "vectors.parquet") == files
    assert "holds this training, finished" in terminal.getvalue() and terminal.getvalue().count("epoch 1/2") == 1
    table = read_table(dataset / "pictures.parquet", Pictures)
    swapped = pl.when(pl.col("label") == "3").then(pl.lit("8")).otherwise(pl.col("label"))
    write_table(table.with_columns(label=swapped), Pictures, dataset / "pictures.parquet")
    checksum(dataset)
    train(dataset, tmp_path, quick, vectors=tmp_path / "vectors.parquet")
    assert "it differs in data" in terminal.getvalue() and terminal.getvalue().count("epoch 1/2") == 2


def test_the_best_weights_are_kept_and_patience_ends_the_training(tmp_path: Path) -> None:
    dataset = make_digits(tmp_path / "dataset", tmp_path / "vectors.parquet", (60, 60, 60))
    long = change(HEAD, epochs=60, patience=3, learning_rate=1e-2, schedule="constant")
    train(dataset, tmp_path / "a", long, vectors=tmp_path / "vectors.parquet")
    losses = [float(row["val_loss"]) for row in curves(tmp_path / "a")]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 3 < 60
    # The loss on the validation split is that of the best weights without dropout.
    samples = read_samples(dataset, HEAD.labels, tmp_path / "vectors.parquet")
    classifier = read_classifier(tmp_path / "a/best.safetensors")
    plain = Classifier(classifier.description.model_copy(update={"temperature": 1.0}), classifier.network)
    places = samples.indices("val")
    found = plain.predict_vectors(samples.vectors[places])  # type: ignore[index]
    assert -np.log(found[np.arange(len(places)), samples.targets[places]]).mean() == pytest.approx(min(losses), rel=1e-4)
    # With a constant rate, a training that ends at the best epoch has the same weights.
    train(dataset, tmp_path / "b", change(long, epochs=best), vectors=tmp_path / "vectors.parquet")
    assert (tmp_path / "a/best.safetensors").read_bytes() == (tmp_path / "b/best.safetensors").read_bytes()


def test_a_head_learns_digits(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"
    dataset = make_digits(tmp_path / "dataset", vectors)
    train(dataset, tmp_path, HEAD, vectors=vectors)
    assert accuracy(tmp_path / "best.safetensors", dataset, HEAD.labels, vectors) > 0.9


def test_scores_are_learned_with_either_loss(tmp_path: Path) -> None:
    dataset = make_pictures(tmp_path / "dataset", scored=True)
    for loss in ("l1", "cross_entropy"):
        train(dataset, tmp_path / loss, change(SCORES, loss=loss))
        rows = curves(tmp_path / loss)
        assert "val_mae" in rows[0] and float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
        description = read_classifier(tmp_path / loss / "best.safetensors").description
        assert description.labels == ScoreRange(most=14) and description.temperature == 1


def test_without_a_validation_split_the_last_weights_are_kept(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"
    dataset = make_digits(tmp_path / "dataset", vectors, (100, 0, 50))
    train(dataset, tmp_path, change(HEAD, epochs=3, patience=1), vectors=vectors)
    rows = curves(tmp_path)
    assert len(rows) == 3 and rows[0]["val_loss"] == ""
    assert read_classifier(tmp_path / "best.safetensors").description.temperature == 1


def test_weights_of_samples_and_classes_count(tmp_path: Path) -> None:
    """A training in which one class weighs nearly nothing hardly ever predicts it."""
    vectors = tmp_path / "vectors.parquet"
    dataset = make_digits(tmp_path / "dataset", vectors, (200, 50, 200))
    weights = {name: 1e-6 if name == "3" else 1.0 for name in HEAD.classes}
    train(dataset, tmp_path / "classes", change(HEAD, class_weights=weights, epochs=10), vectors=vectors)
    table = read_table(dataset / "pictures.parquet", Pictures)
    light = pl.when(pl.col("label") == "3").then(1e-6).otherwise(1.0)
    write_table(table.with_columns(weight=light), Pictures, dataset / "pictures.parquet")
    checksum(dataset)
    train(dataset, tmp_path / "samples", change(HEAD, epochs=10), vectors=vectors)
    assert (tmp_path / "classes/curves.csv").read_bytes() == (tmp_path / "samples/curves.csv").read_bytes()
    samples = read_samples(dataset, HEAD.labels, vectors)
    found = read_classifier(tmp_path / "classes/best.safetensors").predict_vectors(samples.vectors)  # type: ignore[arg-type]
    assert (found.argmax(1) == 3).mean() < 0.01 and (samples.targets == 3).mean() > 0.05


def test_a_training_starts_from_declared_weights_and_from_no_others(trained: Trained, tmp_path: Path) -> None:
    path = trained.folder / "best.safetensors"
    declared = WeightsSettings(source=str(path), sha256=sha256_file(path))
    settings = change(SETTINGS, epochs=1, learning_rate=1e-12).model_copy(update={"weights": declared})
    train(trained.dataset, tmp_path, settings, weights=path)
    one, other = (
        dict(read_classifier(each / "best.safetensors").network.named_parameters()) for each in (tmp_path, trained.folder)
    )
    assert all(np.allclose(one[name].numpy(), other[name].numpy(), atol=1e-6) for name in one)
    with pytest.raises(TesseraError, match="its sha256 differs from the declared one"):
        train(trained.dataset, tmp_path / "b", settings, weights=trained.folder / "curves.csv")
    convnext = settings.model_copy(update={"architecture": "test_convnext"})
    with pytest.raises(TesseraError, match="weights of another architecture"):
        train(trained.dataset, tmp_path / "c", convnext, weights=path)


def test_a_loss_that_is_not_finite_ends_the_training_with_the_fix_and_no_state(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"
    dataset = make_digits(tmp_path / "dataset", vectors, (50, 20, 0))
    with pytest.raises(TesseraError, match="not finite; lower `learning_rate`"):
        train(dataset, tmp_path, change(HEAD, learning_rate=1e30), vectors=vectors)
    assert not list((tmp_path / "runs").rglob("state.pt"))


def test_a_picture_that_changed_since_the_check_is_named(trained: Trained, tmp_path: Path) -> None:
    dataset = make_pictures(tmp_path / "dataset")
    (dataset / "images/train/train-003.png").write_text("<html>")
    with pytest.raises(TesseraError, match=r"train-003\.png' is not what was written"):
        train(dataset, tmp_path / "training")
    checksum(dataset)
    with pytest.raises(TesseraError, match=r"train-003\.png: image cannot be decoded"):
        train(dataset, tmp_path / "training")


def test_folds_predict_every_picture_by_a_classifier_that_did_not_see_it(tmp_path: Path) -> None:
    vectors, folds = tmp_path / "vectors.parquet", tmp_path / "folds.parquet"
    dataset = make_digits(tmp_path / "dataset", vectors, (300, 100, 100))
    divide_into_folds(dataset, folds, HEAD.labels, count=3, seed=0)
    tables = []
    for fold in range(4):
        tables.append(tmp_path / f"{fold}.parquet")
        trainings = Trainings(tmp_path / "runs" / str(fold))
        train_fold(dataset, folds, vectors, None, tables[-1], trainings, HEAD, fold=fold, seed=0, threads=1, code="")
    assert read_table(tables[3], Predictions).is_empty(), "there are three folds"
    join_predictions(dataset, None, tables, tmp_path / "all.parquet")
    rows = read_table(tmp_path / "all.parquet", Predictions)
    assert len(rows) == 500 and set(rows["split"]) == {"train", "val", "test"}
    assert (rows["label"] == rows["predicted"]).mean() > 0.8
    assert all(sum(each) == pytest.approx(1) for each in rows["probabilities"])
    # The identity of each training differs, as its pictures do.
    assert len({run.name for run in (tmp_path / "runs").glob("*/*")}) == 3


def test_augmentation_depends_on_the_draw_alone_and_changes_only_what_is_asked_for() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)

    def changed(**settings: float) -> np.ndarray:
        rng = np.random.default_rng(1)
        chosen = ClassifierAugmentationSettings(**{"flip": 0, **settings})
        return augment(crop(picture, chosen, rng), chosen, rng)

    assert (changed() == picture).all()
    assert (changed(flip=1) == picture[:, ::-1]).all() and (changed(flip_vertical=1) == picture[::-1]).all()
    grey = changed(grayscale=1)
    assert (np.ptp(grey, axis=2) == 0).all() and abs(grey.mean() - (picture @ [0.299, 0.587, 0.114]).mean()) < 1
    assert changed(colour=0.3).shape == picture.shape and (changed(colour=0.3) != picture).any()
    assert (changed(colour=0.3) == changed(colour=0.3)).all()
    rng = np.random.default_rng(0)
    areas = [math.prod(crop(picture, ClassifierAugmentationSettings(crop=0.5), rng).shape[:2]) / 600 for _ in range(100)]
    assert min(areas) > 0.4 and max(areas) <= 1 and np.std(areas) > 0.05


def test_the_record_names_all_that_decides_the_numbers(trained: Trained) -> None:
    identity = json.loads((trained.folder / RECORD).read_text())["identity"]
    assert identity["settings"]["architecture"] == "test_resnet" and identity["settings"]["augmentation"]["crop"] == 0.8
    assert identity["settings"]["training"]["epochs"] == EPOCHS and sum(COUNTS.values()) == 40


def test_a_training_leaves_the_arithmetic_of_its_process_as_it_was(trained: Trained) -> None:
    smallest = np.array([5e-324])
    assert (smallest * 1)[0] > 0, "denormal numbers are not flushed to 0"
