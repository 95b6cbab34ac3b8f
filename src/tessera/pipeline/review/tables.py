"""The tables of decisions while the page is open: read again when somebody else changes them, and appended to."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tessera.core.errors import TesseraError
from tessera.core.settings import complaint
from tessera.core.tsv import Fault, is_empty, read_sheet, refuse
from tessera.records.log import Entry, Standing, sole_writer, write_rows


class Conflict(Exception):
    """Somebody else decided otherwise. `others`: what they decided, as rows of the table."""

    def __init__(self, others: list[dict[str, str]]) -> None:
        super().__init__("decided otherwise by somebody else")
        self.others = others


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
        self._found: Standing[Any] = Standing((), entry)
        self.fault, self.reads = "", 0

    def refresh(self) -> None:
        """Read the file again if it changed. `fault` says what is wrong with it; empty: nothing. `reads` counts how often."""
        with self._lock:
            state = self._seen()
            if state == self._state:
                return
            try:
                self._found, self.fault = Standing(self._rows(), self._entry), ""
            except TesseraError as error:
                # What was read before is still shown.
                self.fault = str(error)
            self._state = state
            self.reads += 1

    def _rows(self) -> list[tuple[int, Any]]:
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

    @property
    def state(self) -> str:
        """A text that changes if the file does."""
        return repr(self._state)

    def about(self, target: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
        """Return what is decided about `target`, the first decision first: a row for each person, with its line."""
        with self._lock:
            return [(line, row.model_dump()) for line, row in self._found.people.get(target, {}).values()]

    def targets(self) -> set[tuple[str, ...]]:
        """Return everything that is decided about."""
        with self._lock:
            return set(self._found.people)

    def standing(self) -> list[Any]:
        """Return everything that is decided: the first row about each target."""
        with self._lock:
            return [next(iter(people.values()))[1] for people in self._found.people.values()]

    def disputed(self) -> set[tuple[str, ...]]:
        """Return everything that people disagree about."""
        with self._lock:
            return {
                about
                for about, people in self._found.people.items()
                if len(people) > 1 and len({self._entry(row).says for _, row in people.values()}) > 1
            }

    def append(self, row: Mapping[str, str], *, overrule: bool = False) -> None:
        """Write `row` to the file, and return when the disk has it. A row that says what its person said last is not written.

        If `overrule` is true, a row is written for each person who decided otherwise. Raises `TesseraError` if the file or the
        row has a fault, `Conflict` if another person decided otherwise and is not overruled, and `OSError` if it cannot be
        written.
        """
        # The file is locked first, so that nobody decides between the check and the row.
        with self._lock, sole_writer(self.path) as descriptor:
            self.refresh()
            if self.fault:
                raise TesseraError(self.fault)
            try:
                checked = self._model.model_validate(dict(row))
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                raise TesseraError(f"{'.'.join(map(str, fault['loc']))}: {complaint(fault)}") from None
            said = self._entry(checked)
            people = self._found.people.get(said.about, {})
            if said.who in people and _said(people[said.who][1]) == _said(checked) and not overrule:
                return
            # Who takes a decision back contradicts nobody.
            others = {
                who: other
                for who, (_, other) in people.items()
                if said.says and who != said.who and self._says(other) != said.says
            }
            if others and not overrule:
                raise Conflict([other.model_dump() for other in others.values()])
            rows = [{**row, "overrules": who} for who in others] or [dict(row)]
            found = [self._model.model_validate(each) for each in rows]
            self._refuse_contradictions(found[-1])
            write_rows(descriptor, self.path, rows, list(self._model.model_fields))
            for each in found:
                self._found.add(self._found.lines + 1, each)
            self._state = self._seen(descriptor)

    def _refuse_contradictions(self, row: Any) -> None:
        """Raise `TesseraError` if `row` would contradict what stands about other targets."""
        if self._check is None:
            return
        own = self._entry(row)
        before = [next(iter(people.values())) for people in self._found.people.values()]
        after = [(line, each) for line, each in before if self._entry(each).about != own.about]
        faults = self._check([*after, (self._found.lines + 1, row)] if own.says else after)
        if len(faults) > len(self._check(before)):
            raise TesseraError(faults[-1][1])

    def _says(self, row: Any) -> tuple[str, ...]:
        return self._entry(row).says

    def _seen(self, descriptor: int | None = None) -> object:
        try:
            found = self.path.stat() if descriptor is None else os.fstat(descriptor)
        except OSError as error:
            return type(error)
        return found.st_ino, found.st_size, found.st_mtime_ns


def _said(row: BaseModel) -> dict[str, Any]:
    """Return what a row says, on whatever day."""
    return row.model_dump(exclude={"when", "date", "overrules"})
