"""Splits: which samples train, which validate, which test."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from tessera.core.errors import TesseraError
from tessera.core.seeds import fraction
from tessera.core.settings import Settings

if TYPE_CHECKING:
    import polars as pl


class SplitSettings(Settings):
    """How sources are divided. What is not in `val` or `test` trains."""

    val: float = Field(0.15, ge=0, lt=1)
    test: float = Field(0.0, ge=0, lt=1)
    shared: float = Field(0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> "SplitSettings":
        if self.val + self.test >= 1:
            raise ValueError("val and test leave nothing to train on; their sum must be below 1")
        return self


def split_sources(
    sources: Sequence[str], fixed: Mapping[str, str], links: Iterable[tuple[str, str]], settings: SplitSettings
) -> dict[str, str]:
    """Return the split of each of `sources`, in their order.

    Sources that `links` joins, directly or through others, are one group and share a split: the one that `fixed` gives
    to a member or, where it gives none, the one that a hash gives to the member which comes first in `sources`.

    With new sources at the end of `sources`, what was there stays where it was: a new source joins the split of the
    group that it is linked to. There is one exception. A new link between two groups that stood apart moves the later
    one to the earlier one, because near-duplicates in two splits would leak. A fixed split moves its group, as asked.

    Raises `TesseraError` where `fixed` asks for two splits in one group.
    """
    group = _groups(sources, links)
    decided: dict[str, tuple[str, str]] = {}
    for source in sources:
        wanted = fixed.get(source, "")
        if wanted:
            by, split = decided.setdefault(group[source], (source, wanted))
            if split != wanted:
                raise TesseraError(
                    f"source {by!r} is fixed to the split {split!r} and source {source!r} to {wanted!r}, but they hold"
                    " near-duplicates, directly or through other sources; fix both to one split, or only one of them"
                )
    return {
        source: decided[group[source]][1] if group[source] in decided else _draw(group[source], settings) for source in sources
    }


def _groups(sources: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return, per source, the first source of its group."""
    place = {source: i for i, source in enumerate(sources)}
    parent = {source: source for source in sources}

    def first(source: str) -> str:
        while parent[source] != source:
            parent[source] = parent[parent[source]]
            source = parent[source]
        return source

    for one, other in links:
        earlier, later = sorted((first(one), first(other)), key=place.__getitem__)
        parent[later] = earlier
    return {source: first(source) for source in sources}


def _draw(name: str, settings: SplitSettings) -> str:
    # From either end, so that a change of one fraction moves groups between that split and train only.
    # The dataset plays no part: what validates one model never trains another.
    number = fraction("splits", name)
    if number < settings.val:
        return "val"
    return "test" if number >= 1 - settings.test else "train"


def shared_pictures(pictures: "pl.DataFrame", shared: float) -> list[tuple[str, str]]:
    """Return the pairs of sources that share at least the fraction `shared` of the pictures of the smaller one.

    `pictures`: a row per image, with its `source` and its `picture`, which is the same for images that look the same. Those
    of one source that look the same count once, so a black frame in many films makes none of them look like another.
    """
    import polars as pl

    distinct = pictures.select("source", "picture").unique()
    counts = distinct.group_by("source").agg(pictures=pl.len())
    both = distinct.join(distinct, on="picture").filter(pl.col("source") < pl.col("source_right"))
    pairs = both.group_by("source", "source_right").agg(shared=pl.len()).join(counts, on="source")
    pairs = pairs.join(counts, left_on="source_right", right_on="source")
    smaller = pl.min_horizontal("pictures", "pictures_right")
    return sorted(pairs.filter(pl.col("shared") >= shared * smaller).select("source", "source_right").iter_rows())


def divide_sources(
    sources: Path,
    labelled: Sequence[Path],
    frames: Sequence[Path],
    duplicates: Path,
    order: Sequence[str],
    settings: SplitSettings,
    output: Path,
) -> None:
    """Write the split of every source, for all datasets, to the table `output` (`tables.SourceSplits`).

    `sources`: `tables.Sources` admitted. `labelled`: tables of `tables.Images`; `frames`: of `tables.Frames`. `duplicates`:
    `tables.Duplicates`. `order`: the sources in the order in which they came, see `split_sources`; others follow by name.
    Raises `TesseraError` where fixed splits contradict each other.
    """
    import polars as pl

    from tessera.records.tables.annotation import Images
    from tessera.records.tables.footage import Duplicates, Frames, Sources
    from tessera.records.tables.splits import SourceSplits
    from tessera.records.tables.table import read_table, read_tables, write_table

    stays = read_table(duplicates, Duplicates).select("key", picture="duplicate_of")
    images = read_tables(list(labelled), Images).select("key", "source", "split")
    stated = pl.concat([read_table(sources, Sources).select("source", "split"), images.select("source", "split")])
    fixed: dict[str, str] = {}
    for source, split in stated.unique().sort("source", "split").iter_rows():
        if fixed.setdefault(source, split) != split:
            raise TesseraError(
                f"source {source!r} is fixed to the splits {fixed[source]!r} and {split!r}; a source has one split"
            )
    keys = pl.concat([images.select("key", "source"), read_tables(list(frames), Frames).select("key", "source")])
    pictures = keys.join(stays, on="key", how="left").with_columns(pl.coalesce("picture", "key").alias("picture"))
    known = dict.fromkeys([*(source for source in order if source in fixed), *sorted(fixed)])
    splits = split_sources(list(known), fixed, shared_pictures(pictures, settings.shared), settings)
    write_table(pl.DataFrame({"source": list(splits), "split": list(splits.values())}).sort("source"), SourceSplits, output)


def split_samples(samples: Path, sources: Path, splits: Path, *, settings: SplitSettings) -> None:
    """Write the split of each of `samples` to the table `splits` (`tables.Splits`), by key.

    `samples`: a table with the columns of `tables.Samples`. `sources`: `tables.SourceSplits`. A
    source that is not in it is of a set that stands alone: it has the split that its samples state, or the one of a hash.
    Raises `TesseraError` where nothing would train or nothing validate.
    """
    import polars as pl

    from tessera.records.tables.splits import Samples, SourceSplits, Splits
    from tessera.records.tables.table import read_columns, read_table, write_table

    frame = read_columns(samples, Samples).sort("key")
    stated = dict(frame.select("source", "split").iter_rows())
    split_of = split_sources(sorted(stated), stated, [], settings) | dict(read_table(sources, SourceSplits).iter_rows())
    frame = frame.select("key", "source", split=pl.col("source").replace_strict(split_of, return_dtype=pl.String))
    for split in ("train", "val"):
        if split not in frame["split"]:
            raise TesseraError(
                f"no sample is in the split {split!r}: {frame.height} samples of {frame['source'].n_unique()} source(s) went to"
                f" {', '.join(sorted(frame['split'].unique())) or 'none'}; sources that hold near-duplicates of each other stay"
                f" together. Give a source `split: {split}` in the manifest, or a folder of labels or set of watermarks in the"
                " settings, or change `splits.val`, `splits.test` and `splits.shared`; one source alone cannot be divided:"
                " add another, or cut it in two files"
            )
    write_table(frame, Splits, splits)
