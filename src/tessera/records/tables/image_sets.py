"""The tables of image sets: their pictures, captions and arrangement."""

from math import inf

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class SetPictures(Table):
    """The pictures that were selected for an image set: sampled frames and crops, sorted by key."""

    key: pl.String = pa.Field(unique=True, description="key of the frame or crop, the stem of its file name")
    source: pl.String = pa.Field(description="id from the manifest")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="fixed split; empty: that of its source")
    series: pl.String = pa.Field(description="series of its source; empty if the manifest states none")
    frame: pl.String = pa.Field(description="key of the frame; its own for a frame")
    step: pl.String = pa.Field(description="step of a crop; `frame` for a frame")
    path: pl.String = pa.Field(description="path of the picture, relative to the working folder")
    width: pl.Int64 = pa.Field(gt=0, description="pixels, before resizing")
    height: pl.Int64 = pa.Field(gt=0, description="pixels, before resizing")
    identities: pl.List(pl.String) = pa.Field(description="identities in it, sorted, none twice")  # type: ignore[valid-type]
    appearances: pl.List(pl.String) = pa.Field(description="the appearance of each identity; empty if unknown")  # type: ignore[valid-type]
    head: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="height of the highest head as a fraction of the picture; null if none is known"
    )
    is_regular: pl.Boolean = pa.Field(description="whether it was drawn for regularisation, from pictures that no rule selects")


class ResizedPictures(Table):
    """The pictures of an image set as they are written: scaled down and encoded, sorted by key."""

    key: pl.String = pa.Field(unique=True, description="key of the picture")
    file: pl.String = pa.Field(description="name of the file in the folder of images beside this table")
    width: pl.Int64 = pa.Field(gt=0, description="pixels")
    height: pl.Int64 = pa.Field(gt=0, description="pixels")


class Captions(Table):
    """The captions of the pictures of an image set, sorted by key and variant."""

    key: pl.String = pa.Field(description="key of the picture")
    variant: pl.Int64 = pa.Field(ge=0, description="number of the caption, from 0")
    caption: pl.String = pa.Field(description="one line of text")

    class Config(Table.Config):
        unique = ("key", "variant")


class Arrangement(Table):
    """The folder of each picture of an image set and how often it is repeated, sorted by key."""

    key: pl.String = pa.Field(unique=True, description="key of the picture")
    n_characters: pl.String = pa.Field(description="such as `1_character` or `6+_characters`")
    character: pl.String = pa.Field(description="its identities, joined with `+`, or `character_others`, or `no_character`")
    fh_ratio: pl.String = pa.Field(description="such as `face_height_ratio_25-50`; of the highest head in it")
    folder: pl.String = pa.Field(description="path of its folder in the set, with `/`; empty for the set's own folder")
    probability: pl.Float64 = pa.Field(ge=0, le=1, description="planned share of the folder in the pictures of an epoch")
    repeats: pl.Float64 = pa.Field(gt=0, lt=inf, description="how often the picture appears in an epoch")


class Distribution(Table):
    """The shares of folders and identities in an epoch of an image set, sorted by kind and name."""

    kind: pl.String = pa.Field(isin=["folder", "identity"], description="what is counted")
    name: pl.String = pa.Field(description="path of the folder, or name of the identity")
    pictures: pl.Int64 = pa.Field(gt=0, description="pictures in the split train")
    before: pl.Float64 = pa.Field(ge=0, le=1, description="their share if each picture appears once")
    after: pl.Float64 = pa.Field(ge=0, le=1 + 1e-9, description="their share with the repeats")


class CoreTags(Table):
    """The tags that most pictures of an identity have, sorted by identity, appearance and falling frequency."""

    identity: pl.String = pa.Field(description="name of the identity")
    appearance: pl.String = pa.Field(description="its appearance; empty if it is not known")
    tag: pl.String = pa.Field(description="the tag, with spaces")
    frequency: pl.Float64 = pa.Field(gt=0, le=1, description="fraction of the pictures with this identity alone that have it")

    is_character: pl.Boolean = pa.Field(
        description="whether the tag describes the identity, and not what it does or where it is"
    )

    class Config(Table.Config):
        unique = ("identity", "appearance", "tag")
