"""Read the sampled frames of a shard, and choose those that samples are made of."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.core.ledger import Ledger
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.imaging.images import read_image, shrink
from tessera.records.eligibility import refusal
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table

T = TypeVar("T")


def read_sampled(
    rows: Sequence[dict[str, Any]], images: Path, pool: ThreadPoolExecutor, count: int, ledger: Ledger
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield each of `rows` (`tables.Frames`), those of one source, with its picture, uint8 (H, W, 3), RGB.

    `images`: the folder of the files. `pool` reads `count` of them ahead. One that cannot be read becomes a row of `ledger`.
    """
    reading = ahead(pool, lambda row: read_image(images / row["file"]), rows, count)
    for row, picture in progress(reading, len(rows), f"frames of {rows[0]['source']!r}"):
        try:
            size = picture.result().shape[1::-1]
            if size != (row["width"], row["height"]):
                raise Failed("image is not the frame", f"{size} pixels, sampled were {(row['width'], row['height'])}")
        except Failed as error:
            ledger.row(row["key"], "failed", error.reason, error.detail)
        else:
            yield row, picture.result()


class ChosenFrames(NamedTuple):
    """The frames of a shard, and which of them are not used."""

    frames: list[dict[str, Any]]  # all rows of `tables.Frames`
    sources: dict[str, dict[str, Any]]  # the rows of `tables.Sources`, by source
    left_out: dict[str, tuple[str, str]]  # by key of a frame: reason and detail, for a ledger


def choose_frames(frames: Path, sources: Path, datasets: Sequence[str], per_source: int) -> ChosenFrames:
    """Choose at most `per_source` frames of each source, evenly spaced.

    `frames`: `tables.Frames`. `sources`: `tables.Sources`. Frames of a source are left out if its `use` lists datasets, but
    none of `datasets`.
    """
    admitted = {row["source"]: row for row in read_table(sources, Sources).iter_rows(named=True)}
    table = read_table(frames, Frames)
    left_out: dict[str, tuple[str, str]] = {}
    for (source,), rows in table.group_by("source", maintain_order=True):
        refused, keys = refusal(admitted[source], datasets), rows.sort("index")["key"].to_list()
        if any(refused):
            left_out |= dict.fromkeys(keys, refused)
        else:
            enough = "source has enough frames", f"`frames_per_source` is {per_source}"
            left_out |= dict.fromkeys(set(keys) - set(evenly_spaced(keys, per_source)), enough)
    return ChosenFrames(table.to_dicts(), admitted, left_out)


def make_samples(
    chosen: ChosenFrames,
    make: Callable[[dict[str, Any], np.ndarray], T],
    pictures: Path,
    max_side: int | None,
    ledger: Path,
    threads: int,
) -> list[T]:
    """Return what `make` returns for each of the `chosen` frames and its picture; `ledger` gets a row for every frame.

    `pictures`: the folder of the files. A picture is uint8 (H, W, 3), RGB, scaled down if a side is longer than `max_side`.
    """

    def work(frame: dict[str, Any]) -> T:
        if frame["key"] in chosen.left_out:
            raise Dropped(*chosen.left_out[frame["key"]])
        picture = read_image(pictures / frame["file"])
        return make(frame, shrink(picture, max_side) if max_side else picture)

    made = []
    with Ledger(ledger) as entries, ThreadPoolExecutor(threads) as pool:
        for frame, making in ahead(pool, work, progress(chosen.frames, unit="frames"), 2 * threads):
            with entries.item(frame["key"]):
                made.append(making.result())
    return made


def evenly_spaced(keys: Sequence[str], most: int) -> list[str]:
    """Return at most `most` of `keys`, evenly spaced."""
    if len(keys) <= most:
        return list(keys)
    return [keys[(2 * number + 1) * len(keys) // (2 * most)] for number in range(most)]
