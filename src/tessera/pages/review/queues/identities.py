"""Crops whose identity is least certain first."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tessera.records.decisions import region_key
from tessera.records.tables.crops import Crops
from tessera.records.tables.embeddings import Embeddings
from tessera.records.tables.identities import Identities
from tessera.records.tables.review import IDENTITIES
from tessera.records.tables.table import read_table, read_tables


def find_identities(identities: Path, embeddings: Sequence[Path], crops: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield an item for each crop, beside the most certain other crop of its identity.

    `identities`: `tables.Identities`. `embeddings`: files of `tables.Embeddings` with the paths of the crops.
    `crops`: `tables.Crops`.
    """
    tables = [read_table(path, Embeddings, without=["vector", "place", "sharpness", "source"]) for path in embeddings]
    paths = dict(pl.concat(tables).iter_rows()) if tables else {}
    boxes = {
        key: (x0, y0, x1, y1)
        for key, x0, y0, x1, y1 in read_tables(list(crops), Crops).select("key", "x0", "y0", "x1", "y1").iter_rows()
    }
    identified = (
        read_table(identities, Identities).filter(pl.col("key").is_in(list(paths))).sort("certainty", "key", descending=True)
    )
    surest = dict(identified.group_by("identity", maintain_order=True).agg(pl.col("key").head(2)).iter_rows())
    for row in identified.iter_rows(named=True):
        other = next((key for key in surest[row["identity"]] if key != row["key"]), None) if row["identity"] else None
        yield {
            "queue": IDENTITIES,
            "key": row["key"],
            "target": region_key(row["key"], boxes[row["key"]]),
            "source": row["source"],
            "value": 1 - row["certainty"],
            "reason": row["origin"],
            "detail": f"certainty {row['certainty']:.3f}",
            "label": row["identity"],
            "suggested": row["cluster"],
            "picture": paths[row["key"]],
            "beside": paths[other] if other else "",
            "beside_text": f"the surest of {row['identity']}" if other else "",
        }
