"""Clips, those first that are closest to a limit of the filters."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tessera.core.ledger import read_ledger
from tessera.records.limits import REASONS, FilterSettings, ScoreLimit, values_of
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.review import CLIPS
from tessera.records.tables.table import read_table

# Scores that are suspicious from this value on even if no filter has a limit for them.
WORST = {"max_jump": 1.0}
UNSURE = "unsure detector"  # the reason that the detector of the region gives


class ClipFolder(NamedTuple):
    """The files of the clips of a shard."""

    clips: Path  # `tables.Clips`
    scores: Path  # `tables.Scores`
    images: Path  # folder of the videos
    masks: Path  # folder of the videos of the masks


class Measure(NamedTuple):
    """One score of all clips. `limit`: the value at which a decision is worth most."""

    reason: str
    values: np.ndarray  # float64, one for each clip; NaN where it was not measured
    limit: float


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

    A decision is worth most at the limit of a filter, and nothing where a score is as usual: where `m` is the median of a score
    over all clips and `t` its limit, it is worth 1 - |score - t| / |m - t|. The largest of these counts, and gives the reason.
    """
    rows: list[dict[str, Any]] = []
    scored: dict[str, dict[str, Any]] = {}
    for folder in folders:
        columns = ("key", "source", "score", "first", "frames", "rate")
        rows += [{**row, "folder": folder} for row in read_table(folder.clips, Clips).select(columns).iter_rows(named=True)]
        scored |= {row["key"]: row for row in read_table(folder.scores, Scores).iter_rows(named=True)}
    rows = [row for row in rows if row["key"] in scored]
    if not rows:
        return
    verdicts = {row["key"]: row for path in selections for row in read_ledger(path)}
    measures = list(_measures(rows, scored, classified, settings, confidence))
    worth = np.stack([_worth(measure.values, measure.limit) for measure in measures])
    for number, row in enumerate(rows):
        best = int(worth[:, number].argmax())
        verdict = verdicts.get(row["key"], {"status": "", "reason": "", "detail": ""})
        dropped = verdict["status"] == "dropped"
        value = measures[best].values[number]
        near = f"{measures[best].reason} {value:.3g}, limit {measures[best].limit:.3g}"
        yield {
            "queue": CLIPS,
            "key": row["key"],
            "source": row["source"],
            "value": float(worth[best, number]),
            "reason": measures[best].reason if worth[best, number] > 0 else "as usual",
            "detail": f"{near}; dropped: {verdict['reason']}" if dropped else near,
            "state": "dropped" if dropped else "kept" if verdict["status"] == "ok" else "",
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
    yield Measure(UNSURE, np.array([row["score"] for row in rows], float), confidence)
    for name, reason in REASONS.items():
        limit = getattr(settings, name)
        limit = WORST.get(name) if limit is None else limit
        column = name.partition("_")[2]
        if limit is not None:
            yield Measure(reason, np.array([scored[row["key"]][column] for row in rows], float), limit)
    for name, own in settings.classifiers.items():
        values = values_of(classified[name], name, own.label)
        for limit in _ends(own):
            yield Measure(f"classifier {name}", np.array([values.get(row["key"]) for row in rows], float), limit)


def _ends(limit: ScoreLimit) -> list[float]:
    return [end for end in (limit.min, limit.max) if end is not None]


def _worth(values: np.ndarray, limit: float) -> np.ndarray:
    """Return how much a decision on each of `values`, float64 (n,), is worth, in [0, 1]; 0 where it was not measured."""
    known = values[~np.isnan(values)]
    room = abs(float(np.median(known)) - limit) if len(known) else 0.0
    # If the usual value is at the limit itself, the score tells nothing.
    worth = np.zeros(len(values)) if room == 0 else 1 - np.abs(values - limit) / room
    return np.nan_to_num(worth, nan=0.0).clip(0, 1)
