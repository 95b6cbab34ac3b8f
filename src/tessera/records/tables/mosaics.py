"""The table of mosaics that were drawn."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table

# What makes a mosaic special, and for which rows of the table it is true. The names are for people.
PROPERTIES = {
    "soft edge": pl.col("feather") > 0,
    "fine blocks": pl.col("fine"),
    "rescaled": pl.col("scale") != 1,
    "blurred": pl.col("blur") > 0,
    "darkened": pl.col("brightness") < 1,
    "bar": pl.col("type") == "bar",
}


class Mosaics(Table):
    """The mosaics in the samples of a shard, with all values that are needed to make them again from frames and regions.

    Lengths are in pixels of the sample. They are fractions where the frame was scaled after the mosaic was drawn: divided by
    `scale`, they are the whole numbers of pixels that were drawn.
    """

    key: pl.String = pa.Field(description="key of the frame, and of the sample")
    number: pl.Int64 = pa.Field(ge=0, description="number of the region in the frame")
    label: pl.String = pa.Field(isin=["nsfw", "face", "head"], description="class of the region")
    version: pl.String = pa.Field(isin=["v1", "v2", "v3", "v4"], description="rule that determines the size of the blocks")
    type: pl.String = pa.Field(
        isin=["squa_mid", "squa_avg", "rect_avg", "bar"],
        description="square or rectangular blocks, in the colour of their middle pixel or their mean colour; or a bar",
    )
    block_width: pl.Float64 = pa.Field(ge=2, nullable=True, description="width of a block, pixels; null: a bar")
    block_height: pl.Float64 = pa.Field(ge=2, nullable=True, description="height of a block, pixels; null: a bar")
    whole_blocks: pl.Int64 = pa.Field(
        gt=0, nullable=True, description="number of blocks that are completely visible; null: a bar"
    )
    feather: pl.Float64 = pa.Field(ge=0, description="width of the soft edge, pixels; 0: hard edge")
    dilation: pl.Float64 = pa.Field(ge=0, description="growth of the region on every side, pixels")
    incomplete: pl.Boolean = pa.Field(description="whether the outline of the region cuts blocks")
    anchor: pl.String = pa.Field(isin=["frame", "crop", "region"], description="origin of the grid of blocks")
    origin_x: pl.Float64 = pa.Field(ge=0, description="left edge of a block, pixels")
    origin_y: pl.Float64 = pa.Field(ge=0, description="top edge of a block, pixels")
    fine: pl.Boolean = pa.Field(description="whether the block size was drawn from `mosaics.fine_block`, whatever the region")
    scale: pl.Float64 = pa.Field(gt=0, description="factor by which the frame was scaled after the mosaic was drawn; 1: not")
    blur: pl.Float64 = pa.Field(ge=0, description="standard deviation of the blur of the mosaic, pixels; 0: not blurred")
    brightness: pl.Float64 = pa.Field(ge=0, le=1, description="factor by which the mosaic was darkened; 1: not")
    bar_colour: pl.String = pa.Field(isin=["black", "white", "mean"], nullable=True, description="of a bar")
    bar_thickness: pl.Float64 = pa.Field(
        ge=0,
        le=1,
        nullable=True,
        description="of a bar, relative to the shorter side of the smallest rectangle around the region",
    )
    bar_opacity: pl.Float64 = pa.Field(ge=0, le=1, nullable=True, description="of a bar; 1: opaque")
    degradations: pl.List(pl.String) = pa.Field(  # type: ignore[valid-type]
        description="operations of `degradations.detection` applied to the sample, sorted, each once; empty: none"
    )
    x0: pl.Int64 = pa.Field(ge=0, description="box of the visible mosaic, left edge, pixels")
    y0: pl.Int64 = pa.Field(ge=0, description="box, top edge, pixels")
    x1: pl.Int64 = pa.Field(gt=0, description="box, right edge, pixels, exclusive")
    y1: pl.Int64 = pa.Field(gt=0, description="box, bottom edge, pixels, exclusive")
    seed: pl.Int64 = pa.Field(ge=0, description="the global seed")
