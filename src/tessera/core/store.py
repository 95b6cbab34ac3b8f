"""Stores: results that are costly to make, each under a digest of all its inputs, which later jobs reuse."""

import json
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tessera.core.ledger import Ledger, read_ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.provenance import sha256_file

CHECKSUMS = "sha256.json"  # of an item: the sha256 of each of its files, written last
LEDGER = "ledger.jsonl"


Make = Callable[[Path, Ledger], None]  # writes an item of a store to a folder, and its rows to a ledger


class StoredItem(Protocol):
    """Returns the folder of the item `name` of a store, see `stored_items`."""

    def __call__(self, name: str, make: Make, counts: Callable[[str], bool] = ...) -> Path:
        """Return the folder, for whose item `make` is called if there is none. `counts`: whether the row of a key does."""


class Store:
    """A folder of items. An item is a folder of files, named by a digest of everything that decides what is in them.

    An item is complete or does not exist, and outlives the job that made it. A job that runs again makes only the items that
    are missing. At its end it names the items that it used, and the others are removed.
    """

    def __init__(self, folder: Path, unit: str) -> None:
        """Open the store in `folder`, which need not exist. `unit`: the name of the items in messages, in the plural."""
        self.folder = folder
        self._unit = unit
        self._reused: set[str] = set()

    def item(self, name: str) -> Path:
        """Return the folder of the item `name`, whether it exists or not."""
        return self.folder / name

    def holds(self, name: str) -> bool:
        """Return whether the item `name` exists with exactly the files that were written.

        Its files may have other names as well, by which they can be changed at any time: so their bytes are read.
        """
        item = self.item(name)
        with suppress(OSError, ValueError):
            written = json.loads((item / CHECKSUMS).read_text(encoding="utf-8"))
            if not item.is_symlink() and written == _checksums(item):
                self._reused.add(name)
                return True
        return False

    @contextmanager
    def make(self, name: str) -> Iterator[Path]:
        """Yield an empty folder for the files of the item `name`. It becomes the item when the block ends without an error."""
        partial = self.folder / f".{name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            (partial / CHECKSUMS).write_text(json.dumps(_checksums(partial)), encoding="utf-8")
            _remove(self.item(name))
            partial.rename(self.item(name))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def keep(self, names: Collection[str]) -> None:
        """Remove everything but the items `names`, and report how many of these were there before."""
        for entry in list(self.folder.iterdir()) if self.folder.exists() else []:
            if entry.name not in names:
                _remove(entry)
        if reused := len(self._reused.intersection(names)):
            tell(
                f"reused {reused:,} of {pluralize(len(names), self._unit)} from {self.folder};"
                " delete this folder to make all again"
            )


@contextmanager
def stored_items(folder: Path, unit: str, ledger: Path) -> Iterator[tuple[Ledger, StoredItem]]:
    """Yield the `ledger` of a job, and a function that returns the item `name` of the store in `folder`.

    If the item does not exist, `make` writes it: its files to a folder, and its rows to a ledger of its own. The rows whose key
    `counts`, all by default, go into the ledger of the job. At the end, the store keeps the items without a failed row; the
    next run makes the others again. `unit`: see `Store`.
    """
    store = Store(folder, unit)
    complete: set[str] = set()
    with Ledger(ledger) as rows:

        def item(name: str, make: Make, counts: Callable[[str], bool] = lambda key: True) -> Path:
            if not store.holds(name):
                with store.make(name) as folder_of_item, Ledger(folder_of_item / LEDGER) as item_rows:
                    make(folder_of_item, item_rows)
            outcomes = read_ledger(store.item(name) / LEDGER)
            for outcome in outcomes:
                if counts(outcome["key"]):
                    rows.row(**outcome)
            if all(outcome["status"] != "failed" for outcome in outcomes):
                complete.add(name)
            return store.item(name)

        yield rows, item
    store.keep(complete)


def _checksums(item: Path) -> dict[str, str]:
    """Return the sha256 of each file of `item`. Raises `ValueError` where one of them is a link, or is no file."""
    files = [path for path in item.iterdir() if path.name != CHECKSUMS]
    if unusable := [path.name for path in files if path.is_symlink() or not path.is_file()]:
        raise ValueError(f"{item}: {unusable[0]!r} is no file of its own")
    return {path.name: sha256_file(path) for path in files}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
