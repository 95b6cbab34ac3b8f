"""The tables of sources and of sampled frames."""

from math import inf

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Sources(Table):
    """The properties of each source that was admitted."""

    source: pl.String = pa.Field(unique=True, description="id from the manifest")
    shard: pl.String = pa.Field(description="name of its shard")
    path: pl.String = pa.Field(description="path from the manifest")
    content: pl.String = pa.Field(isin=["general", "adult"], description="general or adult")
    rights: pl.String = pa.Field(description="licence or contract reference")
    consent: pl.String = pa.Field(description="reference to the release")
    use: pl.List(pl.String) = pa.Field(description="datasets that use it, and `restore`; empty: all datasets")  # type: ignore[valid-type]
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")
    series: pl.String = pa.Field(description="series that it is an episode or a part of; empty if the manifest states none")
    kind: pl.String = pa.Field(isin=["video", "image", "folder", ""], description="type of the path; empty if unknown")
    sha256: pl.String = pa.Field(
        description="digest of the file; for a folder, of the names and sha256 of its images; empty if unreadable"
    )
    size: pl.Int64 = pa.Field(ge=0, description="bytes")
    container: pl.String = pa.Field(nullable=True, description="FFmpeg's name of the container")
    codec: pl.String = pa.Field(nullable=True, description="FFmpeg's name of the video codec")
    pixel_format: pl.String = pa.Field(nullable=True, description="FFmpeg's name of the pixel format")
    width: pl.Int64 = pa.Field(nullable=True, description="pixels, after rotation")
    height: pl.Int64 = pa.Field(nullable=True, description="pixels, after rotation")
    rotation: pl.Int64 = pa.Field(
        nullable=True, description="degrees counter-clockwise to turn the coded picture upright: 0, 90, 180, 270"
    )
    scan: pl.String = pa.Field(
        nullable=True, description="progressive, or interlaced with the top or the bottom field first, by the first frame"
    )
    average_rate: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="frames per second: frames over duration")
    nominal_rate: pl.Float64 = pa.Field(nullable=True, description="frames per second, as the stream declares")
    variable_rate: pl.Boolean = pa.Field(nullable=True, description="whether the gaps between frames differ")
    frames: pl.Int64 = pa.Field(nullable=True, description="number of frames or images, counted in the file, never as declared")
    duration: pl.Float64 = pa.Field(nullable=True, description="seconds")
    streams: pl.List(pl.String) = pa.Field(nullable=True, description="kind and codec of every stream")  # type: ignore[valid-type]


class SourceFiles(Table):
    """The files of images and folders: the pictures that were admitted, and why the others were not."""

    source: pl.String = pa.Field(description="id from the manifest")
    path: pl.String = pa.Field(description="path below the folder, such as `album/a.jpg`; empty if the source is an image")
    index: pl.Int64 = pa.Field(nullable=True, ge=0, description="position among the pictures of the folder; null for others")
    status: pl.String = pa.Field(isin=["ok", "dropped", "failed"], description="ok: it becomes a frame")
    reason: pl.String = pa.Field(description="why it becomes no frame, or a remark; mostly empty")
    detail: pl.String = pa.Field(description="the reason in detail")
    sha256: pl.String = pa.Field(description="digest of the file; empty if it becomes no frame")


class Frames(Table):
    """The sampled frames of a shard."""

    key: pl.String = pa.Field(unique=True, description="see `records.frame_keys`; the stem of all file names of the frame")
    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="position in presentation order, or of an image in its folder, from 0")
    name: pl.String = pa.Field(nullable=True, description="path of a picture below its folder; null if it is of no folder")
    pts: pl.Int64 = pa.Field(
        nullable=True, description="presentation time stamp in the time base of the stream; null for images"
    )
    time: pl.Float64 = pa.Field(nullable=True, description="seconds from the first frame; null for images")
    file: pl.String = pa.Field(description="name of the file in the folder of images beside this table")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    aspect: pl.Float64 = pa.Field(
        nullable=True,
        gt=0,
        lt=inf,
        description="width of a pixel of the video relative to its height; the frame has square pixels; null for images",
    )
    phash: pl.UInt64 = pa.Field(
        description="perceptual hash of the image scaled down to 256 pixels, see imaging.hashing, 64 bits"
    )


class Replaced(Table):
    """The columns that every table of near-duplicates has, whatever found them."""

    key: pl.String = pa.Field(unique=True, description="key of the image that was left out")
    duplicate_of: pl.String = pa.Field(description="key of the image that was kept")


class Duplicates(Replaced):
    """Images that were left out because another image has nearly the same perceptual hash."""

    distance: pl.Int64 = pa.Field(ge=0, le=64, description="Hamming distance of the perceptual hashes, bits")
