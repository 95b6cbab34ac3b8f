"""Tables of decisions only grow, are valid at every moment, and the last word of each person counts."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.records.decision_log import append_row, in_force, sole_writer
from tessera.records.decisions import Decision, entry_of, read_decisions

COLUMNS = list(Decision.model_fields)
WHAT = ("keep", "drop", "negative", "undo")


def decided(key: str, decision: str, who: str = "Ada", overrules: str = "", reason: str = "") -> dict[str, str]:
    return {"key": key, "decision": decision, "reason": reason, "who": who, "when": "2026-01-31", "overrules": overrules}


rows = st.lists(
    st.builds(
        decided, st.sampled_from("ab"), st.sampled_from(WHAT), st.sampled_from("XYZ"), st.sampled_from(["", "X", "Y", "Z"])
    ),
    max_size=12,
)


def in_force_slowly(said: list[Decision]) -> tuple[dict[str, str], set[str]]:
    """Return what counts by key, and the keys that people disagree about, in the most obvious way."""
    counts, fought = {}, set()
    for key in {each.key for each in said}:
        heard = [each for each in said if each.key == key]
        while "undo" in (words := [each.decision for each in heard]):
            before, undo, after = heard[: words.index("undo")], heard[words.index("undo")], heard[words.index("undo") + 1 :]
            heard = [each for each in before if each.who != undo.who] + after
        standing: list[Decision] = []
        for each in heard:
            standing = [other for other in standing if other.who not in {each.who, each.overrules}] + [each]
        if standing:
            counts[key] = standing[0].decision
        if len({each.decision for each in standing}) > 1:
            fought.add(key)
    return counts, fought


@given(rows)
def test_the_last_row_of_each_person_counts_and_disagreements_are_faults(said: list[dict[str, str]]) -> None:
    decisions = [Decision(**each) for each in said]
    found, faults = in_force(enumerate(decisions, 2), entry_of)
    counts, fought = in_force_slowly(decisions)
    assert {each.key: each.decision for _, each in found} == counts
    assert {fault.split("'")[1] for _, fault in faults} == fought
    assert [line for line, _ in found] == sorted(line for line, _ in found)


def test_a_disagreement_names_both_lines_and_ends_when_one_overrules_the_other(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    append_row(path, decided("a-0-1", "keep"), COLUMNS)
    append_row(path, decided("a-0-1", "drop", "Bo"), COLUMNS)
    with pytest.raises(
        TesseraError, match=r"line 3: 'a-0-1': Bo says drop, but Ada says keep on line 2; agree, or write 'Ada' into"
    ):
        read_decisions(path, {})
    append_row(path, decided("a-0-1", "drop", "Bo", overrules="Ada"), COLUMNS)
    assert [(each.decision, each.who) for each in read_decisions(path, {})] == [("drop", "Bo")]


def test_who_was_overruled_is_heard_again_if_that_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    append_row(path, decided("a-0-1", "keep"), COLUMNS)
    append_row(path, decided("a-0-1", "drop", "Bo", overrules="Ada"), COLUMNS)
    append_row(path, decided("a-0-1", "undo", "Bo"), COLUMNS)
    assert [(each.decision, each.who) for each in read_decisions(path, {})] == [("keep", "Ada")]


@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), min_size=1, max_size=5))
def test_every_text_is_read_back_as_it_was_written(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("log") / "d.tsv"
    for number, text in enumerate(texts):
        append_row(path, decided(f"a-{number}-1", "keep", reason=text), COLUMNS)
    assert [each.reason for each in read_decisions(path, {})] == texts


@pytest.mark.parametrize("start", ["", "# ours\n", "\ufeff# ours\n", "# ours\nwho\twhen\tdecision\tkey\treason\n"])
@pytest.mark.parametrize("last", ["", "Bo\t2026-01-01\tdrop\tb-0-1\tno line end"])
def test_rows_are_added_to_a_table_as_editors_leave_it(start: str, last: str, tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    header = "" if "who" in start or not last else "who\twhen\tdecision\tkey\treason\n"
    path.write_text(start + header + last)
    append_row(path, decided("a-0-1", "keep"), COLUMNS)
    assert [each.key for each in read_decisions(path, {})] == (["b-0-1"] if last else []) + ["a-0-1"]


def test_a_column_that_the_table_lacks_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text("key\tdecision\twho\twhen\n")
    with pytest.raises(TesseraError, match=r"has no column 'reason', 'overrules'; add it to the header"):
        append_row(path, decided("a-0-1", "keep", overrules="Bo", reason="no"), COLUMNS)
    assert path.read_text() == "key\tdecision\twho\twhen\n"


def test_a_full_disk_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    append_row(path, decided("a-0-1", "keep"), COLUMNS)
    before = path.read_bytes()
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match=r"No space left|too large"):
            append_row(path, decided("b-0-1", "drop"), COLUMNS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_empty_table_behind_and_one_that_is_there_is_used(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    with pytest.raises(OSError, match="full"), sole_writer(path):
        raise OSError("full")
    assert not path.exists()
    path.touch()
    assert read_decisions(path, {}) == []
    append_row(path, decided("a-0-1", "keep"), COLUMNS)
    assert [each.key for each in read_decisions(path, {})] == ["a-0-1"]


def test_a_row_goes_into_the_file_that_is_there_when_the_writer_has_it(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    append_row(path, decided("a-0-1", "keep"), COLUMNS)
    with ThreadPoolExecutor(1) as pool:
        with sole_writer(path):
            waiting = pool.submit(append_row, path, decided("b-0-1", "drop"), COLUMNS)
            time.sleep(0.2)
            # An editor saves it.
            shutil.copy(path, tmp_path / "new")
            (tmp_path / "new").replace(path)
        waiting.result(10)
    assert [each.key for each in read_decisions(path, {})] == ["a-0-1", "b-0-1"]


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "d.tsv")
    with pytest.raises(TesseraError, match="is no regular file"):
        append_row(tmp_path / "d.tsv", decided("a-0-1", "keep"), COLUMNS)


APPEND = """
import sys
from pathlib import Path
from tessera.records.decision_log import append_row
for number in range(1_000):
    row = {"key": f"{sys.argv[2]}-{number}-1", "decision": "keep", "reason": "x" * 50, "who": sys.argv[2], "when": "2026-01-31"}
    append_row(Path(sys.argv[1]), row, ["key", "decision", "reason", "who", "when"])
    print(row["key"], flush=True)
"""


def test_no_acknowledged_row_is_lost_when_writers_are_killed(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    writers = [
        subprocess.Popen([sys.executable, "-c", APPEND, str(path), name], stdout=subprocess.PIPE, text=True) for name in "ab"
    ]
    acknowledged = []
    for number, writer in enumerate(writers):
        acknowledged += [writer.stdout.readline().strip() for _ in range(5 + number)]
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.communicate()[0].split()
    known = {each.key for each in read_decisions(path, {})}
    assert set(acknowledged) <= known
    assert len(known) <= len(acknowledged) + 2
