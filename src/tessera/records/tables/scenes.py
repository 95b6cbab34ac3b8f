"""The tables of detections in videos, and of the scenes made from them."""

from math import inf

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class VideoFrames(Table):
    """All frames of the videos of a shard, in presentation order."""

    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="position in presentation order, from 0")
    pts: pl.Int64 = pa.Field(
        nullable=True, description="presentation time stamp in the time base of the stream; null if the stream has none"
    )
    time: pl.Float64 = pa.Field(ge=0, lt=inf, description="seconds from the first frame")
    width: pl.Int64 = pa.Field(ge=0, description="pixels, upright; 0 if the frame cannot be decoded")
    height: pl.Int64 = pa.Field(ge=0, description="pixels, upright; 0 if the frame cannot be decoded")
    change: pl.Float64 = pa.Field(
        ge=0,
        le=255,
        description="mean difference of hue, saturation and value from the previous frame; 0 for the first",
    )
    looked: pl.Boolean = pa.Field(description="whether the detector was run on it")

    class Config(Table.Config):
        unique = ("source", "index")


class VideoDetections(Table):
    """The detections in the frames of the videos of a shard."""

    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="index of the frame")
    number: pl.Int64 = pa.Field(ge=0, description="number of the detection in the frame, highest confidence first, from 0")
    label: pl.String = pa.Field(description="class name")
    score: pl.Float64 = pa.Field(ge=0, le=1, description="confidence")
    rle: pl.String = pa.Field(
        nullable=True, description="COCO compressed run lengths of the mask, at the size of the frame; null: only a box"
    )
    x0: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, left edge, pixels")
    y0: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, top edge, pixels")
    x1: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, right edge, pixels, exclusive")
    y1: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, bottom edge, pixels, exclusive")
    grid: pl.Float64 = pa.Field(
        ge=0, lt=inf, nullable=True, description="evidence of a grid of blocks, in standard deviations; null if not measured"
    )

    class Config(Table.Config):
        unique = ("source", "index", "number")


class Scenes(Table):
    """Scenes, the parts of videos that show one region, from which clips are cut. One row per scene."""

    key: pl.String = pa.Field(
        unique=True, description="`file_name(source)-FIRST-TRACK`, the stem of all file names of the scene"
    )
    source: pl.String = pa.Field(description="id from the manifest")
    track: pl.Int64 = pa.Field(ge=0, description="number of the track within the source")
    label: pl.String = pa.Field(description="most frequent class name of its detections")
    first: pl.Int64 = pa.Field(ge=0, description="index of the first frame")
    frames: pl.Int64 = pa.Field(gt=0, description="number of frames, consecutive")
    width: pl.Int64 = pa.Field(gt=0, description="width of the frames, pixels")
    height: pl.Int64 = pa.Field(gt=0, description="height of the frames, pixels")
    score: pl.Float64 = pa.Field(ge=0, le=1, description="mean confidence of its detections")
    detected: pl.Int64 = pa.Field(ge=0, description="number of frames with a detection; the others are interpolated")
    extension: pl.Int64 = pa.Field(ge=0, description="number of steps by which its masks were extended")


class SceneFrames(Table):
    """The region of each scene in each of its frames."""

    key: pl.String = pa.Field(description="key of the scene")
    index: pl.Int64 = pa.Field(ge=0, description="index of the frame in the video")
    pts: pl.Int64 = pa.Field(nullable=True, description="presentation time stamp; null if the stream has none")
    time: pl.Float64 = pa.Field(ge=0, lt=inf, description="seconds from the first frame of the video")
    rle: pl.String = pa.Field(description="COCO compressed run lengths of the mask, smoothed and extended, never empty")
    x0: pl.Int64 = pa.Field(ge=0, description="smoothed box, which contains the mask, left edge, pixels")
    y0: pl.Int64 = pa.Field(ge=0, description="box, top edge, pixels")
    x1: pl.Int64 = pa.Field(gt=0, description="box, right edge, pixels, exclusive")
    y1: pl.Int64 = pa.Field(gt=0, description="box, bottom edge, pixels, exclusive")

    class Config(Table.Config):
        unique = ("key", "index")
