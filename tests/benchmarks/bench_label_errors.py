"""How many of the wrong labels are found, and how many of the findings are wrong labels: of digits with 5 % of them flipped."""

import io
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from classification_dataset import write_pictures, write_vectors
from tessera.core import log
from tessera.extras.classifiers.folds import divide_into_folds, join_predictions
from tessera.extras.classifiers.label_errors import find_label_errors
from tessera.extras.classifiers.settings import ClassifierSettings, LabelErrorSettings
from tessera.extras.classifiers.train import train_fold
from tessera.learning.trainings import Trainings
from tessera.records.tables.classification import LabelErrors
from tessera.records.tables.table import read_table

SEEDS = 5
FLIPPED = 0.05
RECALL, PRECISION = 0.8, 0.51
CHECK = LabelErrorSettings()
HEAD = ClassifierSettings(
    labels=tuple(map(str, range(10))),
    architecture="head",
    embedding="pixels",
    hidden=256,
    training={"epochs": 20, "learning_rate": 0.001},
)


def flip(folder: Path, seed: int) -> dict[str, str]:
    """Write all digits with some wrong labels to `folder`, and their pixels to `vectors`; return the labels of these before."""
    pixels, targets = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    flipped = rng.choice(len(targets), round(FLIPPED * len(targets)), replace=False)
    given = targets.copy()
    given[flipped] = (targets[flipped] + rng.integers(1, 10, len(flipped))) % 10
    keys = [f"digit-{number:04}" for number in range(len(targets))]
    write_pictures(
        folder, [{"key": key, "split": "train", "label": str(label)} for key, label in zip(keys, given.tolist(), strict=True)]
    )
    write_vectors(folder / "vectors", keys, pixels / 16)
    return {keys[number]: str(targets[number]) for number in flipped}


def test_flipped_labels_of_digits_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", io.StringIO())
    reached = []
    for seed in range(SEEDS):
        dataset = tmp_path / str(seed)
        wrong = flip(dataset, seed)
        divide_into_folds(dataset, dataset / "folds", HEAD.labels, count=CHECK.folds, seed=seed)
        tables = [dataset / f"fold{fold}" for fold in range(CHECK.folds)]
        for fold, table in enumerate(tables):
            trainings = Trainings(dataset / "runs" / str(fold))
            given = (dataset, dataset / "folds", dataset / "vectors", None, table, trainings, HEAD)
            train_fold(*given, fold=fold, seed=seed, threads=1, code="")
        join_predictions(dataset, tables, dataset / "all")
        outputs = {name: dataset / name for name in ("errors", "suggestions", "ledger")}
        find_label_errors(dataset / "all", None, [], [], HEAD.labels, CHECK, classifier="digits", **outputs)
        suggested = dict(read_table(dataset / "errors", LabelErrors).select("key", "suggested").iter_rows())
        hits = suggested.keys() & wrong.keys()
        right = sum(suggested[key] == wrong[key] for key in hits) / len(hits)
        reached.append((len(hits) / len(wrong), len(hits) / len(suggested)))
        print(
            f"\nseed {seed}: recall {reached[-1][0]:.3f}, precision {reached[-1][1]:.3f}, right suggestions {right:.3f}", end=""
        )
    recall, precision = np.mean(reached, axis=0)
    print(f"\nrecall {recall:.3f} (floor: {RECALL}), precision {precision:.3f} (floor: {PRECISION}), means of {SEEDS} seeds")
    assert min(each for each, _ in reached) >= RECALL and min(each for _, each in reached) >= PRECISION
