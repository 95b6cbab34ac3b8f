"""Write a face set: the selected faces, and in other files their masks and a pack of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tessera.core.errors import Dropped
from tessera.core.files import link_or_copy
from tessera.core.ledger import Ledger
from tessera.core.progress import progress
from tessera.extras.face_sets.alignment import transform
from tessera.extras.face_sets.hull import face_hull, hull_mask
from tessera.extras.face_sets.packs import pack
from tessera.imaging.images import write_image
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


def mask_faces(faces: Path, *, masks: Path, table: Path) -> None:
    """Write the masks of `faces` (`tables.Faces`) to the folder `masks`, and their origin to `table` (`tables.FaceMasks`).

    A mask is a PNG of the size of the square: 255 inside the hull of the 68 landmarks, and 0 elsewhere.
    """
    masks.mkdir()
    rows: list[tuple[str, str | None, str | None, str]] = []
    for row in progress(read_table(faces, Faces).sort("key").to_dicts(), unit="faces"):
        landmarks = transform(np.reshape(row["landmarks"], (-1, 2)), np.reshape(row["matrix"], (2, 3)))
        try:
            mask = hull_mask(face_hull(landmarks, row["size"], row["size"]), row["size"], row["size"])
        except Dropped as error:
            rows.append((row["key"], None, None, str(error)))
        else:
            file = f"{row['key']}.png"
            write_image(masks / file, mask)
            rows.append((row["key"], file, "hull", ""))
    write_table(pl.DataFrame(rows, schema=types(FaceMasks), orient="row"), FaceMasks, table)


def pack_faces(faces: Path, aligned: Path, *, path: Path, ledger: Path) -> None:
    """Write the files of `faces` (`tables.Faces`) in the folder `aligned` to the pack `path`, and a row for each to `ledger`.

    The pack is the `faceset.pak` of DeepFaceLab. Raises `TesseraError` if a file changes meanwhile.
    """
    rows = read_table(faces, Faces).sort("key")
    packed = pack([aligned / file for file in rows["file"]], path)
    with Ledger(ledger) as writer:
        for key, row in zip(rows["key"], packed, strict=True):
            writer.row(key, row.status, row.reason)
