"""Tables of decisions are logs: a row is added for each decision, and the last row of each person about something counts."""

import csv
import errno
import fcntl
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from tessera.core.errors import TesseraError
from tessera.core.messages import Message
from tessera.core.tsv import Fault

T = TypeVar("T")
UNDO = "undo"  # the decision that takes back the last one of the same person


class Entry(NamedTuple):
    """What a row of a log says."""

    about: tuple[str, ...]  # what it decides on
    who: str
    decision: tuple[str, ...]  # what was decided; empty if the row takes back what the person decided before
    overrules: str  # the person whose decision it replaces; empty: nobody's


class Standing(Generic[T]):
    """What each person decided last. `people`: by what it is about and by the person, the row and its line.

    The last row of a person about something replaces those before. A row that overrules another person removes what that person
    decided before. A row that takes a decision back counts as if its person had said nothing about it before, so that the
    decisions of those who were overruled count again.
    """

    def __init__(self, rows: Iterable[tuple[int, T]], entry: Callable[[T], Entry]) -> None:
        """Read `rows`, each with its line. `entry` returns what a row says."""
        self.people: dict[tuple[str, ...], dict[str, tuple[int, T]]] = {}
        self._rows: dict[tuple[str, ...], list[tuple[int, T]]] = {}
        self._entry = entry
        self.lines = 0  # the last line
        for line, row in rows:
            self._add_row(line, row)
        for about in self._rows:
            self._resolve(about)

    def add(self, line: int, row: T) -> None:
        """Add the next row."""
        self._add_row(line, row)
        self._resolve(self._entry(row).about)

    def last_decision(self, about: tuple[str, ...], who: str, same: Callable[[T, T], bool]) -> tuple[list[T], list[T]]:
        """Return the rows of the last decision of `who` about something, and those of the decision of `who` before it.

        Both are empty if nothing of `who` stands. `same`: whether two rows say the same. A decision that overrules several
        people has a row for each of them.
        """
        if who not in self.people.get(about, {}):
            return [], []
        rows = [row for _, row in self._rows[about] if self._entry(row).who == who]
        groups: list[list[T]] = []
        for row in rows:
            if groups and same(groups[-1][-1], row):
                groups[-1].append(row)
            else:
                groups.append([row])
        return groups[-1], groups[-2] if len(groups) > 1 else []

    def _add_row(self, line: int, row: T) -> None:
        entry = self._entry(row)
        self.lines = line
        rows = self._rows.setdefault(entry.about, [])
        if entry.decision:
            rows.append((line, row))
        else:
            rows[:] = [(line, other) for line, other in rows if self._entry(other).who != entry.who]

    def _resolve(self, about: tuple[str, ...]) -> None:
        people: dict[str, tuple[int, T]] = {}
        for line, row in self._rows[about]:
            entry = self._entry(row)
            people.pop(entry.who, None)
            people.pop(entry.overrules, None)
            people[entry.who] = line, row
        self.people.pop(about, None)
        if people:
            self.people[about] = people


def in_force(rows: Iterable[tuple[int, T]], entry: Callable[[T], Entry]) -> tuple[list[tuple[int, T]], list[Fault]]:
    """Return those of `rows`, in order and each with its line, that count, and a fault for each disagreement of two people.

    See `Standing`. Of several people who agree, the first counts. If they disagree, one of them has to overrule the other.
    """
    accepted_rows = []
    faults: list[tuple[int, Message]] = []
    for about, people in Standing(rows, entry).people.items():
        first, *others = people.values()
        accepted_rows.append(first)
        accepted = entry(first[1])
        for line, row in others:
            if (other := entry(row)).decision != accepted.decision:
                disagreement = f"{other.who} says {_text(other)}, but {accepted.who} says {_text(accepted)} on line {first[0]}"
                fix = f"agree, or write {accepted.who!r} into the column `overrules` of this line"
                faults.append((line, f"{about[0]!r}: {disagreement}; {fix}"))
    return sorted(accepted_rows, key=lambda each: each[0]), faults


def _text(entry: Entry) -> str:
    return " ".join(filter(None, entry.decision))


@contextmanager
def sole_writer(path: Path) -> Iterator[int]:
    """Yield a descriptor of the file `path`, to read and to append, while no other process has it. A missing file is made.

    Raises `TesseraError` if it is no regular file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise TesseraError(f"{path} is no regular file; restore the table")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever had the file before may have replaced it.
            if not _is_at(descriptor, path):
                continue
            try:
                yield descriptor
                return
            finally:
                # Nothing was written to a file that was made here.
                if not os.fstat(descriptor).st_size:
                    path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        at_path = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(descriptor)
    return (at_path.st_dev, at_path.st_ino) == (opened.st_dev, opened.st_ino)


def append_row(path: Path, row: Mapping[str, str], columns: Sequence[str]) -> None:
    """Append `row` to the table `path`, see `write_rows`."""
    with sole_writer(path) as descriptor:
        write_rows(descriptor, path, [row], columns)


def write_rows(descriptor: int, path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
    """Append `rows` to the tab-separated table `path`, and return when the disk has them. It is valid at every moment.

    `descriptor`: of the file, see `sole_writer`. The rows are written with their line ends in one call, below a header that
    lists `columns` if there is none yet. The order of the columns in the file counts. If the disk is full, the file stays as it
    was, and `OSError` is raised. Raises `TesseraError` if the file lacks a column that a row needs.
    """
    before = os.fstat(descriptor).st_size
    header = _header(descriptor)
    used = {name for row in rows for name, value in row.items() if value}
    if missing := [name for name in columns if name in used and name not in (header or columns)]:
        raise TesseraError(f"{path}: the table has no column {', '.join(map(repr, missing))}; add it to the header")
    lines = b"" if not before or os.pread(descriptor, 1, before - 1) == b"\n" else b"\n"
    lines += b"" if header else _line(columns)
    lines += b"".join(_line([row.get(name, "") for name in header or columns]) for row in rows)
    try:
        if os.write(descriptor, lines) != len(lines):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise
    if not before:
        _sync(path.parent)


def _header(descriptor: int) -> list[str]:
    """Return the columns of the table; none if it has no header yet."""
    with os.fdopen(os.dup(descriptor), encoding="utf-8-sig", newline="") as file:
        file.seek(0)
        line = next((line for line in file if not line.startswith("#")), "")
    return [name.strip() for name in next(csv.reader([line], delimiter="\t"), [])]


def _line(fields: Sequence[Any]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter="\t", lineterminator="\n").writerow(fields)
    return file.getvalue().encode()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
