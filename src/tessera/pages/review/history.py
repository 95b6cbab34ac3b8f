"""What was decided on the page and can be taken back, in a file beside the items. The tables do not depend on it."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.pages.review.tables import Rows, Written

FILE = "history.jsonl"
KEPT = 20_000  # decisions that are read when the page is opened
Target = tuple[str, ...]  # the table, and what the decision is about


@dataclass
class Change:
    """A decision about one thing. Those of one request have one `batch`."""

    number: int
    batch: int
    at: float  # seconds since 1970
    who: str
    text: str  # what was decided
    target: Target
    item: dict[str, Any]  # where the page shows it
    row: dict[str, str]
    before: Rows  # what its person had decided before
    is_undone: bool = False

    @property
    def written(self) -> Written:
        """What the table got."""
        return Written(self.row, self.before)


class History:
    """The decisions of all people who used the page, the latest last. One thread at a time may call it."""

    def __init__(self, folder: Path) -> None:
        """Read the history in `folder`. Lines of a page that was killed while it wrote are left out."""
        self._path = folder / FILE
        self._changes: dict[int, Change] = {}
        self._of_target: dict[tuple[Target, str], list[Change]] = {}
        said_before = self._path.read_text("utf-8", "replace") if self._path.is_file() else ""
        self._is_torn = not said_before.endswith("\n") and bool(said_before)
        for line in said_before.split("\n"):
            try:
                said = json.loads(line)
                for each in said.get("made", ()):
                    self._keep(Change(**{**each, "target": tuple(each["target"])}))
                for number in said.get("undone", ()):
                    self._undo(self._changes[number])
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
        self._last = max(self._changes, default=0)
        for number in sorted(self._changes)[:-KEPT]:
            self._changes.pop(number)

    def add(self, who: str, text: str, made: Iterable[tuple[Target, Mapping[str, Any], Written]]) -> int:
        """Add the decisions of one request of `who`; return the number of its batch."""
        batch, now, changes = self._last + 1, time.time(), []
        for target, item, written in made:
            self._last += 1
            changes.append(Change(self._last, batch, now, who, text, target, dict(item), written.row, written.before))
            self._keep(changes[-1])
        self._write({"made": [vars(each) for each in changes]})
        return batch

    def _keep(self, change: Change) -> None:
        self._changes[change.number] = change
        self._of_target.setdefault((change.target, change.who), []).append(change)

    def of_batch(self, batch: int, who: str) -> list[Change]:
        """Return what `who` decided in `batch` and did not take back."""
        return [each for each in self._changes.values() if each.batch == batch and each.who == who and not each.is_undone]

    def last_about(self, target: Target, who: str) -> Change | None:
        """Return the last decision of `who` about `target` that was not taken back."""
        alive = [each for each in self._of_target.get((target, who), ()) if not each.is_undone]
        return alive[-1] if alive else None

    def after(self, change: Change) -> Change | None:
        """Return the next decision of the same person about the same thing that was not taken back."""
        later = self._of_target[change.target, change.who]
        return next((each for each in later if each.number > change.number and not each.is_undone), None)

    def undo(self, changes: Sequence[Change]) -> None:
        """Note that `changes` were taken back. What was decided after one of them then follows what was decided before it."""
        for change in changes:
            self._undo(change)
        self._write({"undone": [each.number for each in changes]})

    def _undo(self, change: Change) -> None:
        if later := self.after(change):
            later.before = change.before
        change.is_undone = True

    def batches(self, who: str, count: int) -> list[dict[str, Any]]:
        """Return the last `count` batches of `who`, the latest first, without what was taken back."""
        changes_of_batch: dict[int, list[Change]] = {}
        for change in reversed(self._changes.values()):
            if change.who == who and not change.is_undone:
                if change.batch not in changes_of_batch and len(changes_of_batch) == count:
                    break
                changes_of_batch.setdefault(change.batch, []).append(change)
        return [
            {
                "batch": batch,
                "at": batch_changes[-1].at,
                "text": batch_changes[-1].text,
                "count": len(batch_changes),
                "item": batch_changes[-1].item,
            }
            for batch, batch_changes in changes_of_batch.items()
        ]

    def _write(self, said: Mapping[str, Any]) -> None:
        # Without a wait for the disk: a power cut may cost the history, but no decision.
        with self._path.open("a", encoding="utf-8") as file:
            # A page that was killed may have left half a line.
            file.write("\n" * self._is_torn + json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._is_torn = False
