"""Find near-duplicates by the vectors of pictures."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.extras.near_duplicates.settings import NearDuplicateSettings
from tessera.learning.embedding.representatives import find_representatives, l2_normalise
from tessera.records.label_sets import SETS
from tessera.records.tables.annotation import Images
from tessera.records.tables.embeddings import Embeddings, NearDuplicates
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import read_table, read_tables, types, write_table

WITHIN, ACROSS, ENDS = "within a source", "across sources", "openings or endings"
NEVER = 2.0  # no cosine reaches it
MIDDLE, OPENING, ENDING = 0, 1, 2
DIGITS = 4  # decimals of a similarity in messages


def find_near_duplicates(
    tables: Sequence[Path],
    labelled: Sequence[Path],
    sources: Path,
    settings: NearDuplicateSettings,
    *,
    table: Path,
    ledger: Path,
) -> None:
    """Write the near-duplicates among the pictures in `tables` (files of `tables.Embeddings`) to `table` (`NearDuplicates`).

    `labelled`: files of `tables.Images`. `sources`: `tables.Sources`; pictures of sources that are not admitted are left out.
    Of several near-duplicates, a labelled picture is kept rather than another, because labels are work, then the sharpest, then
    the first by key. Each of the others is close to the one that is kept, see `find_representatives`. `ledger` gets one row per
    picture. Neither the order of `tables` nor the division into shards matters.

    Raises `TesseraError` if the vectors differ in length.
    """
    admitted = set(read_table(sources, Sources)["source"])
    known = set(read_tables(list(labelled), Images)["key"])
    pictures, vectors = _read(tables, admitted, known)
    part = pictures["place"].to_numpy()
    ends = np.where(part < 1 / 3, OPENING, np.where(part >= 2 / 3, ENDING, MIDDLE))  # images, with NaN, have no part
    source_of = pictures["source"].rank("dense").to_numpy()
    within, across, at_ends = (limit or NEVER for limit in (settings.within, settings.across, settings.ends))

    def limits(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        same_end = (ends[left] == ends[right]) & (ends[left] != MIDDLE)
        return np.where(source_of[left] == source_of[right], within, np.where(same_end, min(across, at_ends), across))

    duplicates = find_representatives(vectors, min(within, across, at_ends), limits)
    rows = []
    keys = pictures["key"].to_list()
    with Ledger(ledger) as entries:
        for number in np.argsort(np.array(keys, object), kind="stable").tolist():
            key, representative, similarity = keys[number], int(duplicates.indices[number]), float(duplicates.cosines[number])
            if representative == number:
                entries.row(key, "ok")
                continue
            scope = WITHIN if source_of[representative] == source_of[number] else ACROSS if similarity >= across else ENDS
            entries.row(
                key, "dropped", f"near-duplicate {scope}", f"{keys[representative]}, similarity {similarity:.{DIGITS}f}"
            )
            rows.append((key, keys[representative], similarity, scope))
    write_table(pl.DataFrame(rows, schema=types(NearDuplicates), orient="row"), NearDuplicates, table)
    tell(f"{len(rows):,} of {pluralize(len(keys), 'pictures')} are near-duplicates of others")


def _read(tables: Sequence[Path], admitted: Collection[str], labelled: Collection[str]) -> "tuple[pl.DataFrame, np.ndarray]":
    """Return the pictures of the sources `admitted` in the order of preference, and their vectors from `l2_normalise`.

    The tables are read twice, so that only the vectors of one of them are held beside the result.
    """
    light = [read_table(path, Embeddings, without=["vector", "path"]) for path in tables]
    light = light or [pl.DataFrame(schema=types(Embeddings)).drop("vector", "path")]
    numbered = [table.with_row_index("row").with_columns(table=pl.lit(number)) for number, table in enumerate(light)]
    pictures = pl.concat(numbered).unique("key", keep="first", maintain_order=True)
    is_set = pl.any_horizontal(pl.col("source").str.starts_with(prefix) for prefix in SETS)
    pictures = pictures.filter(is_set | pl.col("source").is_in(list(admitted)))
    pictures = pictures.with_columns(labelled=pl.col("key").is_in(list(labelled)))
    pictures = pictures.sort("labelled", "sharpness", "key", descending=[True, True, False]).with_row_index("rank")
    vectors = np.empty((0, 0), np.float16)
    for (number,), rows in pictures.group_by("table", maintain_order=True):
        path = tables[int(str(number))]
        column = read_table(path, Embeddings)["vector"].gather(rows["row"])
        lengths = column.list.len().unique().to_list()
        if not vectors.size:
            vectors = np.empty((pictures.height, lengths[0]), np.float16)
        if lengths != [vectors.shape[1]]:
            raise TesseraError(
                f"{path}: its vectors have {lengths} numbers, those of other pictures {vectors.shape[1]}; delete the folder"
                f" {path.parent} and run again"
            )
        vectors[rows["rank"].to_numpy()] = l2_normalise(column.list.to_array(lengths[0]).to_numpy())
    return pictures, vectors
