"""Search for better settings of a detector."""

import csv
import gc
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.core.settings import load
from tessera.learning.detection.offline import offline
from tessera.learning.search import Plan, SearchSettings, Training, metric_of, run_search
from tessera.records.searches import write_search
from tessera.stages.detectors.settings import SEARCHED, DetectorSettings
from tessera.stages.detectors.train import curves_of, made_with, plan_training

COLUMNS = {"map50_95": "mAP50-95", "map50": "mAP50", "precision": "precision", "recall": "recall"}  # as ultralytics calls them


def search_detector(
    dataset: Path,
    checked: Path,
    weights: Path | None,
    trials: Path,
    sheet: Path,
    summary: Path,
    best: Path,
    cache: Path,
    settings: DetectorSettings,
    search: SearchSettings,
    *,
    sources: tuple[str, ...],
    seed: int,
    threads: int,
    code: str,
) -> None:
    """Search for better settings of the detector that `settings` describe; write the results as `write_search` does.

    `cache`: the folder of the trials. The other arguments are as in `train_detector` and `run_search`. The test split is not
    read. Raises `TesseraError` if `weights` is not the declared file, or if all trials fail.
    """
    offline()
    values = settings.model_dump(mode="json")

    def train(changed: Mapping[str, Any]) -> Training:
        # The trainer of a trial that ended early refers to itself, and keeps its processes that load images.
        gc.collect()
        other = load(DetectorSettings, dict(changed), "the trial")
        return Training(*plan_training(dataset, checked, weights, other, seed=seed, threads=threads, code=code))

    metric = metric_of(search, SEARCHED)
    plan = Plan(values, train, lambda curves: metric_by_epoch(curves, metric), curves_of, dataset / "SHA256SUMS", made_with)
    result = run_search(search, plan, SEARCHED, cache, sources, seed=seed)
    write_search(result, search, "models", trials=trials, sheet=sheet, summary=summary, best=best)


def metric_by_epoch(curves: str, metric: str) -> list[float]:
    """Return `metric` on the validation split, after each epoch, of the weights that ultralytics keeps until then.

    These are the last ones with the largest sum of the mAP50-95 of boxes and masks. The metric is that of the masks if the
    detector finds masks.
    """
    values: list[float] = []
    largest = float("-inf")
    for row in csv.DictReader(io.StringIO(curves), skipinitialspace=True):
        kinds = [kind for kind in "BM" if f"metrics/mAP50-95({kind})" in row]
        fitness = sum(float(row[f"metrics/mAP50-95({kind})"]) for kind in kinds)
        is_best = fitness >= largest
        largest = max(fitness, largest)
        values.append(float(row[f"metrics/{COLUMNS[metric]}({kinds[-1]})"]) if is_best else values[-1])
    return values
