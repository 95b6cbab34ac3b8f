"""The table of a search for better settings."""

from math import inf

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Trials(Table):
    """The trials of a search."""

    number: pl.Int64 = pa.Field(unique=True, ge=0, description="number of the trial, from 0")
    state: pl.String = pa.Field(
        isin=["complete", "pruned", "failed"], description="complete, pruned: ended early, or failed: see `reason`"
    )
    reason: pl.String = pa.Field(description="why it failed; empty if it did not")
    parameters: pl.String = pa.Field(description="the settings that were tried, by their paths, as JSON")
    metric: pl.Float64 = pa.Field(
        nullable=True, gt=-inf, lt=inf, description="metric on the validation split at its end; null if there is none"
    )
    epochs: pl.Int64 = pa.Field(ge=0, description="epochs that it was trained")
    values: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        description="metric of the weights that would be kept if the training ended after each epoch"
    )
    seconds: pl.Float64 = pa.Field(
        ge=0, description="duration since it was begun or, after a kill, last resumed; differs from run to run"
    )
