"""Read the vectors of embeddings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tessera.learning.embedding.representatives import l2_normalise
from tessera.records.tables.embeddings import Embeddings
from tessera.records.tables.table import read_table


def read_vectors(tables: Sequence[Path], keys: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Return the vectors in `tables`, files of `tables.Embeddings`, of `keys` or of all, float16 (D,) of length 1, by key.

    Vectors of length 0, which have no direction, are left out. One table is held at a time beside the result.
    """
    vectors_by_key: dict[str, np.ndarray] = {}
    for path in tables:
        rows = read_table(path, Embeddings)
        rows = rows if keys is None else rows.filter(pl.col("key").is_in(keys))
        for lengths, part in rows.group_by(pl.col("vector").list.len(), maintain_order=True):
            numbers = part["vector"].list.to_array(int(str(lengths[0]))).to_numpy()
            is_usable = np.any(numbers != 0, axis=1)
            small = l2_normalise(numbers[is_usable])
            vectors_by_key |= dict(zip(part["key"].filter(pl.Series(is_usable)).to_list(), small, strict=True))
    return vectors_by_key
