"""Examine sources, and admit those that may be used."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import IMAGE_SUFFIXES, InputFile, Listing, list_folder, open_file, quoted
from tessera.core.ledger import Ledger, gate, read_ledger
from tessera.core.log import tell
from tessera.core.messages import format_counts, pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import digest
from tessera.core.settings import Settings
from tessera.core.tsv import write_sheet
from tessera.imaging.images import Decoded, is_image
from tessera.imaging.probe import Media, media_of, probe_video
from tessera.records.blocklist import Blocklist, Listed, read_blocklist
from tessera.records.image_checks import check_image
from tessera.records.manifest import Source, is_missing
from tessera.records.rights import check_rights

SHOWN = 5  # examples in a message
COPY = "same file as another source"  # a reason for refusal


class SourceSettings(Settings):
    """How sources are examined and admitted."""

    check: Literal["packets", "keyframes", "all"] = "keyframes"
    """What is decoded of a video to find damage. `packets` decodes only the first picture and reads the rest. `keyframes`
    decodes every keyframe and parses the structure of the other pictures, which is about as fast. `all` decodes every picture,
    which is slow, and is the only check that finds damage inside pictures that are not keyframes.
    """
    subfolders: bool = False
    """Whether the pictures in the subfolders of a folder are frames too. Otherwise, they are counted in the log and in the
    report. `false`, because subfolders often hold other things than the folder: masks, thumbnails, discarded pictures.
    """
    blocklist: InputFile = Path("config/blocklist.tsv")
    """Table of digests and perceptual hashes of material that must not be processed. A source that matches is refused. Files
    are compared by sha256. Images are also compared by perceptual hash, and so are keyframes of videos at least half a second
    apart, starting with the first; with `check: all`, any pictures of videos.
    """
    blocklist_distance: int = Field(8, ge=0, le=31)
    """Largest number of bits, of 64, in which the perceptual hash of a picture may differ from a listed one and still match. 0
    to 31.
    """


@dataclass(frozen=True)
class Digests:
    """The content of a source: one file, or the pictures in a folder."""

    listing: Listing | None  # of a folder
    files: dict[str, str]  # the sha256 of each picture, by its path below the folder; of one file, the path is empty
    unreadable: dict[str, Failed]  # why a picture cannot be read, by its path
    size: int  # bytes

    @property
    def sha256(self) -> str:
        """The sha256 of the file; for a folder, a digest of the paths and sha256 of its pictures."""
        return digest([[*item] for item in self.files.items()]) if self.listing else self.files[""]


def read_digests(path: Path, *, subfolders: bool) -> Digests:
    """Return the digests of the file or the folder `path`. Raises `Failed` if nothing in it can be read."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises on some strings that a manifest may contain)
    if is_folder and not os.access(path, os.R_OK | os.X_OK):
        raise Failed("permission denied", f"the folder {str(path)!r} cannot be listed; change its permissions")
    listing = list_folder(path, subfolders=subfolders) if is_folder else None
    names = listing.pictures if listing else ("",)
    if listing and not names:
        deeper = _pictures_below(listing)
        raise Failed(
            "no images",
            f"the folder {str(path)!r} contains no {', '.join(sorted(IMAGE_SUFFIXES))}"
            + (
                f"; {pluralize(len(deeper), 'pictures')} lie in its subfolders: set `sources.subfolders: true`"
                if deeper
                else "; list each video in a row of its own"
            ),
        )
    files: dict[str, str] = {}
    unreadable: dict[str, Failed] = {}
    size = 0
    for name in progress(names, unit="files"):
        try:
            with open_file(path / name) as file:
                files[name] = hashlib.file_digest(file, "sha256").hexdigest()
                size += file.tell()
        except Failed as fault:
            if not is_folder:
                raise
            unreadable[name] = fault
    return Digests(listing, files, unreadable, size)


def _pictures_below(listing: Listing) -> list[str]:
    return [name for name in listing.below if Path(name).suffix.lower() in IMAGE_SUFFIXES]


def examine(
    source: Source,
    earlier: Sequence[tuple[str, str]],
    blocklist: Blocklist,
    settings: SourceSettings,
    *,
    may_be_missing: bool,
) -> Iterator[dict[str, Any]]:
    """Examine `source` step by step, and yield the result of each step: columns of `tables.Sources` and of the report.

    `earlier`: the ids and paths of all earlier sources that may be the same file. If one is, `source` is refused, even if the
    earlier one was refused as well: the manifest then contradicts itself about the same footage. A source without rights is
    never read. `files`: the rows of `tables.SourceFiles` of an image or a folder, without the column `source`.

    Raises `Dropped` if `source` must not be used, or is missing and `may_be_missing`. Raises `Failed` if it cannot be used, and
    `TesseraError` if it is missing otherwise: an unmounted disk must not change results.
    """
    check_rights(source)
    path = Path(source.path)
    if is_missing(source):
        if may_be_missing:
            raise Dropped("missing", f"{quoted(path)} is not there; left out by the setting `missing_sources`")
        raise TesseraError(
            f"source {source.source!r}: {quoted(path)} is not there; mount its disk, restore the file, correct the column"
            " `path`, or set `missing_sources: leave_out`"
        )
    digests = read_digests(path, subfolders=settings.subfolders)
    yield {"sha256": digests.sha256, "size": digests.size}
    for name, sha256 in digests.files.items():
        blocklist.check_file(sha256, quoted(path / name))
    for other, other_path in earlier:
        if _holds(Path(other_path), digests.sha256, settings):
            raise Dropped(COPY, f"source {other!r} holds the same, at {other_path!r}; remove one row")
    compared = 0

    def check_frame(image: np.ndarray, where: str) -> None:
        nonlocal compared
        compared += 1
        blocklist.check_picture(image, f"{source.path!r} {where}", settings.blocklist_distance)

    if digests.listing:
        yield from _examine_folder(path, digests, digests.listing, blocklist, settings)
    elif is_image(path):
        picture = _checked(path, digests.files[""], blocklist, settings)
        compared = int(blocklist.hashes.size > 0)
        yield {**asdict(media_of(picture)), "files": [_file("", 0, sha256=digests.files[""], detail=picture.remark)]}
    else:
        yield asdict(probe_video(path, settings.check, check_frame if blocklist.hashes.size else None))
    yield {"compared": compared} if not digests.listing else {}


def _checked(path: Path, sha256: str, blocklist: Blocklist, settings: SourceSettings) -> Decoded:
    """Return the picture `path`, which must still have the `sha256`. Raises `Dropped` or `Failed` if it cannot be used."""
    picture, current = check_image(path, quoted(path), blocklist, settings.blocklist_distance)
    if current != sha256:
        raise Failed("changed since it was checked", f"{quoted(path)}: let it be, and run again")
    return picture


def _file(
    path: str, index: int | None, status: str = "ok", reason: str = "", detail: str = "", sha256: str = ""
) -> dict[str, Any]:
    """Return a row of `tables.SourceFiles`. A detail without a reason is a remark on a picture."""
    reason = reason or ("a part of the file is ignored" if detail else "")
    return {"path": path, "index": index, "status": status, "reason": reason, "detail": detail, "sha256": sha256}


def _holds(path: Path, sha256: str, settings: SourceSettings) -> bool:
    try:
        return read_digests(path, subfolders=settings.subfolders).sha256 == sha256
    except Failed:
        return False


def _examine_folder(
    path: Path, digests: Digests, listing: Listing, blocklist: Blocklist, settings: SourceSettings
) -> Iterator[dict[str, Any]]:
    """Yield the properties that all pictures of a folder have in common, and a row for each file in it.

    Raises `Listed` if a picture is on the blocklist: then none of the folder is used. Raises `Failed` if none can be used.
    """
    usable: list[Media] = []
    files: list[dict[str, Any]] = []
    for index, name in enumerate(progress(listing.pictures, unit="images")):
        try:
            if name in digests.unreadable:
                raise digests.unreadable[name]
            picture = _checked(path / name, digests.files[name], blocklist, settings)
        except Listed:
            raise
        except Dropped as fault:
            status = "failed" if isinstance(fault, Failed) else "dropped"
            files.append(_file(name, index, status, fault.reason, fault.detail))
        else:
            usable.append(media_of(picture))
            files.append(_file(name, index, sha256=digests.files[name], detail=picture.remark))
    if not usable:
        examples = "; ".join(f"{file['reason']}: {file['detail']}" for file in files[:SHOWN])
        raise Failed("no image can be decoded", f"none of {len(files)}: {examples}")
    files += [_file(name, None, "dropped", reason, quoted(path / name)) for name, reason in listing.others.items()]
    common = {
        name: value for name, value in asdict(usable[0]).items() if all(getattr(media, name) == value for media in usable)
    }
    counts = {"sidecars": len(listing.sidecars), "hidden": len(listing.hidden), "below": len(listing.below)}
    yield {**common, "kind": "folder", "frames": len(usable), "files": files, **counts}
    yield {"compared": len(usable) if blocklist.hashes.size else 0}
    other_counts = [
        pluralize(len(names), kind)
        for names, kind in (
            (listing.sidecars, "files of labels or captions"),
            (listing.hidden, "hidden files"),
            (listing.others, "other files"),
        )
        if names
    ]
    if other_counts:
        tell(f"{quoted(path)}: beside its pictures, {', '.join(other_counts)}")
    if deeper := _pictures_below(listing):
        advice = "set `sources.subfolders: true`, or list the subfolders as sources of their own"
        detail = f"{quoted(path)}: {pluralize(len(deeper), 'pictures')} in subfolders, such as {deeper[0]!r}; {advice}"
        tell(f"left out: {detail}")
        yield {"note": {"reason": "pictures in subfolders left out", "detail": detail}}


def admit_sources(
    rows: list[dict[str, Any]],
    shard: str,
    blocklist: Path,
    settings: SourceSettings,
    *,
    table: Path,
    files: Path,
    report: Path,
    ledger: Path,
) -> None:
    """Examine the sources of a shard, and decide which are admitted. Nothing later refuses a source.

    `table` (`tables.Sources`) gets the sources that are admitted. `ledger` gets one row per source, with the reason if it is
    refused, and `report` everything that is known of each, as JSON. `files` gets a row for each file of images and folders
    (`tables.SourceFiles`). Only those that are `ok` there become frames. A picture on the blocklist refuses its source.
    Sidecars of pictures, hidden files and files in subfolders that are left out have no rows: they are counted in the report
    and in the log.

    `rows`: the columns of the manifest and `earlier`, the ids and paths of all earlier sources that may be the same file. One
    that is to be left out if it is missing has `missing`, with the value "leave_out".
    """
    import polars as pl

    from tessera.records.tables.footage import SourceFiles, Sources
    from tessera.records.tables.table import types, write_table

    listed = read_blocklist(blocklist)
    columns = types(Sources)
    reports: list[dict[str, Any]] = []
    with Ledger(ledger) as entries:
        for row in progress(rows, unit="sources"):
            source = Source.model_validate({name: row[name] for name in Source.model_fields})
            known: dict[str, Any] = {**dict.fromkeys(columns), **source.model_dump(), "shard": shard}
            known.update(kind="", sha256="", size=0, compared=0, files=[], sidecars=0, hidden=0, below=0)
            reports.append(known)
            with entries.item(source.source) as note:
                may_be_missing = row.get("missing") == "leave_out"
                for result in examine(source, row["earlier"], listed, settings, may_be_missing=may_be_missing):
                    note.update(result.pop("note", {}))
                    known.update(result)
    file_rows: list[dict[str, Any]] = []
    for known, row in zip(reports, read_ledger(ledger), strict=True):
        is_admitted = row["status"] == "ok"
        known.update(status="admitted" if is_admitted else "refused", reason="" if is_admitted else row["reason"])
        known.update(detail=row["detail"])
        source_files = known.pop("files") if is_admitted else []
        file_rows += [{"source": known["source"], **file} for file in source_files]
        known["unusable"] = {
            file["path"]: f"{file['reason']}: {file['detail']}" for file in source_files if file["status"] != "ok"
        }
    write_table(pl.DataFrame(file_rows, schema=types(SourceFiles)), SourceFiles, files)
    admitted = [{name: known[name] for name in columns} for known in reports if known["status"] == "admitted"]
    write_table(pl.DataFrame(admitted, schema=columns), Sources, table)
    report.write_text(json.dumps(reports, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def gather_sources(ledgers: list[Path], order: list[str], unrestored: Iterable[Path], *, ledger: Path, refused: Path) -> None:
    """Write the rows of the `ledgers` of all shards to `ledger`, and the refused sources to the TSV file `refused`.

    `order`: the ids of all sources, sorted. `unrestored`: folders of restored videos that no job makes
    any more. Those with a source that is refused now, or no longer in the manifest, are removed. Others stay: that a video is
    not to be restored again, or that its source cannot be read any more, does not withdraw it.
    """
    rows = {row["key"]: row for path in ledgers for row in read_ledger(path)}
    with Ledger(ledger) as entries:
        for source in order:
            entries.row(**rows[source])
    for folder in unrestored:
        restored = [row["key"] for row in read_ledger(folder / "ledger.jsonl") if row["status"] == "ok"]
        if withdrawn := [key for key in restored if key not in order or rows[key]["status"] == "dropped"]:
            shutil.rmtree(folder)
            tell(f"removed {folder}: restored videos of {', '.join(map(repr, withdrawn))}, withdrawn or refused")
    left_out = [rows[source] for source in order if rows[source]["status"] != "ok"]
    write_sheet(refused, ["source", "reason", "detail"], ([row["key"], row["reason"], row["detail"]] for row in left_out))
    reasons = format_counts(Counter(row["reason"] for row in left_out))
    tell(
        f"{len(order) - len(left_out):,} of {pluralize(len(order), 'sources')} admitted"
        + (f"; {len(left_out):,} left out: {reasons}" if left_out else "")
    )


def gate_sources(tables: list[Path], ledger: Path, max_failed: float, *, admitted: Path, summary: Path) -> None:
    """Write the sources in the `tables` of all shards to `admitted`, and to `summary` how many were refused, by reason.

    `ledger`: that of `gather_sources`, whose order the sources get. Raises `TesseraError` if there are sources and none was
    admitted, if the fraction that failed exceeds `max_failed`, or if two admitted sources hold the same, which can only be if a
    file changed or became readable after the run was planned.
    """
    import polars as pl

    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_tables, write_table

    rows = read_ledger(ledger)
    order = pl.DataFrame({"source": [row["key"] for row in rows]}, schema={"source": pl.String})
    sources = order.join(read_tables(tables, Sources), on="source", maintain_order="left")
    if rows and sources.is_empty():
        listed = truncate([f"{row['key']!r}: {row['reason']} ({row['detail']})" for row in rows], SHOWN, ", in refused.tsv")
        raise TesseraError("\n  ".join(["no source was admitted; fix the manifest:", *listed]))
    copies = sources.filter(pl.col("sha256").is_duplicated())["source"].to_list()
    if copies:
        raise TesseraError(
            f"sources that hold the same were admitted: {', '.join(map(repr, copies))}; run again, or keep one row"
        )
    counts = {"admission": {"unit": "sources", **gate("sources", [ledger], max_failed)}}
    summary.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    write_table(sources, Sources, admitted)
