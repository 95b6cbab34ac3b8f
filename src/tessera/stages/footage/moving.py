"""Find which picture of a folder version 0.1 meant by a position, for the labels and decisions that people made then."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import Failed
from tessera.core.files import files_of
from tessera.core.messages import pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import digest, sha256_if_readable
from tessera.imaging.hashing import scaled_hash
from tessera.imaging.images import read_image, resize
from tessera.records.frame_keys import picture_key, source_of
from tessera.records.moved_keys import MOVED, MovedKey

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}  # of the pictures that version 0.1 counted
BITS = 4  # in which the perceptual hashes of a stored frame and its picture differ at most
SIDE, LEVELS = 16, 6.0  # the sides of thumbnails, and by how much they differ at most on average
SHOWN = 5


def move_keys(keys: Iterable[str], folders: Mapping[str, Path], results: Path) -> list[MovedKey]:
    """Return what `keys`, positions in folders, are now.

    `folders`: the folders of pictures in the manifest, by the name of their source in keys, see `file_name`. `results`: the
    results of version 0.1. If the folder is as it was then, the positions hold. Else the stored frames are compared with all
    pictures of the folder: a picture is found if it alone looks like the stored frame.
    """
    wanted = sorted(set(keys))
    moved: dict[str, MovedKey] = {}
    for name, folder in sorted(folders.items()):
        folder_keys = [key for key in wanted if source_of(key) == name]
        if not folder_keys:
            continue
        rows, images = _old_frames(name, results)
        if rows is None:
            why = "there are no results of that time; write into `now` which frame in results/frames it is"
            moved |= {key: MovedKey(key=key, why=why) for key in folder_keys}
        else:
            moved |= {row.key: row for row in _of_folder(folder_keys, rows, images, folder, results)}
    return [moved[key] for key in wanted if key in moved]


def report_moved(rows: Sequence[MovedKey]) -> str:
    """Return a message about what became of keys."""
    lost = [f"{row.key} ({row.why})" for row in rows if not row.now]
    pictures = pluralize(len(rows), "pictures")
    summary = f"{len(rows) - len(lost):,} of {pictures} that labels or decisions know by a position were found"
    return f"{summary}, see {MOVED}" + (f"; not found: {'; '.join(truncate(lost, SHOWN))}" if lost else "")


def _old_frames(name: str, results: Path) -> tuple[pl.DataFrame | None, Path]:
    """Return the rows of the frames of a folder that version 0.1 sampled, and the folder of their stored images."""
    for table in sorted(results.glob("frames/*/frames.parquet")):
        if "name" not in pl.read_parquet_schema(table):
            rows = pl.read_parquet(table)
            folder_rows = rows.filter([source_of(key) == name for key in rows["key"]])
            if not folder_rows.is_empty():
                return folder_rows, table.parent / "images"
    return None, results


def _of_folder(keys: Sequence[str], rows: pl.DataFrame, images: Path, folder: Path, results: Path) -> Iterator[MovedKey]:
    """Yield what the `keys` of one folder became; `rows`, `images`: its frames as they were stored."""
    source = rows["source"][0]
    frame_of = {row["key"]: row for row in rows.iter_rows(named=True)}
    files = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    sums = [[name, sha256_if_readable(folder / name)] for name in files]
    unchanged = digest(sums) in _digests(source, results)
    looks: list[Look] | None = None
    for key in keys:
        frame = frame_of.get(key)
        if frame is None:
            yield MovedKey(key=key, why="version 0.1 had no such frame")
        elif unchanged and frame["index"] < len(files):
            yield MovedKey(key=key, now=picture_key(source, *sums[frame["index"]]), why="the folder is as it was")
        else:
            looks = _looks(folder) if looks is None else looks
            yield _by_look(key, frame, images, source, looks)


def _digests(source: str, results: Path) -> set[str]:
    """Return the digests that version 0.1 recorded of the folder of `source`."""
    tables = [pl.read_parquet(table) for table in sorted(results.glob("sources/shards/*/sources.parquet"))]
    return {str(sha256) for table in tables for sha256 in table.filter(pl.col("source") == source)["sha256"]}


class Look(NamedTuple):
    """What a picture of a folder looks like."""

    path: Path
    phash: int
    thumbnail: np.ndarray


def _looks(folder: Path) -> list[Look]:
    """Return what the pictures of `folder` look like."""
    looks = []
    for path in progress(files_of(folder), unit="pictures"):
        try:
            image = read_image(path)
        except Failed:
            continue
        looks.append(Look(path, scaled_hash(image), _thumbnail(image)))
    return looks


def _thumbnail(image: np.ndarray) -> np.ndarray:
    return resize(image, SIDE, SIDE).astype(np.float64)


def _by_look(key: str, frame: dict[str, Any], images: Path, source: str, looks: Sequence[Look]) -> MovedKey:
    try:
        stored = _thumbnail(read_image(images / frame["file"]))
    except Failed:
        return MovedKey(key=key, why="its stored frame is gone")
    alike = [
        look.path
        for look in looks
        if (look.phash ^ frame["phash"]).bit_count() <= BITS and np.abs(look.thumbnail - stored).mean() <= LEVELS
    ]
    if len(alike) != 1:
        why = f"{len(alike)} pictures look like it" if alike else "no picture of the folder looks like it"
        return MovedKey(key=key, why=why)
    now = picture_key(source, alike[0].name, sha256_if_readable(alike[0]))
    return MovedKey(key=key, now=now, why="it alone looks like the stored frame")
