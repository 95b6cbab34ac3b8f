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
    confidence: pl.Float64 = pa.Field(ge=0, le=1, description="confidence of the detection; 1 if a person placed the landmarks")
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
    placed_by: pl.String = pa.Field(
        isin=["detector", "model", "hand"], description="who placed the landmarks: the detector, the landmark model or a person"
    )
    detector: pl.String = pa.Field(nullable=True, description="sha256 of the detector; null if a person placed the landmarks")
    landmark_model: pl.String = pa.Field(
        nullable=True, description="sha256 of the landmark model; null if it did not place them"
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


class UnpackedFaces(Table):
    """What the files of a pack of others state of their faces, in the order of the pack."""

    file: pl.String = pa.Field(unique=True, description="path of the file in the folder beside this table")
    width: pl.Int64 = pa.Field(gt=0, description="pixels, as the file stores the picture")
    height: pl.Int64 = pa.Field(gt=0, description="pixels, as the file stores the picture")
    face_type: pl.String = pa.Field(description="how much the square shows, as DeepFaceLab calls it")
    landmarks: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        description="x and y of each of the 68 landmarks in turn, pixels of the picture"
    )
    source_file: pl.String = pa.Field(nullable=True, description="name of the file of its frame")
    rectangle: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        nullable=True, description="left, top, right and bottom of the face in the frame, pixels"
    )
    source_landmarks: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        nullable=True, description="x and y of each of the 68 landmarks in turn, pixels of the frame"
    )
    matrix: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        nullable=True, description="the matrix from the frame to the picture: six values, row by row, for x, y, 1 in pixels"
    )
    brow_expansion: pl.Float64 = pa.Field(description="by how much a mask of landmarks is raised above the eyebrows")
    polygons: pl.List(pl.List(pl.Float64)) = pa.Field(  # type: ignore[valid-type]
        description="x and y of the points of each outline in turn, pixels of the picture; later outlines lie above"
    )
    included: pl.List(pl.Boolean) = pa.Field(  # type: ignore[valid-type]
        description="of each outline, whether its inside belongs to the face"
    )
    has_mask: pl.Boolean = pa.Field(description="whether the file has a mask, which stays in its metadata")
    sha256: pl.String = pa.Field(description="sha256 of the file")


class FaceMasks(Table):
    """The masks of the faces of a set, sorted by key."""

    key: pl.String = pa.Field(unique=True, description="key of the face")
    file: pl.String = pa.Field(nullable=True, description="name of the file in the folder of masks; null if there is none")
    origin: pl.String = pa.Field(nullable=True, isin=["hull"], description="what it is made of: the hull of the landmarks")
    reason: pl.String = pa.Field(description="why there is none; empty if there is one")
