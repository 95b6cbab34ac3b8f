"""The table of crops: parts of sampled frames around a person, a half body or a head."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Crops(Table):
    """The crops of a shard. A crop lies in a frame, or in another crop that was found in it one step earlier."""

    key: pl.String = pa.Field(
        unique=True, description="`PARENT-STEP-NUMBER`, such as `meadow-000012-person-0`, the stem of its file name; no dots"
    )
    source: pl.String = pa.Field(description="id from the manifest")
    frame: pl.String = pa.Field(description="key of the sampled frame")
    index: pl.Int64 = pa.Field(ge=0, description="index of the frame in its source")
    pts: pl.Int64 = pa.Field(nullable=True, description="presentation time stamp of the frame; null for images")
    parent: pl.String = pa.Field(description="key of the frame or the crop that it was found in")
    step: pl.String = pa.Field(description="name of the step that found it, such as person, half or head")
    x0: pl.Int64 = pa.Field(ge=0, description="box in the frame, left edge, pixels")
    y0: pl.Int64 = pa.Field(ge=0, description="box, top edge, pixels")
    x1: pl.Int64 = pa.Field(gt=0, description="box, right edge, pixels, exclusive")
    y1: pl.Int64 = pa.Field(gt=0, description="box, bottom edge, pixels, exclusive")
    found_height: pl.Float64 = pa.Field(
        ge=0, nullable=True, description="height of the region that was found, pixels, before the crop grew; null if unknown"
    )
    confidence: pl.Float64 = pa.Field(ge=0, le=1, description="confidence of the detection; 1 for what people drew")
    file: pl.String = pa.Field(description="name of the file in the folder of images beside this table")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    phash: pl.UInt64 = pa.Field(
        description="perceptual hash of the crop scaled down to 256 pixels, see imaging.hashing, 64 bits"
    )
    sharpness: pl.Float64 = pa.Field(ge=0, description="see `tessera.imaging.sharpness.sharpness`")
