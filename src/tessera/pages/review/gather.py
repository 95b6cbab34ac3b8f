"""Gather the items of all queues into one table."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.records.blurring import Blur, clear_keys
from tessera.records.tables.review import QUEUES, ReviewItems
from tessera.records.tables.splits import SourceSplits
from tessera.records.tables.table import read_table, types, write_table

USUAL: Mapping[pl.DataType, Any] = {
    pl.String(): "",
    pl.Int64(): 0,
    pl.List(pl.String): [],
    pl.List(pl.Boolean): [],
    pl.List(pl.Int64): [],
    pl.List(pl.List(pl.Float64)): [],
}


def gather(
    items: Iterable[Mapping[str, Any]],
    sources: Path,
    splits: Path | None,
    sets: Mapping[str, str],
    blur: Blur,
    page: Mapping[str, Any],
    *,
    table: Path,
    settings: Path,
) -> None:
    """Write `items`, each with those columns of `tables.ReviewItems` that differ from empty ones, to `table`.

    `sources`: `tables.Sources`. `splits`: `tables.SourceSplits`, or None if nothing is divided. `clear_keys` describes `sets`
    and `blur`. `page` is written to `settings` as JSON: what the server needs to know.
    """
    usual = {name: USUAL[kind] for name, kind in types(ReviewItems).items() if kind in USUAL}
    rows = [{**usual, "is_blurred": True, **item} for item in items]
    split_of = dict(read_table(splits, SourceSplits).select("source", "split").iter_rows()) if splits else {}
    clear = clear_keys(((row["key"], row["source"]) for row in rows), sources, sets, blur)
    for row in rows:
        row["is_blurred"] = row["key"] not in clear
        row["split"] = row["split"] or split_of.get(row["source"], "")
    gathered = pl.DataFrame(rows, schema=types(ReviewItems)).with_columns(pl.col("value").clip(0, 1))
    order = pl.col("queue").replace_strict({name: number for number, name in enumerate(QUEUES)}, return_dtype=pl.Int64)
    gathered = gathered.sort(order, "value", "key", "classifier", descending=[False, True, False, False])
    write_table(gathered, ReviewItems, table)
    settings.write_text(json.dumps(page, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    tell(
        ", ".join(
            f"{name}: {pluralize(number, 'items')}" for name, number in gathered["queue"].value_counts(sort=True).iter_rows()
        )
    )
