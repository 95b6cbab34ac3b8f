"""Write the captions of an image set: from a template of parts, or from a table of people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import format_counts, pluralize
from tessera.core.names import Names
from tessera.core.seeds import generator
from tessera.core.tsv import read_sheet, refuse
from tessera.extras.image_sets.caption_settings import CaptionSettings, PartSettings
from tessera.extras.image_sets.processing import count_people, process_tags, read_blacklist, read_overlaps
from tessera.extras.image_sets.written import OF_NONE, Fault, Written, captions_of_frames
from tessera.records.frame_keys import meant_frames
from tessera.records.identities import CLUSTER
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_sets import Captions, CoreTags, SetPictures
from tessera.records.tables.table import read_table, read_tables, types, write_table
from tessera.records.tables.tags import Tags
from tessera.records.tags import read_tags, unknown_tags

MANY = 6  # people, from which on they are not counted
PARTS = tuple(PartSettings.model_fields)  # their order decides the random draws


class CaptionRow(BaseModel):
    """One row of a table of captions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1, description="key of a picture of the set")
    caption: str = Field(description="one line; several rows of one key are its variants")


def caption_set(
    selected: Path,
    tags: Sequence[Path],
    identities: Sequence[Path],
    settings: CaptionSettings,
    seed: int,
    captions: Path,
    core: Path,
    wildcards: Path,
    ledger: Path,
    tag_list: Path | None = None,
    image_set: str = "",
    frames: Sequence[Path] = (),
    sources: Path | None = None,
) -> None:
    """Write the captions of an image set to `captions` (`tables.Captions`), and the core tags to `core` (`tables.CoreTags`).

    `wildcards` gets two lines for each identity and appearance with core tags, from which prompts can be drawn: its name, and
    its name with those core tags that captions keep.

    `selected`: `tables.SetPictures`. `tags`: files of `tables.Tags`. `identities`: files of `tables.Identities`. `ledger` gets
    one row per picture, and one for each key of a table of captions that is no picture of the set. `tag_list`: that of the
    tagger, which is given where the settings of `image_set` were not compared with it before the jobs started. `frames`: files
    of `tables.Frames`, and `sources`: `tables.Sources`, for captions in files.

    The caption of a frame is that of `settings.table` or, without a row there, that of its file in `settings.files`. Other
    pictures have the caption of the template, unless there is only a table: then it is empty.
    """
    for message in unknown_tags(settings.tags.stated(f"image_sets.{image_set}"), read_tags(tag_list)) if tag_list else ():
        tell(message)
    pictures = read_table(selected, SetPictures).sort("key")
    keys = pictures["key"].to_list()
    texts, remarks = _given(settings.table, keys, settings.maximum) if settings.table else ({}, {})
    faults: list[Fault] = []
    if settings.files and sources:
        written = _written(settings.files, frames, sources)
        faults = written.faults
        # A table says more surely what is meant.
        from_files = {key: text for key, text in written.texts.items() if key in set(keys) and key not in texts}
        remarks |= dict.fromkeys(texts.keys() & written.texts.keys(), ("caption of the table used", "there is a file, too"))
        remarks |= {key: written.remarks[key] for key in from_files.keys() & written.remarks.keys()}
        cut = {key: text for key, text in from_files.items() if len(text) > settings.maximum}
        remarks |= {key: ("caption cut", pluralize(len(text), "characters")) for key, text in cut.items()}
        texts |= {key: [text] for key, text in from_files.items()}
        remarks |= {key: ("no caption file", "it has the caption of the template") for key in keys if key not in texts}
    elif settings.table:
        remarks |= {key: ("no caption", "") for key in keys if key not in texts}
        texts |= {key: [""] for key in keys if key not in texts}
    core_rows = pl.DataFrame(schema=types(CoreTags))
    stated = [(key, variant, text) for key in sorted(texts) for variant, text in enumerate(texts[key])]
    rows = pl.DataFrame(stated, schema=types(Captions), orient="row")
    rows = rows.with_columns(caption=_cut(pl.col("caption"), settings.maximum))
    if len(texts) < len(keys):
        tag_rows = read_tables(list(tags), Tags)
        tag_rows = tag_rows.join(pictures.select("key"), on="key", how="semi")
        made, core_rows = make_captions(pictures, tag_rows, read_tables(list(identities), Identities), settings, seed)
        rows = pl.concat([rows, made.filter(~pl.col("key").is_in(list(texts)))]).sort("key", "variant")
    empty = set(rows.filter(caption="")["key"])
    with Ledger(ledger) as entries:
        for key in pictures["key"]:
            reason, detail = remarks.pop(key, ("", ""))
            entries.row(key, "ok", reason or ("empty caption" if key in empty else ""), detail)
        for key, (reason, detail) in sorted(remarks.items()):
            entries.row(key, "failed", reason, detail)
        for key, reason, detail in sorted(faults):
            entries.row(key, "dropped" if reason == OF_NONE else "failed", reason, detail)
    if settings.files:
        lost = format_counts(Counter(reason for _, reason, _ in faults))
        tell(f"{pluralize(len(texts), 'pictures')} of {len(keys):,} have a caption of their own; unused: {lost or 'none'}")
    if empty:
        tell(f"{pluralize(len(empty), 'pictures')} have an empty caption; see {ledger.name}")
    write_table(rows, Captions, captions)
    write_table(core_rows, CoreTags, core)
    wildcards.write_text("".join(f"{line}\n" for line in _wildcards(core_rows, settings)), encoding="utf-8", newline="\n")


def _wildcards(core: pl.DataFrame, settings: CaptionSettings) -> Iterator[str]:
    """Yield the lines of the wildcards of `core` (`tables.CoreTags`)."""
    separators = settings.separators
    for (identity, appearance), rows in core.group_by("identity", "appearance", maintain_order=True):
        name = _named(str(identity), str(appearance), settings=settings)
        yield name
        dropped = {"none": pl.lit(False), "minimal": pl.lit(False), "all_core": pl.lit(True)}
        names = rows.filter(~dropped.get(settings.tags.prune, pl.col("is_character")))["tag"].to_list()
        if names:
            yield f"{name}{separators.part}{separators.tag.join(names)}"


def _named(identity: str, appearance: str, *, settings: CaptionSettings) -> str:
    """Return how captions name `identity` with its `appearance`."""
    named = settings.triggers.get(identity, identity)
    return f"{named}{settings.separators.appearance}{appearance}" if appearance else named


def _written(files: Path | str, frames: Sequence[Path], sources: Path) -> Written:
    table = read_tables(list(frames), Frames).select("key", "source", "name")
    folders = read_table(sources, Sources).filter(kind="folder").select("source", "path")
    return captions_of_frames(table, {source: Path(path) for source, path in folders.iter_rows()}, files)


def make_captions(
    pictures: pl.DataFrame, tags: pl.DataFrame, identities: pl.DataFrame, settings: CaptionSettings, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of `tables.Captions` and of `tables.CoreTags`, made of a template of parts.

    Each part of which a picture has something is in a caption with its probability. The draws depend on the seed, the key and
    the variant: another probability changes no other part. An identity is named only if the table of identities has it in the
    same frame, and a cluster that nobody named never is. `pictures`: `tables.SetPictures`, sorted by key. `tags`:
    `tables.Tags`. `identities`: `tables.Identities`.
    """
    people = _people(pictures, identities)
    separators = settings.separators
    of_tags = settings.tags
    overlaps = [pair for path in of_tags.overlaps if isinstance(path, Path) for pair in read_overlaps(path)]
    if of_tags.blacklist_file:
        blacklist = (*of_tags.blacklist, *read_blacklist(of_tags.blacklist_file))
        of_tags = of_tags.model_copy(update={"blacklist": blacklist})
    processed, core = process_tags(tags, people, overlaps, of_tags)
    chances, salts = _draws(pictures["key"].to_list(), settings, seed)
    names = [_named(*each, settings=settings) for each in people.select("identity", "appearance").iter_rows()]
    named = people.with_columns(name=pl.Series(names, dtype=pl.String))
    if settings.tags.escaped:
        processed = processed.with_columns(pl.col("tag").str.replace_all(r"([()])", r"\${1}"))
    counts = count_people(tags)
    is_seen = (pl.col("category") == "general") & (pl.col("score") >= settings.tags.thresholds.general)
    numbered = tags.filter(is_seen & pl.col("tag").is_in(list(counts)))
    number = pl.col("tag").replace_strict(counts, default=0, return_dtype=pl.Int64).sum()
    several = pl.when(n=1).then(pl.lit("1 person")).when(pl.col("n") < MANY).then(pl.format("{} people", "n"))
    people_text = several.otherwise(pl.lit("many people"))
    by_category = {
        name: processed.filter(category=name).group_by("key", maintain_order=True).agg(pl.col("tag").str.join(separators.tag))
        for name in ("copyright", "artist")
    }
    parts = {
        "npeople": numbered.group_by("key").agg(n=number).select("key", npeople=people_text),
        "character": named.group_by("key", maintain_order=True).agg(character=pl.col("name").str.join(separators.character)),
        **{
            name: table.select("key", (pl.lit(getattr(separators, name)) + pl.col("tag")).alias(name))
            for name, table in by_category.items()
        },
        "rating": processed.filter(pl.col("tag").is_in(settings.ratings), category="rating", rank=0).select(
            "key", rating="tag"
        ),
    }
    frame = pictures.select(
        "key",
        image_type=pl.col("step").replace_strict(dict(settings.image_types), default=None, return_dtype=pl.String),
        crop_info=pl.when(pl.col("step") != "frame").then(pl.format("{} crop", "step")),
        text=pl.lit(settings.text),
    )
    for part in parts.values():
        frame = frame.join(part, on="key", how="left", maintain_order="left")
    general = processed.filter(category="general")
    tag_rows = general.select("key", "tag", "rank", "is_first", "is_dropped")
    variants = []
    for variant in range(settings.variants):
        drawn = pl.DataFrame({"key": frame["key"], "salt": salts[:, variant]})
        listed = tag_rows
        if settings.shuffle:
            mixed = _mix(tag_rows.join(drawn, on="key", maintain_order="left")["salt"].to_numpy(), tag_rows["rank"].to_numpy())
            order = pl.when("is_first").then(pl.col("rank").cast(pl.UInt64)).otherwise(pl.Series(mixed))
            listed = tag_rows.with_columns(place=order).sort("key", "is_dropped", ~pl.col("is_first"), "place")
        listed = listed.group_by("key", maintain_order=True).agg(tags=pl.col("tag").str.join(separators.tag))
        captioned = frame.join(listed, on="key", how="left", maintain_order="left")
        probability = settings.parts.model_dump()
        captioned = captioned.with_columns(
            pl.when(pl.Series(chances[:, variant, PARTS.index(part)] < probability[part]) & (pl.col(part) != "")).then(part)
            for part in settings.order
        )
        caption = _joined(settings.order, separators.part)
        if separators.keep and (parted := settings.order.index(separators.keep_before)):
            before, after = (_joined(parts, separators.part) for parts in (settings.order[:parted], settings.order[parted:]))
            is_parted = (before != "") & pl.col(separators.keep_before).is_not_null()
            caption = pl.when(is_parted).then(before + pl.lit(separators.keep) + after).otherwise(caption)
        variants.append(captioned.select("key", variant=pl.lit(variant, pl.Int64), caption=_cut(caption, settings.maximum)))
    return pl.concat(variants).sort("key", "variant"), core


def _joined(parts: Sequence[str], separator: str) -> pl.Expr:
    return pl.concat_str(list(parts), separator=separator, ignore_nulls=True)


def _people(pictures: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each identity of each picture that the table of identities has in its frame."""
    pairs = pictures.select("key", "frame", identity="identities", appearance="appearances").explode("identity", "appearance")
    pairs = pairs.filter(~pl.col("identity").str.contains(CLUSTER))
    return (
        pairs.join(identities, on=["frame", "identity"], how="semi")
        .select("key", "identity", "appearance")
        .sort("key", "identity")
    )


def _draws(keys: list[str], settings: CaptionSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return draws for each picture and variant: float64 (N, variants, parts) in [0, 1), and uint64 (N, variants)."""
    shape = (settings.variants, len(PARTS) + 1)
    numbers = np.zeros((len(keys), *shape))
    if settings.shuffle or any(0 < chance < 1 for chance in settings.parts.model_dump().values()):
        for row, key in zip(numbers, keys, strict=True):
            generator(seed, "captions", key).random(out=row)
    return numbers[..., :-1], (numbers[..., -1] * 2**53).astype(np.uint64)


def _mix(salts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return uint64 (N,) that look random, made of `salts` and `numbers` with the finaliser of SplitMix64."""
    mixed = salts + (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _cut(caption: pl.Expr, maximum: int) -> pl.Expr:
    """Return `caption` with at most `maximum` characters; a longer one ends before the word that does not fit."""
    short = caption.str.slice(0, maximum + 1).str.replace(r"[,\s]+\S*$", "").str.slice(0, maximum)
    return pl.when(caption.str.len_chars() > maximum).then(short).otherwise(caption)


def _given(path: Path, keys: list[str], maximum: int) -> tuple[dict[str, list[str]], dict[str, tuple[str, str]]]:
    """Return the captions of `keys` from the table `path`, several are variants, and what the ledger says of keys.

    For renamed pictures, see `meant_frames`. A NUL character or a byte order mark is removed, and a line break becomes a space.
    Raises `TesseraError` if the table has a fault, or if none of its keys is a picture of the set.
    """
    sheet = read_sheet(path, CaptionRow, "table of captions", "set `captions.table` to your table of captions")
    refuse(path, sheet.faults)
    known = Names((key, key) for key in keys)
    stated = {row.key for _, row in sheet.rows}
    # A renamed picture keeps the caption of its former name, unless it has one under its own.
    renamed = {key: now for key, now in meant_frames(stated, keys).now.items() if now == key or now not in stated}
    texts: dict[str, list[str]] = {}
    remarks: dict[str, tuple[str, str]] = {}
    for line, row in sheet.rows:
        matches = [renamed[row.key]] if row.key in renamed else known.find(row.key)
        if len(matches) != 1:
            several = f"; it may be one of {', '.join(map(repr, matches))}" if matches else ""
            remarks[row.key] = ("caption of no picture", f"{path}, line {line}{several}")
            continue
        key = matches[0]
        clean = " ".join(row.caption.replace("\0", "").replace("\ufeff", "").split())
        if clean != row.caption:
            remarks[key] = ("caption cleaned", f"{path}, line {line}: NUL, a byte order mark or a line break")
        if len(clean) > maximum:
            remarks[key] = ("caption cut", f"{path}, line {line}: {pluralize(len(clean), 'characters')}")
        texts.setdefault(key, []).append(clean)
    if not texts:
        raise TesseraError(f"{path}: none of its keys is a picture of the set; use the names of the files without extensions")
    return texts, remarks
