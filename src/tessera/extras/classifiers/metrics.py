"""The metrics of a classifier on a set of pictures, with confidence intervals by the bootstrap over sources."""

from typing import Any

import numpy as np
import polars as pl

from tessera.extras.classifiers.calibration import bins_of, calibration_error
from tessera.learning.classification.settings import Labels, ScoreRange
from tessera.learning.intervals import LEAST, draws, rounded_interval, too_few

WORST = 20  # sources that are listed
GROUPS = 200  # of pictures that are drawn together, at most, where there are too few sources
Values = dict[str, np.ndarray]  # of each metric: for the pictures as they are, and then for each draw of their sources


def measure(rows: pl.DataFrame, labels: Labels, seed: int, name: str) -> dict[str, Any]:
    """Return the metrics of the predictions `rows` (`tables.Predictions`) as JSON values.

    `name`: of the set of pictures, which the draws of the intervals depend on. Of classes: `accuracy`; `balanced_accuracy`, the
    mean recall of the classes; `average_precision`, `auroc` and `f1`, means over the classes, each against all others; `brier`,
    the mean squared distance of the probabilities, halved for two classes; `calibration_error` with 15 bins. Of scores: `mae`
    and `spearman`. `chance`: see `_chance`. A metric is null where it is not defined, such as `auroc` with one class.
    `intervals` has those of the 95 % confidence, or a sentence with too few sources. The sources with the worst results are
    listed.
    """
    names = sorted(set(rows["source"]))
    numbers = {source: number for number, source in enumerate(names)}
    sources = np.array([numbers[source] for source in rows["source"]], int)
    values, detail, of_source = _values(rows, labels, sources, seed, name)
    ends = {metric: rounded_interval(estimates[1:], len(names)) for metric, estimates in values.items()}
    certain, by = ends, "sources"
    if len(names) < LEAST:
        # Pictures of a source resemble each other, so these intervals are too narrow: those that include chance still do.
        groups = np.arange(len(rows)) % GROUPS
        drawn, by = _values(rows, labels, groups, seed, name)[0], "pictures"
        certain = {metric: rounded_interval(estimates[1:], len(set(groups))) for metric, estimates in drawn.items()}
    return {
        "pictures": len(rows),
        "sources": len(names),
        **{metric: _number(estimates[0]) for metric, estimates in values.items()},
        "intervals": too_few(len(names)) if len(names) < LEAST else ends,
        "chance": _chance(detail, certain) | {"by": by},
        **detail,
        "worst_sources": _worst(names, sources, of_source),
    }


def _values(
    rows: pl.DataFrame, labels: Labels, sources: np.ndarray, seed: int, name: str
) -> tuple[Values, dict[str, Any], dict[str, np.ndarray]]:
    """Return the metrics of `rows` by draws of their `sources`, int (N,), those of each class, and the metric of each row."""
    count = sources.max(initial=-1) + 1
    counts = np.ones((1, count), np.int64)
    if count >= LEAST:
        counts = np.concatenate([counts, draws(count, seed, f"classifier {name}")])
    if isinstance(labels, ScoreRange):
        errors = np.abs(rows["score"].to_numpy() - rows["predicted_score"].to_numpy())
        return _of_scores(rows, errors, sources, counts), {}, {"mae": errors}
    number_of_label = {label: number for number, label in enumerate(labels)}
    targets = np.array([number_of_label[label] for label in rows["label"]], int)
    probabilities = np.array(rows["probabilities"].to_list(), float).reshape(len(rows), len(labels))
    values, detail = _of_classes(targets, probabilities, sources, counts, labels)
    return values, detail, {"accuracy": (probabilities.argmax(axis=1) == targets).astype(float)}


def _chance(detail: dict[str, Any], ends: dict[str, list[float] | None]) -> dict[str, Any]:
    """Return what guessing reaches of the metrics that decide, their intervals `ends`, and whether the classifier `is_better`.

    A guess has the balanced accuracy 1 / classes and, as mean average precision, the mean prevalence of the classes; only
    classes with pictures count. The ranks of guessed scores do not correlate. The classifier is no better if one of the
    intervals includes that value or lies below it. None: nobody knows, because no interval could be computed.
    """
    sizes = [each["pictures"] for each in detail.get("classes", {}).values() if each["pictures"]]
    guessed = dict.fromkeys(("balanced_accuracy", "average_precision"), 1 / len(sizes)) if len(sizes) > 1 else {}
    guessed |= {"spearman": 0.0} if "spearman" in ends else {}
    known = {metric: interval_ends for metric in guessed if (interval_ends := ends[metric])}
    return {
        "guessed": {metric: _number(value) for metric, value in guessed.items()},
        "intervals": known,
        "is_better": all(known[metric][0] > guessed[metric] for metric in known) if known else None,
    }


def _of_classes(
    targets: np.ndarray, probabilities: np.ndarray, sources: np.ndarray, counts: np.ndarray, labels: tuple[str, ...]
) -> tuple[Values, dict[str, Any]]:
    """Return the metrics of classes for each row of `counts`, (draws, sources), and those of each class."""
    classes = len(labels)
    predicted = probabilities.argmax(axis=1)
    by_source = np.zeros((counts.shape[1], classes, classes))
    np.add.at(by_source, (sources, targets, predicted), 1)
    confusion = np.tensordot(counts, by_source, 1)  # (draws, true, predicted)
    right = np.diagonal(confusion, axis1=1, axis2=2)
    true, guessed, total = confusion.sum(axis=2), confusion.sum(axis=1), confusion.sum(axis=(1, 2))
    squares = ((probabilities - np.eye(classes)[targets]) ** 2).sum(axis=1) / (2 if classes == 2 else 1)
    bins = np.tensordot(bins_of(probabilities, predicted == targets, sources), counts, (2, 1))
    ranked = np.array([_ranked(probabilities[:, number], targets == number, sources, counts) for number in range(classes)])
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, precision, f1 = right / true, right / guessed, 2 * right / (true + guessed)
        values = {
            "accuracy": right.sum(axis=1) / total,
            "balanced_accuracy": _mean(recall),
            "average_precision": _mean(ranked[:, 0].T),
            "auroc": _mean(ranked[:, 1].T),
            "f1": _mean(f1),
            "brier": counts @ np.bincount(sources, squares, counts.shape[1]) / total,
            "calibration_error": calibration_error(bins),
        }
    each = {
        name: {
            "pictures": int(true[0, number]),
            "precision": _number(precision[0, number]),
            "recall": _number(recall[0, number]),
            "f1": _number(f1[0, number]),
            "average_precision": _number(ranked[number, 0, 0]),
            "auroc": _number(ranked[number, 1, 0]),
        }
        for number, name in enumerate(labels)
    }
    # Rows are the true classes, columns the predicted ones.
    return values, {"classes": each, "confusion": confusion[0].astype(int).tolist()}


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of each row without NaN, (draws,); NaN if there is nothing else."""
    known = np.isfinite(values)
    mean: np.ndarray = np.where(known, values, 0).sum(axis=1) / known.sum(axis=1)
    return mean


def _ranked(scores: np.ndarray, is_positive: np.ndarray, sources: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the average precision and the area under the ROC curve for each row of `counts`: float64 (2, draws).

    NaN where there are only positives, or none. Equal to scikit-learn's functions with each picture as often as its source is
    drawn; these would sort the scores again for each draw.
    """
    order = np.argsort(-scores, kind="stable")
    scores, is_positive, sources = scores[order], is_positive[order], sources[order]
    # Equal scores count together: the last of them has the sums of all.
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    areas = np.full((2, len(counts)), np.nan)
    for number, row in enumerate(counts):
        times = row[sources].astype(float)
        positives = np.cumsum(times * is_positive)[last]
        negatives = np.cumsum(times * ~is_positive)[last]
        if positives[-1] and negatives[-1]:
            steps = np.diff(positives, prepend=0)
            with np.errstate(invalid="ignore"):
                precision = np.nan_to_num(positives / (positives + negatives))
            areas[0, number] = (steps * precision).sum() / positives[-1]
            before = np.append(0, positives[:-1])
            area = (np.diff(negatives, prepend=0) * (positives + before) / 2).sum()
            areas[1, number] = area / (positives[-1] * negatives[-1])
    return areas


def _of_scores(rows: pl.DataFrame, errors: np.ndarray, sources: np.ndarray, counts: np.ndarray) -> Values:
    true, predicted = rows["score"].to_numpy(), rows["predicted_score"].to_numpy()
    sums, sizes = (np.bincount(sources, each, counts.shape[1]) for each in (errors, np.ones(len(rows))))
    return {
        "mae": counts @ sums / (counts @ sizes),
        "spearman": np.array([_spearman(*(np.repeat(each, row[sources]) for each in (true, predicted))) for row in counts]),
    }


def _spearman(scores: np.ndarray, predictions: np.ndarray) -> float:
    """Return the correlation of the ranks; NaN if one of both is constant."""
    from scipy.stats import rankdata

    if not np.ptp(scores) or not np.ptp(predictions):
        return float("nan")
    return float(np.corrcoef(rankdata(scores), rankdata(predictions))[0, 1])


def _worst(names: list[str], sources: np.ndarray, metric: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return the `WORST` sources by the mean of a metric of pictures, the worst first; of equal ones, the largest."""
    ((name, values),) = metric.items()
    sizes = np.bincount(sources, minlength=len(names))
    means = np.bincount(sources, values, len(names)) / sizes
    badness = means if name == "accuracy" else -means
    chosen = np.lexsort((np.array(names), -sizes, badness))[:WORST]
    return [{"source": names[source], "pictures": int(sizes[source]), name: _number(means[source])} for source in chosen]


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
