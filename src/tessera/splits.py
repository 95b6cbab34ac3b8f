"""Splits: which samples train, which validate, which test."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field, model_validator

from tessera.errors import TesseraError
from tessera.seeds import fraction
from tessera.settings import Settings


class SplitSettings(Settings):
    """How the samples of a dataset are divided. What is not in `val` or `test` trains."""

    val: float = Field(0.15, ge=0, lt=1, description="fraction of the groups of sources that validate")
    test: float = Field(0.0, ge=0, lt=1, description="fraction of the groups of sources that test")

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


def split_samples(
    samples: Path, candidates: Sequence[Path], duplicates: Path, order: Sequence[str], settings: SplitSettings, output: Path
) -> None:
    """Write the split of each of `samples` to the table `output` (`tables.Splits`), by key.

    `samples`, `candidates`: tables of `tables.Images`; the candidates are all labelled images, those that were left out
    too, because they tell which sources show the same. `duplicates`: `tables.Duplicates`. `order`: the sources in the
    order in which they came, see `split_sources`.
    Raises `TesseraError` where nothing would train or nothing validate, and where fixed splits contradict each other.
    """
    import polars as pl

    from tessera.tables import Duplicates, Images, Splits, read_table, read_tables, write_table

    stays = dict(read_table(duplicates, Duplicates).select("key", "duplicate_of").iter_rows())
    fixed: dict[str, str] = {}
    links = []
    first: dict[str, str] = {}
    for key, source, split in read_tables(list(candidates), Images).sort("key").select("key", "source", "split").iter_rows():
        if fixed.setdefault(source, split) != split:
            raise TesseraError(
                f"source {source!r} is fixed to the splits {fixed[source]!r} and {split!r}; a source has one split"
            )
        links.append((source, first.setdefault(stays.get(key, key), source)))
    splits = split_sources([source for source in order if source in fixed], fixed, links, settings)
    frame = read_table(samples, Images).sort("key").select("key", "source")
    frame = frame.with_columns(split=pl.col("source").replace_strict(splits, return_dtype=pl.String))
    for split in ("train", "val"):
        if split not in frame["split"]:
            raise TesseraError(
                f"no sample is in the split {split!r}: {frame.height} samples of {frame['source'].n_unique()} source(s) went to"
                f" {', '.join(sorted(frame['split'].unique())) or 'none'}; sources that hold near-duplicates of each other stay"
                f" together. Give a source `split: {split}` in the manifest or a label folder in `annotations.labels`, or"
                f" change `splits.val` ({settings.val:g}) and `splits.test` ({settings.test:g})"
            )
    write_table(frame, Splits, output)
