"""The tables of embeddings, and of near-duplicates that were found with them."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.footage import Replaced
from tessera.records.tables.table import Table


class Embeddings(Table):
    """The vectors of pictures: sampled frames, or images that people labelled."""

    key: pl.String = pa.Field(unique=True, description="key of the picture")
    source: pl.String = pa.Field(description="id from the manifest, or of a set of images that the settings name")
    path: pl.String = pa.Field(description="path of the picture, relative to the working folder or absolute")
    place: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="place among the sampled frames of its video, from 0 to 1; null for images"
    )
    sharpness: pl.Float64 = pa.Field(ge=0, description="see `tessera.imaging.sharpness.sharpness`")
    vector: pl.List(pl.Float16) = pa.Field(description="the same number of values for all pictures of an embedding")  # type: ignore[valid-type]


class ClipEmbeddings(Table):
    """The vectors of clips: the mean over sampled frames."""

    key: pl.String = pa.Field(unique=True, description="key of the clip")
    source: pl.String = pa.Field(description="id from the manifest")
    looked: pl.Int64 = pa.Field(gt=0, description="number of frames sampled, from the first to the last")
    vector: pl.List(pl.Float16) = pa.Field(description="the same number of values for all clips of an embedding")  # type: ignore[valid-type]


class NearDuplicates(Replaced):
    """Pictures whose vectors are close to that of another picture, which is kept in their place."""

    similarity: pl.Float64 = pa.Field(ge=-1.001, le=1.001, description="cosine of the angle between their vectors")
    found: pl.String = pa.Field(
        isin=["within a source", "across sources", "openings or endings"], description="the limit that the pair exceeds"
    )
