"""What detectors found and missed, as tables, and the metrics that follow from them, with confidence intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.learning.detection.offline import offline
from tessera.learning.intervals import LEAST, RESAMPLES, draws, rounded_interval, too_few
from tessera.records.tables.evaluation import Detections, Objects
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, read_tables, types, write_table
from tessera.stages.detectors.measure import Measured

METRICS = ("map50", "precision", "recall")


class Counted(NamedTuple):
    """The objects and detections of a model in a split, in the form from which metrics are computed.

    `of_object`, `of_detection`: the source of each, as a place in the sorted sources of the split. `found`: bool, whether a
    detection found an object. `scores`: float32. `classes`, `labels`: the class number of each detection and of each object.
    """

    of_object: np.ndarray
    labels: np.ndarray
    of_detection: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


class Estimate(NamedTuple):
    """A metric: its value, and its value in each draw of sources, float64 (RESAMPLES,)."""

    value: float
    drawn: np.ndarray


def write_cases(
    measured: Mapping[str, Mapping[str, Measured]],
    names: Sequence[str],
    is_single: bool,
    splits: Path,
    objects: Path,
    detections: Path,
) -> None:
    """Write `tables.Objects` and `tables.Detections` of detectors.

    `measured`: by split and name. `names`: the classes of the dataset. `is_single`: whether all of them count as one.
    `splits`: `tables.Splits` of the dataset.
    """
    sources = dict(read_table(splits, Splits).select("key", "source").iter_rows())
    of_objects: list[dict[str, Any]] = []
    of_detections: list[dict[str, Any]] = []
    for split, results in measured.items():
        for name, result in results.items():
            for case in result.cases:
                key = case.file.stem
                width, height = case.size
                labels = result.labels[str(case.file)]
                for matches in case.matches:
                    common = {"model": name, "kind": matches.kind, "split": split, "key": key, "source": sources[key]}
                    matched = np.full(len(case.scores), -1)
                    best = matches.iou.max(axis=0, initial=0)
                    for line, by, iou in zip(case.lines.tolist(), matches.detection_of.tolist(), matches.iou, strict=True):
                        box = labels.boxes[line] * [width, height, width, height]
                        if by >= 0:
                            matched[by], best[by] = line, iou[by]
                        of_objects.append(
                            {
                                **common,
                                "number": line,
                                "label": names[0 if is_single else labels.classes[line]],
                                "area": float(labels.areas[line] * width * height),
                                "side": float(min(box[2] - box[0], box[3] - box[1])),
                                **_box(box),
                                "score": float(case.scores[by]) if by >= 0 else None,
                                "iou": float(iou[by]) if by >= 0 else None,
                            }
                        )
                    of_detections += [
                        {
                            **common,
                            "number": number,
                            "label": names[kind],
                            "score": float(score),
                            "iou": float(best[number]),
                            "matched": int(matched[number]),
                            **_box(box),
                        }
                        for number, (kind, score, box) in enumerate(zip(case.classes, case.scores, case.boxes, strict=True))
                    ]
    write_table(pl.DataFrame(of_objects, schema=types(Objects)), Objects, objects)
    write_table(pl.DataFrame(of_detections, schema=types(Detections)), Detections, detections)


def _box(box: np.ndarray) -> dict[str, float]:
    return dict(zip(("x0", "y0", "x1", "y1"), box.tolist(), strict=True))


def count_cases(
    objects: pl.DataFrame, detections: pl.DataFrame, model: str, kind: str, split: str, sources: Sequence[str]
) -> Counted | None:
    """Return the objects and detections of a `model` in a `split`, compared by `kind`; None if it is not compared by that.

    `objects`, `detections`: `tables.Objects` and `tables.Detections`. `sources`: those of the split, sorted.
    """
    chosen = {"model": model, "kind": kind, "split": split}
    objects, detections = objects.filter(**chosen), detections.filter(**chosen)
    if objects.is_empty():
        return None
    positions = {source: i for i, source in enumerate(sources)}
    numbers = {label: number for number, label in enumerate(sorted({*objects["label"], *detections["label"]}))}
    return Counted(
        _replaced(objects["source"], positions),
        _replaced(objects["label"], numbers),
        _replaced(detections["source"], positions),
        detections["matched"].to_numpy() >= 0,
        detections["score"].to_numpy().astype(np.float32),
        _replaced(detections["label"], numbers),
    )


def _replaced(names: pl.Series, numbers: Mapping[str, int]) -> np.ndarray:
    return np.array([numbers[name] for name in names], int)


def estimate(counted: Counted, drawn: np.ndarray) -> dict[str, Estimate]:
    """Return the metrics of a detector on a split, as ultralytics computes them, also for each draw of sources.

    Precision and recall are means over the classes at the confidence with the best F1. `drawn`: see `intervals.draws`. A draw
    that has no object gives NaN.
    """
    values = _metrics(counted, np.ones(drawn.shape[1], int))
    # The intervals of few sources are not stated, so that their draws need not be computed.
    samples = (
        np.array([_metrics(counted, counts) for counts in drawn])
        if drawn.shape[1] >= LEAST
        else np.full((RESAMPLES, 3), np.nan)
    )
    return {name: Estimate(values[number], samples[:, number]) for number, name in enumerate(METRICS)}


def _metrics(counted: Counted, counts: np.ndarray) -> tuple[float, float, float]:
    """Return mAP50, precision and recall if each source is there as often as `counts` says."""
    offline()
    from ultralytics.utils.metrics import ap_per_class

    labels = np.repeat(counted.labels, counts[counted.of_object])
    if not len(labels):
        return np.nan, np.nan, np.nan
    times = counts[counted.of_detection]
    found, scores, classes = (np.repeat(each, times) for each in (counted.found, counted.scores, counted.classes))
    _, _, precision, recall, _, ap, *_ = ap_per_class(found[:, None], scores, classes, labels)
    return float(ap[:, 0].mean()), float(precision.mean()), float(recall.mean())


def sources_of(splits: Path, split: str) -> list[str]:
    """Return the sources of the images of a `split`, sorted. `splits`: `tables.Splits`."""
    return sorted(set(read_table(splits, Splits).filter(split=split)["source"]))


def read_cases(objects: Sequence[Path], detections: Sequence[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of several tables of objects and of detections."""
    return read_tables(list(objects), Objects), read_tables(list(detections), Detections)


def describe(estimates: Mapping[str, Estimate], sources: int) -> dict[str, list[float] | None]:
    """Return the interval of each metric as JSON values; None if no draw of the sources has an object."""
    return {name: rounded_interval(each.drawn, sources) for name, each in estimates.items()}


def intervals_of(objects: Path, detections: Path, splits: Path, model: str, split: str, seed: int) -> dict[str, Any]:
    """Return the number of sources in a `split` and the intervals of the metrics of `model`, as JSON values.

    With too few sources, there is a sentence in place of the intervals.
    """
    tables = read_cases([objects], [detections])
    sources = sources_of(splits, split)
    if len(sources) < LEAST:
        return {"sources": len(sources), "intervals": too_few(len(sources))}
    drawn = draws(len(sources), seed, split)
    kinds = {kind: count_cases(*tables, model, kind, split, sources) for kind in ("box", "mask")}
    described = {kind: describe(estimate(counted, drawn), len(sources)) for kind, counted in kinds.items() if counted}
    return {"sources": len(sources), "intervals": described}
