"""Crops whose identity is least certain first."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.records.decisions import region_key
from tessera.records.tables.crops import Crops
from tessera.records.tables.embeddings import Embeddings
from tessera.records.tables.identities import Identities
from tessera.records.tables.review import IDENTITIES
from tessera.records.tables.table import read_table, read_tables
from tessera.records.vectors import read_vectors


def find_identities(identities: Path, embeddings: Sequence[Path], crops: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield an item for each crop, beside the most certain other crop of its identity.

    A crop without an identity is beside the most similar of these, whose identity is suggested.
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
    identity_of = {key: name for name, keys in surest.items() if name for key in keys}
    nameless = identified.filter(identity="")["key"].to_list()
    similar = _most_similar(nameless, list(identity_of), embeddings)
    for row in identified.iter_rows(named=True):
        suggested, text = row["cluster"], f"the surest of {row['identity']}"
        other = next((key for key in surest[row["identity"]] if key != row["key"]), None) if row["identity"] else None
        if row["key"] in similar:
            other, similarity = similar[row["key"]]
            suggested = identity_of[other]
            text = f"the most similar: {suggested}, similarity {similarity:.2f}"
        yield {
            "queue": IDENTITIES,
            "key": row["key"],
            "target": region_key(row["key"], boxes[row["key"]]),
            "source": row["source"],
            "value": 1 - row["certainty"],
            "reason": row["origin"],
            "detail": f"certainty {row['certainty']:.3f}",
            "label": row["identity"],
            "suggested": suggested,
            "picture": paths[row["key"]],
            "beside": paths[other] if other else "",
            "beside_text": text if other else "",
        }


def _most_similar(keys: Sequence[str], others: Sequence[str], embeddings: Sequence[Path]) -> dict[str, tuple[str, float]]:
    """Return for each of `keys` the one of `others` with the most similar vector, and the cosine of their angle."""
    if not keys or not others:
        return {}
    vectors = read_vectors(embeddings, [*keys, *others])
    known = [key for key in others if key in vectors]
    if not known:
        return {}
    matrix = np.stack([vectors[key] for key in known]).astype(np.float32)
    similar = {}
    for key in keys:
        if key in vectors:
            cosines = matrix @ vectors[key].astype(np.float32)
            best = int(cosines.argmax())
            similar[key] = known[best], float(cosines[best])
    return similar
