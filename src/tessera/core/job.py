"""The frame of every script: a log, complete outputs, progress, threads, and errors in one line."""

import errno
import faulthandler
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, TextIO, TypeVar

import psutil

from tessera.core.errors import TesseraError
from tessera.core.messages import counted
from tessera.core.provenance import digest, record_outputs

T = TypeVar("T")
R = TypeVar("R")
REPORT_EVERY = 5.0  # seconds between progress lines
SHARED_MEMORY = 1 << 30  # bytes; the minimum for processes that load data

_terminal: TextIO = sys.stderr
_title = ""


class _WithoutPandas(MetaPathFinder):
    """Hides pandas from pandera, and from nobody else.

    pandera imports it wherever it is installed, which takes each job a third of a second. Our tables are of polars.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        is_first = fullname == "pandas" and "pandera" in sys.modules and "pandera.polars" not in sys.modules
        # With the first check of a table, pandera tries once more, by this module.
        if is_first or (fullname == "pandera.api.pandas.types" and "pandas" not in sys.modules):
            # In the words that tell pandera to do without.
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")


# Here, because every script imports this module before any other that imports pandera.
sys.meta_path.insert(0, _WithoutPandas())


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
    final, outputs = _listed(_paths(snakemake.output)), _paths(snakemake.output, _beside)
    temporary = _temporary_folder(snakemake)
    unfinished = [*_listed(outputs), temporary]
    is_replay = getattr(snakemake, "is_replay", False)
    process = nullcontext() if is_replay else _own_process(snakemake, final, unfinished)
    try:
        with process:
            _set_threads(snakemake.threads)
            for path in final:
                _clean(path)
            with _temporary_files_in(temporary):
                yield SimpleNamespace(**_paths(snakemake.input)), SimpleNamespace(**outputs), _namespace(snakemake.params)
                _publish(final)
                if is_recorded and not is_replay:
                    _record(final, Path(snakemake.log[0]).with_suffix(".json"))
    finally:
        _discard(*unfinished)


@contextmanager
def _own_process(snakemake: Any, final: Sequence[Path], unfinished: Sequence[Path]) -> Iterator[None]:
    """Run the block as the job of `snakemake`, and end this process with it.

    Output that is printed inside goes to the log of the rule. Progress and errors also go to the terminal. The exit status is
    0 on success, 1 on an error and 130 on an interrupt. The process also ends when the workflow that started it is gone.
    `final` are the outputs. The files `unfinished` are removed at the end.
    """
    global _terminal, _title
    _title = _title_of(snakemake)
    _terminal = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    _redirect(Path(snakemake.log[0]))
    _stop_with_parent(_temporary_folder(snakemake))
    _stop_on_interrupt(_title, [_terminal.fileno(), 1], unfinished)
    try:
        yield
    except Exception as error:
        # In this order: the message states the free space, and the log needs the space of the removed files.
        reason = _explain(error, final)
        _discard(*unfinished)
        tell(f"error: {reason} (log: {snakemake.log[0]})")
        with _log():
            traceback.print_exc()
        # Threads that libraries leave running would delay a normal exit.
        os._exit(1)
    finally:
        _discard(*unfinished)
        with _log():
            pass
    # The outputs are complete. The exit handlers of libraries could only crash or delay the process.
    os._exit(0)


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Make `folder`, and create temporary files in it inside the block."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    _remove(folder)
    folder.mkdir(mode=0o700)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        os.environ.pop("TMPDIR")
        if before[0] is not None:
            os.environ["TMPDIR"] = before[0]
        tempfile.tempdir = before[1]


def tell(message: str) -> None:
    """Print `message` to the terminal and to the log."""
    line = f"{_title}: {message}" if _title else message
    with suppress(OSError, ValueError):
        print(line, file=_terminal)
    if _title:
        with _log():
            print(line)


@contextmanager
def _log() -> Iterator[None]:
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


def progress(items: Iterable[T], total: int | None = None, unit: str = "items") -> Iterator[T]:
    """Yield `items`, and report every few seconds how many are done and how much time is left.

    `total` defaults to `len(items)` if `items` has a length. Without a total, the rate is reported instead of the time left.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= REPORT_EVERY:
            last = now
            tell(_count(done, total, unit, now - start))
    if last != start:
        tell(f"{counted(done, unit)} in {_duration(time.monotonic() - start)}")


def loaders(threads: int) -> int:
    """Return the number of additional processes that load data; 0 if the shared memory that they need is too small."""
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).free < SHARED_MEMORY:
        tell(f"less than 1 GiB is free in {shared}: this process loads the data alone; give the container more shared memory")
        return 0
    return max(threads - 1, 0)


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[tuple[T, "Future[R]"]]:
    """Yield each of `items` with the future of `work(item)`, in order, while `pool` works on the next `count` items."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


def _count(done: int, total: int | None, unit: str, seconds: float) -> str:
    if not total:
        return f"{counted(done, unit)}, {done / seconds:.1f}/s"
    return f"{done}/{counted(total, unit)}, {_duration(seconds / done * (total - done))} left"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _explain(error: Exception, outputs: Iterable[Path]) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error) if isinstance(error, TesseraError) else f"{type(error).__name__}: {error}"
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    # If the error names two files, the second is the one that is written.
    file = (is_full and error.filename2) or error.filename
    if file:
        # FFmpeg gets names with the protocol `file:`.
        place = f": {str(file).replace(_partial(), '').removeprefix('file:')!r}"
    elif is_full:
        place = f": {_free_space([*(path.parent for path in outputs), Path(tempfile.gettempdir())])}"
    else:
        place = ""
    return f"{error.strerror}{place}; no incomplete output was kept; fix this and run again"


def _free_space(folders: Iterable[Path]) -> str:
    """Return how much space is free in `folders`, with each disk once, for a message."""
    disks = {folder.stat().st_dev: folder for folder in reversed(list(folders)) if folder.exists()}
    free = {str(folder): shutil.disk_usage(folder).free for folder in reversed(disks.values())}
    return ", ".join(f"{size / 1e6:,.1f} MB are free in {folder!r}" for folder, size in free.items())


def _redirect(path: Path) -> None:
    """Send the output of this process and of its children to `path`."""
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


def _stop_with_parent(temporary: Path) -> None:
    """End this process when the workflow is killed. It would otherwise write its outputs during the next run."""
    ancestors = [process for process in psutil.Process().parents() if process.pid != 1]
    workflow = next((process for process in ancestors if "snakemake" in " ".join(_command(process))), None)
    if workflow is None:
        return

    def watch() -> None:
        while workflow.is_running() and workflow.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.5)
        _discard(temporary)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _stop_on_interrupt(title: str, places: Sequence[int], unfinished: Sequence[Path] = ()) -> None:
    """End this process on Ctrl-C with one line to the descriptors `places`, after removing the files `unfinished`.

    The process ends in the signal handler. An exception in its place would show a traceback during an import, and would crash
    some libraries. SIGTERM, with which clusters end a job, is treated in the same way. Forks of this process just end.
    """
    job = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != job:
            os._exit(128 + number)
        _discard(*unfinished)
        for place in places:
            # Not `print`, which may have been interrupted itself.
            with suppress(OSError):
                os.write(place, f"{title}: interrupted; run again to resume\n".encode(errors="backslashreplace"))
        os._exit(128 + signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _title_of(snakemake: Any) -> str:
    return " ".join([snakemake.rule, *snakemake.wildcards])


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _set_threads(threads: int) -> None:
    """Limit libraries to the threads of the rule. By default, they use all cores."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[variable] = str(threads)
    # By default, waiting threads keep a core busy. If there are more processes than cores, most of the processor time would go
    # into waiting.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _namespace(items: Any) -> SimpleNamespace:
    return SimpleNamespace(**dict(items.items()))


def _paths(files: Any, place: Callable[[str], Path] = Path) -> dict[str, Any]:
    return {name: place(value) if isinstance(value, str) else [place(path) for path in value] for name, value in files.items()}


def _listed(paths: dict[str, Any]) -> list[Path]:
    return [path for value in paths.values() for path in (value if isinstance(value, list) else [value])]


def _beside(path: str | Path) -> Path:
    path = Path(path)
    # The suffix stays last, because some writers choose the format by it.
    return path.with_name(f"{_partial()}{path.name}")


def _partial() -> str:
    return f".{os.getpid()}.partial."


def _temporary_folder(snakemake: Any) -> Path:
    """Return the folder for the temporary files of a job.

    Each run of a job gets the same folder, so that it can remove the files of a run that was killed. The folder lies in the
    temporary folder of the system, and its name is short: it may contain sockets, whose paths are limited to about 100 bytes.
    """
    # A replay has another log, so it gets another folder than the same job of a workflow that runs at the same time.
    job = [os.getuid(), str(Path.cwd()), snakemake.rule, *snakemake.wildcards, *snakemake.log]
    return Path(tempfile.gettempdir()) / f"tessera-{digest(job)[:12]}"


def _clean(path: Path) -> None:
    """Remove the incomplete outputs beside `path` that an earlier, killed run of this job left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(path.parent):
        if entry.name.startswith(".") and entry.name.endswith(f".partial.{path.name}"):
            _remove(Path(entry.path))


def _publish(final: Iterable[Path]) -> None:
    missing = [path for path in final if not _beside(path).exists()]
    if missing:
        raise TesseraError(f"not written: {', '.join(map(str, missing))}; this is a bug in Tessera")
    for path in final:
        # A file is replaced in one step, so that there is always one. A folder must go first.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        _beside(path).replace(path)


def _record(final: Iterable[Path], path: Path) -> None:
    try:
        record_outputs(final, path)
    except OSError:
        # Not worth failing a finished job for. An earlier record would be false.
        _discard(path)


def _discard(*paths: Path) -> None:
    for path in paths:
        with suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# A script imports this module first, and then what it needs, which can take seconds.
if hasattr(sys.modules["__main__"], "snakemake"):
    _stop_on_interrupt(_title_of(sys.modules["__main__"].snakemake), [2])
