"""What changed since the last run: settings, samples, decisions, and figures of models."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.core.messages import format_value, pluralize
from tessera.core.settings import without_passwords

NOTHING = "nothing"
NAMES = {"val": "validation"}  # of splits, where another name is shown


def compare_runs(
    figures: Path,
    samples: Mapping[str, Mapping[str, int]],
    settings: Mapping[str, Any],
    decisions: int,
    former: Path,
    path: Path,
    made: str,
) -> dict[str, Any]:
    """Return what differs from the last run that was different: `since`, when that was, and `parts`, titles with their lines.

    Both are empty if there was none. `figures`: the JSON of `write_summary`. `samples`: their number by split, by dataset.
    `settings`: those that are not the defaults, as `changed_settings` returns them. `decisions`: their number. `former`: what
    the last run wrote to `path`, JSON, if there is such a file. `made`: when this run was.
    """
    now = {
        "figures": json.loads(figures.read_text(encoding="utf-8")),
        "samples": samples,
        "settings": dict(_texts(settings)),
        "decisions": decisions,
    }
    last = json.loads(former.read_text(encoding="utf-8")) if former.exists() else {"now": None, "before": None}
    if last["now"] and last["now"]["run"] == now:
        content = last
    else:
        content = {"now": {"made": made, "run": now}, "before": last["now"]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    before = content["before"]
    return {"since": before["made"], "parts": dict(_parts(before["run"], now))} if before else {"since": "", "parts": {}}


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each value in nested settings. A list is one value."""
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _texts(each, f"{path}.{name}" if path else name)
    else:
        yield path, without_passwords(format_value(value))


def _parts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield what is of one kind: its title with the number of changes, and a line for each of them."""
    lines = [f"{name}: {new}, before {old}" for name, old, new in _pairs(before["settings"], now["settings"], "the default")]
    yield pluralize(len(lines), "settings"), lines
    samples = {name: _totals(run["samples"]) for name, run in (("before", before), ("now", now))}
    lines = [f"{name}: {new}, before {old}" for name, old, new in _pairs(samples["before"], samples["now"], NOTHING)]
    yield pluralize(len(lines), "datasets"), lines
    lines = [f"{now['decisions']:,}, before {before['decisions']:,}"] if now["decisions"] != before["decisions"] else []
    yield "decisions of people", lines
    lines = [
        f"{name}: {_measures(old or {}, new) if new else 'no model any more'}"
        for name, old, new in _pairs(before["figures"], now["figures"], None)
    ]
    yield pluralize(len(lines), "models"), lines


def _pairs(before: Mapping[str, Any], now: Mapping[str, Any], missing: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name, the former and the present value of each entry that differs."""
    for name in dict.fromkeys([*now, *before]):
        old, new = before.get(name, missing), now.get(name, missing)
        if old != new:
            yield name, old, new


def _totals(samples: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    texts = {}
    for name, splits in samples.items():
        counts = ", ".join(f"{count:,} {split}" for split, count in splits.items())
        texts[name] = f"{pluralize(sum(splits.values()), 'samples')} ({counts})"
    return texts


def _measures(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return by how much the measures of a model differ, by split."""
    changes = []
    for name, old, new in _pairs(before, now, {"values": {}, "form": ""}):
        form = new["form"] or old["form"]
        of_splits = [
            f"{NAMES.get(split, split)} {value - former:+{form}}"
            if former is not None and value is not None
            else f"{NAMES.get(split, split)} {'not measured any more' if value is None else f'{value:{form}}, new'}"
            for split, former, value in _pairs(old["values"], new["values"], None)
        ]
        changes += [f"{name} {', '.join(of_splits)}"] if of_splits else []
    return "; ".join(changes)
