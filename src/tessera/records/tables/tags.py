"""The table of tags: what a tagger sees in pictures."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Tags(Table):
    """The tags of pictures, one row for each tag of each picture, by key and then by number of the tag."""

    key: pl.String = pa.Field(description="key of a sampled frame or of a crop")
    number: pl.Int64 = pa.Field(ge=0, description="position of the tag in the tag list")
    tag: pl.String = pa.Field(description="the tag as the tag list writes it, such as `long_hair`")
    category: pl.String = pa.Field(
        isin=["general", "character", "copyright", "artist", "rating", "meta"], description="category"
    )
    score: pl.Float64 = pa.Field(
        ge=0, le=1, description="probability; below a floor, or the threshold of its category, a tag has no row"
    )

    class Config(Table.Config):
        unique = ("key", "number")
