"""What the keys of pictures in folders became that version 0.1 made of their positions, such as `album-0000012`."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tessera.core.tsv import read_sheet, refuse
from tessera.records.frame_keys import INDEX, parse_key

MOVED = Path("config/moved_keys.tsv")


class MovedKey(BaseModel):
    """A row of the table. `now` is empty if no picture of today is known to be that picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1, description="key by position")
    now: str = Field("", description="key by path and content; empty if it is not known")
    why: str = Field("", description="how it was found, or why not")


def keys_by_position(keys: Iterable[str], folders: Mapping[str, Path]) -> set[str]:
    """Return the keys of frames that `keys`, those of frames, regions and crops, make of positions in `folders`."""
    parsed = filter(None, (parse_key(key.partition("+")[0]) for key in keys))
    return {key.frame for key in parsed if key.source in folders and INDEX.fullmatch(key.name)}


def read_moved_keys(path: Path = MOVED) -> dict[str, str]:
    """Return what keys became, by the former key, from the table `path`; nothing if it does not exist.

    Raises `TesseraError` if the table has faults.
    """
    if not path.exists():
        return {}
    sheet = read_sheet(path, MovedKey, "table of moved keys", "correct it")
    refuse(path, sheet.faults)
    return {row.key: row.now or row.key for _, row in sheet.rows}


def write_moved_keys(rows: Iterable[MovedKey], path: Path = MOVED) -> None:
    """Add `rows` to the table `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        if is_new:
            writer.writerow(MovedKey.model_fields)
        writer.writerows((row.key, row.now, row.why) for row in rows)


def moved_key(key: str, moved: Mapping[str, str]) -> str:
    """Return what the `key` of a frame, of a region in it or of a crop of it became; `key` itself if it is not in `moved`."""
    frame, plus, region = key.partition("+")
    parsed = parse_key(frame)
    moved_to = moved.get(parsed.frame) if parsed else None
    if parsed is None or moved_to is None:
        return key
    # The keys of crops have no dots.
    return f"{moved_to.replace('.', '%2E') if parsed.crops else moved_to}{parsed.crops}{plus}{region}"
