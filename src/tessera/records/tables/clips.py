"""The tables of clips and of their scores."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table, types


class Clips(Table):
    """The clips of a shard, with all values that are needed to cut them again."""

    key: pl.String = pa.Field(unique=True, description="key of the scene")
    source: pl.String = pa.Field(description="id from the manifest")
    sha256: pl.String = pa.Field(description="sha256 of the footage")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")
    rights: pl.String = pa.Field(description="licence or contract reference")
    track: pl.Int64 = pa.Field(ge=0, description="number of the track within the source")
    label: pl.String = pa.Field(description="class name")
    score: pl.Float64 = pa.Field(ge=0, le=1, description="mean confidence of its detections")
    detected: pl.Int64 = pa.Field(ge=0, description="number of frames with a detection")
    extension: pl.Int64 = pa.Field(ge=0, description="number of steps by which its masks were extended")
    first: pl.Int64 = pa.Field(ge=0, description="index of the first frame in the video")
    frames: pl.Int64 = pa.Field(gt=0, description="number of frames, consecutive")
    rate: pl.Float64 = pa.Field(gt=0, description="frames per second of the clip; the mean if that of the video varies")
    pts: pl.List(pl.Int64) = pa.Field(nullable=True, description="presentation time stamps of its frames in the video")  # type: ignore[valid-type]
    time: pl.List(pl.Float64) = pa.Field(description="time of each frame, seconds from the first frame of the video")  # type: ignore[valid-type]
    frame_width: pl.Int64 = pa.Field(gt=0, description="width of the video, upright, pixels")
    frame_height: pl.Int64 = pa.Field(gt=0, description="height of the video, upright, pixels")
    width: pl.Int64 = pa.Field(gt=0, description="width of the clip with its padding, pixels")
    height: pl.Int64 = pa.Field(gt=0, description="height of the clip with its padding, pixels")
    crops: pl.List(pl.List(pl.Int64)) = pa.Field(description="x0, y0, x1, y1 of the crop in each frame, half-open, pixels")  # type: ignore[valid-type]
    pads: pl.List(pl.List(pl.Int64)) = pa.Field(  # type: ignore[valid-type]
        description="black padding of each frame at the top, bottom, left and right, pixels"
    )
    block_v1_normal: pl.Float64 = pa.Field(description="size of mosaic blocks from the area of the region, pixels")
    block_v1_bounding: pl.Float64 = pa.Field(description="size of mosaic blocks from the area of its box, pixels")
    block_v2: pl.Float64 = pa.Field(description="size of mosaic blocks from the length of its box, pixels")
    block_v3: pl.Float64 = pa.Field(description="size of mosaic blocks from the size of the frame, pixels")
    detector: pl.String = pa.Field(description="sha256 of the weights that detected the region")
    settings: pl.String = pa.Field(description="digest of the settings of detection, tracking and cutting")
    seed: pl.Int64 = pa.Field(ge=0, description="the global seed")


class Scores(Table):
    """The measurements of each clip. A value is null if it was not requested, or cannot be measured."""

    key: pl.String = pa.Field(unique=True, description="key of the clip")
    looked: pl.Int64 = pa.Field(gt=0, description="number of frames sampled, from the first to the last")
    sharpness: pl.Float64 = pa.Field(ge=0, description="see `tessera.imaging.sharpness.sharpness`; median")
    brightness: pl.Float64 = pa.Field(ge=0, le=1, description="mean luma; median over frames")
    clipped: pl.Float64 = pa.Field(ge=0, le=1, description="fraction of pixels that are black or white; median over frames")
    blockiness: pl.Float64 = pa.Field(ge=0, description="see `tessera.stages.clips.scores.blockiness`; median")
    motion: pl.Float64 = pa.Field(ge=0, description="see `tessera.stages.clips.scores.motion`; mean")
    jump: pl.Float64 = pa.Field(ge=0, le=1, description="see `tessera.stages.clips.scores.jump`")
    hashes: pl.List(pl.UInt64) = pa.Field(description="perceptual hashes of sampled frames, from the first to the last")  # type: ignore[valid-type]
    watermark: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames with a watermark in the crop")
    mosaic: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames with a mosaic in the crop")
    nsfw: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="fraction of frames with detections of the second detector"
    )
    nsfw_classes: pl.List(pl.String) = pa.Field(nullable=True, description="classes that the second detector found, sorted")  # type: ignore[valid-type]
    aesthetic: pl.Float64 = pa.Field(nullable=True, description="DOVER's aesthetic score")
    technical: pl.Float64 = pa.Field(nullable=True, description="DOVER's technical score")
    quality: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="both scores, fused as in DOVER")


def measurements() -> list[str]:
    """Return the columns of `Scores` that are shown: all numbers but those that `quality` is fused of."""
    fused = {"aesthetic", "technical"}
    return [name for name, kind in types(Scores).items() if kind == pl.Float64 and name not in fused]
