"""The table of mosaics that were drawn."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Mosaics(Table):
    """The mosaics in the samples of a shard, with all values that are needed to make them again from frames and regions."""

    key: pl.String = pa.Field(description="key of the frame, and of the sample")
    number: pl.Int64 = pa.Field(ge=0, description="number of the region in the frame")
    label: pl.String = pa.Field(isin=["nsfw", "face", "head"], description="class of the region")
    version: pl.String = pa.Field(isin=["v1", "v2", "v3", "v4"], description="rule that determines the size of the blocks")
    type: pl.String = pa.Field(
        isin=["squa_mid", "squa_avg", "rect_avg"],
        description="square or rectangular blocks, in the colour of their middle pixel or their mean colour",
    )
    block_width: pl.Int64 = pa.Field(ge=2, description="width of a block, pixels of the sample")
    block_height: pl.Int64 = pa.Field(ge=2, description="height of a block, pixels of the sample")
    whole_blocks: pl.Int64 = pa.Field(gt=0, description="number of blocks that are completely visible")
    feather: pl.Int64 = pa.Field(ge=0, description="width of the soft edge, pixels; 0: hard edge")
    dilation: pl.Int64 = pa.Field(ge=0, description="growth of the region on every side, pixels")
    incomplete: pl.Boolean = pa.Field(description="whether the outline of the region cuts blocks")
    anchor: pl.String = pa.Field(isin=["frame", "crop", "region"], description="origin of the grid of blocks")
    origin_x: pl.Int64 = pa.Field(ge=0, description="left edge of a block, pixels")
    origin_y: pl.Int64 = pa.Field(ge=0, description="top edge of a block, pixels")
    x0: pl.Int64 = pa.Field(ge=0, description="box of the visible mosaic, left edge, pixels")
    y0: pl.Int64 = pa.Field(ge=0, description="box, top edge, pixels")
    x1: pl.Int64 = pa.Field(gt=0, description="box, right edge, pixels, exclusive")
    y1: pl.Int64 = pa.Field(gt=0, description="box, bottom edge, pixels, exclusive")
    seed: pl.Int64 = pa.Field(ge=0, description="the global seed")
