"""Assign sources and samples to the splits train, val and test."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.core.seeds import fraction
from tessera.core.settings import Settings
from tessera.records.label_sets import SETS

if TYPE_CHECKING:
    import polars as pl


class SplitSettings(Settings):
    """How sources are divided into splits. The rest, in neither `val` nor `test`, is used for training."""

    val: float = Field(0.15, ge=0, lt=1)
    """Fraction of the sources in the split val. A hash of each source decides, so that more footage never moves a source.
    Sources that hold near-duplicates of each other count as one. The column `split` of the manifest or of a label set takes
    precedence.
    """
    test: float = Field(0.0, ge=0, lt=1)
    """Fraction of the sources in the split test."""
    shared: float = Field(0.1, gt=0, le=1)
    """Smallest fraction of the pictures of the smaller of two sources that the other also shows for both to count as one."""

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> "SplitSettings":
        if self.val + self.test >= 1:
            raise ValueError("val and test leave nothing to train on; make their sum less than 1")
        return self


def split_sources(
    sources: Sequence[str], fixed: Mapping[str, str], links: Iterable[tuple[str, str]], settings: SplitSettings
) -> dict[str, str]:
    """Return the split of each of `sources`, in their order.

    `links`: pairs of sources with near-duplicates. Sources that are linked, directly or through other sources, form a group and
    have the same split. This is the split in `fixed` of any member. If `fixed` has none, a hash of the name of the member that
    comes first in `sources` decides. `fixed`: the split by source; an empty string means none.

    If new sources are appended to `sources`, earlier sources keep their splits: a new source joins the split of the group that
    it is linked to. There are two exceptions. If a new link joins two groups, the later group moves to the split of the earlier
    one, because near-duplicates in two splits would leak. A new entry in `fixed` moves its whole group.

    Raises `TesseraError` if `fixed` has two splits for one group.
    """
    group = group_sources(sources, links)
    decided: dict[str, tuple[str, str]] = {}
    for source in sources:
        wanted = fixed.get(source, "")
        if wanted:
            by, split = decided.setdefault(group[source], (source, wanted))
            if split != wanted:
                raise TesseraError(
                    f"source {by!r} is fixed to the split {split!r} and source {source!r} to {wanted!r}, but they hold"
                    " near-duplicates, directly or through other sources; fix both to one split, or only one of them (for a"
                    " set of labels, `own_splits: false` ignores the splits of its folders and lists)"
                )
    return {
        source: decided[group[source]][1] if group[source] in decided else _draw(group[source], settings) for source in sources
    }


def group_sources(sources: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return, for each of `sources`, the first source of its group: those that `links` join, directly or through others."""
    position = {source: i for i, source in enumerate(sources)}
    parent = {source: source for source in sources}

    def first(source: str) -> str:
        while parent[source] != source:
            parent[source] = parent[parent[source]]
            source = parent[source]
        return source

    for source, other in links:
        earlier, later = sorted((first(source), first(other)), key=position.__getitem__)
        parent[later] = earlier
    return {source: first(source) for source in sources}


def _draw(name: str, settings: SplitSettings) -> str:
    # `val` starts at 0 and `test` ends at 1, so that a change of one fraction moves groups only between that split and train.
    # The hash does not depend on the dataset: a source that validates one model never trains another.
    number = fraction("splits", name)
    if number < settings.val:
        return "val"
    return "test" if number >= 1 - settings.test else "train"


def shared_pictures(pictures: "pl.DataFrame", shared: float) -> list[tuple[str, str]]:
    """Return the pairs of sources that have at least the fraction `shared` of the pictures of the smaller one in common.

    `pictures`: one row per image, with its `source` and its `picture`, an id that is equal for images that look the same.
    Images of one source with the same id count once, so that black frames, which occur in many films, do not link them.
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
    duplicates: Sequence[Path],
    order: Sequence[str],
    settings: SplitSettings,
    output: Path,
) -> None:
    """Write the split of every source, for all datasets, to the table `output` (`tables.SourceSplits`).

    `sources`: `tables.Sources` that are admitted. `labelled`: files of `tables.Images`. `frames`: files of `tables.Frames`.
    `duplicates`: files with the columns of `tables.Replaced`, each found by another measure. Sources are linked if they share
    enough pictures by any of them. `order`: the sources in the order in which they were added, see `split_sources`; other
    sources follow by name.

    Raises `TesseraError` if fixed splits contradict each other.
    """
    import polars as pl

    from tessera.records.tables.annotation import Images
    from tessera.records.tables.footage import Frames, Replaced, Sources
    from tessera.records.tables.splits import SourceSplits
    from tessera.records.tables.table import read_columns, read_table, read_tables, types, write_table

    images = read_tables(list(labelled), Images).select("key", "source", "split")
    stated = pl.concat([read_table(sources, Sources).select("source", "split"), images.select("source", "split")])
    fixed: dict[str, str] = {}
    for source, split in stated.unique().sort("source", "split").iter_rows():
        if fixed.setdefault(source, split) != split:
            raise TesseraError(
                f"source {source!r} is fixed to the splits {fixed[source]!r} and {split!r}; fix it to one split only"
            )
    keys = pl.concat([images.select("key", "source"), read_tables(list(frames), Frames).select("key", "source")])
    links = []
    for table in duplicates:
        replaced = read_columns(table, Replaced).select("key", picture="duplicate_of")
        pictures = keys.join(replaced, on="key", how="left").with_columns(pl.coalesce("picture", "key").alias("picture"))
        links += shared_pictures(pictures, settings.shared)
    known = dict.fromkeys([*(source for source in order if source in fixed), *sorted(fixed)])
    splits, groups = split_sources(list(known), fixed, links, settings), group_sources(list(known), links)
    rows = [(source, split, groups[source]) for source, split in sorted(splits.items())]
    write_table(pl.DataFrame(rows, schema=types(SourceSplits), orient="row"), SourceSplits, output)


def splits_with_stated(stated: Mapping[str, str], sources: Path, settings: SplitSettings) -> dict[str, str]:
    """Return the split of each source: that in the table `sources` (`tables.SourceSplits`), or `stated`, or drawn by a hash.

    `stated`: the split by source, for sources of samples; an empty string means none.
    """
    from tessera.records.tables.splits import split_of_sources

    return split_sources(sorted(stated), stated, [], settings) | split_of_sources(sources)


def assign_samples(
    samples: Path, sources: Path, splits: Path, *, required: Sequence[str] = ("train", "val"), settings: SplitSettings
) -> None:
    """Write the split of each of `samples` to the table `splits` (`tables.Splits`), sorted by key.

    `samples`: a table with the columns of `tables.Samples`. `sources`: `tables.SourceSplits`. A source that is missing there
    belongs to a set that is split on its own: it has the split that its samples state, or one drawn by a hash.

    Raises `TesseraError` if one of the splits `required` would be empty.
    """
    import polars as pl

    from tessera.records.tables.splits import Samples, Splits
    from tessera.records.tables.table import read_columns, write_table

    frame = read_columns(samples, Samples).sort("key")
    split_of = splits_with_stated(dict(frame.select("source", "split").iter_rows()), sources, settings)
    frame = frame.select("key", "source", split=pl.col("source").replace_strict(split_of, return_dtype=pl.String))
    for split in required:
        if split not in frame["split"]:
            number = frame["source"].n_unique()
            is_set = any(source.startswith(SETS) for source in frame["source"].unique())
            divided = (
                "set `split_by: image` for it if its images do not show the same scene" if is_set else "cut it into two files"
            )
            advice = (
                f"A single source cannot be divided: add another with `split: {split}`, or {divided}"
                if number == 1
                else f"Sources with near-duplicates of each other stay together. Set `split: {split}` for a source in the"
                " manifest, or for a set of images in the settings, or change `splits.val`, `splits.test` or `splits.shared`"
            )
            raise TesseraError(
                f"no sample is in the split {split!r}: {pluralize(frame.height, 'samples')} of {pluralize(number, 'sources')}"
                f" went to {', '.join(sorted(frame['split'].unique())) or 'none'}. {advice}"
            )
    write_table(frame, Splits, splits)
