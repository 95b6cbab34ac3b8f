"""The tables of face sets: the faces in sampled frames, which of them a set has, and their places in each sort."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Faces(Table):
    """The faces of a set in the frames of a shard. A matrix cuts the square of each out of its frame."""

    key: pl.String = pa.Field(unique=True, description="`FRAME-face-NUMBER`, the stem of its file name; no dots")
    source: pl.String = pa.Field(description="id from the manifest")
    frame: pl.String = pa.Field(description="key of the sampled frame")
    index: pl.Int64 = pa.Field(ge=0, description="index of the frame in its source")
    pts: pl.Int64 = pa.Field(nullable=True, description="presentation time stamp of the frame; null for images")
    x0: pl.Float64 = pa.Field(description="rectangle in the frame, left edge, pixels")
    y0: pl.Float64 = pa.Field(description="rectangle, top edge, pixels")
    x1: pl.Float64 = pa.Field(description="rectangle, right edge, pixels")
    y1: pl.Float64 = pa.Field(description="rectangle, bottom edge, pixels")
    confidence: pl.Float64 = pa.Field(ge=0, le=1, description="confidence of the detection")
    turned: pl.Int64 = pa.Field(isin=[0, 90, 180, 270], description="degrees counterclockwise by which the frame was turned")
    landmarks: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        description="x and y of each landmark in turn, pixels of the frame; 68 or 5 landmarks"
    )
    face_type: pl.String = pa.Field(isin=["half", "midfull", "full", "whole", "head"], description="how much the square shows")
    size: pl.Int64 = pa.Field(gt=0, description="side of the square, pixels")
    matrix: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        description="the matrix from the frame to the square: six values, row by row, for x, y, 1 in pixels"
    )
    cut_off: pl.Float64 = pa.Field(ge=0, le=1, description="fraction of the square that lies outside the frame")
    misfit: pl.Float64 = pa.Field(
        ge=0, description="root mean squared distance of the landmarks from those of the mean face, in sides of that face"
    )
    dark: pl.Float64 = pa.Field(ge=0, le=1, description="fraction of the face that is nearly black")
    bright: pl.Float64 = pa.Field(ge=0, le=1, description="fraction of the face that is nearly white")
    contrast: pl.Float64 = pa.Field(ge=0, description="standard deviation of the brightness of the face, levels")
    yaw: pl.Float64 = pa.Field(nullable=True, description="radians, positive to the left of the picture; null without a pose")
    pitch: pl.Float64 = pa.Field(nullable=True, description="radians, positive upwards; null without a pose")
    roll: pl.Float64 = pa.Field(nullable=True, description="radians, positive clockwise; null without a pose")
    detector: pl.String = pa.Field(description="sha256 of the detector")
    landmark_model: pl.String = pa.Field(
        nullable=True, description="sha256 of the landmark model; null if the detector placed them"
    )
    file: pl.String = pa.Field(description="name of the file in the folder of images beside this table")
    sha256: pl.String = pa.Field(description="sha256 of that file")


class SelectedFaces(Faces):
    """The faces that were selected for a set, sorted by key."""

    split: pl.String = pa.Field(isin=[""], description="fixed split; always empty: that of its source")


class FaceOrders(Table):
    """The places of the faces of a set in each sort."""

    sort: pl.String = pa.Field(description="name of the sort, see `extras.face_sets.sorts`")
    key: pl.String = pa.Field(description="key of the face")
    value: pl.Float64 = pa.Field(
        nullable=True, description="what was measured; null for names, and if it could not be measured"
    )
    rank: pl.Int64 = pa.Field(nullable=True, ge=0, description="place from 0; null if it could not be measured")
    reason: pl.String = pa.Field(description="why the sort does not select the face; empty if it does")

    class Config(Table.Config):
        unique = ("sort", "key")


class FaceEmbeddings(Table):
    """The vectors of the faces of a set in a shard: those of one person are close to each other."""

    key: pl.String = pa.Field(unique=True, description="key of the face")
    source: pl.String = pa.Field(description="id from the manifest")
    vector: pl.List(pl.Float16) = pa.Field(description="of length 1; the same number of values for all faces")  # type: ignore[valid-type]


class FaceDistances(Table):
    """How far the faces of a set are from its person, sorted by key; those that could not be embedded are left out."""

    key: pl.String = pa.Field(unique=True, description="key of the face")
    distance: pl.Float64 = pa.Field(
        ge=-0.001, le=2.001, description="1 less the cosine of the angle between its vector and that of the person"
    )


class FaceMasks(Table):
    """The masks of the faces of a set, sorted by key."""

    key: pl.String = pa.Field(unique=True, description="key of the face")
    file: pl.String = pa.Field(nullable=True, description="name of the file in the folder of masks; null if there is none")
    origin: pl.String = pa.Field(nullable=True, isin=["hull"], description="what it is made of: the hull of the landmarks")
    reason: pl.String = pa.Field(description="why there is none; empty if there is one")
