"""Choose the sampled frames of a shard that samples are made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tessera.records.eligibility import refusal
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table


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
            left_out |= dict.fromkeys(set(keys) - set(spread(keys, per_source)), enough)
    return ChosenFrames(table.to_dicts(), admitted, left_out)


def spread(keys: Sequence[str], most: int) -> list[str]:
    """Return at most `most` of `keys`, evenly spaced."""
    if len(keys) <= most:
        return list(keys)
    return [keys[(2 * number + 1) * len(keys) // (2 * most)] for number in range(most)]
