"""The manifest: which footage there is, under which rights, for which use; and the shards it is worked in."""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tessera.errors import TesseraError
from tessera.provenance import file_name
from tessera.sheets import Fault, read_sheet, refuse

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SPECIAL = re.compile(r"[<>{}\x00-\x1f]")  # in the name of an input, Snakemake takes these for more than themselves
LABELS = "labels:"  # what the source of an image from a folder of labels starts with,
WATERMARKS = "watermarks:"  # and that of one from a set of images with watermarks
SETS = (LABELS, WATERMARKS)
DATASETS = ("nsfw_detection", "watermark_detection", "mosaic_detection", "mosaic_restoration")


class Source(BaseModel):
    """One row of the manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1, description="unique id")
    path: str = Field(min_length=1, description="a video, an image, or a folder of images; relative to the working folder")
    content: Literal["general", "adult"]
    rights: str = Field("", description="licence or contract reference")
    consent: str = Field("", description="reference to the release of those who are shown")
    adults_verified: Literal["yes", "no", ""] = Field("", description="`yes` is required where content is adult")
    use: tuple[str, ...] = Field((), description="the datasets it feeds, separated by commas; empty: all")
    shard: str = Field("", description="the shard it is worked in; empty: as the setting `shards` says")
    split: Literal["train", "val", "test", ""] = Field("", description="a fixed split; empty: by hash")

    @field_validator("use", mode="before")
    @classmethod
    def _split_use(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("source")
    @classmethod
    def _not_a_set(cls, value: str) -> str:
        if value.startswith(SETS):
            raise ValueError(f"an id that starts with {LABELS!r} or {WATERMARKS!r} is kept for images that the settings name")
        return value

    @field_validator("use")
    @classmethod
    def _known_use(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(value) - set(DATASETS))
        if unknown:
            raise ValueError(f"unknown dataset {unknown[0]!r}; allowed: {', '.join(DATASETS)}")
        return value


def read_manifest(path: Path) -> list[Source]:
    """Return the sources of the manifest `path`, in its order; how it is written: see `tessera.sheets.read_sheet`.

    Raises `TesseraError` that lists every fault with its line.
    """
    mend = "set `manifest` to a table of your sources"
    try:
        rows, faults = read_sheet(path, Source, "manifest", mend)
    except FileNotFoundError:
        raise TesseraError(f"{path}: no such manifest; {mend} (see config/README.md)") from None
    refuse(path, [*faults, *_clashes(rows)])
    return [source for _, source in rows]


def _clashes(rows: list[tuple[int, Source]]) -> list[Fault]:
    """Return which of the `rows`, given with their lines, have the id of one before."""
    faults = []
    lines: dict[str, int] = {}
    names: dict[str, str] = {}
    for line, source in rows:
        # Some file systems do not tell cases apart, and one source would overwrite the other.
        same_name = names.setdefault(file_name(source.source).casefold(), source.source)
        if source.source in lines:
            faults.append((line, f"source {source.source!r} is already on line {lines[source.source]}"))
        elif same_name != source.source:
            faults.append((line, f"source {source.source!r} differs only in case from {same_name!r}"))
        lines.setdefault(source.source, line)
    return faults


def shard_of(source: Source, shards: Literal["per_source"] | int) -> str:
    """Return the name of the shard that `source` belongs to, fit for a file name.

    With a number, the shard is a hash of the source id: adding a source touches one shard.
    """
    if source.shard:
        return file_name(source.shard)
    if shards == "per_source":
        return file_name(source.source)
    bucket = int(hashlib.sha256(source.source.encode("utf-8", "surrogatepass")).hexdigest(), 16) % shards
    return f"shard-{bucket:0{len(str(shards - 1))}}"


def group_by_shard(sources: list[Source], shards: Literal["per_source"] | int) -> dict[str, list[Source]]:
    """Return the sources of each shard, shards by name and sources in the order of the manifest."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(shard_of(source, shards), []).append(source)
    return dict(sorted(groups.items()))


def files_of(path: Path) -> list[Path]:
    """Return the file `path`, or the images directly in the folder `path` by name; nothing where there is nothing to read."""
    path = Path(path)
    try:
        # Unlike `Path.is_dir` and `Path.exists`, these take whatever a manifest may hold.
        if os.path.isdir(path):  # noqa: PTH112
            return sorted(path / name for name in os.listdir(path) if Path(name).suffix.lower() in IMAGE_SUFFIXES)  # noqa: PTH208
    except PermissionError:
        return []
    return [path] if os.path.exists(path) else []  # noqa: PTH110


def is_plain_file(path: Path) -> bool:
    """Whether `path` is a regular file that may be read and whose name Snakemake takes as it is."""
    return os.path.isfile(path) and os.access(path, os.R_OK) and not SPECIAL.search(str(path))  # noqa: PTH113


def size_of(path: Path) -> int:
    """Return the size of the regular file `path` in bytes, or of all files of a folder; 0 where there is none."""
    sizes = [state.st_size for state in map(_stat, files_of(path)) if state and stat.S_ISREG(state.st_mode)]
    return sum(sizes)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def twins(sources: list[Source]) -> dict[str, list[Source]]:
    """Return, per source id, the earlier sources of equal size in bytes: only they can hold the same footage.

    Whether two sources are one file is thus settled where a source is admitted, without reading any other.
    """
    by_size: dict[int, list[Source]] = {}
    earlier: dict[str, list[Source]] = {}
    for source in sources:
        size = size_of(Path(source.path))
        earlier[source.source] = list(by_size.get(size, [])) if size else []
        by_size.setdefault(size, []).append(source)
    return earlier
