"""The table of the rounds in which labels were asked for."""

from math import inf

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Rounds(Table):
    """What a classifier had reached after each round of answers."""

    round: pl.Int64 = pa.Field(unique=True, ge=0, description="rounds that were answered; 0: before the first")
    labels: pl.Int64 = pa.Field(ge=0, description="labelled pictures that it was trained on")
    measured: pl.Int64 = pa.Field(gt=0, description="labelled pictures that it was measured on")
    metric: pl.String = pa.Field(isin=["accuracy", "mae"], description="accuracy; or, of a score, the mean absolute error")
    value: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="the metric")
    low: pl.Float64 = pa.Field(nullable=True, description="lower end of its 95 % interval; null: too few sources")
    high: pl.Float64 = pa.Field(nullable=True, description="upper end of its 95 % interval; null: too few sources")
