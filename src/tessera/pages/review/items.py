"""The items of the review page, as one run of the workflow left them."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.pages.review.settings import PageSettings
from tessera.records.tables.review import CLIPS, QUEUES, ReviewItems
from tessera.records.tables.table import read_quickly

ITEMS, PAGE = "items.parquet", "page.json"
FILTERS = ("classifier", "source", "split", "reason", "state")  # columns by which the page filters
CHOICES = 500  # values of a filter that the page offers


class Items:
    """The table of items, and the settings of the page, in a folder of the results."""

    def __init__(self, folder: Path) -> None:
        """Read the folder. Raises `TesseraError` if the table is damaged."""
        self.folder = Path(folder)
        self.seen = self.state()
        self.version = sha256_file(self.folder / ITEMS)[:16]
        self.frame = read_quickly(self.folder / ITEMS, ReviewItems).with_row_index("id")
        self.frame = self.frame.with_columns(
            target=pl.when(pl.col("target") == "").then(pl.col("key")).otherwise(pl.col("target"))
        )
        # The key of a clip has the number of its first frame, with leading zeros. Other items have no neighbours.
        clips = self.frame.filter(pl.col("queue") == CLIPS).sort("source", "key").select("id", "source")
        around = clips.select("id", before=pl.col("id").shift(1).over("source"), after=pl.col("id").shift(-1).over("source"))
        self.frame = self.frame.join(around, on="id", how="left", maintain_order="left")
        try:
            self.page = PageSettings.model_validate_json((self.folder / PAGE).read_bytes())
        except (OSError, ValidationError):
            raise TesseraError(f"{self.folder / PAGE} is missing or of another version; run the workflow again") from None

    def state(self) -> object:
        """Return a value that changes if a run writes the table again, and None if it is not there."""
        try:
            status = (self.folder / ITEMS).stat()
        except OSError:
            return None
        # A pipe would be waited for.
        if not stat.S_ISREG(status.st_mode):
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def item(self, number: int) -> dict[str, Any]:
        """Return the item with the id `number`. Raises `IndexError` if there is none."""
        if not 0 <= number < self.frame.height:
            raise IndexError(number)
        return self.frame.row(number, named=True)

    def queues(self) -> list[dict[str, Any]]:
        """Return the queues that have items, in order: name, number of items, and the values of each filter, most first."""
        queues = []
        for name in QUEUES:
            items = self.frame.filter(pl.col("queue") == name)
            if items.is_empty():
                continue
            choices = {
                column: [
                    [value, count]
                    for value, count in items[column]
                    .value_counts(sort=True)
                    .sort("count", column, descending=[True, False])
                    .iter_rows()
                ][:CHOICES]
                for column in FILTERS
            }
            names = items["label"].unique().drop_nulls().sort().head(CHOICES).to_list()
            queue = {"name": name, "count": items.height, "choices": choices, "names": [each for each in names if each]}
            ranked = items.select("sorts", "ranks").explode("sorts", "ranks").drop_nulls("ranks")
            queues.append({**queue, "sorts": ranked["sorts"].unique(maintain_order=True).to_list()})
        return queues

    def choose(
        self, queue: str, chosen: Mapping[str, str], text: str, least: float, most: float, sort: str = ""
    ) -> pl.DataFrame:
        """Return the items of `queue` with these values of some `FILTERS` and a value from `least` to `most`, in order.

        `text`: a part of their key or their source; empty: any. `sort`: the order of each face set, one set after the other;
        those without a place in it come last. Empty: that of the table.
        """
        wanted = (pl.col("queue") == queue) & pl.col("value").is_between(least, most)
        for column, value in chosen.items():
            wanted &= pl.col(column) == value
        if text:
            wanted &= pl.any_horizontal(pl.col("key", "source").str.contains(text, literal=True))
        found = self.frame.filter(wanted)
        if not sort:
            return found
        placed = found.select("id", "sorts", "ranks").explode("sorts", "ranks").filter(sorts=sort).select("id", rank="ranks")
        return found.join(placed, on="id", how="left").sort("classifier", "rank", "key", nulls_last=True)
