"""The tables of the truth about the demo footage."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class DemoClips(Table):
    """The videos of the demo footage."""

    source: pl.String = pa.Field(unique=True, description="id from the manifest")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    rate: pl.Float64 = pa.Field(gt=0, description="frames per second")
    frames: pl.Int64 = pa.Field(gt=0, description="frames rendered; a truncated file holds fewer")
    cuts: pl.List(pl.Int64) = pa.Field(description="index of the first frame of every scene but the first")  # type: ignore[valid-type]


class DemoRegions(Table):
    """What is to be seen in the frames of the demo footage."""

    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="place of the frame in order of presentation, from 0")
    kind: pl.String = pa.Field(
        isin=["subject", "mosaic", "watermark"],
        description="subject: what is visible of a region of interest; mosaic: blocks of one; watermark: over the picture",
    )
    number: pl.Int64 = pa.Field(
        ge=0, description="place among the regions of the frame; a subject keeps its own within a scene"
    )
    rle: pl.String = pa.Field(description="COCO compressed run lengths of the mask, column by column")
