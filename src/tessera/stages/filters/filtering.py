"""Select the clips of the dataset. Each filter compares one score with one threshold, and has one reason."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, Status
from tessera.core.log import tell
from tessera.core.messages import format_counts
from tessera.records.decisions import ClipExtent, Decision, find_clips, mean_box, write_matches
from tessera.records.limits import IGNORED, REASONS, FilterSettings, ignored_limits, values_of
from tessera.stages.filters.similar import find_similar, signature


def filter_clips(
    clips: Sequence[Path],
    scores: Sequence[Path],
    classified: Mapping[str, Sequence[Path]],
    metrics: Sequence[Path],
    sources: Path,
    dataset: str,
    decisions: Mapping[str, Decision],
    settings: FilterSettings,
    kept: Path,
    kept_scores: Path,
    ledger: Path,
    matched: Path,
) -> None:
    """Write the selected clips to the table `kept` and their scores to `kept_scores`, sorted by key.

    `clips`, `scores`: `tables.Clips` and `tables.Scores` of all shards, in any order. `classified`: `tables.Scored` of all
    shards, by the name of each classifier in `settings`. `metrics`: of those that were trained here, see `ignored_limits`.
    `sources`: `tables.Sources`; clips of a source that is not admitted or is not for `dataset` are dropped. `decisions`:
    decisions of people, by key. They override every filter, but not the checks of the source. A score that was not measured
    fails no filter. A clip that a classifier in `settings` could not score fails. What only a classifier that is no better than
    chance would drop is kept, with a reason that names it.

    Of clips that look alike, in one source or several, one is kept: a clip that a person keeps, or else the one with the most
    frames times pixels, or else the first by key. Clips that another filter drops are not compared.

    `ledger` gets one row per clip. Its reason is the first of its `complaints`, and its detail lists all of them.
    `matched` gets one row per decision, see `write_matches`. Raises `TesseraError` if no clip is left.
    """
    import polars as pl

    from tessera.records.eligibility import NOT_ADMITTED, refusals
    from tessera.records.tables.clips import Clips, Scores
    from tessera.records.tables.table import read_tables, types, write_table

    cut = read_tables(list(clips), Clips).sort("key")
    scored = {row["key"]: row for row in read_tables(list(scores), Scores).iter_rows(named=True)}
    values = {name: values_of(classified[name], name, limit.label) for name, limit in settings.classifiers.items()}
    ignored = ignored_limits(settings.classifiers, metrics)
    refused = refusals(sources, [dataset])
    extents = {
        key: ClipExtent(source, first, frames, mean_box(crops))
        for key, source, first, frames, crops in cut.select("key", "source", "first", "frames", "crops").iter_rows()
    }
    pixels = dict(cut.select("key", pl.col("frames") * pl.col("width") * pl.col("height")).iter_rows())
    decided, lost = find_clips(decisions, extents)
    verdicts: dict[str, tuple[Status, str, str]] = {}
    for key, extent in extents.items():
        reason, detail = refused.get(extent.source, NOT_ADMITTED)
        if reason:
            verdicts[key] = "dropped", reason, detail
        elif key not in scored or (missing := [name for name, known in values.items() if key not in known]):
            verdicts[key] = "failed", "not scored", "; ".join(missing) if key in scored else ""
        else:
            scores_of_clip = {name: known[key] for name, known in values.items()}
            faults = complaints(scored[key], scores_of_clip, settings, ignored)
            decision = decided.get(key)
            detail = "; ".join(f"{reason}: {value}" for reason, value in faults.items())
            if decision:
                keeps = decision.decision == "keep"
                reason = "kept by decision" if keeps else "dropped by decision"
                verdicts[key] = "ok" if keeps else "dropped", reason, "; ".join(filter(None, [str(decision), detail]))
            else:
                passed = [name for name in ignored if settings.classifiers[name].complaint(name, scores_of_clip[name])[0]]
                remark = f"{IGNORED} {', '.join(passed)}" if passed else ""
                verdicts[key] = ("dropped", next(iter(faults)), detail) if faults else ("ok", remark, "")
    if settings.duplicates is not None:
        alike = _alike(
            [key for key, verdict in verdicts.items() if verdict[0] == "ok"], decided, pixels, scored, settings.duplicates
        )
        verdicts |= {key: ("dropped", "looks like another clip", detail) for key, detail in alike.items()}
    with Ledger(ledger) as writer:
        for key, verdict in verdicts.items():
            writer.row(key, *verdict)
    for key, near in lost.items():
        tell(f"decision on {key!r}: there is no such clip" + (f"; {near}" if near else ""))
    write_matches(matched, decisions, {each.key: key for key, each in decided.items()}, lost)
    stay = [key for key, verdict in verdicts.items() if verdict[0] == "ok"]
    if not stay:
        counts = Counter(reason for _, reason, _ in verdicts.values())
        if not counts:
            raise TesseraError(
                f"no clip was cut for the dataset {dataset!r}; see results/scenes/*/scenes.jsonl for the reasons. Let"
                " videos feed it, lower `scenes.choose.confidence` or `scenes.choose.min_seconds`, or make none"
                " (`scenes.detect.weights: null`)"
            )
        raise TesseraError(
            f"the dataset {dataset!r} has no clip left of {len(verdicts):,}: {format_counts(counts)};"
            " loosen the strictest of the `filters`, or let more sources feed it (results/clips has the scores of each clip)"
        )
    write_table(cut.filter(pl.col("key").is_in(stay)), Clips, kept)
    write_table(pl.DataFrame([scored[key] for key in stay], schema=types(Scores)), Scores, kept_scores)


def complaints(
    score: Mapping[str, Any], values: Mapping[str, float], settings: FilterSettings, ignored: Collection[str] = ()
) -> dict[str, str]:
    """Return the filters that a clip fails: the comparison of values, by reason.

    `score`: its row of `tables.Scores`. `values`: what the classifiers of `settings` see in it, by their names. Those of
    `ignored` classifiers do not count. The reasons are in the order of `REASONS`, and those of the classifiers follow.
    """
    faults = {}
    for name, reason in REASONS.items():
        side, column = name.split("_", 1)
        value, limit = score[column], getattr(settings, name)
        if value is None or limit is None:
            continue
        if value > limit if side == "max" else value < limit:
            faults[reason] = f"{value:g} {'>' if side == 'max' else '<'} {limit:g}"
    for name, limit in settings.classifiers.items():
        reason, detail = limit.complaint(name, values[name])
        if reason and name not in ignored:
            faults[reason] = detail
    return faults


def _alike(
    keys: Sequence[str],
    decided: Mapping[str, Decision],
    pixels: Mapping[str, int],
    scored: Mapping[str, Mapping[str, Any]],
    distance: float,
) -> dict[str, str]:
    """Return the clips of `keys` that look like a clip that is kept, each with a detail that names this clip."""
    order = sorted(keys, key=lambda key: (key not in decided, -pixels[key], key))
    if not order:
        return {}
    signatures = np.stack([signature(scored[key]["hashes"]) for key in order])
    representatives, bits = find_similar(signatures, distance, fixed=sum(key in decided for key in order))
    return {
        key: f"{order[other]}, differs in {apart:g} of 64 bits"
        for number, (key, other, apart) in enumerate(zip(order, representatives.tolist(), bits.tolist(), strict=True))
        if other != number
    }
