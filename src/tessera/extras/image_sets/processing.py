"""Process the tags of pictures: which of them a caption may have, and in which order.

The steps, their order and which tags describe a character are those of anime_screenshot_pipeline. Unlike there, a tag is part
of another one by whole words: `cat` stays beside `education`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tessera.core.errors import TesseraError
from tessera.core.tsv import read_sheet, refuse
from tessera.extras.image_sets.caption_settings import CharacterTagSettings, TagSettings
from tessera.records.tags import readable, same_tag

SOLO = "solo"
# Plurals that are no singular and an s.
SINGULAR = {"men": "man", "women": "woman", "elves": "elf"}
PEOPLE = re.compile(r".*(?:girls|boys).*|(?:\d+\+?|multiple) ?(?:girl|boy|other)s?")


class Overlap(BaseModel):
    """One row of the table of overlaps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str = Field(min_length=1, description="the tag that is left out")
    beside: str = Field(min_length=1, description="the tag beside which it is left out")


class CoreTag(BaseModel):
    """One row of a table of core tags."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str = Field(min_length=1, description="name of an identity")
    appearance: str = Field("", description="its appearance; empty for none")
    tag: str = Field(min_length=1, description="a tag that most of its pictures have")


def read_overlaps(path: Path) -> list[tuple[str, str]]:
    """Return the pairs of tags in the file `path`, see `same_tag`, of which the first is left out beside the second.

    A file `.json` is one of anime_screenshot_pipeline, a list of `{"query": tag, "has_overlap": [beside, …]}`.
    """
    if path.suffix.lower() == ".json":
        return _read_overlaps_as_json(path)
    sheet = read_sheet(path, Overlap, "table of overlaps", "set `captions.tags.overlaps` to your table of overlaps")
    pairs = [(line, same_tag(row.tag), same_tag(row.beside)) for line, row in sheet.rows]
    alone = [
        (line, f"{tag!r} would never be in a caption; put it on the blacklist") for line, tag, beside in pairs if tag == beside
    ]
    refuse(path, [*sheet.faults, *alone])
    return [(tag, beside) for _, tag, beside in pairs]


def _read_overlaps_as_json(path: Path) -> list[tuple[str, str]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(entry["query"], beside) for entry in entries for beside in entry.get("has_overlap") or ()]
        return [(same_tag(tag), same_tag(beside)) for tag, beside in pairs if same_tag(tag) != same_tag(beside)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TesseraError(
            f'{path}: not a list of {{"query": tag, "has_overlap": [tag, …]}} ({error}); correct `captions.tags.overlaps`'
        ) from error


def read_core_tags(path: Path) -> pl.DataFrame:
    """Return the core tags in the file `path`, with the columns of `core_tags`; those of people have the frequency 1."""
    sheet = read_sheet(path, CoreTag, "table of core tags", "set `captions.tags.core` to your table of core tags")
    refuse(path, sheet.faults)
    rows = sorted({(row.identity, row.appearance, readable(row.tag), 1.0) for _, row in sheet.rows})
    schema = {"identity": pl.String, "appearance": pl.String, "tag": pl.String, "frequency": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def read_blacklist(path: Path) -> tuple[str, ...]:
    """Return the tags in the file `path`, which has one on each line, or several between commas, which no tag has."""
    try:
        tags = re.split("[,\n]", path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise TesseraError(
            f"{path}: no list of tags that can be read ({error}); correct `captions.tags.blacklist_file`"
        ) from error
    return tuple(filter(None, map(str.strip, tags)))


def describing_characters(tags: Iterable[str], settings: CharacterTagSettings) -> list[str]:
    """Return those of `tags` that describe a character by the words of `settings`."""
    exceptions, suffixes = ([_in_singular(each) for each in some] for some in (settings.exceptions, settings.suffixes))
    prefixes = [_words(each) for each in settings.prefixes]
    describing = []
    for tag in tags:
        words, singular = _words(tag), _in_singular(tag)
        ends = any(singular[-len(suffix) :] == suffix for suffix in suffixes)
        if singular not in exceptions and (ends or any(words[: len(prefix)] == prefix for prefix in prefixes)):
            describing.append(tag)
    return describing


def _words(tag: str) -> list[str]:
    return same_tag(tag).lower().split()


def _in_singular(tag: str) -> list[str]:
    """Return the words of `tag` in lower case, the last of them in the singular."""
    *words, last = _words(tag) or [""]
    return [*words, SINGULAR.get(last, last if last.endswith("ss") else last.removesuffix("s"))]


def overlaps_by_words(tags: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of `tags` of which the first consists of successive words of the second, and not of all."""
    known = set(tags)
    pairs = set()
    for tag in known:
        words = tag.split(" ")
        inside = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
        pairs |= {(each, tag) for each in inside & known if each != tag}
    return sorted(pairs)


def process_tags(
    tags: pl.DataFrame, people: pl.DataFrame, overlaps: Sequence[tuple[str, str]], settings: TagSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tags for captions, and the core tags of each identity.

    `tags`: rows of `tables.Tags`. `people`: a row for each `identity` with its `appearance` of each picture `key`. `overlaps`:
    pairs of which the first is left out beside the second, besides those by whole words, if the settings say so.

    The first result has the columns `key`, `tag`, `category`, `rank` (Int64, from 0 in each picture and category), `is_first`
    (whether the tag keeps its place if tags are shuffled) and `is_dropped` (whether it describes an identity and stands behind
    the others, see `append_dropped`), sorted by key, category and rank. `solo` comes first, then the tags of people by number,
    then the others in the order of the settings; ratings are always by falling score. The second has the columns of
    `tables.CoreTags`; tags of people are no core tags.
    """
    names = {tag: readable(tag) for tag in tags["tag"].unique()}
    vocabulary = sorted(set(names.values()))
    keys, words = pl.Enum(pl.concat([tags["key"], people["key"]]).unique().sort()), pl.Enum(vocabulary)
    thresholds = settings.thresholds.model_dump()
    # Numbers behind an Enum are joined and sorted faster than text.
    used = tags.filter(pl.col("score") >= pl.col("category").replace_strict(thresholds, return_dtype=pl.Float64)).with_columns(
        pl.col("key").cast(keys), pl.col("tag").replace_strict(names, return_dtype=pl.String).cast(words)
    )
    people = people.with_columns(pl.col("key").cast(keys))
    is_drawn = pl.col("category").is_in(["general", "meta"])
    if settings.prune != "none":
        blacklist = set(map(same_tag, settings.blacklist))
        used = used.filter(~pl.col("tag").is_in([tag for tag in vocabulary if same_tag(tag) in blacklist]))
        written = {same_tag(tag): tag for tag in vocabulary}
        stated = [(written.get(same_tag(part), part), written.get(same_tag(tag), tag)) for part, tag in overlaps]
        inside = overlaps_by_words(vocabulary) if "words" in settings.overlaps else []
        pairs = pl.DataFrame([*inside, *stated], schema={"part": pl.String, "tag": pl.String}, orient="row")
        pairs = pairs.cast(words, strict=False).drop_nulls()
        general = used.filter(is_drawn)
        hidden = general.select("key", "tag").join(pairs, on="tag").select("key", tag="part")
        used = pl.concat([general.join(hidden, on=["key", "tag"], how="anti"), used.filter(~is_drawn)])
    describing = describing_characters(vocabulary, settings.character)
    if settings.core:
        core = read_core_tags(settings.core)
        described = describing_characters(core["tag"], settings.character)
        all_core = core.with_columns(is_character=pl.col("tag").is_in(described))
        core = all_core.with_columns(pl.col("tag").cast(words, strict=False)).drop_nulls()
    else:
        core = core_tags(used.filter(category="general"), people, settings)
        all_core = core = core.with_columns(is_character=pl.col("tag").is_in(describing))
    if settings.prune == "character":
        is_dropped = pl.col("tag").is_in(describing) & pl.col("key").is_in(people["key"].unique().implode())
        dropped = used.filter(is_dropped, category="general")
    else:
        of_mode = {"character_core": core.filter("is_character"), "all_core": core}.get(settings.prune, core.clear())
        dropped = people.join(of_mode, on=["identity", "appearance"])
    on = ["key", "tag", "category"]
    dropped = dropped.select("key", "tag", category=pl.lit("general")).unique()
    last = used.join(dropped, on=on, how="semi") if settings.append_dropped else used.clear()
    used = used.join(dropped, on=on, how="anti")
    used = pl.concat([used.with_columns(is_dropped=pl.lit(False)), last.with_columns(is_dropped=pl.lit(True))])
    peopled = [tag for tag in vocabulary if PEOPLE.fullmatch(tag)]
    position = pl.when(tag=SOLO).then(0).when(pl.col("tag").is_in(peopled)).then(1).otherwise(2)
    position = position + pl.when("is_dropped").then(3).otherwise(0)
    is_by_score = (position % 3 == 2) & (pl.lit(settings.order == "score") | (pl.col("category") == "rating"))
    order = pl.when(is_by_score).then(-pl.col("score")).otherwise(0.0)
    group = pl.when(is_drawn).then(pl.lit("general")).otherwise("category")
    used = used.with_columns(category=group, place=position).sort("key", "category", "place", order, "number")
    used = used.with_columns(rank=pl.int_range(pl.len()).over("key", "category"))
    used = used.filter((pl.col("category") != "general") | (pl.col("rank") < settings.maximum))
    used = used.select(pl.col("key", "tag").cast(pl.String), "category", "rank", "is_dropped", is_first=pl.col("place") < 2)
    return used, all_core.with_columns(pl.col("tag").cast(pl.String))


def core_tags(tags: pl.DataFrame, people: pl.DataFrame, settings: TagSettings) -> pl.DataFrame:
    """Return the tags that most pictures with one identity alone have, by identity and appearance.

    "Most" is at least the fraction `core_frequency`. The columns are those of `tables.CoreTags` without `is_character`. A tag
    with a word of the context, or about the number of people, is none.
    """
    whose, context = ["identity", "appearance"], set(settings.character.context)
    alone = people.filter(pl.len().over("key") == 1)
    totals = alone.group_by(whose).agg(total=pl.len())
    counts = tags.join(alone, on="key").group_by(*whose, "tag").agg(count=pl.col("key").n_unique())
    shares = counts.join(totals, on=whose).with_columns(frequency=pl.col("count") / pl.col("total"))
    counted = [
        tag
        for tag in tags["tag"].unique()
        if tag == SOLO or PEOPLE.fullmatch(tag) or context.intersection(re.split(r"[\W_]+", tag.lower()))
    ]
    core = shares.filter((pl.col("frequency") >= settings.core_frequency) & ~pl.col("tag").is_in(counted))
    return core.select(*whose, "tag", "frequency").sort(*whose, -pl.col("frequency"), "tag")


def count_people(tags: pl.DataFrame) -> Mapping[str, int]:
    """Return how many people the tags of pictures such as `2girls` count, by readable tag."""
    matches = {tag: re.fullmatch(r"(\d+)\+?(girl|boy|other)s?", tag) for tag in tags["tag"].unique()}
    return {tag: int(match[1]) for tag, match in matches.items() if match and len(match[1]) < 4}
