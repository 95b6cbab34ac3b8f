"""The messages of a job, to its log and to the terminal."""

import faulthandler
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

_terminal: TextIO = sys.stderr
_title = ""


def open_log(title: str, path: Path) -> int:
    """Send the output of this process and of its children to `path`, and what `tell` prints to the terminal too, after `title`.

    Returns the descriptor of the terminal.
    """
    global _terminal, _title
    _title = title
    _terminal = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    path.parent.mkdir(parents=True, exist_ok=True)
    log = path.open("w", encoding="utf-8", errors="backslashreplace")
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    # The messages of loggers, and the traceback of a crash.
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )
    faulthandler.enable()
    return _terminal.fileno()


def tell(message: str, *, once: bool = False) -> None:
    """Print `message` to the terminal and to the log.

    A call counts in no digest of code. `once`: of processes that train together, only the first prints it.
    """
    if once and os.environ.get("RANK", "0") != "0":  # which torch's launcher sets
        return
    line = f"{_title}: {message}" if _title else message
    with suppress(OSError, ValueError):
        print(line, file=_terminal)
    if _title:
        with to_log():
            print(line)


@contextmanager
def to_log() -> Iterator[None]:
    """Write what is printed inside to the log immediately. If that fails, discard all later output."""
    try:
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        # Python writes the rest of the buffer at exit, which would fail again.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)


def title_of(snakemake: Any) -> str:
    """Return how messages name the job of `snakemake`: its rule and its wildcards."""
    return " ".join([snakemake.rule, *snakemake.wildcards])
