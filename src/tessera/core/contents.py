"""What files contain, whatever their times are: a copy, or a file that was touched, is the same."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from tessera.core.files import files_below
from tessera.core.provenance import digest

CACHE = Path(".snakemake", "contents.json")  # below the folder of the project; it may be deleted at any time
WHOLE = 128 << 10  # bytes; of larger files, blocks are read
BLOCKS, BLOCK = 8, 16 << 10
SETTLED = 1_000_000_000  # nanoseconds since the last change of a file, from which on its times can be relied on

Known = dict[str, tuple[list[int], str]]  # the state of a file when it was read, and its digest, by path


def content_of(path: str | os.PathLike[str]) -> str:
    """Return a digest of the content of a file, or of the names and contents of `files_below` a folder: 16 hex digits.

    Of a file above 128 KiB, it covers the size and eight blocks of 16 KiB, from the first to the last. What was read is not
    read again while size, times and inode of a file stay the same. Return an empty string for what is not there or cannot be
    read, such as a pipe.
    """
    name, path = os.fspath(path), Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return contents_of(files_below(path), path)
        # No program sets the time of the last change of an inode, unlike that of the content.
        state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = _known(Path.cwd())
        if name in known and known[name][0] == state:
            return known[name][1]
        content = _read(path, status.st_size) if stat.S_ISREG(status.st_mode) else ""
    except (OSError, ValueError):
        return ""
    # A file that has just changed may change once more without another time: clocks of file systems are slow.
    if time.time_ns() - status.st_ctime_ns > SETTLED:
        known[name] = state, content
    return content


def contents_of(files: Iterable[Path], folder: Path | None = None) -> str:
    """Return a digest of the names and contents of `files`, 16 hexadecimal digits; names are relative to `folder`, if given."""
    return digest(sorted([str(file.relative_to(folder) if folder else file), content_of(file)] for file in files))[:16]


def save_contents() -> None:
    """Keep the digests of files for the next run of this project. A disk that is full or read-only keeps none."""
    known = {path: each for path, each in _known(Path.cwd()).items() if os.path.lexists(path)}
    partial = CACHE.with_name(f"{CACHE.name}.{os.getpid()}")
    with suppress(OSError):
        CACHE.parent.mkdir(exist_ok=True)
        partial.write_text(json.dumps(known), encoding="utf-8", errors="surrogateescape")
        partial.replace(CACHE)


@cache
def _known(project: Path) -> Known:
    known: Known = {}
    with suppress(OSError, ValueError, TypeError, AttributeError):
        loaded = json.loads((project / CACHE).read_text(encoding="utf-8", errors="surrogateescape"))
        known.update({path: (list(state), str(content)) for path, (state, content) in loaded.items()})
    return known


def _read(path: Path, size: int) -> str:
    read = hashlib.sha256(str(size).encode())
    with path.open("rb", buffering=0) as file:
        if size <= WHOLE:
            read.update(file.readall())
        else:
            for number in range(BLOCKS):
                read.update(os.pread(file.fileno(), BLOCK, number * (size - BLOCK) // (BLOCKS - 1)))
    return read.hexdigest()[:16]
