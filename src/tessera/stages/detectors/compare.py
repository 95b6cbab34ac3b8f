"""Compare a detector with weights of others on the same splits."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessera.learning.intervals import LEAST, draws, rounded_interval, too_few
from tessera.learning.weights.resolve import verify_weights
from tessera.stages.detectors.cases import Estimate, count_cases, estimate, read_cases, sources_of, write_cases
from tessera.stages.detectors.dataset import dataset_digest, read_dataset
from tessera.stages.detectors.measure import Contender, Measured, measure_detectors
from tessera.stages.detectors.settings import ComparedDetector, DetectorSettings


def compare_detectors(
    model: str,
    dataset: Path,
    splits: Path,
    weights: Path,
    compared: Sequence[ComparedDetector],
    files: Sequence[Path],
    objects: Path,
    detections: Path,
    report: Path,
    speed: Path,
    settings: DetectorSettings,
    *,
    seed: int,
    threads: int,
) -> None:
    """Measure the detector `model` and those it is `compared` with on the val and test splits of the dataset.

    `splits`: `tables.Splits` of the dataset. `files`: the weights in `compared`, in the same order. `objects`, `detections`:
    get the tables of all detectors. `report`: gets the metrics of each as JSON, with 95 % intervals by the bootstrap over
    sources, and the differences to `model` with intervals from the same draws. `speed`: gets the milliseconds per image of each
    on this machine, as JSON.
    Raises `TesseraError` if a file is not the declared one; see `measure_detectors` for other weights that cannot be compared.
    """
    for each, file in zip(compared, files, strict=True):
        verify_weights(file, each.sha256)
    data = read_dataset(dataset)
    contenders = [Contender(model, weights, settings.training["imgsz"])]
    contenders += [Contender(each.name, file, None, each.classes) for each, file in zip(compared, files, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        used = [split for split in ("val", "test") if data.images.get(split)]
        measured = measure_detectors(dataset, contenders, used, settings, Path(folder), threads)
    write_cases(measured, data.names, bool(settings.training.get("single_cls")), splits, objects, detections)
    first = measured[used[0]]
    content = {
        "dataset": dataset_digest(dataset),
        "models": {each.name: _describe_model(each, first[each.name], first[model]) for each in contenders},
        "splits": {
            split: {
                "images": len(data.images[split]),
                **_compare(model, list(first), split, splits, objects, detections, seed),
            }
            for split in used
        },
    }
    report.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    milliseconds = {
        split: {name: round(1000 * result.seconds, 3) for name, result in results.items()}
        for split, results in measured.items()
    }
    speed.write_text(json.dumps(milliseconds, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _describe_model(contender: Contender, result: Measured, trained: Measured) -> dict[str, Any]:
    """Return the properties of a detector, and remarks on what cannot be compared."""
    remarks = []
    if trained.has_masks and not result.has_masks:
        remarks.append("it finds only boxes, so that its masks cannot be compared")
    if result.size != trained.size:
        remarks.append(f"its images are scaled to {result.size} px, not to {trained.size} px")
    if result.unmatched:
        remarks.append(f"its classes {', '.join(result.unmatched)} are not in the dataset and do not count")
    return {"bytes": contender.weights.stat().st_size, "image_size": result.size, "remarks": remarks}


def _compare(
    model: str, names: Sequence[str], split: str, splits: Path, objects: Path, detections: Path, seed: int
) -> dict[str, Any]:
    """Return the metrics of each detector in a split, by kind and name."""
    tables = read_cases([objects], [detections])
    sources = sources_of(splits, split)
    drawn = draws(len(sources), seed, split)
    content: dict[str, Any] = {"sources": len(sources)}
    if len(sources) < LEAST:
        content["intervals"] = too_few(len(sources))
    for kind in ("box", "mask"):
        counted = {name: count_cases(*tables, name, kind, split, sources) for name in names}
        estimates = {name: estimate(each, drawn) for name, each in counted.items() if each}
        if model in estimates:
            content[kind] = {
                name: {
                    metric: _describe(metric_estimate, estimates[model][metric], len(sources))
                    for metric, metric_estimate in each.items()
                }
                for name, each in estimates.items()
            }
    return content


def _describe(estimate: Estimate, trained: Estimate, sources: int) -> dict[str, Any]:
    """Return a metric and its difference to that of the trained detector, each with its interval."""
    differences = Estimate(estimate.value - trained.value, estimate.drawn - trained.drawn)
    return {
        "value": round(estimate.value, 6),
        "interval": rounded_interval(estimate.drawn, sources),
        "difference": round(differences.value, 6),
        "interval_of_difference": rounded_interval(differences.drawn, sources),
    }
