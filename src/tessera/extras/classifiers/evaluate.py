"""Evaluate a classifier: its predictions, its metrics on each split, and plots."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.pool import loaders
from tessera.extras.classifiers.calibration import bins_of
from tessera.extras.classifiers.dataset import read_samples, samples_digest
from tessera.extras.classifiers.metrics import measure
from tessera.extras.classifiers.predictions import predict_samples
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.imaging.figures import BLUE, QUIET, new_figure, shorten
from tessera.learning.classification.classifier import read_classifier
from tessera.learning.classification.settings import Labels, ScoreRange
from tessera.learning.trainings import read_curves
from tessera.records.tables.classification import Predictions
from tessera.records.tables.table import read_table, write_table

CLASSES_SHOWN = 20  # in the figure of the confusion matrix
SQUARE = (4.2, 4)  # inches, width and height of figures of a split
NAME = 20  # characters of the name of a class


def evaluate_classifier(
    dataset: Path,
    vectors: Path | None,
    classifier: Path,
    curves: Path,
    metrics: Path,
    predictions: Path,
    pictures: Path,
    settings: ClassifierSettings,
    *,
    seed: int,
    threads: int,
) -> None:
    """Measure `classifier` on the val and test splits of `dataset`; write `metrics`, JSON, and SVG files to `pictures`.

    `vectors`: as in `train_classifier`. `curves`: CSV with a row per epoch, for the plots. `predictions`: gets
    `tables.Predictions` of both splits. The metrics are those of `measure`. Splits without pictures are skipped.
    """
    import torch

    torch.set_num_threads(threads)
    samples = read_samples(dataset, settings.labels, vectors)
    trained = read_classifier(classifier)
    indices = np.concatenate([samples.indices(split) for split in ("val", "test")])
    rows = predict_samples(trained, samples, indices, fold=None, workers=loaders(threads), batch=settings.training.batch)
    write_table(rows, Predictions, predictions)
    epochs = read_curves(curves)
    content = {
        "dataset": samples_digest(samples, dataset),
        "task": "score" if isinstance(settings.labels, ScoreRange) else "classes",
        "labels": settings.model_dump(mode="json")["labels"],
        "epochs": len(epochs["epoch"]),
        "temperature": trained.description.temperature,
        "splits": {
            split: measure(rows.filter(split=split), settings.labels, seed, split)
            for split in ("val", "test")
            if len(rows.filter(split=split))
        },
    }
    metrics.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    pictures.mkdir()
    _draw_epochs(epochs, pictures / "epochs.svg")
    for split in content["splits"]:
        _draw_results(rows.filter(split=split), settings.labels, content["splits"][split], pictures, split)


def evaluate_folds(predictions: Path, metrics: Path, labels: Labels, *, seed: int) -> None:
    """Write the metrics of the out-of-fold `predictions` (`tables.Predictions`) to `metrics`, as `evaluate_classifier` does.

    `each_fold` has the metrics over all classes of each fold, by its number.
    """
    rows = read_table(predictions, Predictions)
    content = {
        "task": "score" if isinstance(labels, ScoreRange) else "classes",
        "folds": rows["fold"].n_unique(),
        "splits": {"out_of_fold": measure(rows, labels, seed, "out_of_fold")},
        "each_fold": {
            str(fold): {
                name: value for name, value in measure(of_fold, labels, seed, f"fold {fold}").items() if _is_number(value)
            }
            for (fold,), of_fold in rows.sort("fold").group_by("fold", maintain_order=True)
        },
    }
    metrics.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _draw_epochs(rows: Mapping[str, list[float]], path: Path) -> None:
    """Plot the losses and what was reached on the validation split by epoch."""
    from matplotlib.ticker import MaxNLocator

    # A single epoch is a point, which a line does not show.
    marker = "." if len(rows["epoch"]) < 40 else None
    with new_figure(path, 8, 3.2) as figure:
        of_losses, of_results = figure.subplots(1, 2)
        for name in ("train_loss", "val_loss"):
            of_losses.plot(rows["epoch"], rows[name], marker=marker, label=name.removesuffix("_loss"))
        (reached,) = set(rows) & {"val_accuracy", "val_mae"}
        of_results.plot(rows["epoch"], rows[reached], marker=marker)
        title = "accuracy" if reached == "val_accuracy" else "mean absolute error"
        of_losses.set(title="loss", ylim=(0, None))
        of_losses.legend()
        of_results.set(title=f"{title}, validation split", ylim=(0, 1.02 if reached == "val_accuracy" else None))
        for axes in (of_losses, of_results):
            axes.set(xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_results(rows: pl.DataFrame, labels: Labels, measured: Mapping[str, Any], folder: Path, split: str) -> None:
    """Plot {confusion,calibration,precision_recall}_SPLIT.svg for classes, scores_SPLIT.svg for scores."""
    if isinstance(labels, ScoreRange):
        with new_figure(folder / f"scores_{split}.svg", *SQUARE) as figure:
            axes = figure.subplots()
            axes.plot([labels.least, labels.most], [labels.least, labels.most], color=QUIET, linewidth=1)
            axes.plot(rows["score"], rows["predicted_score"], ".", markersize=4, alpha=0.5)
            axes.set(title=f"{split} split", xlabel="score", ylabel="predicted score")
        return
    with new_figure(folder / f"calibration_{split}.svg", *SQUARE) as figure:
        axes = figure.subplots()
        confidence, right, count = _reliability(rows, labels)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1)
        axes.scatter(confidence, right, s=10 + 190 * count / count.max())
        error = measured["calibration_error"]
        axes.set(
            title=f"{split} split, calibration error {error:.3f}", xlabel="confidence", ylabel="accuracy", ylim=(-0.02, 1.04)
        )
    if len(labels) <= CLASSES_SHOWN:
        _draw_precision(rows, labels, split, folder / f"precision_recall_{split}.svg")
        _draw_confusion(np.array(measured["confusion"]), labels, split, folder / f"confusion_{split}.svg")


def _reliability(rows: pl.DataFrame, labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean confidence, the accuracy and the count of each bin of confidence that is not empty."""
    probabilities = np.array(rows["probabilities"].to_list(), float).reshape(len(rows), len(labels))
    is_right = (rows["label"] == rows["predicted"]).to_numpy()
    count, confidence, right = bins_of(probabilities, is_right, np.zeros(len(rows), int))[:, :, 0]
    used = count > 0
    return confidence[used] / count[used], right[used] / count[used], count[used]


def _draw_precision(rows: pl.DataFrame, labels: tuple[str, ...], split: str, path: Path) -> None:
    """Plot the precision by the recall of each class against the others; with two classes, of the last, which is enough."""
    with new_figure(path, *SQUARE) as figure:
        axes = figure.subplots()
        for number, name in list(enumerate(labels))[len(labels) == 2 :]:
            is_positive = (rows["label"] == name).to_numpy()
            scores = rows["probabilities"].list.get(number).to_numpy()
            order = np.argsort(-scores, kind="stable")
            # Equal scores count together.
            last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
            true_positives = np.cumsum(is_positive[order])[last]
            if true_positives[-1]:
                recall, precision = true_positives / true_positives[-1], true_positives / (last + 1)
                axes.step([0, *recall], [precision[0], *precision], where="pre", label=shorten(name, NAME))
        axes.set(title=f"{split} split", xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.04))
        if axes.lines:
            axes.legend(fontsize=8)


def _draw_confusion(counts: np.ndarray, labels: tuple[str, ...], split: str, path: Path) -> None:
    """Plot the confusion matrix: rows are the true classes; shades are fractions of a row, numbers are pictures."""
    from matplotlib.colors import LinearSegmentedColormap

    side = 2.4 + 0.5 * len(labels)
    # From transparent to a shade on which the numbers remain readable in either theme.
    colours = LinearSegmentedColormap.from_list("shades", [f"{BLUE}00", f"{BLUE}b0"])
    with new_figure(path, side, side) as figure:
        axes = figure.subplots()
        axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap=colours, vmin=0, vmax=1)
        for row, column in np.ndindex(counts.shape):
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=8)
        names = [shorten(name, NAME) for name in labels]
        axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), names)
        axes.set(title=f"{split} split", xlabel="predicted", ylabel="true")
