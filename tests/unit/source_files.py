"""The table of the files of sources, as admission writes it."""

from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.errors import Failed
from tessera.core.files import list_folder
from tessera.core.provenance import sha256_file
from tessera.imaging.images import read_image
from tessera.records.tables.footage import SourceFiles
from tessera.records.tables.table import types, write_table


def write_source_files(table: Path, **sources: Path) -> Path:
    """Write the files of `sources`, images and folders by their ids, to `table`, and return it."""
    rows: list[dict[str, Any]] = []
    for source, path in sources.items():
        names = list_folder(path, subfolders=False).pictures if path.is_dir() else ("",)
        for index, name in enumerate(names):
            try:
                read_image(path / name)
            except Failed as fault:
                verdict = {"status": "failed", "reason": fault.reason, "detail": fault.detail, "sha256": ""}
            else:
                verdict = {"status": "ok", "reason": "", "detail": "", "sha256": sha256_file(path / name)}
            rows.append({"source": source, "path": name, "index": index, **verdict})
    write_table(pl.DataFrame(rows, schema=types(SourceFiles)), SourceFiles, table)
    return table
