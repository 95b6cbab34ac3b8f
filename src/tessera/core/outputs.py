"""The files of a job: each output appears whole or not at all, and nothing else is left."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.provenance import digest, record_outputs


def beside(path: str | Path) -> Path:
    """Return where the output `path` is written until it is complete: a hidden path in the same folder."""
    path = Path(path)
    # The suffix stays last, because some writers choose the format by it.
    return path.with_name(f"{partial_mark()}{path.name}")


def partial_mark() -> str:
    """Return how the names of the incomplete outputs of this process begin."""
    return f".{os.getpid()}.partial."


def clean(path: Path) -> None:
    """Remove the incomplete outputs beside `path` that an earlier, killed run of this job left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(path.parent):
        if entry.name.startswith(".") and entry.name.endswith(f".partial.{path.name}"):
            remove(Path(entry.path))


def put_in_place(final: Iterable[Path]) -> None:
    """Rename the outputs that were written beside `final` to these paths. Raises `TesseraError` if one was not written."""
    missing = [path for path in final if not beside(path).exists()]
    if missing:
        raise TesseraError(f"not written: {', '.join(map(str, missing))}; this is a bug in Tessera")
    for path in final:
        # A file is replaced in one step, so that there is always one. A folder must go first.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        beside(path).replace(path)


def record(final: Iterable[Path], path: Path) -> None:
    """Write the sha256 of each file of the outputs `final` to `path`, see `record_outputs`, or remove `path` if that fails."""
    try:
        record_outputs(final, path)
    except OSError:
        # Not worth failing a finished job for. An earlier record would be false.
        discard(path)


def discard(*paths: Path) -> None:
    """Remove files and folders as far as that is possible."""
    for path in paths:
        with suppress(OSError):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder. It need not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def temporary_folder(snakemake: Any) -> Path:
    """Return the folder for the temporary files of a job.

    Each run of a job gets the same folder, so that it can remove the files of a run that was killed. The folder lies in the
    temporary folder of the system, and its name is short: it may contain sockets, whose paths are limited to about 100 bytes.
    """
    # A replay has another log, so it gets another folder than the same job of a workflow that runs at the same time.
    job = [os.getuid(), str(Path.cwd()), snakemake.rule, *snakemake.wildcards, *snakemake.log]
    return Path(tempfile.gettempdir()) / f"tessera-{digest(job)[:12]}"


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Make `folder`, and create temporary files in it inside the block."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    remove(folder)
    folder.mkdir(mode=0o700)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        os.environ.pop("TMPDIR")
        if before[0] is not None:
            os.environ["TMPDIR"] = before[0]
        tempfile.tempdir = before[1]
