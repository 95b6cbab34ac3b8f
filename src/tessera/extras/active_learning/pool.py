"""The pool: the sampled frames whose labels may be asked for, and why others may not."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tessera.core.errors import TesseraError
from tessera.extras.active_learning.choose import bits, look_like
from tessera.records.decisions import Decision
from tessera.records.eligibility import refusals
from tessera.records.tables.classification import Scored
from tessera.records.tables.embeddings import Embeddings
from tessera.records.tables.footage import Frames, Replaced, Sources
from tessera.records.tables.splits import split_of_sources
from tessera.records.tables.table import Table, read_columns, read_table, read_tables


class Hashes(Table):
    """The column that every table of images has."""

    phash: pl.UInt64


def read_pool(
    frames: Sequence[Path],
    sources: Path,
    splits: Path,
    scores: Sequence[Path],
    vectors: Sequence[Path],
    classifier: str,
    is_divided: bool,
) -> pl.DataFrame:
    """Return the frames in `frames`, with the columns `refused`, `split`, `probabilities` and `vector`, sorted by key.

    See `ask_round`. `refused`: why the source of a frame may not feed the classifier, or empty. `split`: empty if the source is
    divided. `probabilities`: null if no classifier scored it. `vector`: null if it has none.
    """
    table = read_tables(list(frames), Frames).sort("key")
    admitted = read_table(sources, Sources)
    refused = {source: reason for source, (reason, _) in refusals(sources, [classifier]).items()}
    splits_by_source = split_of_sources(splits)
    if is_divided:
        splits_by_source = {
            source: splits_by_source.get(source, "") if kind == "video" else ""
            for source, kind in admitted.select("source", "kind").rows()
        }
    scored = read_tables(list(scores), Scored).select("key", "probabilities")
    embedded = [read_table(path, Embeddings).select("key", "vector") for path in vectors]
    embedded = embedded or [pl.DataFrame(schema={"key": pl.String, "vector": pl.List(pl.Float16)})]
    return (
        table.with_columns(
            refused=pl.col("source").replace_strict(refused, default="source not admitted", return_dtype=pl.String),
            split=pl.col("source").replace_strict(splits_by_source, default="", return_dtype=pl.String),
        )
        .join(scored, on="key", how="left", maintain_order="left")
        .join(pl.concat(embedded).unique("key"), on="key", how="left", maintain_order="left")
    )


def reasons_against(
    pool: pl.DataFrame,
    asked: Collection[str],
    duplicates: Sequence[Path],
    labels: Sequence[Path],
    decisions: Mapping[str, Decision],
    distance: int,
    is_scored: bool,
    is_embedded: bool,
) -> list[str]:
    """Return for each row of `pool` why its label may not be asked for; empty if it may. See `ask_round`.

    `asked`: the keys of the frames that were asked for before.
    """
    alike = {key for path in duplicates for key in read_columns(path, Replaced)["key"]}
    hashes = [read_columns(path, Hashes)["phash"].to_numpy() for path in labels]
    labelled = look_like(pool["phash"].to_numpy(), np.concatenate([np.empty(0, np.uint64), *hashes]), distance)
    columns = pool.select(
        "key", "refused", "split", has_score=pl.col("probabilities").is_not_null(), has_vector=pl.col("vector").is_not_null()
    )
    reasons = []
    for (key, refused, split, has_score, has_vector), is_labelled in zip(columns.iter_rows(), labelled, strict=True):
        decision = decisions.get(key)
        faults = {
            refused: bool(refused),
            "dropped by decision": decision is not None and decision.decision == "drop",
            "asked before": key in asked,
            "looks like a labelled picture": is_labelled,
            "looks like another": key in alike,
            "source in the split test": split == "test",
            "not scored": is_scored and not has_score,
            "not embedded": is_embedded and not has_vector,
        }
        reasons.append(next((reason for reason, applies in faults.items() if applies), ""))
    return reasons


def vectors_of(pool: pl.DataFrame, is_embedded: bool) -> np.ndarray:
    """Return the vectors of the rows of `pool`, (N, features); without an embedding, the bits of perceptual hashes.

    Raises `TesseraError` if the vectors differ in length.
    """
    if not is_embedded:
        return bits(pool["phash"].to_numpy())
    lengths = pool["vector"].list.len().unique().to_list()
    if len(lengths) > 1:
        raise TesseraError(f"vectors of one embedding have {lengths} numbers; delete results/embeddings and run again")
    vectors: np.ndarray = pool["vector"].list.to_array(lengths[0]).to_numpy()
    return vectors
