"""The images of sources that were admitted. Nothing else of an image or a folder becomes a picture."""

from pathlib import Path
from typing import Any

from tessera.imaging.footage import Still


def read_stills(files: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the table `files` (`tables.SourceFiles`) by source, in their order."""
    from tessera.records.tables.footage import SourceFiles
    from tessera.records.tables.table import read_table

    by_source: dict[str, list[dict[str, Any]]] = {}
    for row in read_table(files, SourceFiles).iter_rows(named=True):
        by_source.setdefault(row["source"], []).append(row)
    return by_source


def stills_of(path: Path, rows: list[dict[str, Any]]) -> list[Still]:
    """Return the admitted images of the source at `path`, in the order of their `rows` of `tables.SourceFiles`."""
    admitted = (row for row in rows if row["status"] == "ok")
    return [Still(row["index"], Path(path) / row["path"], row["sha256"], row["path"] or None) for row in admitted]
