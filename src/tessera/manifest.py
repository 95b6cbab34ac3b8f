"""The manifest: which footage there is, under which rights, for which use; and the shards it is worked in."""

import csv
import hashlib
import io
import os
import re
import stat
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tessera.errors import TesseraError
from tessera.provenance import file_name
from tessera.settings import complaint

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
    """Return the sources of the tab-separated file `path`, in its order.

    A field that holds a tab, a quote or a newline is quoted as in CSV. Lines before the header that start with `#`
    are comments.
    Raises `TesseraError` that lists every fault with its line.
    """
    try:
        # Line ends stay as they are: a field may hold one.
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise TesseraError(
            f"{path}: no such manifest; set `manifest` to a table of your sources (see config/README.md)"
        ) from None
    except OSError as error:
        raise TesseraError(
            f"{path}: the manifest cannot be read ({error.strerror}); set `manifest` to a table of your sources"
        ) from None
    except UnicodeDecodeError as error:
        raise TesseraError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    lines = io.StringIO(text, newline="").readlines()  # not str.splitlines, which also cuts at rarer separators
    skipped = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    reader = csv.reader(lines[skipped:], delimiter="\t", strict=True)
    faults: list[str] = []
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        faults += _header_faults(header, skipped + 1)
        line = skipped + reader.line_num + 1
        for fields in reader:
            if any(fields):
                if len(fields) > len(header):
                    faults.append(f"line {line}: {len(fields)} fields, the header has {len(header)}")
                rows.append((line, dict(zip(header, fields, strict=False))))
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        faults.append(f"line {skipped + reader.line_num}: {error}")
    sources = _sources(rows, faults) if not faults else []
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise TesseraError(f"{path} has {len(faults)} fault(s):\n{listed}")
    return sources


def _header_faults(header: list[str], line: int) -> list[str]:
    if len(header) == 1 and (separator := re.search("[,; ]", header[0])):
        return [f"line {line}: the columns are separated by {separator[0]!r}; separate columns with tabs"]
    required = [name for name, field in Source.model_fields.items() if field.is_required()]
    missing = [name for name in required if name not in header]
    unknown = [name for name in header if name not in Source.model_fields]
    twice = sorted({name for name in header if header.count(name) > 1})
    return [
        *(f"line {line}: column {name!r} is missing" for name in missing),
        *(f"line {line}: unknown column {name!r}; allowed: {', '.join(Source.model_fields)}" for name in unknown),
        *(f"line {line}: column {name!r} is there twice" for name in twice),
    ]


def _sources(rows: list[tuple[int, dict[str, str]]], faults: list[str]) -> list[Source]:
    sources = []
    lines: dict[str, int] = {}
    names: dict[str, str] = {}
    for line, row in rows:
        try:
            source = Source.model_validate(row)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                column = ".".join(map(str, fault["loc"]))
                faults.append(f"line {line}: {column}: {complaint(fault)}; given: {fault['input']!r}")
            continue
        # Some file systems do not tell cases apart, and one source would overwrite the other.
        same_name = names.setdefault(file_name(source.source).casefold(), source.source)
        if source.source in lines:
            faults.append(f"line {line}: source {source.source!r} is already on line {lines[source.source]}")
        elif same_name != source.source:
            faults.append(f"line {line}: source {source.source!r} differs only in case from {same_name!r}")
        lines.setdefault(source.source, line)
        sources.append(source)
    return sources


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
