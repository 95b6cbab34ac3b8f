"""The tables of what detectors found and missed in the images and videos that they are measured on."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Objects(Table):
    """The labelled objects of the val and test splits, and the detection that found each. One row per model and kind.

    Whether a detection finds an object is decided for boxes and, if the model finds masks, again for masks.
    """

    model: pl.String = pa.Field(description="name of the detector")
    kind: pl.String = pa.Field(isin=["box", "mask"], description="what the detections were compared by")
    split: pl.String = pa.Field(isin=["val", "test"], description="val or test")
    key: pl.String = pa.Field(description="key of the image")
    source: pl.String = pa.Field(description="source that the image comes from")
    number: pl.Int64 = pa.Field(ge=0, description="line in the label file of the image, from 0")
    label: pl.String = pa.Field(description="class name")
    area: pl.Float64 = pa.Field(ge=0, description="area of the region, of its box if it has no outline, pixels of the image")
    side: pl.Float64 = pa.Field(ge=0, description="shorter side of its box, pixels")
    x0: pl.Float64 = pa.Field(description="box, left edge, pixels")
    y0: pl.Float64 = pa.Field(description="box, top edge, pixels")
    x1: pl.Float64 = pa.Field(description="box, right edge, pixels, exclusive")
    y1: pl.Float64 = pa.Field(description="box, bottom edge, pixels, exclusive")
    score: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="confidence of the detection that found it at IoU 0.5; null: missed"
    )
    iou: pl.Float64 = pa.Field(nullable=True, ge=0, le=1.001, description="intersection over union with that detection")

    class Config(Table.Config):
        unique = ("model", "kind", "key", "number")


class Detections(Table):
    """The detections in the images of the val and test splits, down to very low confidence. One row per model and kind.

    An object is found by the most confident detection of its class with an IoU of 0.5, if no more confident one found it.
    """

    model: pl.String = pa.Field(description="name of the detector")
    kind: pl.String = pa.Field(isin=["box", "mask"], description="what the detections were compared by")
    split: pl.String = pa.Field(isin=["val", "test"], description="val or test")
    key: pl.String = pa.Field(description="key of the image")
    source: pl.String = pa.Field(description="source that the image comes from")
    number: pl.Int64 = pa.Field(ge=0, description="number of the detection in the image, highest confidence first, from 0")
    label: pl.String = pa.Field(description="class name")
    score: pl.Float64 = pa.Field(ge=0, le=1, description="confidence")
    iou: pl.Float64 = pa.Field(
        ge=0, le=1.001, description="intersection over union with the object that it found; if none, the largest of its class"
    )
    matched: pl.Int64 = pa.Field(ge=-1, description="number of the object that it found; -1: none")
    x0: pl.Float64 = pa.Field(description="box, left edge, pixels")
    y0: pl.Float64 = pa.Field(description="box, top edge, pixels")
    x1: pl.Float64 = pa.Field(description="box, right edge, pixels, exclusive")
    y1: pl.Float64 = pa.Field(description="box, bottom edge, pixels, exclusive")

    class Config(Table.Config):
        unique = ("model", "kind", "key", "number")


class WatchedVideos(Table):
    """What a detector found in consecutive frames of videos that it was not trained on. One row per video.

    A frame counts if the detector ran on it. A track is a run of detections of one region, or a single detection.
    """

    model: pl.String = pa.Field(description="name of the detector")
    source: pl.String = pa.Field(unique=True, description="id from the manifest")
    split: pl.String = pa.Field(isin=["val", "test", ""], description="val or test; empty: no source of the dataset")
    known_free: pl.Boolean = pa.Field(description="whether it is known to show nothing that the detector finds")
    seconds: pl.Float64 = pa.Field(ge=0, description="watched seconds")
    frames: pl.Int64 = pa.Field(gt=0, description="number of frames")
    with_detection: pl.Int64 = pa.Field(ge=0, description="number of frames with a detection")
    detections: pl.Int64 = pa.Field(ge=0, description="number of detections")
    tracks: pl.Int64 = pa.Field(ge=0, description="number of tracks")
    spanned: pl.Int64 = pa.Field(ge=0, description="frames from the first to the last detection of each track, summed")
    missed: pl.Int64 = pa.Field(ge=0, description="frames between two detections of a track that have none of it, summed")
    interruptions: pl.Int64 = pa.Field(ge=0, description="runs of such frames, summed over the tracks")
