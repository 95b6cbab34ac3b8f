"""The tables of decisions while the page is open: read again when somebody else changes them, and appended to."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.core.settings import complaint
from tessera.core.tsv import Fault, is_empty, read_sheet, refuse
from tessera.records.decision_log import UNDO, Entry, Standing, sole_writer, write_rows

Row = Mapping[str, str]
Rows = list[dict[str, str]]


class Conflict(Exception):
    """Somebody else decided otherwise. `others`: what they decided, as rows of the table."""

    def __init__(self, others: Rows) -> None:
        super().__init__("Somebody else decided otherwise.")
        self.others = others


class Lost(TesseraError):
    """The table was removed or emptied. It is begun anew only on purpose."""


class Written(NamedTuple):
    """A decision that the disk has."""

    row: dict[str, str]
    before: Rows  # those of the same person's decision that it replaced


class DecisionTable:
    """A table of decisions in a file. All methods can be called from several threads."""

    def __init__(
        self,
        path: Path,
        model: type[BaseModel],
        entry: Callable[[Any], Entry],
        check: Callable[[Sequence[tuple[int, Any]]], list[Fault]] | None = None,
    ) -> None:
        """Read the table `path`, whose rows are instances of `model`; a missing file is an empty table.

        `check` returns the faults of rows that contradict each other, each row with its line.
        """
        self.path, self._model, self._entry, self._check = Path(path), model, entry, check
        self._lock = threading.RLock()
        self._state: object = None
        self._rows: list[Any] = []
        self._found: Standing[Any] = Standing((), entry)
        self.fault, self.reads = "", 0
        self.lost = ""  # what was removed and not begun anew; empty: nothing
        self.notices: list[str] = []  # what other programs did to rows that were read

    def refresh(self) -> None:
        """Read the file again if it changed. `fault` says what is wrong with it; empty: nothing. `reads` counts how often."""
        with self._lock:
            state = self._file_status()
            if state == self._state:
                return
            try:
                rows = self._read()
            except TesseraError as error:
                # What was read before is still shown.
                self.fault = str(error)
            else:
                self._compare([row for _, row in rows])
                self._found, self._rows, self.fault = Standing(rows, self._entry), [row for _, row in rows], ""
            self._state = state
            self.reads += 1

    def _read(self) -> list[tuple[int, Any]]:
        try:
            if is_empty(self.path):
                return []
        except FileNotFoundError:
            return []
        if not self.path.is_file():
            raise TesseraError(f"{self.path} is no regular file; restore the table")
        sheet = read_sheet(self.path, self._model, "table", "restore it")
        refuse(self.path, sheet.faults)
        return sheet.rows

    def _compare(self, rows: list[Any]) -> None:
        """Note what became of the rows that were read before. Rows that are added at the end are no surprise."""
        if rows[: len(self._rows)] == self._rows:
            self.lost = "" if rows else self.lost
            return
        gone = pluralize(sum((Counter(map(repr, self._rows)) - Counter(map(repr, rows))).values()), "rows")
        if rows:
            self.lost = ""
            what = f"{gone} of {len(self._rows):,} are no longer in it" if gone[0] != "0" else "its rows are in another order"
            self.notices.append(f"{self.path} was changed by another program: {what}. What it says now counts.")
            return
        how = "emptied" if self.path.exists() else "removed"
        self.lost = f"{self.path} was {how} by another program, with {gone}. Restore the file to keep them"
        self.notices.append(f"{self.lost}; a decision with Shift begins a new table.")

    @property
    def state(self) -> str:
        """A text that changes if the file does."""
        return repr(self._state)

    def about(self, target: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
        """Return what is decided about `target`, the first decision first: a row for each person, with its line."""
        with self._lock:
            return [(line, row.model_dump()) for line, row in self._found.people.get(target, {}).values()]

    def last_decision(self, target: tuple[str, ...], who: str) -> tuple[int, Written] | None:
        """Return the last decision of `who` about `target`, after its line; None if nothing stands."""
        with self._lock:
            latest, before = self._found.last_decision(target, who, _same)
            if not latest:
                return None
            line, row = self._found.people[target][who]
            return line, Written(row.model_dump(), [each.model_dump() for each in before])

    def targets(self) -> set[tuple[str, ...]]:
        """Return everything that is decided about."""
        with self._lock:
            return set(self._found.people)

    def standing(self) -> list[Any]:
        """Return everything that is decided, in the order of the file: the first row about each target."""
        with self._lock:
            latest = [next(iter(people.values())) for people in self._found.people.values()]
        return [row for _, row in sorted(latest, key=lambda each: each[0])]

    def disputed(self) -> set[tuple[str, ...]]:
        """Return everything that people disagree about."""
        with self._lock:
            return {
                about
                for about, people in self._found.people.items()
                if len(people) > 1 and len({self._entry(row).decision for _, row in people.values()}) > 1
            }

    def target_of(self, row: Row) -> tuple[str, ...]:
        """Return what `row` is about."""
        return self._entry(self._model.model_validate(dict(row))).about

    def decide(self, rows: Sequence[Row], *, overrule: bool = False) -> list[Written | TesseraError | Conflict]:
        """Write `rows` to the file at once, and return when the disk has them: for each what became of it.

        A row is not written if it says what its person said last, if it has a fault (`TesseraError`), or if another person
        decided otherwise (`Conflict`). If `overrule` is true, a row is written for each person who did. Raises `TesseraError`
        if the file has a fault, `Lost` if it was removed and `overrule` is not true, and `OSError` if it cannot be written:
        then no row is.
        """
        # The file is locked first, so that nobody decides between the check and the row.
        with self._lock, sole_writer(self.path) as descriptor:
            self._ready(overrule)
            answers: list[Written | TesseraError | Conflict] = []
            written: list[dict[str, str]] = []
            standing = self._unique()
            for row in rows:
                try:
                    before = self._before(row)
                    added = self._rows_for(row, overrule)
                    if added:
                        self._refuse_contradictions(standing, self._model.model_validate(added[-1]))
                    written += added
                    answers.append(Written(dict(row), before))
                except (TesseraError, Conflict) as error:
                    answers.append(error)
            self._write(descriptor, written)
            return answers

    def take_back(self, taken: Sequence[Written]) -> list[TesseraError | None]:
        """Write rows that take back decisions and repeat what stood before them, at once: for each why not, or None.

        Each must be the last decision of its person about its target. Raises as `decide`.
        """
        with self._lock, sole_writer(self.path) as descriptor:
            self._ready(overrule=False)
            answers: list[TesseraError | None] = []
            written: list[dict[str, str]] = []
            standing = self._unique()
            for row, before in taken:
                try:
                    written += self._rows_back(row, before, standing)
                    answers.append(None)
                except TesseraError as error:
                    answers.append(error)
            self._write(descriptor, written)
            return answers

    def _ready(self, overrule: bool) -> None:
        self.refresh()
        if self.fault:
            raise TesseraError(self.fault)
        if self.lost and not overrule:
            raise Lost(f"{self.lost}; or decide with Shift, which begins a new table")
        self.lost = ""

    def _write(self, descriptor: int, rows: Rows) -> None:
        if rows:
            write_rows(descriptor, self.path, rows, list(self._model.model_fields))
            for row in rows:
                each = self._model.model_validate(row)
                self._found.add(self._found.lines + 1, each)
                self._rows.append(each)
            self._state = self._file_status(descriptor)

    def _before(self, row: Row) -> Rows:
        said = self._entry(self._checked(row))
        return [each.model_dump() for each in self._found.last_decision(said.about, said.who, _same)[0]]

    def _checked(self, row: Row) -> Any:
        try:
            return self._model.model_validate(dict(row))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise TesseraError(f"{'.'.join(map(str, fault['loc']))}: {complaint(fault)}") from None

    def _rows_for(self, row: Row, overrule: bool) -> Rows:
        """Return the rows that say what `row` says, none if they are there already. Raises `Conflict`."""
        checked = self._checked(row)
        said = self._entry(checked)
        people = self._found.people.get(said.about, {})
        if said.who in people and _same(people[said.who][1], checked) and not overrule:
            return []
        others = {
            who: other for who, (_, other) in people.items() if who != said.who and self._entry(other).decision != said.decision
        }
        if others and not overrule:
            raise Conflict([other.model_dump() for other in others.values()])
        return [{**row, "overrules": who} for who in others] or [dict(row)]

    def _rows_back(self, row: Row, before: Rows, standing: dict[tuple[str, ...], tuple[int, Any]]) -> Rows:
        checked = self._checked(row)
        said = self._entry(checked)
        latest = self._found.people.get(said.about, {}).get(said.who)
        if latest is None or not _same(latest[1], checked):
            raise TesseraError(f"what {said.who} decided about {said.about[0]!r} was changed since, and stays as it is")
        if before and _same(self._model.model_validate(before[-1]), checked):
            return []
        today = date.today().isoformat()
        undone = {"action": UNDO, "to": "", "note": "", "date": today}
        if "key" in row:
            undone = {"decision": UNDO, "reason": "", "label": "", "when": today}
        back = [{**row, **undone, "overrules": ""}, *before]
        self._refuse_contradictions(standing, self._model.model_validate(back[-1]))
        return back

    def _unique(self) -> dict[tuple[str, ...], tuple[int, Any]]:
        """Return what stands about each target, for `check`: the first row with its line."""
        if self._check is None:
            return {}
        return {about: next(iter(people.values())) for about, people in self._found.people.items()}

    def _refuse_contradictions(self, standing: dict[tuple[str, ...], tuple[int, Any]], row: Any) -> None:
        """Add `row` to what stands. Raises `TesseraError` if it would contradict what stands about other targets."""
        if self._check is None:
            return
        entry = self._entry(row)
        after = {about: each for about, each in standing.items() if about != entry.about}
        if entry.decision:
            after[entry.about] = self._found.lines + 1, row
        faults = self._check(list(after.values()))
        if len(faults) > len(self._check(list(standing.values()))):
            raise TesseraError(faults[-1][1])
        standing.clear()
        standing.update(after)

    def _file_status(self, descriptor: int | None = None) -> object:
        try:
            status = self.path.stat() if descriptor is None else os.fstat(descriptor)
        except OSError as error:
            return type(error)
        return status.st_ino, status.st_size, status.st_mtime_ns


def _same(row: BaseModel, other: BaseModel) -> bool:
    """Return whether two rows say the same, on whatever day."""
    apart = {"when", "date", "overrules"}
    return row.model_dump(exclude=apart) == other.model_dump(exclude=apart)
