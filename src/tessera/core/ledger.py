"""Ledgers: one row per item, whatever its result, so that all counts add up."""

import errno
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.log import tell
from tessera.core.messages import format_counts, pluralize, truncate

log = logging.getLogger(__name__)

Status = Literal["ok", "dropped", "failed"]
SHOWN = 10  # failed items that a gate names
# Errors of the disk or the memory, not of the item: the next item would fail as well.
SYSTEMIC = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Ledger:
    """A writer of `path`: JSON lines with `key`, `status` (`ok`, `dropped`, `failed`), `reason`, `detail` and `seconds`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None

    def __enter__(self) -> "Ledger":
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._file is not None
        self._file.close()

    def row(self, key: str, status: Status, reason: str = "", detail: str = "", seconds: float = 0.0) -> None:
        """Write one row. To time the work on an item, use `item` instead."""
        assert self._file is not None, "a ledger is written inside `with`"
        row = {"key": key, "status": status, "reason": reason, "detail": detail, "seconds": round(seconds, 4)}
        self._file.write(json.dumps(row, ensure_ascii=True) + "\n")

    @contextmanager
    def item(self, key: str) -> Iterator[dict[str, str]]:
        """Run the block as the work on `key`, and write its row at the end.

        If only a part of the item is unusable, set `reason` and `detail` in the yielded dictionary: the row is `ok` with both.

        `Dropped` gives a dropped row and `Failed` a failed row. Any other exception also gives a failed row, with its type as
        the reason and the traceback in the log: a bad item must not end the run. `TesseraError`, `MemoryError` and the
        errors in `SYSTEMIC`, such as a full disk, leave the block.
        """
        start = time.monotonic()
        note: dict[str, str] = {}
        try:
            yield note
        except Failed as error:
            self.row(key, "failed", error.reason, error.detail, time.monotonic() - start)
        except Dropped as error:
            self.row(key, "dropped", error.reason, error.detail, time.monotonic() - start)
        except (TesseraError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in SYSTEMIC:
                raise
            log.exception("%s failed", key)
            self.row(key, "failed", f"unexpected {type(error).__name__}", str(error), time.monotonic() - start)
        else:
            self.row(key, "ok", note.get("reason", ""), note.get("detail", ""), time.monotonic() - start)


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the ledger `path`. Raises `TesseraError` if it is damaged."""
    with Path(path).open(encoding="utf-8") as file:
        try:
            return [json.loads(line) for line in file]
        except ValueError as error:
            raise TesseraError(f"the ledger {path} is damaged ({error}); delete it and run again") from error


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return `{"in": n, "ok": n, "partly": {reason: n}, "dropped": {…}, "failed": {…}}`; in = ok + dropped + failed.

    `partly` counts the ok items that have a reason. Most of them lost a part.
    """
    counts = Counter((row["status"], row["reason"]) for row in rows)
    return {
        "in": len(rows),
        "ok": sum(n for (status, _), n in counts.items() if status == "ok"),
        "partly": {reason: n for (status, reason), n in sorted(counts.items()) if status == "ok" and reason},
        "dropped": {reason: n for (status, reason), n in sorted(counts.items()) if status == "dropped"},
        "failed": {reason: n for (status, reason), n in sorted(counts.items()) if status == "failed"},
    }


def described(step: str, summary: dict[str, Any]) -> str:
    """Return one line about the `summary` of a step (see `summarise`, with its `unit`).

    It says how many items passed, how many of these with a remark, and how many were dropped and failed, each by reason.
    """
    passed = f"{step}: {summary['ok']:,} of {pluralize(summary['in'], summary['unit'])} passed"
    others = [
        f"{sum(summary[status].values()):,} {name}: {format_counts(summary[status])}"
        for status, name in (("partly", "with a remark"), ("dropped", "dropped"), ("failed", "failed"))
        if summary[status]
    ]
    return "; ".join([passed, *others])


def gate(stage: str, ledgers: list[Path], max_failed: float) -> dict[str, Any]:
    """Return the summary of all `ledgers`, and print which items failed.

    Raises `TesseraError` if their fraction exceeds `max_failed`.
    """
    rows = [{**row, "ledger": str(path)} for path in sorted(ledgers) for row in read_ledger(path)]
    failed = [row for row in rows if row["status"] == "failed"]
    if failed:
        lines = [
            f"{row['key']}: {row['reason']}" + (f" ({row['detail']})" if row["detail"] else "") + f" [{row['ledger']}]"
            for row in failed
        ]
        reasons = format_counts(Counter(row["reason"] for row in failed))
        title = f"{stage}: {len(failed):,} of {pluralize(len(rows), 'items')} failed: {reasons}"
        listed = "\n  ".join([f"{title}; the allowed fraction is {max_failed:g}:", *truncate(lines, SHOWN)])
        if len(failed) / len(rows) > max_failed:
            raise TesseraError(
                f"{listed}\nfix the items or, if the loss is acceptable, raise gates.{stage} in the configuration"
            )
        tell(listed)
    return summarise(rows)
