"""The frame of every script: a log, complete outputs, threads, and errors in one line."""

import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.gpus import take_gpus
from tessera.core.log import open_log, tell, title_of, to_log
from tessera.core.outputs import (
    beside,
    clean,
    discard,
    partial_mark,
    put_in_place,
    record,
    temporary_files_in,
    temporary_folder,
)
from tessera.core.pool import limit_threads
from tessera.core.signals import stop_on_interrupt, stop_with_parent


@contextmanager
def job(snakemake: Any, *, is_recorded: bool = True) -> Iterator[tuple[SimpleNamespace, SimpleNamespace, SimpleNamespace]]:
    """Yield the inputs, outputs and params of `snakemake` by name, with paths as `pathlib.Path` and lists of paths as lists.

    The yielded output paths lie beside the declared ones. When the block ends without an error, the files are renamed to the
    declared paths: an output is complete or does not exist. Temporary files go to a folder that is removed at the end. If the
    job is killed, its next run removes what it left. If `is_recorded` is true, the sha256 of each file that was written is
    recorded beside the log, for the target `verify`.

    The job takes over the process, see `_own_process`. If `snakemake.is_replay` is true, as in `tessera.replay`, it does not:
    output goes to the terminal, and errors leave the block, so that a debugger can be used.
    """
    final, outputs = _listed(_paths(snakemake.output)), _paths(snakemake.output, beside)
    temporary = temporary_folder(snakemake)
    unfinished = [*_listed(outputs), temporary]
    is_replay = getattr(snakemake, "is_replay", False)
    process = nullcontext() if is_replay else _own_process(snakemake, final, unfinished)
    try:
        with process:
            limit_threads(snakemake.threads)
            if (gpus := snakemake.resources.get("gpu")) is not None:
                take_gpus(gpus)
            for path in final:
                clean(path)
            with temporary_files_in(temporary):
                yield SimpleNamespace(**_paths(snakemake.input)), SimpleNamespace(**outputs), _namespace(snakemake.params)
                put_in_place(final)
                if is_recorded and not is_replay:
                    record(final, Path(snakemake.log[0]).with_suffix(".json"))
    finally:
        discard(*unfinished)


@contextmanager
def _own_process(snakemake: Any, final: Sequence[Path], unfinished: Sequence[Path]) -> Iterator[None]:
    """Run the block as the job of `snakemake`, and end this process with it.

    Output that is printed inside goes to the log of the rule. Progress and errors also go to the terminal. The exit status is
    0 on success, 1 on an error and 130 on an interrupt. The process also ends when the workflow that started it is gone.
    `final` are the outputs. The files `unfinished` are removed at the end.
    """
    title = title_of(snakemake)
    terminal = open_log(title, Path(snakemake.log[0]))
    stop_with_parent(temporary_folder(snakemake))
    stop_on_interrupt(title, [terminal, 1], unfinished)
    try:
        yield
    except Exception as error:
        # In this order: the message states the free space, and the log needs the space of the removed files.
        reason = _explain(error, final)
        discard(*unfinished)
        tell(f"error: {reason} (log: {snakemake.log[0]})")
        with to_log():
            traceback.print_exc()
        # Threads that libraries leave running would delay a normal exit.
        os._exit(1)
    finally:
        discard(*unfinished)
        with to_log():
            pass
    # The outputs are complete. The exit handlers of libraries could only crash or delay the process.
    os._exit(0)


def _explain(error: Exception, outputs: Iterable[Path]) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error) if isinstance(error, TesseraError) else f"{type(error).__name__}: {error}"
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    # If the error names two files, the second is the one that is written.
    file = (is_full and error.filename2) or error.filename
    if file:
        # FFmpeg gets names with the protocol `file:`.
        detail = f": {str(file).replace(partial_mark(), '').removeprefix('file:')!r}"
    elif is_full:
        detail = f": {_free_space([*(path.parent for path in outputs), Path(tempfile.gettempdir())])}"
    else:
        detail = ""
    return f"{error.strerror}{detail}; no incomplete output was kept; fix this and run again"


def _free_space(folders: Iterable[Path]) -> str:
    """Return how much space is free in `folders`, with each disk once, for a message."""
    disks = {folder.stat().st_dev: folder for folder in reversed(list(folders)) if folder.exists()}
    free = {str(folder): shutil.disk_usage(folder).free for folder in reversed(disks.values())}
    return ", ".join(f"{size / 1e6:,.1f} MB are free in {folder!r}" for folder, size in free.items())


def _namespace(items: Any) -> SimpleNamespace:
    return SimpleNamespace(**dict(items.items()))


def _paths(files: Any, convert: Callable[[str], Path] = Path) -> dict[str, Any]:
    return {
        name: convert(value) if isinstance(value, str) else [convert(path) for path in value] for name, value in files.items()
    }


def _listed(paths: dict[str, Any]) -> list[Path]:
    return [path for value in paths.values() for path in (value if isinstance(value, list) else [value])]
