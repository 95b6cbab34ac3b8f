"""The tables of annotated images."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class PredictedFrames(Table):
    """The frames that a detector was run on, with or without detections."""

    key: pl.String = pa.Field(unique=True, description="see `records.frame_keys`")
    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="position in presentation order, or of an image in its folder, from 0")
    name: pl.String = pa.Field(nullable=True, description="path of a picture below its folder; null if it is of no folder")
    pts: pl.Int64 = pa.Field(
        nullable=True, description="presentation time stamp in the time base of the stream; null for images"
    )
    time: pl.Float64 = pa.Field(nullable=True, description="seconds from the first frame; null for images")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")


class Images(Table):
    """Images that have annotations, or are known to have none."""

    key: pl.String = pa.Field(unique=True, description="unique name of the image, valid as a file name")
    source: pl.String = pa.Field(description="id from the manifest, or `labels:NAME` for a labelme folder")
    path: pl.String = pa.Field(description="path of the image, relative to the working folder or absolute")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    phash: pl.UInt64 = pa.Field(description="perceptual hash, see imaging.hashing, 64 bits")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")
    rights: pl.String = pa.Field(description="licence or contract reference")


class Annotations(Table):
    """Regions of images. The geometry is polygons or run lengths or, if both are null, only the box."""

    key: pl.String = pa.Field(description="key of the image")
    number: pl.Int64 = pa.Field(ge=0, description="number of the annotation in the image, from 0")
    label: pl.String = pa.Field(description="class name")
    polygons: pl.List(pl.List(pl.List(pl.Float64))) = pa.Field(  # type: ignore[valid-type]
        nullable=True,
        description="parts; a part is a list of rings, the outer one, then holes; a ring is x0, y0, x1, y1, … in pixels",
    )
    rle: pl.String = pa.Field(nullable=True, description="COCO compressed run lengths of the mask, column by column")
    x0: pl.Float64 = pa.Field(description="box, left edge, pixels")
    y0: pl.Float64 = pa.Field(description="box, top edge, pixels")
    x1: pl.Float64 = pa.Field(description="box, right edge, pixels, exclusive")
    y1: pl.Float64 = pa.Field(description="box, bottom edge, pixels, exclusive")
    crowd: pl.Boolean = pa.Field(description="COCO's iscrowd")
    score: pl.Float64 = pa.Field(nullable=True, description="confidence of a prediction in [0, 1]; null for labels")
