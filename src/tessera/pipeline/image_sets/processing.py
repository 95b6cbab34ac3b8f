"""Process the tags of pictures: which of them a caption may have, and in which order.

The steps and their order are those of anime_screenshot_pipeline. Unlike there, a tag is part of another one by whole words:
`cat` stays beside `education`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tessera.core.errors import TesseraError
from tessera.core.tsv import read_sheet, refuse
from tessera.pipeline.image_sets.caption_settings import TagSettings
from tessera.records.tags import readable, same_tag

SOLO = "solo"
PEOPLE = re.compile(r"(?:\d+\+?|multiple) ?(girl|boy|other)s?|(?:girls|boys)")


class Overlap(BaseModel):
    """One row of the table of overlaps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str = Field(min_length=1, description="the tag that is left out")
    beside: str = Field(min_length=1, description="the tag beside which it is left out")


def read_overlaps(path: Path) -> list[tuple[str, str]]:
    """Return the pairs of tags in the file `path`, see `same_tag`, of which the first is left out beside the second."""
    fix = "set `captions.tags.overlaps` to your table of overlaps"
    try:
        sheet = read_sheet(path, Overlap, "table of overlaps", fix)
    except FileNotFoundError:
        raise TesseraError(f"{path}: no such table of overlaps; {fix}") from None
    pairs = [(line, same_tag(row.tag), same_tag(row.beside)) for line, row in sheet.rows]
    alone = [
        (line, f"{tag!r} would never be in a caption; put it on the blacklist") for line, tag, beside in pairs if tag == beside
    ]
    refuse(path, [*sheet.faults, *alone])
    return [(tag, beside) for _, tag, beside in pairs]


def overlaps_by_words(tags: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of `tags` of which the first consists of successive words of the second, and not of all."""
    known = set(tags)
    found = set()
    for tag in known:
        words = tag.split(" ")
        inside = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
        found |= {(each, tag) for each in inside & known if each != tag}
    return sorted(found)


def process_tags(
    tags: pl.DataFrame, people: pl.DataFrame, overlaps: list[tuple[str, str]] | None, settings: TagSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tags for captions, and the core tags of each identity.

    `tags`: rows of `tables.Tags`. `people`: a row for each `identity` of each picture `key`. `overlaps`: pairs of which the
    first is left out beside the second; None: by whole words, if the settings say so.

    The first result has the columns `key`, `tag`, `category`, `rank` (Int64, from 0 in each picture and category) and
    `is_first` (whether the tag keeps its place if tags are shuffled), sorted by key, category and rank. `solo` comes first,
    then the tags of people by number, then the others in the order of the settings; ratings are always by falling score. The
    second has `identity`, `tag` and `frequency`, the fraction of the pictures with that identity alone that have the tag; tags
    of people are no core tags.
    """
    names = {tag: readable(tag) for tag in tags["tag"].unique()}
    vocabulary = sorted(set(names.values()))
    keys, words = pl.Enum(pl.concat([tags["key"], people["key"]]).unique().sort()), pl.Enum(vocabulary)
    thresholds = settings.thresholds.model_dump()
    # Numbers behind an Enum are joined and sorted faster than text.
    kept = tags.filter(pl.col("score") >= pl.col("category").replace_strict(thresholds, return_dtype=pl.Float64)).with_columns(
        pl.col("key").cast(keys), pl.col("tag").replace_strict(names, return_dtype=pl.String).cast(words)
    )
    people = people.with_columns(pl.col("key").cast(keys))
    is_drawn = pl.col("category").is_in(["general", "meta"])
    if settings.prune != "none":
        blacklist = set(map(same_tag, settings.blacklist))
        kept = kept.filter(~pl.col("tag").is_in([tag for tag in vocabulary if same_tag(tag) in blacklist]))
        if overlaps is None and settings.overlaps == "words":
            overlaps = overlaps_by_words(vocabulary)
        written = {same_tag(tag): tag for tag in vocabulary}
        overlaps = [(written.get(same_tag(part), part), written.get(same_tag(tag), tag)) for part, tag in overlaps or []]
        pairs = pl.DataFrame(overlaps, schema={"part": pl.String, "tag": pl.String}, orient="row")
        pairs = pairs.cast(words, strict=False).drop_nulls()
        general = kept.filter(is_drawn)
        hidden = general.select("key", "tag").join(pairs, on="tag").select("key", tag="part")
        kept = pl.concat([general.join(hidden, on=["key", "tag"], how="anti"), kept.filter(~is_drawn)])
    core = core_tags(kept.filter(category="general"), people, settings.core_frequency)
    if settings.prune == "character_core":
        cores = people.join(core, on="identity").select("key", "tag", category=pl.lit("general"))
        kept = kept.join(cores, on=["key", "tag", "category"], how="anti")
    elif settings.prune == "character":
        endings = tuple(f" {word}" for word in settings.character_words)
        describing = [tag for tag in vocabulary if f" {tag}".endswith(endings)]
        is_of_someone = pl.col("key").is_in(people["key"].unique().implode())
        kept = kept.filter(~(is_of_someone & pl.col("tag").is_in(describing) & (pl.col("category") == "general")))
    peopled = [tag for tag in vocabulary if PEOPLE.fullmatch(tag)]
    place = pl.when(tag=SOLO).then(0).when(pl.col("tag").is_in(peopled)).then(1).otherwise(2)
    is_by_score = (place == 2) & (pl.lit(settings.order == "score") | (pl.col("category") == "rating"))
    order = pl.when(is_by_score).then(-pl.col("score")).otherwise(0.0)
    group = pl.when(is_drawn).then(pl.lit("general")).otherwise("category")
    kept = kept.with_columns(category=group, place=place).sort("key", "category", "place", order, "number")
    kept = kept.with_columns(rank=pl.int_range(pl.len()).over("key", "category"))
    kept = kept.filter((pl.col("category") != "general") | (pl.col("rank") < settings.maximum))
    kept = kept.select(pl.col("key", "tag").cast(pl.String), "category", "rank", is_first=pl.col("place") < 2)
    return kept, core.with_columns(pl.col("tag").cast(pl.String))


def core_tags(tags: pl.DataFrame, people: pl.DataFrame, frequency: float) -> pl.DataFrame:
    """Return the tags that at least a fraction `frequency` of the pictures with one identity alone have, by identity.

    For the columns, see `process_tags`.
    """
    alone = people.filter(pl.len().over("key") == 1)
    totals = alone.group_by("identity").agg(total=pl.len())
    counts = tags.join(alone, on="key").group_by("identity", "tag").agg(count=pl.col("key").n_unique())
    shares = counts.join(totals, on="identity").with_columns(frequency=pl.col("count") / pl.col("total"))
    is_of_people = pl.col("tag").is_in([tag for tag in tags["tag"].unique() if tag == SOLO or PEOPLE.fullmatch(tag)])
    found = shares.filter((pl.col("frequency") >= frequency) & ~is_of_people)
    return found.select("identity", "tag", "frequency").sort("identity", -pl.col("frequency"), "tag")


def count_people(tags: pl.DataFrame) -> Mapping[str, int]:
    """Return how many people the tags of pictures such as `2girls` count, by readable tag."""
    found = {tag: re.fullmatch(r"(\d+)\+?(girl|boy|other)s?", tag) for tag in tags["tag"].unique()}
    return {tag: int(match[1]) for tag, match in found.items() if match and len(match[1]) < 4}
