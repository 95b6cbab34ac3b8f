"""Arrange the pictures of an image set in folders, and balance these."""

from pathlib import Path

import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.files import NAME_BYTES, file_name
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings
from tessera.extras.image_sets.balance import balance
from tessera.records.identities import NOBODY, OTHERS
from tessera.records.tables.image_sets import Arrangement, Distribution, SetPictures
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, types, write_table

NO_HEAD = "no_face"


def arrange_set(
    selected: Path, splits: Path, weights: Path | None, settings: ArrangementSettings, arrangement: Path, distribution: Path
) -> None:
    """Write where each picture of an image set lies, and how often it is repeated, to `arrangement` (`tables.Arrangement`).

    `selected`: `tables.SetPictures`. `splits`: `tables.Splits`. `weights`: the table of weights. Only pictures of the split
    train are counted and repeated. `distribution` gets the shares of folders and identities in an epoch before and after
    (`tables.Distribution`). Raises `TesseraError` if no picture is in the split train.
    """
    pictures = read_table(selected, SetPictures).drop("split").join(read_table(splits, Splits).select("key", "split"), on="key")
    frame = arrange(pictures, settings)
    trained = frame.filter(split="train")
    if trained.is_empty():
        raise TesseraError(f"{selected}: no picture is in the split 'train'; change `splits`, or select more pictures")
    counts = dict(trained.group_by("folder").len().sort("folder").iter_rows())
    shares, repeats = balance(counts, weights, settings)
    frame = frame.with_columns(
        probability=pl.col("folder").replace_strict(shares, default=0.0, return_dtype=pl.Float64),
        repeats=pl.when(split="train")
        .then(pl.col("folder").replace_strict(repeats, default=1.0, return_dtype=pl.Float64))
        .otherwise(1.0),
    )
    write_table(frame.sort("key"), Arrangement, arrangement)
    write_table(_distribution(frame.filter(split="train")), Distribution, distribution)


def arrange(pictures: pl.DataFrame, settings: ArrangementSettings) -> pl.DataFrame:
    """Return `pictures` (`tables.SetPictures`) with the columns `n_characters`, `character`, `fh_ratio` and `folder`.

    The names of folders and the limits of the ratios are those of anime_screenshot_pipeline. A combination of identities in
    fewer than `minimum_per_combination` pictures is `character_others`.
    """
    count, head = pl.col("identities").list.len(), pl.col("head")
    # Comparisons are exact, unlike the product with 100.
    least = 25 * sum((head >= limit).cast(pl.Int64) for limit in (0.25, 0.5, 0.75))
    many = settings.maximum_characters
    frame = pictures.with_columns(
        n_characters=pl.when(count >= many)
        .then(pl.lit(f"{many}+_characters"))
        .otherwise(pl.format("{}_character{}", count, pl.when(count == 1).then(pl.lit("")).otherwise(pl.lit("s")))),
        character=pl.col("identities").list.join("+"),
        fh_ratio=pl.when(head.is_null())
        .then(pl.lit(NO_HEAD))
        .otherwise(pl.format("face_height_ratio_{}-{}", least, least + 25)),
    )
    is_rare = pl.len().over("character") < settings.minimum_per_combination
    frame = frame.with_columns(
        character=pl.when(count == 0).then(pl.lit(NOBODY)).when(is_rare).then(pl.lit(OTHERS)).otherwise("character"),
        image_type="step",
    )
    if "character_string" in settings.folders:
        frame = frame.with_columns(character_string=_strings(pictures))
    levels = [_folders(frame[level]) for level in settings.folders]
    return frame.with_columns(folder=pl.concat_str(levels, separator="/") if levels else pl.lit(""))


def _strings(pictures: pl.DataFrame) -> pl.Series:
    """Return the identities of each picture, each with its appearance, joined with `+`."""
    rows = pictures.select("identities", "appearances").iter_rows()
    joined = ["+".join(f"{name} {own}".strip() for name, own in zip(*row, strict=True)) for row in rows]
    return pl.Series([each or NOBODY for each in joined], dtype=pl.String)


def _folders(names: pl.Series) -> pl.Series:
    """Return the name of the folder for each of `names`, whose parts are joined with `+`."""
    made = {name: "+".join(map(file_name, name.split("+"))) for name in names.unique()}
    short = {name: own if len(own) <= NAME_BYTES else file_name(name) for name, own in made.items()}
    return names.replace_strict(short, return_dtype=pl.String)


def _distribution(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `tables.Distribution` for pictures with `folder`, `identities` and `repeats`."""
    folders = frame.select("repeats", kind=pl.lit("folder"), name="folder")
    people = frame.select("repeats", kind=pl.lit("identity"), name="identities").explode("name").drop_nulls("name")
    return (
        pl.concat([folders, people])
        .group_by("kind", "name")
        .agg(pictures=pl.len().cast(pl.Int64), appearances=pl.col("repeats").sum())
        .with_columns(before=pl.col("pictures") / frame.height, after=pl.col("appearances") / frame["repeats"].sum())
        .sort("kind", "name")
        .select(list(types(Distribution)))
    )
