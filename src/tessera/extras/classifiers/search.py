"""Search for better settings of a classifier."""

import csv
import gc
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.settings import load
from tessera.extras.classifiers.dataset import read_samples
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.classifiers.train import curves_of, made_with, plan_training
from tessera.learning.search import Plan, SearchSettings, Training, metric_of, run_search
from tessera.records.searches import write_search


def search_classifier(
    dataset: Path,
    vectors: Path | None,
    weights: Path | None,
    trials: Path,
    sheet: Path,
    summary: Path,
    best: Path,
    trials_folder: Path,
    settings: ClassifierSettings,
    search: SearchSettings,
    *,
    sources: tuple[str, ...],
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Search for better settings of the classifier that `settings` describe; write the results as `write_search` does.

    The other arguments are as in `train_classifier` and `run_search`. The test split is not used. Raises `TesseraError` as
    `train_classifier` does, if there is no validation split, or if all trials fail.
    """
    samples = read_samples(dataset, settings.labels, vectors)
    if not len(samples.indices("val")):
        raise TesseraError(
            f"{dataset} has no validation split, so that trials cannot be compared; label pictures of more sources"
        )
    values = settings.model_dump(mode="json")

    def train(changed: Mapping[str, Any]) -> Training:
        # What a trial left that failed may refer to itself, and keeps memory of the GPU.
        gc.collect()
        other = load(ClassifierSettings, dict(changed), "the trial")
        _, identity, fit = plan_training(samples, dataset, weights, other, seed=seed, threads=threads, code=code)
        return Training(identity, fit)

    metric = metric_of(search, settings.searched)
    plan = Plan(values, train, lambda curves: metric_by_epoch(curves, metric), curves_of, dataset / "SHA256SUMS", made_with)
    results = run_search(search, plan, settings.searched, trials_folder, sources, seed=seed)
    write_search(results, search, "classifiers", trials=trials, sheet=sheet, summary=summary, best=best)


def metric_by_epoch(curves: str, metric: str) -> list[float]:
    """Return `metric` on the validation split, after each epoch, of the weights with the lowest loss so far."""
    metrics: list[float] = []
    lowest = float("inf")
    for row in csv.DictReader(io.StringIO(curves)):
        loss = float(row["val_loss"])
        is_best = loss < lowest
        lowest = min(loss, lowest)
        metrics.append(float(row[f"val_{metric}"]) if is_best else metrics[-1])
    return metrics
