"""The table of labels of whole images."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class ImageLabels(Table):
    """What whole images show: a label or a score for each."""

    key: pl.String = pa.Field(unique=True, description="unique name of the image, valid as a file name")
    source: pl.String = pa.Field(description="id from the manifest, or `image_labels:NAME`, or this and a path")
    path: pl.String = pa.Field(description="path of the image, relative to the working folder or absolute")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")
    phash: pl.UInt64 = pa.Field(description="perceptual hash, see imaging.hashing, 64 bits")
    sha256: pl.String = pa.Field(description="digest of the file")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: by hash")
    rights: pl.String = pa.Field(description="licence or contract reference")
    task: pl.String = pa.Field(description="what the labels are about")
    label: pl.String = pa.Field(nullable=True, description="class of the image; null if it has a score")
    score: pl.Float64 = pa.Field(nullable=True, description="score of the image, a finite number; null if it has a label")
    origin: pl.String = pa.Field(
        isin=["folders", "tsv", "labelme", "label_studio", "degraded"],
        description="format that the label was read from; degraded: the level that a frame was degraded to",
    )
