"""The tables of classifiers: their pictures, the vectors of these, the folds, and what was predicted."""

from math import inf
from pathlib import Path

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table

WRONG, OUTLIER, CONTRADICTION = "wrong label", "outlier", "near-duplicate with another label"
KINDS_OF_ERRORS = (WRONG, OUTLIER, CONTRADICTION)


class SelectedPictures(Table):
    """The pictures that were chosen for a classifier, and what they show."""

    key: pl.String = pa.Field(unique=True, description="key of the picture")
    source: pl.String = pa.Field(description="source that it comes from")
    group: pl.String = pa.Field(description="see `Pictures`")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: that of its source")
    path: pl.String = pa.Field(description="path of the picture, relative to the working folder or absolute")
    label: pl.String = pa.Field(nullable=True, description="name of its class; null for a score")
    score: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="its score; null for a class")


class Pictures(Table):
    """The pictures of a classifier and their labels: `pictures.parquet` in the folder of its dataset.

    The picture `key` lies in `images/SPLIT/KEY.EXT`.
    """

    key: pl.String = pa.Field(unique=True, description="key of the picture, the stem of its file name")
    source: pl.String = pa.Field(description="source that it comes from")
    group: pl.String = pa.Field(
        description="what is never divided between splits or folds: a source, or all pictures that look the same"
    )
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="train, val or test")
    label: pl.String = pa.Field(nullable=True, description="name of its class; null if the classifier gives a score")
    score: pl.Float64 = pa.Field(
        nullable=True, gt=-inf, lt=inf, description="its score; null if the classifier predicts classes"
    )
    weight: pl.Float64 = pa.Field(gt=0, lt=inf, description="how much it counts in the training; 1 for most")


class Folds(Table):
    """The fold of each picture, of those that the out-of-fold predictions are made with."""

    key: pl.String = pa.Field(unique=True, description="key of the picture")
    fold: pl.Int64 = pa.Field(ge=0, description="number of the fold that predicts it, from 0")


class Predictions(Table):
    """What a classifier predicts for pictures that it did not learn from."""

    key: pl.String = pa.Field(unique=True, description="key of the picture")
    source: pl.String = pa.Field(description="source that it comes from")
    group: pl.String = pa.Field(description="see `Pictures`")
    split: pl.String = pa.Field(isin=["train", "val", "test"], description="split of the picture in the dataset")
    fold: pl.Int64 = pa.Field(nullable=True, ge=0, description="fold that predicted it; null: the classifier itself")
    label: pl.String = pa.Field(nullable=True, description="name of its class; null for a score")
    predicted: pl.String = pa.Field(nullable=True, description="name of the most probable class; null for a score")
    probabilities: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        description="calibrated probability of each class, in the order of the settings; empty for a score"
    )
    score: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="its score; null for classes")
    predicted_score: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="predicted score; null for classes")


class LabelErrors(Table):
    """What may be wrong with the labels of a classifier: by kind, the strongest first."""

    key: pl.String = pa.Field(description="key of the picture")
    source: pl.String = pa.Field(description="source that it comes from")
    kind: pl.String = pa.Field(isin=KINDS_OF_ERRORS, description="what was found")
    label: pl.String = pa.Field(nullable=True, description="name of its class; null for a score")
    score: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="its score; null for a class")
    suggested: pl.String = pa.Field(nullable=True, description="class that it probably has; null if none is more likely")
    suggested_score: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="the same for scores")
    strength: pl.Float64 = pa.Field(ge=0, le=1, description="how sure it is, compared with others of its kind")
    other: pl.String = pa.Field(nullable=True, description="key of the near-duplicate; null for other kinds")


class Scored(Table):
    """What a classifier sees in pictures without labels, or in clips."""

    key: pl.String = pa.Field(unique=True, description="key of the picture or the clip")
    label: pl.String = pa.Field(nullable=True, description="name of the class with the highest value; null for a score")
    classes: pl.List(pl.String) = pa.Field(description="names of all classes, in the order of its settings")  # type: ignore[valid-type]
    probabilities: pl.List(pl.Float64) = pa.Field(  # type: ignore[valid-type]
        description="value of each of `classes`, of a clip the mean over frames; combined tiles need not add up to 1"
    )
    score: pl.Float64 = pa.Field(nullable=True, gt=-inf, lt=inf, description="predicted score; null for classes")


def picture_files(images: Path) -> dict[tuple[str, str], Path]:
    """Return the files in the folder `images` of the dataset of a classifier, by split and key."""
    return {(file.parent.name, file.stem): file for file in sorted(images.glob("*/*"))}
