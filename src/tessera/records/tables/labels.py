"""The tables of the labels that sets state."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class LabelCounts(Table):
    """The labels of a set of labelled images, and what became of them.

    A row is a `label` of regions, a reason why images are `negative`, or one why images were `left out`.
    """

    set: pl.String = pa.Field(description="the source of the set, such as `labels:NAME`")
    kind: pl.String = pa.Field(isin=["label", "negative", "left out"])
    number: pl.Int64 = pa.Field(nullable=True, description="class number in the set; null if its labels are names")
    name: pl.String = pa.Field(description="label in the set, or the reason; empty for a number without a name")
    label: pl.String = pa.Field(nullable=True, description="class of the dataset; empty: not wanted; null: unknown")
    objects: pl.Int64 = pa.Field(ge=0, description="regions with this label in images that are used")
    images: pl.Int64 = pa.Field(ge=0, description="images that are used and have this label, or images for the reason")
    left_out: pl.Int64 = pa.Field(ge=0, description="images with this label that are left out")
