"""The tables of splits."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table, read_table


class Samples(Table):
    """The columns that every table of selected samples has."""

    key: pl.String = pa.Field(unique=True, description="key of the sample")
    source: pl.String = pa.Field(description="source that it comes from")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")


class SourceSplits(Table):
    """The split of each source, which all its samples belong to in every dataset."""

    source: pl.String = pa.Field(unique=True, description="id from the manifest, or of a set of images that the settings name")
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="train, val or test")
    group: pl.String = pa.Field(description="the first of the sources that share pictures with it, directly or through others")


class Splits(Table):
    """The split of each sample of a dataset."""

    key: pl.String = pa.Field(unique=True, description="key of the sample")
    source: pl.String = pa.Field(description="source that it comes from; no source is in two splits")
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="train, val or test")


def split_of_sources(splits: Path) -> dict[str, str]:
    """Return the split of each source in the table `splits` (`SourceSplits`)."""
    return dict(read_table(splits, SourceSplits).select("source", "split").iter_rows())


def trained_on(splits: Path) -> tuple[str, ...]:
    """Return the sources that a training learns from, sorted: those in train or val of the table `splits` (`Splits`)."""
    return tuple(sorted(set(read_table(splits, Splits).filter(pl.col("split") != "test")["source"])))


def sources_of(splits: Path) -> dict[str, str]:
    """Return the source of each sample in the table `splits` (`Splits`), by its key."""
    return dict(read_table(splits, Splits).select("key", "source").iter_rows())
