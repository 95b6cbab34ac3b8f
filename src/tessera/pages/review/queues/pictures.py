"""The pictures of sampled frames, which several queues show."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table


class Picture(NamedTuple):
    """A picture, and the source that it is of."""

    source: str
    path: Path


def read_pictures(frames: Sequence[Path], images: Sequence[Path]) -> dict[str, Picture]:
    """Return the pictures of the frames in `frames` (`tables.Frames`), each with its folder in `images`, by their keys."""
    return {
        key: Picture(source, folder / file)
        for table, folder in zip(frames, images, strict=True)
        for key, source, file in read_table(table, Frames).select("key", "source", "file").iter_rows()
    }
