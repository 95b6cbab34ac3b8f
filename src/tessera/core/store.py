"""Stores: results that are costly to make, each under a digest of all that it is made of, to be used again by later jobs."""

import json
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tessera.core.ledger import Ledger, read_ledger
from tessera.core.log import tell
from tessera.core.messages import counted
from tessera.core.provenance import sha256_file

WHOLE = "sha256.json"  # of an item: the sha256 of each of its files, written last
LEDGER = "ledger.jsonl"


Make = Callable[[Path, Ledger], None]  # writes an item of a store to a folder, and its rows to a ledger


class Store:
    """A folder of items. An item is a folder of files, named by a digest of everything that decides what is in them.

    An item is whole or not there, and outlives the job that made it: one that was killed goes on with what is here, and one
    that runs again makes only what is not. At its end a job says what it used, and the rest is removed.
    """

    def __init__(self, folder: Path, unit: str) -> None:
        """Open the store in `folder`, which need not be there. `unit`: what an item is called in messages, in the plural."""
        self.folder = folder
        self._unit = unit
        self._found: set[str] = set()

    def item(self, name: str) -> Path:
        """Return the folder of the item `name`, whether it is there or not."""
        return self.folder / name

    def holds(self, name: str) -> bool:
        """Whether the item `name` is there, with exactly the files that were written.

        Its files may have other names as well, by which they can be changed at any time: so their bytes are read.
        """
        item = self.item(name)
        with suppress(OSError, ValueError):
            written = json.loads((item / WHOLE).read_text(encoding="utf-8"))
            if not item.is_symlink() and written == _checksums(item):
                self._found.add(name)
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
            (partial / WHOLE).write_text(json.dumps(_checksums(partial)), encoding="utf-8")
            _remove(self.item(name))
            partial.rename(self.item(name))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def keep(self, names: Collection[str]) -> None:
        """Remove everything but the items `names`, and report how many of these were there before."""
        for entry in list(self.folder.iterdir()) if self.folder.exists() else []:
            if entry.name not in names:
                _remove(entry)
        if reused := len(self._found.intersection(names)):
            tell(
                f"reused {reused:,} of {counted(len(names), self._unit)} from {self.folder};"
                " delete this folder to make all again"
            )


@contextmanager
def stored_items(folder: Path, unit: str, ledger: Path) -> Iterator[tuple[Ledger, Callable[[str, Make], Path]]]:
    """Yield the `ledger` of a job, and a function that returns the item `name` of the store in `folder`.

    If the item is not there, `make` writes it: its files to a folder, and its rows to a ledger of its own. All rows go into
    the ledger of the job. At the end, the store keeps the items without a failed row; the next run makes the others
    again. `unit`: see `Store`.
    """
    store = Store(folder, unit)
    complete: set[str] = set()
    with Ledger(ledger) as rows:

        def item(name: str, make: Make) -> Path:
            if not store.holds(name):
                with store.make(name) as made, Ledger(made / LEDGER) as own:
                    make(made, own)
            outcomes = read_ledger(store.item(name) / LEDGER)
            for outcome in outcomes:
                rows.row(**outcome)
            if all(outcome["status"] != "failed" for outcome in outcomes):
                complete.add(name)
            return store.item(name)

        yield rows, item
    store.keep(complete)


def _checksums(item: Path) -> dict[str, str]:
    """Return the sha256 of each file of `item`. Raises `ValueError` where one of them is a link, or is no file."""
    files = [path for path in item.iterdir() if path.name != WHOLE]
    if unusable := [path.name for path in files if path.is_symlink() or not path.is_file()]:
        raise ValueError(f"{item}: {unusable[0]!r} is no file of its own")
    return {path.name: sha256_file(path) for path in files}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
