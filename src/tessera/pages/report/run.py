"""What the report says of the run itself: its sources, when it ran and how long, and the settings that are not the defaults."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.core.messages import format_value
from tessera.core.settings import without_passwords
from tessera.pages.report.pages import table


def list_sources(datasheets: Mapping[str, Path]) -> str:
    """Return an HTML table of the sources that any dataset has samples of, with their rights and the samples made of each.

    `datasheets`: the JSON of the datasheet of each dataset, by its name.
    """
    rows: dict[str, dict[str, Any]] = {}
    for dataset, file in datasheets.items():
        for origin in json.loads(file.read_text(encoding="utf-8"))["origins"]:
            row = rows.setdefault(origin["source"], {**origin, "splits": [], "made": Counter()})
            row["made"][dataset] += next(origin[unit] for unit in ("images", "clips", "samples") if unit in origin)
            row["splits"].append(origin["split"])
    shown = [
        [
            source,
            row.get("content") or "",
            row.get("rights") or "",
            row.get("consent") or "",
            ", ".join(dict.fromkeys(row["splits"])),
            ", ".join(f"{dataset} {count:,}" for dataset, count in row["made"].items()),
        ]
        for source, row in sorted(rows.items())
    ]
    return table(["source", "content", "rights", "consent", "split", "samples by dataset"], shown)


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[list[str]]:
    """Return the path, the value and the default of each setting that is not the default, as text without passwords.

    Of what has no default, such as a classifier, the settings that say something.
    """
    values, usual = dict(_flat(settings)), dict(_flat(defaults))
    paths = [
        *values,
        *(path for path in usual if path not in values and not any(other.startswith(f"{path}.") for other in values)),
    ]
    return [
        [path, without_passwords(values.get(path, "")), without_passwords(usual.get(path, ""))]
        for path in paths
        if values.get(path) != usual.get(path) and (path in usual or values[path] not in {"none", "no", ""})
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each value in `value`. Numbers in a path are places in a list, from 1."""
    inside: Mapping[str, Any] | None = None
    if isinstance(value, Mapping):
        inside = value
    elif isinstance(value, Sequence) and any(isinstance(each, Mapping) for each in value):
        inside = {str(number): each for number, each in enumerate(value, 1)}
    if not inside:
        yield path, format_value(value)
        return
    for name, each in inside.items():
        yield from _flat(each, f"{path}.{name}" if path else str(name))
