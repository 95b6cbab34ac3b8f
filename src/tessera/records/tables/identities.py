"""The table of identities: who or what each crop shows."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Identities(Table):
    """The identity of each crop that was compared, of sources with general content alone."""

    key: pl.String = pa.Field(unique=True, description="key of the crop")
    source: pl.String = pa.Field(description="id from the manifest")
    frame: pl.String = pa.Field(description="key of the sampled frame that it lies in")
    series: pl.String = pa.Field(description="series of its source; empty if the manifest states none")
    cluster: pl.String = pa.Field(description="name of its cluster; empty for noise and for what references decided")
    identity: pl.String = pa.Field(description="name of the identity; empty for noise")
    appearance: pl.String = pa.Field(description="appearance of the identity, such as `winter/coat`; empty if none is known")
    origin: pl.String = pa.Field(
        isin=["reference", "cluster", "noise", "decision"], description="what decided: references, clustering, or people"
    )
    certainty: pl.Float64 = pa.Field(
        ge=0, le=1, description="fraction of the margin between its own and the nearest other identity; 1 for decisions"
    )
