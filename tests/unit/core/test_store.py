"""An item of a store is complete or absent, and is reused by the next job."""

from functools import partial
from pathlib import Path

import pytest

from tessera.core.ledger import Ledger, Status, read_ledger
from tessera.core.store import CHECKSUMS, Store, stored_items


def make(store: Store, name: str, **files: str) -> Path:
    with store.make(name) as folder:
        for file, content in files.items():
            (folder / file).write_text(content)
    return store.item(name)


def test_a_finished_item_is_available_to_the_next_job(tmp_path: Path) -> None:
    item = make(Store(tmp_path / "kept", "items"), "a", one="1", two="2")
    again = Store(tmp_path / "kept", "items")
    assert again.holds("a") and not again.holds("b")
    assert (item / "one").read_text() == "1"


def test_an_unfinished_item_is_not_in_the_store_and_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, "items")
    with pytest.raises(KeyError), store.make("a") as folder:
        (folder / "one").touch()
        raise KeyError
    assert not store.holds("a")
    assert list(tmp_path.iterdir()) == []


def test_an_item_that_a_killed_job_left_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path, "items")
    (tmp_path / ".a").mkdir()
    (tmp_path / ".a" / "half").touch()
    make(store, "a", one="1")
    assert sorted(path.name for path in store.item("a").iterdir()) == ["one", CHECKSUMS]


@pytest.mark.parametrize("fault", ["changed", "lost", "added", "linked", "folder linked", "no list"])
def test_a_damaged_item_is_made_again(tmp_path: Path, fault: str) -> None:
    store = Store(tmp_path / "kept", "items")
    item = make(store, "a", one="1")
    if fault == "changed":
        (item / "one").write_text("2")
    elif fault == "lost":
        (item / "one").unlink()
    elif fault == "added":
        (item / "two").touch()
    elif fault == "no list":
        (item / CHECKSUMS).write_text("")
    else:
        moved = item if fault == "folder linked" else item / "one"
        moved.symlink_to(moved.rename(tmp_path / "elsewhere"))
    assert not store.holds("a")
    assert (make(store, "a", one="1") / "one").read_text() == "1"
    assert store.holds("a")
    assert not item.is_symlink()


def test_only_used_items_are_kept_and_reused_ones_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        make(Store(tmp_path, "items"), name)
    (tmp_path / ".half").mkdir()
    (tmp_path / ".DS_Store").touch()
    told: list[str] = []
    monkeypatch.setattr("tessera.core.store.tell", told.append)
    store = Store(tmp_path, "items")
    assert store.holds("a") and store.holds("b")
    make(store, "d")
    store.keep({"a", "d"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "d"]
    assert told == [f"reused 1 of 2 items from {tmp_path}; delete this folder to make all again"]


def test_only_items_with_a_failed_row_are_made_again_and_the_ledger_is_the_same(tmp_path: Path) -> None:
    made: list[str] = []

    def make(name: str, status: Status, folder: Path, rows: Ledger) -> None:
        made.append(name)
        (folder / "text").write_text(name)
        rows.row(name, status)

    ledgers = []
    for run in range(2):
        with stored_items(tmp_path / "kept", "sources", tmp_path / f"{run}.jsonl") as (rows, item):
            rows.row("refused", "dropped")
            for name, status in {"a": "ok", "b": "failed", "c": "dropped"}.items():
                assert (item(name, partial(make, name, status)) / "text").read_text() == name
        ledgers.append(read_ledger(tmp_path / f"{run}.jsonl"))
    assert made == ["a", "b", "c", "b"]
    assert ledgers[0] == ledgers[1] and [row["key"] for row in ledgers[0]] == ["refused", "a", "b", "c"]
