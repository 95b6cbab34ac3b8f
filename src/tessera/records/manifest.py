"""The manifest: the sources of footage, their rights and their use, and the shards that they are divided into."""

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from tessera.core.files import file_name, files_of, not_an_address, or_folder, size_of
from tessera.core.messages import Message
from tessera.core.provenance import digest
from tessera.core.tsv import Fault, read_sheet, refuse
from tessera.records.label_sets import SETS

BLOCK = 4096  # bytes of a sample of a file
SMALL = 100_000_000  # bytes, about a minute of 1080p; the jobs of a larger source take far longer than starting them
FULL = 500_000_000  # bytes of small sources in a shard
BUCKET = "shard-"  # the names of shards of several sources start with this
Shards = Literal["auto", "per_source"] | int
RESTORE = "restore"  # in the column `use`: the video is restored
IS_RESULT = "is a result of this project; name the original"
# What a path that does not exist may contain, as a regular expression, and the fix.
NO_PATH = {
    "^~": " (write the home folder in full)",
    "^['\"]|['\"]$": " (remove the quotes)",
    "^(https?|file):/": " (name a file on this machine by its path)",
    r"[*?]": " (list each video by its name, or the folder of the images)",
    r"\\": " (separate folders with /)",
    r"^\s|\s$": " (remove the spaces around it)",
}


def _not_a_set(value: str) -> str:
    if value.startswith(SETS):
        reserved = ", ".join(map(repr, SETS))
        raise ValueError(f"ids that start with one of {reserved} are reserved for images that the settings name")
    return value


def _one_line(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("should have no control characters or line breaks, and no spaces around it")
    return value


SourceId = Annotated[str, AfterValidator(_not_a_set)]


class Source(BaseModel):
    """A source: what decides whether it is admitted, and what is made of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: SourceId = Field(min_length=1, description="unique id")
    path: Annotated[str, AfterValidator(not_an_address)] = Field(
        min_length=1, description="a video, an image, or a folder of images; relative to the working folder"
    )
    content: Literal["general", "adult"]
    rights: str = Field("", description="licence or contract reference")
    consent: str = Field("", description="reference to the release of the people shown")
    adults_verified: Literal["yes", "no", ""] = Field("", description="`yes` is required if content is adult")
    use: tuple[str, ...] = Field(
        (), description=f"datasets that use it, and `{RESTORE}`, separated by commas; empty: all datasets"
    )
    shard: str = Field("", description="name of its shard; empty: chosen by the setting `shards`")
    split: Literal["train", "val", "test", ""] = Field("", description="a fixed split; empty: by hash")
    series: Annotated[str, AfterValidator(_one_line)] = Field("", description="series that it is an episode or a part of")

    @field_validator("use", "free_of", mode="before", check_fields=False)
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return _names(value) if isinstance(value, str) else value


class ListedSource(Source):
    """One row of the manifest: a source, and what detectors must not find in it. No sample depends on the latter."""

    free_of: tuple[str, ...] = Field((), description="what it is known not to show, separated by commas; empty: nothing known")


def read_manifest(
    path: Path, datasets: Collection[str], findable: Collection[str], results: Path = Path("results")
) -> list[ListedSource]:
    """Return the sources in the manifest `path`, in its order. `tessera.core.tsv.read_sheet` describes the format.

    `datasets` are the names that are allowed in the column `use` beside `RESTORE`, and `findable` those in the column
    `free_of`: what detectors find. `results`: the folder of the results, in which no source may lie.
    Raises `TesseraError` that lists every fault with its line.
    """
    fix = f"set `manifest` to a table of your sources (see config/README.md){or_folder(path)}"
    sheet = read_sheet(path, ListedSource, "manifest", fix)
    faults = [
        (line, f"{column}: unknown {what} {name!r}; allowed: {', '.join(allowed)}")
        for column, what, allowed in (("use", "dataset", (*datasets, RESTORE)), ("free_of", "kind of region", findable))
        for line, row in sheet.texts
        for name in _names(row.get(column, ""))
        if name not in allowed
    ]
    made = results_among((source.path for _, source in sheet.rows), results)
    faults += [(line, f"path: {source.path!r} {IS_RESULT}") for line, source in sheet.rows if source.path in made]
    clashes = _clashes([(line, row["source"]) for line, row in sheet.texts if row.get("source")])
    refuse(path, [*sheet.faults, *faults, *clashes])
    return [source for _, source in sheet.rows]


def _names(text: str) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas, each once, sorted."""
    return tuple(sorted({part.strip() for part in text.split(",")} - {""}))


def _clashes(ids: list[tuple[int, str]]) -> list[Fault]:
    """Return the faults of the rows whose ids clash with that of an earlier row. `ids`: the line and the id of each row."""
    faults: list[tuple[int, Message]] = []
    lines: dict[str, int] = {}
    names: dict[str, str] = {}
    for line, source in ids:
        # Some file systems ignore case. There, one source would overwrite the other.
        same_name = names.setdefault(file_name(source).casefold(), source)
        if source in lines:
            faults.append((line, f"source {source!r} is already on line {lines[source]}"))
        elif same_name != source:
            faults.append((line, f"source {source!r} differs only in case from {same_name!r}"))
        lines.setdefault(source, line)
    return faults


def results_among(paths: Iterable[str], results: Path) -> set[str]:
    """Return those of `paths` that lie in the folder `results` or are links to what lies there, but for harvested pictures.

    Such a source would outlive its original if that is withdrawn. Only what the harvest makes is an original.
    """
    # A folder in the results may be a link to another disk.
    folders = {each.resolve() for each in results.glob("*") if each.name != "harvest"}
    found = set()
    for path in paths:
        with suppress(ValueError):  # a null character
            real = Path(path).resolve()
            if real in folders or not folders.isdisjoint(real.parents):
                found.add(path)
    return found


def is_missing(source: Source) -> bool:
    """Return whether the path of `source` does not exist, or is a folder of links none of which leads to something."""
    # Unlike `Path.exists`, this accepts any string that a manifest can contain.
    if not os.path.isdir(source.path) or not os.access(source.path, os.R_OK | os.X_OK):  # noqa: PTH112
        return not os.path.exists(source.path)  # noqa: PTH110
    with os.scandir(source.path) as entries:
        links = [entry.path for entry in entries if entry.is_symlink()]
    return bool(links) and not any(map(os.path.exists, links))


def describe_missing(manifest: Path, missing: Collection[str]) -> list[str]:
    """Return the line in `manifest`, the id and the path of each source whose id is in `missing`, for a message."""
    return [
        f"line {line}: {row.source!r}: {row.path!r}" + path_hints(row.path)
        for line, row in read_sheet(manifest, ListedSource, "manifest", "").rows
        if row.source in missing
    ]


def path_hints(path: str) -> str:
    """Return in parentheses what may be wrong with a `path` that does not exist; empty if nothing is known."""
    return "".join(hint for part, hint in NO_PATH.items() if re.search(part, path))


AnySource = TypeVar("AnySource", bound=Source)


def group_by_shard(sources: Sequence[AnySource], shards: Shards, *, subfolders: bool = False) -> dict[str, list[AnySource]]:
    """Return the sources of each shard, with shards sorted by name and sources in the order of `sources`.

    A shard has a valid file name. A number of shards divides the sources by a hash of their ids. `auto` does so with sources
    below `SMALL` bytes, in as many shards as hold `FULL` bytes each. Sources that are larger or missing get shards of their
    own, so that they stay there if a disk is not mounted. One more source moves others at most into one new shard.
    `subfolders`: whether the pictures in subfolders of a folder count.
    """
    small: set[str] = set()
    count = 0
    if shards == "auto":
        sizes = {
            source.source: size_of(Path(source.path), SMALL, subfolders=subfolders) for source in sources if not source.shard
        }
        small = {source for source, size in sizes.items() if 0 < size < SMALL}
        count = ceil(sum(sizes[source] for source in small) / FULL)
    elif shards != "per_source":
        small, count = {source.source for source in sources}, shards
    groups: dict[str, list[AnySource]] = {}
    for source in sources:
        bucket = f"{BUCKET}{_bucket(source.source, count)}" if source.source in small else file_name(source.source)
        groups.setdefault(file_name(source.shard) if source.shard else bucket, []).append(source)
    return dict(sorted(groups.items()))


def _bucket(source: str, count: int) -> int:
    """Return one of `count` buckets for `source`, by linear hashing (Litwin 1980).

    One more bucket takes its sources from a single other one. Buckets that were split hold half as much as the others.
    """
    hashed = int(hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest(), 16)
    power = 1 << (count - 1).bit_length()
    bucket = hashed % power
    return bucket if bucket < count else bucket - power // 2


def find_possible_copies(sources: Sequence[Source], *, subfolders: bool = False) -> dict[str, list[Source]]:
    """Return, by source id, all earlier sources that may hold the same footage; most sources have none, and are left out.

    Two sources may hold the same footage if their sizes and the sampled blocks of their files are equal. Only `admit_sources`
    reads complete files: each source, and these until one is the same. Time and memory grow linearly with the number of
    sources, but with the square of the number of those that may all hold the same.
    `subfolders`: whether the pictures in subfolders of a folder count.
    """
    sizes = {source.source: size_of(Path(source.path), subfolders=subfolders) for source in sources}
    shared = Counter(sizes.values())
    alike: dict[tuple[int, str], list[Source]] = {}
    earlier: dict[str, list[Source]] = {}
    for source in sources:
        size = sizes[source.source]
        if size and shared[size] > 1:
            copies = alike.setdefault((size, _samples(Path(source.path), subfolders)), [])
            if copies:
                earlier[source.source] = [*copies]
            copies.append(source)
    return earlier


def _samples(path: Path, subfolders: bool) -> str:
    """Return a digest of a few blocks of the file `path`; for a folder, of blocks of all its files and of their names."""
    files = files_of(path, subfolders=subfolders)
    return digest([[file.relative_to(path).as_posix(), *_blocks(file)] for file in files])


def _blocks(file: Path) -> list[str]:
    """Return the first, the middle and the last block of the regular file `file`, or no blocks if it cannot be read."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        state = os.fstat(descriptor)
        offsets = [0, state.st_size // 2, max(0, state.st_size - BLOCK)] if stat.S_ISREG(state.st_mode) else []
        return [os.pread(descriptor, BLOCK, offset).hex() for offset in offsets]
    except OSError:
        return []
    finally:
        os.close(descriptor)
