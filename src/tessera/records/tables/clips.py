"""The tables of clips and of their scores."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


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
    sharpness: pl.Float64 = pa.Field(ge=0, description="see `tessera.pipeline.clips.scores.sharpness`; median")
    brightness: pl.Float64 = pa.Field(ge=0, le=1, description="mean luma; median over frames")
    clipped: pl.Float64 = pa.Field(ge=0, le=1, description="fraction of pixels that are black or white; median over frames")
    blockiness: pl.Float64 = pa.Field(ge=0, description="see `tessera.pipeline.clips.scores.blockiness`; median")
    motion: pl.Float64 = pa.Field(ge=0, description="see `tessera.pipeline.clips.scores.motion`; mean")
    hashes: pl.List(pl.UInt64) = pa.Field(description="perceptual hashes of frames from the first to the last")  # type: ignore[valid-type]
    watermark: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames with a watermark in the crop")
    mosaic: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames with a mosaic in the crop")
    nsfw: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="fraction of frames in which a second detector agrees")
    nsfw_classes: pl.List(pl.String) = pa.Field(nullable=True, description="what that one saw, sorted")  # type: ignore[valid-type]
    aesthetic: pl.Float64 = pa.Field(nullable=True, description="DOVER's aesthetic score")
    technical: pl.Float64 = pa.Field(nullable=True, description="DOVER's technical score")
    quality: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="both fused as DOVER does")
