"""Write the results of a search: a table of its trials, and the best settings."""

import json
from pathlib import Path

import polars as pl
import yaml

from tessera.core.messages import pluralize
from tessera.core.tsv import write_sheet
from tessera.learning.search import Search, SearchSettings, Trial, Value, changed
from tessera.records.tables.search import Trials
from tessera.records.tables.table import types, write_table


def write_search(
    search: Search, settings: SearchSettings, section: str, *, trials: Path, sheet: Path, summary: Path, best: Path
) -> None:
    """Write the results of a search of the model `settings.model` in `section` of the settings.

    `trials`: gets `tables.Trials`. `sheet`: the same as TSV, with a column for each setting. `summary`: JSON with the metric,
    the number of the best trial, the settings with a range of logarithms, and the importance of each setting. `best`: YAML with
    the settings of the best trial, to paste.
    """
    rows = [
        {
            "number": trial.number,
            "state": trial.state,
            "reason": trial.reason,
            "parameters": json.dumps(trial.parameters, ensure_ascii=False),
            "metric": _metric(trial),
            "epochs": len(trial.values),
            "values": list(trial.values),
            "seconds": trial.seconds,
        }
        for trial in search.trials
    ]
    write_table(pl.DataFrame(rows, schema=types(Trials)), Trials, trials)
    _write_trials(search, sheet)
    content = {
        "model": settings.model,
        "metric": search.metric,
        "is_more_better": search.is_more_better,
        "best": search.best.number,
        "logarithmic": [path for path, choices in settings.space.items() if "log" in choices],
        "importances": search.importances,
    }
    summary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    best.write_text(_yaml(search, settings.model, section), encoding="utf-8")


def _metric(trial: Trial) -> float | None:
    return trial.values[-1] if trial.values else None


def _write_trials(search: Search, path: Path) -> None:
    paths = list(search.trials[0].parameters)
    rows = []
    for trial in search.trials:
        values = [_cell(trial.parameters[name]) for name in paths]
        metric = _cell(_metric(trial)) if trial.values else ""
        rows.append([trial.number, trial.state, *values, metric, len(trial.values), trial.seconds, trial.reason])
    write_sheet(path, ["number", "state", *paths, search.metric, "epochs", "seconds", "reason"], rows)


def _cell(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _yaml(search: Search, model: str, section: str) -> str:
    """Return the settings of the best trial, with comments that say how good it is."""
    best, first = search.best, search.trials[0]
    lines = [
        f"Trial {best.number}, the best of {pluralize(len(search.trials), 'trials')}: {search.metric} {best.values[-1]:.4g} on"
        f" the validation split, {'more' if search.is_more_better else 'less'} is better.",
    ]
    if first is not best and first.state == "complete":
        lines.append(f"Trial 0, with the settings from before where the space contains them: {first.values[-1]:.4g}.")
    lines.append(
        "The best of many is better on the split that chose it than elsewhere: only the test split shows how good it is."
    )
    content = changed({}, {f"{section}.{model}.{path}": value for path, value in best.parameters.items()})
    return "".join(f"# {line}\n" for line in lines) + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
