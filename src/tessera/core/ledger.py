"""The ledger: one row per item, whatever became of it, so that every count adds up."""

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

log = logging.getLogger(__name__)

Status = Literal["ok", "dropped", "failed"]
# The disk or the memory, not the item: going on would only blame the next item.
SYSTEMIC = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Ledger:
    """Writes `path` as JSON lines: `key`, `status` (`ok`, `dropped`, `failed`), `reason`, `detail`, `seconds`."""

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
        """Write one row. Use `item` where there is work to time."""
        assert self._file is not None, "a ledger is written inside `with`"
        row = {"key": key, "status": status, "reason": reason, "detail": detail, "seconds": round(seconds, 4)}
        self._file.write(json.dumps(row, ensure_ascii=True) + "\n")

    @contextmanager
    def item(self, key: str) -> Iterator[dict[str, str]]:
        """Do the work for `key` inside; the row is written at the end.

        An item that is well but for a part of it is `ok` with the `reason` and `detail` put into what is yielded.

        `Dropped` gives a dropped row and `Failed` a failed one. So does any other exception, with its type as reason and
        the traceback in the log: a bad item must not end the run. A full disk, exhausted memory and `TesseraError` do.
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
    """Return the rows of `path`."""
    with Path(path).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return `{"in": n, "ok": n, "partly": {reason: n}, "dropped": {…}, "failed": {…}}`; in = ok + dropped + failed.

    `partly` are those of the ok items that have a reason: most lost a part.
    """
    counts = Counter((row["status"], row["reason"]) for row in rows)
    return {
        "in": len(rows),
        "ok": sum(n for (status, _), n in counts.items() if status == "ok"),
        "partly": {reason: n for (status, reason), n in sorted(counts.items()) if status == "ok" and reason},
        "dropped": {reason: n for (status, reason), n in sorted(counts.items()) if status == "dropped"},
        "failed": {reason: n for (status, reason), n in sorted(counts.items()) if status == "failed"},
    }


def gate(room: str, ledgers: list[Path], max_failed: float) -> dict[str, Any]:
    """Return the summary of all `ledgers`, or raise `TesseraError` where the failed fraction exceeds `max_failed`."""
    rows = [{**row, "ledger": str(path)} for path in sorted(ledgers) for row in read_ledger(path)]
    failed = [row for row in rows if row["status"] == "failed"]
    if rows and len(failed) / len(rows) > max_failed:
        shown = "\n".join(
            f"  {row['key']}: {row['reason']}" + (f" ({row['detail']})" if row["detail"] else "") + f" [{row['ledger']}]"
            for row in failed[:10]
        )
        more = f"\n  and {len(failed) - 10} more" if len(failed) > 10 else ""
        raise TesseraError(
            f"{room}: {len(failed)} of {len(rows)} items failed, allowed is the fraction {max_failed:g}:\n{shown}{more}\n"
            f"mend the items or, if the loss is acceptable, raise gates.{room} in the configuration"
        )
    return summarise(rows)
