"""The tables of what a detector sees in videos, and of the scenes made of it."""

from math import inf

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class VideoFrames(Table):
    """All frames of the videos of a shard, in order of presentation."""

    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="place in order of presentation, from 0")
    pts: pl.Int64 = pa.Field(
        nullable=True, description="presentation time stamp in the time base of the stream; null where the stream has none"
    )
    time: pl.Float64 = pa.Field(ge=0, lt=inf, description="seconds from the first frame")
    width: pl.Int64 = pa.Field(ge=0, description="pixels, upright; 0 where the frame cannot be decoded")
    height: pl.Int64 = pa.Field(ge=0, description="pixels, upright; 0 where the frame cannot be decoded")
    change: pl.Float64 = pa.Field(
        ge=0,
        le=255,
        description="mean difference of hue, saturation and value from the frame before; 0 for the first",
    )
    looked: pl.Boolean = pa.Field(description="whether the detector looked at it")

    class Config(Table.Config):
        unique = ("source", "index")


class VideoDetections(Table):
    """What a detector saw in the frames of the videos of a shard."""

    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="of the frame")
    number: pl.Int64 = pa.Field(ge=0, description="place among the detections of the frame, surest first, from 0")
    label: pl.String = pa.Field(description="class name")
    score: pl.Float64 = pa.Field(ge=0, le=1, description="confidence")
    rle: pl.String = pa.Field(
        nullable=True, description="COCO compressed run lengths of the mask, at the size of the frame; null: the box alone"
    )
    x0: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, left edge, pixels")
    y0: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, top edge, pixels")
    x1: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, right edge, pixels, outside")
    y1: pl.Float64 = pa.Field(gt=-inf, lt=inf, description="box, bottom edge, pixels, outside")

    class Config(Table.Config):
        unique = ("source", "index", "number")


class Scenes(Table):
    """Stretches of videos that show one region: what clips are cut from. A row per scene."""

    key: pl.String = pa.Field(unique=True, description="`file_name(source)-FIRST-TRACK`, the stem of every file made from it")
    source: pl.String = pa.Field(description="id from the manifest")
    track: pl.Int64 = pa.Field(ge=0, description="number of the track within the source")
    label: pl.String = pa.Field(description="class name of most of its detections")
    first: pl.Int64 = pa.Field(ge=0, description="index of the first frame")
    frames: pl.Int64 = pa.Field(gt=0, description="how many frames, without a gap")
    width: pl.Int64 = pa.Field(gt=0, description="of the frames, pixels")
    height: pl.Int64 = pa.Field(gt=0, description="of the frames, pixels")
    score: pl.Float64 = pa.Field(ge=0, le=1, description="mean confidence of its detections")
    detected: pl.Int64 = pa.Field(ge=0, description="frames in which it was detected; in the others it lies in between")
    extension: pl.Int64 = pa.Field(ge=0, description="steps by which its masks grew")


class SceneFrames(Table):
    """Where the region of each scene lies, frame by frame."""

    key: pl.String = pa.Field(description="of the scene")
    index: pl.Int64 = pa.Field(ge=0, description="of the frame in the video")
    pts: pl.Int64 = pa.Field(nullable=True, description="presentation time stamp; null where the stream has none")
    time: pl.Float64 = pa.Field(ge=0, lt=inf, description="seconds from the first frame of the video")
    rle: pl.String = pa.Field(description="COCO compressed run lengths of the mask, smoothed and extended, never empty")
    x0: pl.Int64 = pa.Field(ge=0, description="smoothed box, which holds the mask; left edge, pixels")
    y0: pl.Int64 = pa.Field(ge=0, description="top edge, pixels")
    x1: pl.Int64 = pa.Field(gt=0, description="right edge, pixels, outside")
    y1: pl.Int64 = pa.Field(gt=0, description="bottom edge, pixels, outside")

    class Config(Table.Config):
        unique = ("key", "index")
