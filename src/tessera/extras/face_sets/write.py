"""Write a face set: the selected faces, and in other files their masks and a pack of them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tessera.core.files import link_or_copy
from tessera.core.ledger import Ledger
from tessera.extras.face_sets.packs import pack
from tessera.records.tables.faces import FaceMasks, Faces, SelectedFaces
from tessera.records.tables.table import read_table, types, write_table


def write_face_set(selected: Path, tables: Sequence[Path], folders: Sequence[Path], *, aligned: Path, table: Path) -> None:
    """Link the files of the faces `selected` (`tables.SelectedFaces`) to the folder `aligned`, and write their `table`.

    `tables`: `tables.Faces`, with the files in `folders`, one of each per shard. `table`: output, `tables.Faces`.
    """
    files = {
        file: folder / file for each, folder in zip(tables, folders, strict=True) for file in read_table(each, Faces)["file"]
    }
    faces = read_table(selected, SelectedFaces)
    aligned.mkdir()
    for file in faces["file"]:
        link_or_copy(files[file], aligned / file)
    write_table(faces.select(list(types(Faces))), Faces, table)


def write_masks(faces: Path, tables: Sequence[Path], folders: Sequence[Path], *, masks: Path, table: Path) -> None:
    """Link the masks of `faces` (`tables.Faces`) to the folder `masks`, and write their `table`, `tables.FaceMasks`.

    `tables`: `tables.FaceMasks`, with the files in `folders`, one of each per shard.
    """
    chosen = read_table(faces, Faces).select("key")
    masks.mkdir()
    found = []
    for each, folder in zip(tables, folders, strict=True):
        found.append(read_table(each, FaceMasks).join(chosen, on="key", how="semi"))
        for file in found[-1]["file"].drop_nulls():
            link_or_copy(folder / file, masks / file)
    write_table(pl.concat(found).sort("key"), FaceMasks, table)


def pack_faces(faces: Path, aligned: Path, *, path: Path, ledger: Path) -> None:
    """Write the files of `faces` (`tables.Faces`) in the folder `aligned` to the pack `path`, and a row for each to `ledger`.

    The pack is the `faceset.pak` of DeepFaceLab. Raises `TesseraError` if a file changes meanwhile.
    """
    rows = read_table(faces, Faces).sort("key")
    packed = pack([aligned / file for file in rows["file"]], path)
    with Ledger(ledger) as writer:
        for key, row in zip(rows["key"], packed, strict=True):
            writer.row(key, row.status, row.reason)
