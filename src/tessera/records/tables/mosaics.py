"""The table of mosaics that were drawn."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Mosaics(Table):
    """The mosaics of the samples of a shard, with all that is needed to make them again from the frame and the region."""

    key: pl.String = pa.Field(description="key of the frame, and of the sample")
    number: pl.Int64 = pa.Field(ge=0, description="place of the region among those of the frame")
    label: pl.String = pa.Field(isin=["nsfw", "face", "head"], description="what the region shows")
    version: pl.String = pa.Field(isin=["v1", "v2", "v3", "v4"], description="rule that the size of the blocks comes from")
    type: pl.String = pa.Field(
        isin=["squa_mid", "squa_avg", "rect_avg"], description="colour of a block: its middle pixel or its mean; square or not"
    )
    block_width: pl.Int64 = pa.Field(ge=2, description="pixels of the sample")
    block_height: pl.Int64 = pa.Field(ge=2, description="pixels")
    whole_blocks: pl.Int64 = pa.Field(gt=0, description="blocks that show from edge to edge")
    feather: pl.Int64 = pa.Field(ge=0, description="width of the soft edge, pixels; 0: hard")
    dilation: pl.Int64 = pa.Field(ge=0, description="pixels by which the region grew on every side")
    incomplete: pl.Boolean = pa.Field(description="whether blocks end at the outline of the region")
    anchor: pl.String = pa.Field(isin=["frame", "crop", "region"], description="what the grid is anchored to")
    origin_x: pl.Int64 = pa.Field(ge=0, description="left edge of a block, pixels")
    origin_y: pl.Int64 = pa.Field(ge=0, description="top edge of a block, pixels")
    x0: pl.Int64 = pa.Field(ge=0, description="box of what shows, left edge, pixels")
    y0: pl.Int64 = pa.Field(ge=0, description="box, top edge, pixels")
    x1: pl.Int64 = pa.Field(gt=0, description="box, right edge, pixels, outside")
    y1: pl.Int64 = pa.Field(gt=0, description="box, bottom edge, pixels, outside")
    seed: pl.Int64 = pa.Field(ge=0, description="the global seed that it was drawn with")
