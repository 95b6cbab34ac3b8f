"""Examine sources, and admit those that may be used."""

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import IMAGE_SUFFIXES, InputFile, files_of, open_file
from tessera.core.job import progress, tell
from tessera.core.ledger import Ledger, gate, read_ledger
from tessera.core.messages import counted, shortened, tallied
from tessera.core.provenance import digest
from tessera.core.settings import Settings
from tessera.imaging.probe import Look, Media, probe, probe_image
from tessera.records.blocklist import Blocklist, read_blocklist
from tessera.records.manifest import Source
from tessera.records.rights import check_rights

SHOWN = 5  # examples in a message
COPY = "same file as another source"  # a reason for refusal


class SourceSettings(Settings):
    """How sources are examined and admitted."""

    check: Literal["packets", "keyframes", "all"] = "keyframes"
    subfolders: bool = False
    blocklist: InputFile = Path("resources/blocklist.tsv")
    blocklist_distance: int = Field(8, ge=0, le=31)


@dataclass(frozen=True)
class Digests:
    """The content of a source: one file, or the images directly inside a folder."""

    is_folder: bool
    files: dict[Path, str]  # the sha256 of each
    unreadable: dict[str, str]  # why an image cannot be read, by its name
    size: int  # bytes

    @property
    def sha256(self) -> str:
        """The sha256 of the file; for a folder, a digest of the names and sha256 of its images."""
        return (
            digest([[file.name, sha256] for file, sha256 in self.files.items()])
            if self.is_folder
            else next(iter(self.files.values()))
        )


def read_digests(path: Path) -> Digests:
    """Return the digests of the file or the folder `path`. Raises `Failed` if nothing in it can be read."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises on some strings that a manifest may contain)
    if is_folder and not os.access(path, os.R_OK | os.X_OK):
        raise Failed("permission denied", f"the folder {str(path)!r} cannot be listed; change its permissions")
    images = files_of(path) if is_folder else [path]
    if not images:
        raise Failed(
            "no images",
            f"the folder {str(path)!r} contains no {', '.join(sorted(IMAGE_SUFFIXES))}; its subfolders are not searched",
        )
    files: dict[Path, str] = {}
    unreadable: dict[str, str] = {}
    size = 0
    for image in progress(images, unit="files"):
        try:
            with open_file(image) as file:
                files[image] = hashlib.file_digest(file, "sha256").hexdigest()
                size += file.tell()
        except Failed as fault:
            if not is_folder:
                raise
            unreadable[image.name] = str(fault)
    return Digests(is_folder, files, unreadable, size)


def examine(source: Source, twin: Source | None, blocklist: Blocklist, settings: SourceSettings) -> Iterator[dict[str, Any]]:
    """Examine `source` step by step, and yield the result of each step: columns of `tables.Sources` and of the report.

    `twin`: an earlier source that may be the same file. If it is, `source` is refused, even if the earlier one was refused as
    well: the manifest then contradicts itself about the same footage. A source without rights is never read.

    Raises `Dropped` if `source` must not be used, and `Failed` if it cannot be used.
    """
    check_rights(source)
    digests = read_digests(Path(source.path))
    yield {"sha256": digests.sha256, "size": digests.size}
    for file, sha256 in digests.files.items():
        blocklist.check_file(sha256, str(file))
    if twin and _holds(twin, digests.sha256):
        raise _copy_of(twin.source, twin.path)
    compared = 0

    def look(image: np.ndarray, place: str) -> None:
        nonlocal compared
        compared += 1
        blocklist.check_picture(image, f"{source.path!r} {place}".strip(), settings.blocklist_distance)

    look_if_needed = look if blocklist.hashes.size else None
    if digests.is_folder:
        yield _probe_folder(digests, look_if_needed)
    else:
        yield asdict(probe(Path(source.path), settings.check, look_if_needed))
    yield {"compared": compared}


def _copy_of(source: str, path: str) -> Dropped:
    return Dropped(COPY, f"source {source!r} holds the same, at {path!r}; remove one row")


def _holds(twin: Source, sha256: str) -> bool:
    try:
        return read_digests(Path(twin.path)).sha256 == sha256
    except Failed:
        return False


def _probe_folder(digests: Digests, look: Look | None) -> dict[str, Any]:
    """Return the properties that all images of a folder have in common, and the images that cannot be used."""
    found: list[Media] = []
    unusable = dict(digests.unreadable)
    for image in progress(digests.files, unit="images"):
        try:
            found.append(probe_image(image, look and partial(_look_at, look, image.name)))
        except Failed as fault:
            unusable[image.name] = str(fault)
    if not found:
        some = "; ".join(list(unusable.values())[:SHOWN])
        raise Failed("no image can be decoded", f"none of {len(unusable)}: {some}")
    common = {name: value for name, value in asdict(found[0]).items() if all(getattr(media, name) == value for media in found)}
    return {**common, "kind": "folder", "frames": len(found), "unusable": dict(sorted(unusable.items()))}


def _look_at(look: Look, name: str, image: np.ndarray, _: str) -> None:
    look(image, name)


def admit_sources(
    rows: list[dict[str, Any]],
    shard: str,
    blocklist: Path,
    settings: SourceSettings,
    *,
    table: Path,
    report: Path,
    ledger: Path,
) -> None:
    """Examine the sources of a shard, and write the `table` (`tables.Sources`), a `report` as JSON, and the `ledger`.

    `rows`: the columns of the manifest and `twin`, the row of an earlier source that may be the same file, or None.
    """
    import polars as pl

    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import types, write_table

    listed = read_blocklist(blocklist)
    columns = types(Sources)
    reports: list[dict[str, Any]] = []
    with Ledger(ledger) as entries:
        for row in progress(rows, unit="sources"):
            source = Source.model_validate({name: row[name] for name in Source.model_fields})
            twin = Source.model_validate(row["twin"]) if row["twin"] else None
            known: dict[str, Any] = {**dict.fromkeys(columns), **source.model_dump(), "shard": shard}
            known.update(kind="", sha256="", size=0, compared=0, unusable={})
            reports.append(known)
            with entries.item(source.source):
                for found in examine(source, twin, listed, settings):
                    known.update(found)
    for known, row in zip(reports, read_ledger(ledger), strict=True):
        known.update(status="admitted" if row["status"] == "ok" else "refused", reason=row["reason"], detail=row["detail"])
    write_table(pl.DataFrame([{name: known[name] for name in columns} for known in reports], schema=columns), Sources, table)
    report.write_text(json.dumps(reports, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def gather_sources(
    tables: list[Path], ledgers: list[Path], order: list[str], *, table: Path, ledger: Path, refused: Path
) -> None:
    """Write the sources of all shards to `table`, their rows to `ledger` and the refused ones to the TSV file `refused`.

    `tables`, `ledgers`: those of `admit_sources`. `order`: the ids of all sources, in the order of the manifest.

    Two admitted sources can still be the same file. `admit_sources` compares each source only with the first one that has the
    same size and the same sampled blocks (`manifest.twins`), which may be another file. Here, all copies but one are refused.
    The first by id stays, because `drop_duplicates` keeps the frames of the first by id.
    """
    import polars as pl

    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_tables, write_table

    place = {source: number for number, source in enumerate(order)}
    sources = read_tables(tables, Sources)
    sources = sources[np.argsort([place[source] for source in sources["source"]])]
    rows = {row["key"]: row for path in ledgers for row in read_ledger(path)}
    first: dict[str, tuple[str, str]] = {}
    copies: list[str] = []
    admitted = sources.filter(status="admitted").sort("source")
    for source, path, sha256 in admitted.select("source", "path", "sha256").iter_rows():
        original = first.setdefault(sha256, (source, path))
        if original[0] != source:
            fault = _copy_of(*original)
            rows[source] |= {"status": "dropped", "reason": fault.reason, "detail": fault.detail}
            copies.append(source)
    is_copy = pl.col("source").is_in(copies)
    sources = sources.with_columns(
        status=pl.when(is_copy).then(pl.lit("refused")).otherwise("status"),
        reason=pl.when(is_copy).then(pl.lit(COPY)).otherwise("reason"),
    )
    write_table(sources, Sources, table)
    with Ledger(ledger) as entries:
        for source in order:
            entries.row(**rows[source])
    left_out = [rows[source] for source in order if rows[source]["status"] != "ok"]
    with refused.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["source", "reason", "detail"])
        writer.writerows([row["key"], row["reason"], row["detail"]] for row in left_out)
    reasons = tallied(Counter(row["reason"] for row in left_out))
    tell(
        f"{len(order) - len(left_out):,} of {counted(len(order), 'sources')} admitted"
        + (f"; {len(left_out):,} left out: {reasons}" if left_out else "")
    )


def gate_sources(table: Path, ledger: Path, max_failed: float, *, admitted: Path, summary: Path) -> None:
    """Write the admitted sources of `table` to `admitted`, and to `summary` how many were refused, by reason.

    Raises `TesseraError` if there are sources and none was admitted, or if the fraction that failed exceeds `max_failed`.
    """
    import polars as pl

    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_table, write_table

    sources = read_table(table, Sources).filter(pl.col("status") == "admitted")
    rows = read_ledger(ledger)
    if rows and sources.is_empty():
        listed = shortened([f"{row['key']!r}: {row['reason']} ({row['detail']})" for row in rows], SHOWN, ", in refused.tsv")
        raise TesseraError("\n  ".join(["no source was admitted; fix the manifest:", *listed]))
    counts = {"admission": {"unit": "sources", **gate("sources", [ledger], max_failed)}}
    summary.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    write_table(sources, Sources, admitted)
