"""Every item has one row, and every count adds up."""

import errno
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core import log
from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.ledger import Ledger, described, gate, read_ledger, summarise

ROWS = st.lists(
    st.fixed_dictionaries(
        {"key": st.text(max_size=3), "status": st.sampled_from(["ok", "dropped", "failed"]), "reason": st.sampled_from("abc")}
    )
)


def write(path: Path, statuses: list[str]) -> Path:
    with Ledger(path) as ledger:
        for place, status in enumerate(statuses):
            ledger.row(f"item {place}", status, "" if status == "ok" else "a reason")  # type: ignore[arg-type]
    return path


def test_each_item_gets_a_row_with_its_result(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        with ledger.item("good"):
            pass
        with ledger.item("unwanted"):
            raise Dropped("too small", "3 pixels")
        with ledger.item("unusable"):
            raise Failed("cannot be read", "at byte 3")
        with ledger.item("surprising"):
            raise ZeroDivisionError("no such thing")
    rows = read_ledger(tmp_path / "ledger.jsonl")
    assert [(row["key"], row["status"], row["reason"], row["detail"]) for row in rows] == [
        ("good", "ok", "", ""),
        ("unwanted", "dropped", "too small", "3 pixels"),
        ("unusable", "failed", "cannot be read", "at byte 3"),
        ("surprising", "failed", "unexpected ZeroDivisionError", "no such thing"),
    ]
    assert all(row["seconds"] >= 0 for row in rows)


@pytest.mark.parametrize(
    "error",
    [
        TesseraError("fix it"),
        MemoryError(),
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EFBIG, "larger than the file system takes"),
        OSError(errno.EROFS, "read only"),
        KeyboardInterrupt(),
    ],
)
def test_a_systemic_error_ends_the_work(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), Ledger(tmp_path / "ledger.jsonl") as ledger, ledger.item("innocent"):
        raise error
    assert read_ledger(tmp_path / "ledger.jsonl") == []


def test_an_unreadable_file_fails_only_its_item(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger, ledger.item("gone"):
        (tmp_path / "nothing").read_bytes()
    assert read_ledger(tmp_path / "ledger.jsonl")[0]["reason"] == "unexpected FileNotFoundError"


@given(st.text(), st.text())
def test_keys_of_any_text_are_read_back(tmp_path_factory: pytest.TempPathFactory, key: str, detail: str) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.row(key, "dropped", "a reason", detail)
        ledger.row("\udcff", "ok")
    assert [(row["key"], row["detail"]) for row in read_ledger(path)] == [(key, detail), ("\udcff", "")]


@given(ROWS)
def test_the_count_in_is_the_sum_of_ok_dropped_and_failed(rows: list[dict[str, str]]) -> None:
    summary = summarise(rows)
    assert summary["in"] == len(rows) == summary["ok"] + sum(summary["dropped"].values()) + sum(summary["failed"].values())


@given(ROWS, st.randoms())
def test_a_summary_does_not_depend_on_the_order(rows: list[dict[str, str]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert json.dumps(summarise(rows)) == json.dumps(summarise(shuffled))


def test_a_gate_passes_an_allowed_fraction_of_failures_and_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(log, "_terminal", terminal)
    ledgers = [write(tmp_path / "a", ["ok", "failed"]), write(tmp_path / "b", ["dropped", "ok"])]
    assert gate("frames", ledgers, 0.25) == {
        "in": 4,
        "ok": 2,
        "partly": {},
        "dropped": {"a reason": 1},
        "failed": {"a reason": 1},
    }
    counts = "frames: 1 of 4 items failed: a reason (1); the allowed fraction is 0.25:"
    assert f"{counts}\n  item 1: a reason [{tmp_path / 'a'}]\n" in terminal.getvalue()


def test_a_gate_stops_too_many_failures_and_names_them_with_their_ledger(tmp_path: Path) -> None:
    ledgers = [write(tmp_path / "a", ["ok"] * 7 + ["failed"] * 3), write(tmp_path / "b", ["failed"] * 12)]
    with pytest.raises(TesseraError) as error:
        gate("frames", ledgers, 0.68)
    message = str(error.value)
    assert "frames: 15 of 22 items failed: a reason (15); the allowed fraction is 0.68" in message
    assert f"item 7: a reason [{tmp_path / 'a'}]" in message
    assert "and 5 more" in message
    assert "gates.frames" in message


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"key": "a", "sta')
    with pytest.raises(TesseraError, match=rf"the ledger {path} is damaged .*; delete it and run again"):
        read_ledger(path)


def test_a_line_says_how_many_items_passed_and_why_others_did_not() -> None:
    rows = [("ok", ""), ("dropped", "small"), ("failed", "broken"), ("failed", "broken")]
    summary = summarise([{"status": status, "reason": reason} for status, reason in rows])
    assert (
        described("cutting", {"unit": "clips", **summary})
        == "cutting: 1 of 4 clips passed; 1 dropped: small (1); 2 failed: broken (2)"
    )
    rows += [("ok", "cut"), ("ok", "unknown label"), ("ok", "cut")]
    summary = summarise([{"status": status, "reason": reason} for status, reason in rows])
    line = (
        "cutting: 4 of 7 clips passed; 3 with a remark: cut (2), unknown label (1); 1 dropped: small (1); 2 failed: broken (2)"
    )
    assert described("cutting", {"unit": "clips", **summary}) == line


def test_a_gate_without_items_passes(tmp_path: Path) -> None:
    assert gate("frames", [write(tmp_path / "a", [])], 0)["in"] == 0
    assert gate("frames", [], 0)["in"] == 0
