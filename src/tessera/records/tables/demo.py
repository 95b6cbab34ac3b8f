"""The tables of the ground truth of the demo footage."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class DemoClips(Table):
    """The videos of the demo footage."""

    source: pl.String = pa.Field(unique=True, description="id from the manifest")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    rate: pl.Float64 = pa.Field(gt=0, description="frames per second")
    frames: pl.Int64 = pa.Field(gt=0, description="number of frames rendered; a truncated file has fewer")
    cuts: pl.List(pl.Int64) = pa.Field(description="index of the first frame of every scene except the first")  # type: ignore[valid-type]


class DemoRegions(Table):
    """The visible regions in the frames of the demo footage."""

    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="position of the frame in presentation order, from 0")
    kind: pl.String = pa.Field(
        isin=["subject", "mosaic", "watermark"],
        description="subject: visible part of a region of interest; mosaic: its blocks; watermark: drawn over the image",
    )
    number: pl.Int64 = pa.Field(
        ge=0, description="number of the region in the frame; a subject keeps its number within a scene"
    )
    rle: pl.String = pa.Field(description="COCO compressed run lengths of the mask, column by column")
