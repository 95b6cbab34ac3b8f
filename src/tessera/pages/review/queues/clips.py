"""Clips: those first that a filter keeps although a score is unusual, and those that a filter has only just dropped."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tessera.core.ledger import read_ledger
from tessera.records.decisions import clip_key, mean_box
from tessera.records.limits import REASONS, FilterSettings, values_of
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.review import CLIPS
from tessera.records.tables.table import read_table

# Scores that are suspicious from this value on even if no filter has a limit for them. The mask of a steady region stays below.
WORST = {"max_jump": 0.5}
UNSURE = "unsure detector"  # the reason that the detector of the region gives
REGION = "min_nsfw"  # the filter that asks whether a clip shows what it should; so does the detector of the region
SIGNS = {"min": -1, "max": 1}  # whether large or small values are beyond such a limit
DETECTED = ("watermark", "mosaic", "nsfw")  # columns of `tables.Scores` that detectors fill


# What a score is called beside its value, where its column does not say it.
NAMES = {REGION: "agreement of the second detector", "max_clipped": "black or white pixels", "max_jump": "jump of the mask"}


class ClipFolder(NamedTuple):
    """The files of the clips of a shard."""

    clips: Path  # `tables.Clips`
    scores: Path  # `tables.Scores`
    images: Path  # folder of the videos
    masks: Path  # folder of the videos of the masks


class Measure(NamedTuple):
    """One score of all clips, and its limit."""

    fault: str  # what it looks for; the same for measures that look for the same, such as `max_watermark`
    reason: str  # what is wrong with a clip beyond the limit
    name: str  # what the values are
    sign: int  # 1: large values are suspicious; -1: small ones
    values: np.ndarray  # float64, one for each clip; NaN where it was not measured
    limit: float

    def describe(self, number: int) -> str:
        """Return the value of the clip `number` beside the values that are allowed."""
        return f"{self.name} {self.values[number]:.3g}, {'at most' if self.sign > 0 else 'at least'} {self.limit:.3g}"


def find_clips(
    folders: Sequence[ClipFolder],
    classified: Mapping[str, Sequence[Path]],
    selections: Sequence[Path],
    settings: FilterSettings,
    confidence: float,
) -> Iterator[dict[str, Any]]:
    """Yield an item for each clip.

    `classified`: files of `tables.Scored` by the name of each classifier that filters clips. `selections`: ledgers of the
    filters. `confidence`: the least mean confidence of the detections in a clip.

    Each score gives a suspicion, see `suspicion`. Scores that look for the same fault are pooled to 1 - Π (1 - suspicion): the
    mean confidence of the detector with the second detector, and a detector with the classifiers whose class begins with the
    name of its score, such as `watermarked`. So one of them is enough, and it counts more if the others agree.

    A clip that is kept is worth a decision if it may have a fault: the largest pooled suspicion counts. A clip that is dropped
    is worth one if it may have none: 1 - the largest pooled suspicion of what is beyond its limit. So it is worth most just
    beyond a limit, if other scores do not agree, and nothing if no score is the reason.
    """
    rows: list[dict[str, Any]] = []
    scored: dict[str, dict[str, Any]] = {}
    for folder in folders:
        columns = ("key", "source", "score", "frames", "crops")
        rows += [{**row, "folder": folder} for row in read_table(folder.clips, Clips).select(columns).iter_rows(named=True)]
        scored |= {row["key"]: row for row in read_table(folder.scores, Scores).iter_rows(named=True)}
    rows = [row for row in rows if row["key"] in scored]
    if not rows:
        return
    verdicts = {row["key"]: row for path in selections for row in read_ledger(path)}
    states = np.array([verdicts.get(row["key"], {"status": ""})["status"] for row in rows])
    dropped = states == "dropped"
    measures = list(_measures(rows, scored, classified, settings, confidence))
    suspicions = np.stack([suspicion(each.sign * each.values, each.sign * each.limit, ~dropped) for each in measures])
    # What counts: of a dropped clip only what is beyond its limit.
    counts = np.stack([~dropped | (each.sign * (each.values - each.limit) > 0) for each in measures])
    same = np.array([[measure.fault == other.fault for other in measures] for measure in measures])
    pooled = np.stack([1 - np.prod(1 - suspicions[row], axis=0) for row in same])
    largest = np.where(counts, pooled, 0).max(axis=0)
    values = np.where(dropped, np.where(counts.any(axis=0), 1 - largest, 0), largest)
    firsts = np.where(counts & (pooled == largest), suspicions, -1).argmax(axis=0)
    for number, row in enumerate(rows):
        first = int(firsts[number])
        details = [
            measures[index].describe(number)
            for index in sorted(np.flatnonzero(same[first]), key=lambda index: index != first)
            if not np.isnan(measures[index].values[number])
        ]
        if dropped[number]:
            details.append(f"dropped: {verdicts[row['key']]['reason']}")
        yield {
            "queue": CLIPS,
            "key": row["key"],
            "target": clip_key(row["key"], row["frames"], mean_box(row["crops"])),
            "source": row["source"],
            "value": float(values[number]),
            "reason": measures[first].reason if values[number] > 0 else "as usual",
            "detail": "; ".join(details),
            "state": "dropped" if dropped[number] else "kept" if states[number] == "ok" else "",
            "frames": row["frames"],
            "clip": (row["folder"].images / f"{row['key']}.mp4").as_posix(),
            "mask": (row["folder"].masks / f"{row['key']}.mkv").as_posix(),
        }


def _measures(
    rows: Sequence[Mapping[str, Any]],
    scored: Mapping[str, Mapping[str, Any]],
    classified: Mapping[str, Sequence[Path]],
    settings: FilterSettings,
    confidence: float,
) -> Iterator[Measure]:
    """Yield what is measured of the clips. What was measured of none is left out."""
    yield Measure(REGION, UNSURE, "confidence", -1, np.array([row["score"] for row in rows], float), confidence)
    for name, reason in REASONS.items():
        side, column = name.split("_")
        limit = getattr(settings, name)
        limit = WORST.get(name) if limit is None else limit
        values = np.array([scored[row["key"]][column] for row in rows], float)
        if limit is not None and not np.isnan(values).all():
            yield Measure(name, reason, NAMES.get(name, column), SIGNS[side], values, limit)
    for name, limits in settings.classifiers.items():
        scores = values_of(classified[name], name, limits.label)
        values = np.array([scores.get(row["key"]) for row in rows], float)
        alike = next((column for column in DETECTED if limits.label and limits.label.startswith(column)), None)
        for side, sign in SIGNS.items():
            limit = getattr(limits, side)
            if limit is not None and not np.isnan(values).all():
                shown = f"classifier {name}" + (f": {limits.label}" if limits.label else "")
                yield Measure(f"{side}_{alike or f'classifier {name}'}", f"classifier {name}", shown, sign, values, limit)


def suspicion(values: np.ndarray, limit: float, kept: np.ndarray) -> np.ndarray:
    """Return how suspicious each of `values` is, float64 (n,), where large ones are: float64 (n,), in [0, 1], 0 for NaN.

    `kept`: bool (n,), the clips that are not dropped. Where m is the median of the values and t the limit, d = 1 +
    (value - t) / |m - t| is 0 at the median and 1 at the limit.

    Beyond the limit, a dropped clip is the more suspicious the farther it is: d - 1, at most 1. Any other clip gets the balance
    d / (d + p) of two p-values, with d between 0 and 1. d belongs to the hypothesis that the clip has a fault, if the scores of
    faults are spread evenly up to the limit. p belongs to the hypothesis that it is like the clips that are kept, whatever the
    distribution of their scores: the fraction of them whose value is at least as large. This is the conformal p-value of
    Laxhammar and Falkman, "Conformal prediction for distribution-independent anomaly detection in streaming vessel data", 2010.
    So a value is suspicious if it is both close to the limit and unusual.
    """
    known = np.sort(values[kept & ~np.isnan(values)])
    p = np.maximum(len(known) - np.searchsorted(known, values), 1) / max(len(known), 1)
    distance = abs(float(np.nanmedian(values)) - limit)
    # If the usual value is at the limit itself, a value up to it tells nothing, and one beyond it is certain.
    way = (values - limit) / distance if distance else np.where(values > limit, np.inf, -np.inf)
    near = np.nan_to_num(1 + way, nan=0.0).clip(0, 1)
    return np.where(~kept & (way > 0), way.clip(0, 1), near / (near + p))
