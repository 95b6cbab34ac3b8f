"""The tables of decisions while the page is open: read again when somebody else changes them, and appended to."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tessera.core.errors import TesseraError
from tessera.core.settings import complaint
from tessera.core.tsv import read_sheet, refuse
from tessera.records.log import Entry, Standing, append_row


class Conflict(Exception):
    """Somebody else decided otherwise. `others`: what they decided, as rows of the table."""

    def __init__(self, others: list[dict[str, str]]) -> None:
        super().__init__("decided otherwise by somebody else")
        self.others = others


class DecisionTable:
    """A table of decisions in a file. All methods can be called from several threads."""

    def __init__(self, path: Path, model: type[BaseModel], entry: Callable[[Any], Entry]) -> None:
        """Read the table `path`, whose rows are instances of `model`; a missing file is an empty table."""
        self.path, self._model, self._entry = Path(path), model, entry
        self._lock = threading.RLock()
        self._state: object = None
        self._found: Standing[Any] = Standing((), entry)
        self.fault = ""

    def refresh(self) -> bool:
        """Read the file again if it changed, and return whether it did. `fault` says what is wrong with it; empty: nothing."""
        with self._lock:
            state = self._seen()
            if state == self._state:
                return False
            try:
                sheet = read_sheet(self.path, self._model, "table", "restore it")
                refuse(self.path, sheet.faults)
                self._found, self.fault = Standing(sheet.rows, self._entry), ""
            except FileNotFoundError:
                self._found, self.fault = Standing((), self._entry), ""
            except TesseraError as error:
                # What was read before is still shown.
                self.fault = str(error)
            self._state = state
            return True

    def about(self, target: tuple[str, ...]) -> list[dict[str, str]]:
        """Return what is decided about `target`, the first decision first, one row for each person."""
        return [row.model_dump() for _, row in self._found.people.get(target, {}).values()]

    def targets(self) -> list[tuple[str, ...]]:
        """Return everything that is decided about."""
        return list(self._found.people)

    def standing(self) -> list[Any]:
        """Return everything that is decided: the first row about each target."""
        return [next(iter(people.values()))[1] for people in self._found.people.values()]

    def disputed(self) -> list[tuple[str, ...]]:
        """Return everything that people disagree about."""
        return [
            about
            for about, people in self._found.people.items()
            if len(people) > 1 and len({self._entry(row).says for _, row in people.values()}) > 1
        ]

    def append(self, row: Mapping[str, str], *, is_undo: bool = False) -> None:
        """Write `row` to the file, and return when the disk has it. A row that says what its person said last is not written.

        Raises `TesseraError` if the file or the row has a fault, `Conflict` if another person decided otherwise and the row
        does not overrule that, and `OSError` if it cannot be written.
        """
        with self._lock:
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
            if said.who in people and not said.overrules and _said(people[said.who][1]) == _said(checked):
                return
            others = [
                other.model_dump()
                for who, (_, other) in people.items()
                if who not in {said.who, said.overrules} and self._entry(other).says != said.says
            ]
            if others and not is_undo:
                raise Conflict(others)
            append_row(self.path, row, list(self._model.model_fields))
            self._found.add(0, checked)
            self._state = self._seen()

    def _seen(self) -> object:
        try:
            found = self.path.stat()
        except OSError as error:
            return type(error)
        return found.st_ino, found.st_size, found.st_mtime_ns


def _said(row: BaseModel) -> dict[str, Any]:
    """Return what a row says, on whatever day."""
    return row.model_dump(exclude={"when", "date", "overrules"})
