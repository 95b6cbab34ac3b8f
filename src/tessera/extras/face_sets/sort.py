"""Sort the faces of a set in each of the fifteen ways: one table of keys and ranks, and no file that is renamed."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from tessera.extras.face_sets.alignment import transform
from tessera.extras.face_sets.sorts import SORTS, AlignedFace, Places, place_faces
from tessera.imaging.images import read_image, shrink, write_image
from tessera.imaging.sheets import contact_sheet
from tessera.records.tables.faces import FaceOrders, Faces
from tessera.records.tables.table import read_table, types, write_table

TILE = 128  # pixels of a face on a sheet
COLUMNS, ROWS = 8, 3  # of the first faces of a sort, and of the last


def sort_faces(tables: Sequence[Path], folders: Sequence[Path], *, orders: Path, sheets: Path, threads: int = 1) -> None:
    """Write the key and the rank of each face in each sort to `orders` (`tables.FaceOrders`).

    `tables`: `tables.Faces`, with the files in `folders`, one of each per shard. The folder `sheets` gets a picture of each
    sort: its first faces and its last.
    """
    faces = {face.name: face for table, folder in zip(tables, folders, strict=True) for face in faces_in(table, folder)}
    sheets.mkdir()
    rows = []
    for name, places in place_faces(faces.values(), SORTS, threads).items():
        rows += [
            (name, key, None if isinstance(place.key, str) else place.key, place.rank, place.reason)
            for key, place in sorted(places.items())
        ]
        write_image(sheets / f"{name}.jpg", draw_sheet(name, faces, places))
    write_table(pl.DataFrame(rows, schema=types(FaceOrders), orient="row"), FaceOrders, orders)


def faces_in(table: Path, folder: Path) -> Iterator[AlignedFace]:
    """Yield the faces in `table` (`tables.Faces`), whose files are in `folder`, by key."""
    for row in read_table(table, Faces).sort("key").iter_rows(named=True):
        landmarks = np.reshape(row["landmarks"], (-1, 2))
        yield AlignedFace(
            name=row["key"],
            frame=row["frame"],
            box=(row["x0"], row["y0"], row["x1"], row["y1"]),
            size=row["size"],
            landmarks=transform(landmarks, np.reshape(row["matrix"], (2, 3))),
            load=partial(read_image, folder / row["file"]),
        )


def draw_sheet(sort: str, faces: dict[str, AlignedFace], places: Places) -> np.ndarray:
    """Return a sheet of the first and the last of `faces` in a sort: uint8 (H, W, 3), RGB."""
    ranks = {key: place.rank for key, place in places.items() if place.rank is not None}
    ordered = sorted(ranks, key=lambda key: ranks[key])
    count = COLUMNS * ROWS
    parts = {"the first": ordered[:count], "the last": ordered[count:][-count:]}
    bands = {
        heading: [(shrink(faces[key].load(), TILE), _caption(places[key].key)) for key in keys]
        for heading, keys in parts.items()
        if keys
    }
    return contact_sheet(f"{sort}: {len(ordered):,} of {len(faces):,} faces", bands, TILE, COLUMNS)


def _caption(key: float | str | None) -> str:
    if isinstance(key, float):
        return f"{key:,.0f}" if abs(key) >= 1000 else f"{key:.4g}"
    return key or ""
