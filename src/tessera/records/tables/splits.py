"""The tables of splits."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table, read_table


class Samples(Table):
    """What every table of selected samples says of each."""

    key: pl.String = pa.Field(unique=True, description="key of the sample")
    source: pl.String = pa.Field(description="where it comes from")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")


class SourceSplits(Table):
    """Which part of every dataset the samples of a source belong to."""

    source: pl.String = pa.Field(unique=True, description="id from the manifest, or of a set of images beside it")
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="train, val or test")


class Splits(Table):
    """Which part of a dataset each sample belongs to."""

    key: pl.String = pa.Field(unique=True, description="key of the sample")
    source: pl.String = pa.Field(description="where it comes from; a source is never in two splits")
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="train, val or test")


def trained_on(splits: Path) -> tuple[str, ...]:
    """Return the sources that a training learns from, sorted: those in train or val of the table `splits` (`Splits`)."""
    return tuple(sorted(set(read_table(splits, Splits).filter(pl.col("split") != "test")["source"])))
