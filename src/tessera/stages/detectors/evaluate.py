"""Evaluate a detector: its metrics on each split, and plots."""

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.imaging.figures import new_figure
from tessera.learning.trainings import read_curves
from tessera.stages.detectors.cases import intervals_of, write_cases
from tessera.stages.detectors.dataset import dataset_digest, read_dataset
from tessera.stages.detectors.library import task_of
from tessera.stages.detectors.measure import Contender, measure_detectors
from tessera.stages.detectors.settings import DetectorSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def evaluate_detector(
    model: str,
    dataset: Path,
    splits: Path,
    weights: Path,
    curves: Path,
    metrics: Path,
    pictures: Path,
    objects: Path,
    detections: Path,
    settings: DetectorSettings,
    *,
    seed: int,
    threads: int,
) -> None:
    """Measure `weights` on the val and test splits of the dataset; write `metrics` as JSON, and SVG files to `pictures`.

    `splits`: `tables.Splits` of the dataset. `curves`: CSV with a row per epoch, for the plots. `objects`, `detections`: get
    `tables.Objects` and `tables.Detections`, in which the detector is called `model`. Precision and recall are those at the
    confidence with the best F1. Intervals are those of `tessera.learning.intervals`, drawn under `seed`. Metrics that depend on
    the machine, such as speed, are left out. Splits without images are skipped.
    """
    data = read_dataset(dataset)
    contender = Contender(model, weights, settings.training["imgsz"])
    with tempfile.TemporaryDirectory() as folder:
        used = [split for split in ("val", "test") if data.images.get(split)]
        measured = measure_detectors(dataset, [contender], used, settings, Path(folder), threads)
    is_single = bool(settings.training.get("single_cls"))
    write_cases(measured, data.names, is_single, splits, objects, detections)
    rows = read_curves(curves)
    content = {
        "dataset": dataset_digest(dataset),
        "task": task_of(settings.architecture),
        "epochs": len(rows["epoch"]),
        "splits": {
            split: {
                "images": len(data.images[split]),
                **_describe(results[model].metrics, data.names),
                **intervals_of(objects, detections, splits, model, split, seed),
            }
            for split, results in measured.items()
        },
    }
    metrics.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    pictures.mkdir()
    _draw_epochs(rows, pictures)
    _draw_confidence(measured["val"][model].metrics, pictures)


def _describe(result: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the metrics of `result` over all classes, and of each class that has objects."""
    kinds = {"box": result.box} | ({"mask": result.seg} if hasattr(result, "seg") else {})
    counts = [int(count) for count in result.nt_per_class]
    overall = {
        kind: {
            "map50": _round(metric.map50),
            "map50_95": _round(metric.map),
            "precision": _round(metric.mp),
            "recall": _round(metric.mr),
        }
        for kind, metric in kinds.items()
    }
    classes: dict[str, dict[str, Any]] = {names[number]: {"objects": count} for number, count in enumerate(counts) if count}
    for kind, metric in kinds.items():
        for index, number in enumerate(metric.ap_class_index):
            precision, recall, map50, map50_95 = map(_round, metric.class_result(index))
            classes[names[number]][kind] = {"map50": map50, "map50_95": map50_95, "precision": precision, "recall": recall}
    return {"objects": sum(counts), **overall, "classes": classes}


def _round(value: Any) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _draw_epochs(rows: dict[str, list[float]], folder: Path) -> None:
    """Plot losses.svg and scores.svg, the losses and the metrics by epoch. `rows`: the columns of the table of epochs."""
    from matplotlib.ticker import MaxNLocator

    # A single epoch is a point, which a line does not show.
    marker = "." if len(rows["epoch"]) < 40 else None
    # Losses that an architecture does not have are in the table all the same, as 0.
    losses = sorted({name.partition("/")[2] for name in rows if name.startswith(("train/", "val/")) and any(rows[name])})
    with new_figure(folder / "losses.svg", 2.3 * len(losses), 2.8) as figure:
        for axes, loss in zip(figure.subplots(1, len(losses), squeeze=False).flat, losses, strict=True):
            for part in ("train", "val"):
                if f"{part}/{loss}" in rows:
                    axes.plot(rows["epoch"], rows[f"{part}/{loss}"], marker=marker, label=part)
            axes.set(title=loss.replace("_", " "), xlabel="epoch", ylim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        _legend(figure)
    kinds = {"B": "boxes", "M": "masks"}
    shown = {suffix: title for suffix, title in kinds.items() if f"metrics/mAP50({suffix})" in rows}
    with new_figure(folder / "scores.svg", 4.2 * len(shown), 3.4) as figure:
        for axes, (suffix, title) in zip(figure.subplots(1, len(shown), squeeze=False).flat, shown.items(), strict=True):
            for name in ("mAP50", "mAP50-95", "precision", "recall"):
                axes.plot(rows["epoch"], rows[f"metrics/{name}({suffix})"], marker=marker, label=name)
            axes.set(title=f"{title}, validation split", xlabel="epoch", ylim=(0, 1.02))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _legend(figure)


def _draw_confidence(result: Any, folder: Path) -> None:
    """Plot precision_recall.svg, and F1, precision and recall by confidence to confidence.svg; means over all classes."""
    kinds = {"boxes": result.box} | ({"masks": result.seg} if hasattr(result, "seg") else {})
    with new_figure(folder / "precision_recall.svg", 4.2, 3.8) as figure:
        axes = figure.subplots()
        # The curves of boxes and masks may be equal, so the second is dashed.
        for (title, metric), style in zip(kinds.items(), ("-", "--"), strict=False):
            axes.plot(metric.px, metric.prec_values.mean(axis=0), style, label=f"{title}, mAP50 {metric.map50:.3f}")
        axes.set(title="validation split, IoU 0.5", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        _legend(figure)
    with new_figure(folder / "confidence.svg", 4.2 * len(kinds), 3.4) as figure:
        for axes, (title, metric) in zip(figure.subplots(1, len(kinds), squeeze=False).flat, kinds.items(), strict=True):
            for name, curve in (("F1", metric.f1_curve), ("precision", metric.p_curve), ("recall", metric.r_curve)):
                axes.plot(metric.px, curve.mean(axis=0), label=name)
            axes.set(title=f"{title}, validation split", xlabel="confidence", xlim=(0, 1), ylim=(0, 1.02))
        _legend(figure)


def _legend(figure: "Figure") -> None:
    """Draw one legend for all axes of `figure` below them, where it hides no curve."""
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
