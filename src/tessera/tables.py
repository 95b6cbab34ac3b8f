"""The tables that rooms meet in: one schema each, every column with its meaning and unit."""

import io
from collections.abc import Sequence
from math import inf
from pathlib import Path

import pandera.polars as pa
import polars as pl

from tessera.errors import TesseraError


class Table(pa.DataFrameModel):
    """Base of all tables: exactly the columns named, in the types named."""

    class Config:
        strict = True
        ordered = True


class Sources(Table):
    """What is known of each source, and whether it was admitted."""

    source: pl.String = pa.Field(unique=True, description="id from the manifest")
    shard: pl.String = pa.Field(description="shard it is worked in")
    path: pl.String = pa.Field(description="path from the manifest")
    status: pl.String = pa.Field(isin=["admitted", "refused"], description="admitted or refused")
    reason: pl.String = pa.Field(description="why it was refused; empty where admitted")
    content: pl.String = pa.Field(isin=["general", "adult"], description="general or adult")
    rights: pl.String = pa.Field(description="licence or contract reference")
    consent: pl.String = pa.Field(description="reference to the release")
    use: pl.List(pl.String) = pa.Field(description="datasets it feeds; empty: all")  # type: ignore[valid-type]
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")
    kind: pl.String = pa.Field(isin=["video", "image", "folder", ""], description="what the path is; empty where unknown")
    sha256: pl.String = pa.Field(
        description="of the file; of names and sha256 of its images for a folder; empty where unreadable"
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
    average_rate: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="frames per second: frames over duration")
    nominal_rate: pl.Float64 = pa.Field(nullable=True, description="frames per second, as the stream declares")
    variable_rate: pl.Boolean = pa.Field(nullable=True, description="whether the gaps between frames differ")
    frames: pl.Int64 = pa.Field(nullable=True, description="frames or images counted, never the count declared")
    duration: pl.Float64 = pa.Field(nullable=True, description="seconds")
    streams: pl.List(pl.String) = pa.Field(nullable=True, description="kind and codec of every stream")  # type: ignore[valid-type]


class Frames(Table):
    """The sampled frames of a shard."""

    key: pl.String = pa.Field(unique=True, description="`file_name(source)-index`, the stem of every file made from this frame")
    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="place in order of presentation, from 0; of an image, its place in the folder")
    pts: pl.Int64 = pa.Field(
        nullable=True, description="presentation time stamp in the time base of the stream; null for images"
    )
    time: pl.Float64 = pa.Field(nullable=True, description="seconds from the first frame; null for images")
    file: pl.String = pa.Field(description="file name inside the images folder beside this table")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    phash: pl.UInt64 = pa.Field(
        description="perceptual hash, imagehash.phash of the picture scaled down to 256 pixels, 64 bits"
    )


class PredictedFrames(Table):
    """The frames that a detector was run over, whether it saw something in them or not."""

    key: pl.String = pa.Field(unique=True, description="`file_name(source)-index`")
    source: pl.String = pa.Field(description="id from the manifest")
    index: pl.Int64 = pa.Field(ge=0, description="place in order of presentation, from 0; of an image, its place in the folder")
    pts: pl.Int64 = pa.Field(
        nullable=True, description="presentation time stamp in the time base of the stream; null for images"
    )
    time: pl.Float64 = pa.Field(nullable=True, description="seconds from the first frame; null for images")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")


class Images(Table):
    """Images that carry annotations, or are known to hold none."""

    key: pl.String = pa.Field(unique=True, description="unique name of the image, fit for a file name")
    source: pl.String = pa.Field(description="id from the manifest, or `labels:NAME` for a labelme folder")
    path: pl.String = pa.Field(description="path of the image, relative to the working folder or absolute")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    phash: pl.UInt64 = pa.Field(description="perceptual hash, imagehash.phash, 64 bits")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")
    rights: pl.String = pa.Field(description="licence or contract reference")


class Annotations(Table):
    """Regions of images. Geometry is polygons or a run-length encoding or, where both are null, the box alone."""

    key: pl.String = pa.Field(description="key of the image")
    number: pl.Int64 = pa.Field(ge=0, description="place among the annotations of the image, from 0")
    label: pl.String = pa.Field(description="class name")
    polygons: pl.List(pl.List(pl.List(pl.Float64))) = pa.Field(  # type: ignore[valid-type]
        nullable=True,
        description="parts; each a list of rings, the outer one first, then holes; a ring is x0, y0, x1, y1, … in pixels",
    )
    rle: pl.String = pa.Field(nullable=True, description="COCO compressed run lengths of the mask, column by column")
    x0: pl.Float64 = pa.Field(description="box, left edge, pixels")
    y0: pl.Float64 = pa.Field(description="box, top edge, pixels")
    x1: pl.Float64 = pa.Field(description="box, right edge, pixels, outside")
    y1: pl.Float64 = pa.Field(description="box, bottom edge, pixels, outside")
    crowd: pl.Boolean = pa.Field(description="COCO's iscrowd")
    score: pl.Float64 = pa.Field(nullable=True, description="confidence of a prediction in [0, 1]; null for labels")


class Marks(Table):
    """The watermarks that were drawn over frames: what was drawn from which settings."""

    key: pl.String = pa.Field(description="key of the frame")
    number: pl.Int64 = pa.Field(ge=0, description="`number` of its first annotation")
    kind: pl.String = pa.Field(isin=["text", "logo"], description="text or logo")
    content: pl.String = pa.Field(description="the text, or the file name of the logo")
    font: pl.String = pa.Field(nullable=True, description="file name of the font; null for a logo")
    size: pl.Int64 = pa.Field(gt=0, description="of the font, or the longer side of the logo, before it was turned; pixels")
    opacity: pl.Float64 = pa.Field(gt=0, le=1, description="factor of its opacity")
    angle: pl.Float64 = pa.Field(description="degrees counter-clockwise by which it was turned")
    color: pl.List(pl.Int64) = pa.Field(nullable=True, description="red, green and blue of the text; null for a logo")  # type: ignore[valid-type]
    stroke: pl.Int64 = pa.Field(ge=0, description="width of the outline of the text, pixels; 0: none")
    plate: pl.Float64 = pa.Field(ge=0, le=1, description="opacity of the plate behind the text before `opacity`; 0: none")
    tiled: pl.Boolean = pa.Field(description="whether it is repeated over the whole frame")
    regions: pl.Int64 = pa.Field(gt=0, description="how many annotations it has: one, but for tiled ones")


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


class Clips(Table):
    """The clips of a shard, with all that is needed to cut them again."""

    key: pl.String = pa.Field(unique=True, description="of the scene")
    source: pl.String = pa.Field(description="id from the manifest")
    sha256: pl.String = pa.Field(description="of the footage")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")
    rights: pl.String = pa.Field(description="licence or contract reference")
    track: pl.Int64 = pa.Field(ge=0, description="number of the track within the source")
    label: pl.String = pa.Field(description="class name")
    score: pl.Float64 = pa.Field(ge=0, le=1, description="mean confidence of its detections")
    detected: pl.Int64 = pa.Field(ge=0, description="frames in which it was detected")
    extension: pl.Int64 = pa.Field(ge=0, description="steps by which its masks grew")
    first: pl.Int64 = pa.Field(ge=0, description="index of the first frame in the video")
    frames: pl.Int64 = pa.Field(gt=0, description="how many frames, without a gap")
    rate: pl.Float64 = pa.Field(gt=0, description="frames per second of the clip; the mean one where that of the video varies")
    pts: pl.List(pl.Int64) = pa.Field(nullable=True, description="presentation time stamps of its frames in the video")  # type: ignore[valid-type]
    time: pl.List(pl.Float64) = pa.Field(description="seconds from the first frame of the video, of each frame")  # type: ignore[valid-type]
    frame_width: pl.Int64 = pa.Field(gt=0, description="of the video, upright, pixels")
    frame_height: pl.Int64 = pa.Field(gt=0, description="of the video, upright, pixels")
    width: pl.Int64 = pa.Field(gt=0, description="of the clip, padding included, pixels")
    height: pl.Int64 = pa.Field(gt=0, description="of the clip, padding included, pixels")
    crops: pl.List(pl.List(pl.Int64)) = pa.Field(description="per frame x0, y0, x1, y1 of what was cut out, half-open, pixels")  # type: ignore[valid-type]
    pads: pl.List(pl.List(pl.Int64)) = pa.Field(  # type: ignore[valid-type]
        description="per frame pixels of black at the top, bottom, left and right"
    )
    block_v1_normal: pl.Float64 = pa.Field(description="size of mosaic blocks by the area of the region, pixels")
    block_v1_bounding: pl.Float64 = pa.Field(description="by the area of its box, pixels")
    block_v2: pl.Float64 = pa.Field(description="by the length of its box, pixels")
    block_v3: pl.Float64 = pa.Field(description="by the size of the frame, pixels")
    detector: pl.String = pa.Field(description="sha256 of the weights that the region was found with")
    settings: pl.String = pa.Field(description="digest of the settings that it was found, followed and cut by")
    seed: pl.Int64 = pa.Field(ge=0, description="the global seed")


class Scores(Table):
    """What was measured of each clip. A column is null where it was not asked for, or cannot be."""

    key: pl.String = pa.Field(unique=True, description="of the clip")
    looked: pl.Int64 = pa.Field(gt=0, description="frames that were sampled, from the first to the last")
    sharpness: pl.Float64 = pa.Field(ge=0, description="see `tessera.filters.scores.sharpness`; median")
    brightness: pl.Float64 = pa.Field(ge=0, le=1, description="mean luma; median over frames")
    clipped: pl.Float64 = pa.Field(ge=0, le=1, description="fraction of pixels that are black or white; median over frames")
    blockiness: pl.Float64 = pa.Field(ge=0, description="see `tessera.filters.scores.blockiness`; median")
    motion: pl.Float64 = pa.Field(ge=0, description="see `tessera.filters.scores.motion`; mean")
    hashes: pl.List(pl.UInt64) = pa.Field(description="perceptual hashes of frames from the first to the last")  # type: ignore[valid-type]
    watermark: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames with a watermark in the crop")
    mosaic: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames with a mosaic in the crop")
    nsfw: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames in which a second detector agrees")
    nsfw_classes: pl.List(pl.String) = pa.Field(nullable=True, description="what that one saw, sorted")  # type: ignore[valid-type]
    aesthetic: pl.Float64 = pa.Field(nullable=True, description="DOVER's aesthetic score")
    technical: pl.Float64 = pa.Field(nullable=True, description="DOVER's technical score")
    quality: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="both fused as DOVER does")


class Duplicates(Table):
    """Images left out because another one looks the same."""

    key: pl.String = pa.Field(unique=True, description="the image left out")
    duplicate_of: pl.String = pa.Field(description="the image that stays")
    distance: pl.Int64 = pa.Field(ge=0, le=64, description="Hamming distance of the perceptual hashes, bits")


class SourceSplits(Table):
    """Which part of every dataset the samples of a source belong to."""

    source: pl.String = pa.Field(unique=True, description="id from the manifest, or of a set of images beside it")
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="train, val or test")


class Splits(Table):
    """Which part of a dataset each sample belongs to."""

    key: pl.String = pa.Field(unique=True, description="key of the sample")
    source: pl.String = pa.Field(description="where it comes from; a source is never in two splits")
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="train, val or test")


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


def types(schema: type[Table]) -> dict[str, pl.DataType]:
    """Return the columns of `schema` and their types, for `polars.DataFrame(rows, schema=…)`."""
    return {name: column.dtype.type for name, column in schema.to_schema().columns.items()}


def write_table(frame: pl.DataFrame, schema: type[Table], path: Path) -> None:
    """Write `frame` to the Parquet file `path`, its columns in the order of `schema`. Raises where it breaks the schema."""
    content = io.BytesIO()
    schema.validate(frame.select(list(types(schema))), lazy=True).write_parquet(content, compression="zstd", statistics=False)
    # Not by polars: it does not tell a full disk from any other fault.
    path.write_bytes(content.getbuffer())


def read_table(path: Path, schema: type[Table], without: Sequence[str] = ()) -> pl.DataFrame:
    """Return the table at `path`, `without` some columns. Raises `TesseraError` where it is not what `schema` says."""
    try:
        columns = [name for name in types(schema) if name not in without] if without else None
        if without:
            schema.validate(pl.read_parquet(path, n_rows=0), lazy=True)
        return schema.to_schema().remove_columns(list(without)).validate(pl.read_parquet(path, columns=columns), lazy=True)
    except (pa.errors.SchemaErrors, pl.exceptions.PolarsError) as error:
        raise TesseraError(f"{path} is not a table of {schema.__name__}: {error}; delete it and run again") from error


def read_tables(paths: list[Path], schema: type[Table]) -> pl.DataFrame:
    """Return the rows of all tables at `paths`, in that order."""
    return pl.concat([pl.DataFrame(schema=types(schema)), *(read_table(path, schema) for path in paths)])
