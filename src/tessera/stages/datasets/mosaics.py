"""The part of a datasheet that counts the mosaics on the samples of a dataset."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from tessera.core.markdown import table
from tessera.records.tables.mosaics import PROPERTIES

SPLITS = ("train", "val", "test")
BLOCKS = (2, 3, 4, 6, 8, 12, 16, 24)  # pixels; a class of blocks has heights from one number up to the next


def describe_mosaics(mosaics: pl.DataFrame, splits: pl.DataFrame) -> dict[str, Any]:
    """Return the number of mosaics in each split, of those with each property, and of those in each class of block heights.

    `mosaics`, `splits`: data frames of `tables.Mosaics`, `Splits`. Mosaics on samples that are in no split do not count. Bars
    count as mosaics, but have no blocks.
    """
    mosaics = mosaics.join(splits.select("key", "split"), on="key")
    height = pl.col("block_height")
    classes = {
        f"blocks from {low} px to below {high} px": height.is_between(low, high, closed="left")
        for low, high in pairwise(BLOCKS)
    }
    counted = {**PROPERTIES, **classes, f"blocks from {BLOCKS[-1]} px": height >= BLOCKS[-1]}
    counts = pl.len().alias("all"), *(count.sum().alias(name) for name, count in counted.items())
    return {split: mosaics.filter(split=split).select(*counts).row(0, named=True) for split in SPLITS}


def render_mosaics(counts: Mapping[str, Mapping[str, int]]) -> Sequence[str]:
    """Return what `describe_mosaics` returns as parts of a page in Markdown."""
    rows = [[name, *(counts[split][name] for split in SPLITS)] for name in counts["train"]]
    return "## Mosaics\n", table(["", *SPLITS], rows)
