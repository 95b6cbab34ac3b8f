"""What the report says of the run itself: its sources, when it ran and how long, and the settings that are not the defaults."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

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


def tabulate_settings(changed: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the name of each section of the settings that was changed, what differs in it, and the defaults of that.

    `changed`, `defaults`: as `changed_settings` returns them. They become YAML without passwords.
    """
    names = dict.fromkeys([*changed, *defaults])
    return [(name, _yaml(changed.get(name)), _yaml(defaults.get(name))) for name in names]


def _yaml(value: Any) -> str:
    """Return `value` as YAML of few lines, and as an empty text if there is nothing in it."""
    if isinstance(value, Mapping):
        # A line for each key, also if all values are plain.
        return "\n".join(
            _dump({name: each}, None if isinstance(each, Mapping | list) else False) for name, each in value.items()
        )
    return "" if value in (None, "", []) else _dump(value, None)


def _dump(value: Any, flow: bool | None) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=56)
    return without_passwords(text.removesuffix("...\n").strip())
