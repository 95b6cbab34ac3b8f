"""Write the table of the evaluation, in the environment of the workflow: that of restoration has no tables."""

import json
from pathlib import Path


def tabulate_frames(lines: Path, table: Path) -> None:
    """Write the JSON `lines` that `evaluate` wrote as the table `RestoredFrames`, with a row per method and frame."""
    import polars as pl

    from tessera.records.tables.evaluation_restoration import RestoredFrames
    from tessera.records.tables.table import types, write_table

    columns = types(RestoredFrames)
    rows = []
    with lines.open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            count = len(row["position"])
            rows.append({name: value if isinstance(value := row.get(name), list) else [value] * count for name in columns})
    lists = pl.DataFrame(rows, schema={name: pl.List(kind) for name, kind in columns.items()})
    write_table(lists.explode(list(columns)), RestoredFrames, table)
