"""The end of a job from outside: an interrupt, or the end of the workflow that started it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

from tessera.core.log import title_of
from tessera.core.outputs import discard


def stop_with_parent(temporary: Path) -> None:
    """End this process when the workflow is killed. It would otherwise write its outputs during the next run."""
    ancestors = [process for process in psutil.Process().parents() if process.pid != 1]
    workflow = next((process for process in ancestors if "snakemake" in " ".join(_command(process))), None)
    if workflow is None:
        return

    def watch() -> None:
        while workflow.is_running() and workflow.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
        discard(temporary)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def stop_on_interrupt(title: str, descriptors: Sequence[int], unfinished: Sequence[Path] = ()) -> None:
    """End this process on Ctrl-C with one line to the file `descriptors`, after removing the files `unfinished`.

    The process ends in the signal handler. An exception in its place would show a traceback during an import, and would crash
    some libraries. SIGTERM, with which clusters end a job, is treated in the same way. Forks of this process just end.
    """
    job = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != job:
            os._exit(128 + number)
        discard(*unfinished)
        for descriptor in descriptors:
            # Not `print`, which may have been interrupted itself.
            with suppress(OSError):
                os.write(descriptor, f"{title}: interrupted; run again to resume\n".encode(errors="backslashreplace"))
        os._exit(128 + signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


# A script imports this module first, and then what it needs, which can take seconds.
if hasattr(sys.modules["__main__"], "snakemake"):
    stop_on_interrupt(title_of(sys.modules["__main__"].snakemake), [2])
