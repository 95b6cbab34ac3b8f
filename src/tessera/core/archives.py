"""Read the files of a folder or a zip file from somebody else. They are hostile until they are checked.

An archive is never extracted: each file is read on its own, within limits.
"""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import check_exists, files_below, open_file
from tessera.core.ledger import SYSTEMIC

MAX_FILES = 1_000_000  # in a folder or an archive
MAX_BYTES = 2**38  # of all files together, unpacked
MAX_RATIO = 100  # unpacked to compressed bytes of a zip file; images hardly compress
MAX_TEXT_BYTES = 2**30  # of a file with the labels of many images


@dataclass(frozen=True)
class File:
    """A file of a folder or an archive."""

    name: str  # path below the top of the folder or archive
    size: int  # bytes, as declared
    read: Callable[[int], bytes]  # returns the content; raises `Failed` if it has more bytes than the argument
    fault: str = ""  # why it must not be read; empty if it may
    local: Path | None = None  # its path on the disk; None if it is in an archive

    @cached_property
    def path(self) -> PurePosixPath:
        """Return the name as a path."""
        return PurePosixPath(self.name)

    @property
    def shown(self) -> str:
        """Return how messages call the file: its path on the disk or, in an archive, its name there, in quotes."""
        return repr(str(self.local or self.name))

    @property
    def suffix(self) -> str:
        """Return the suffix of the name in lower case, with its dot."""
        return self.path.suffix.lower()


@contextmanager
def open_files(path: Path, setting: str) -> Iterator[list[File]]:
    """Yield the files in the folder or zip file `path` and below, without hidden ones.

    `setting` names the setting in messages. Raises `TesseraError` if `path` does not exist, is neither a folder nor a readable
    zip file, or exceeds the limits of this module.
    """
    origin = f"{setting}: {str(path)!r}"
    check_exists(setting, path)
    with ExitStack() as stack:
        if path.is_dir():
            max_bytes, files = MAX_BYTES, [file_of_folder(file, path) for file in files_below(path)]
        else:
            try:
                archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(open_file(path))))
            except (zipfile.BadZipFile, NotImplementedError, ValueError, Failed) as error:
                reason = error.reason if isinstance(error, Failed) else error
                raise TesseraError(
                    f"{origin} is neither a folder nor a readable zip file ({reason}); correct its path"
                ) from None
            entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _hidden(entry.filename)]
            max_bytes = min(MAX_BYTES, MAX_RATIO * path.stat().st_size)
            files = [_file_of_zip(entry, archive) for entry in entries]
        _check_limits(files, max_bytes, origin)
        yield files


def leaves(name: str) -> bool:
    """Return whether `name`, a path that a file of others states, is absolute or leads out of its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match("[A-Za-z]:", name))


def _check_limits(files: list[File], max_bytes: int, origin: str) -> None:
    size = sum(file.size for file in files)
    if len(files) > MAX_FILES:
        raise TesseraError(f"{origin} has {len(files):,} files, {MAX_FILES:,} are allowed; divide it into several sets")
    if size > max_bytes:
        raise TesseraError(
            f"{origin} unpacks to {size:,} bytes, {max_bytes:,} are allowed: at most {MAX_BYTES:,}, and at most"
            f" {MAX_RATIO} times the size of a zip file; check where it comes from, or divide it into several sets"
        )


def file_of_folder(path: Path, root: Path) -> File:
    """Return the file `path` in the folder `root` or below."""
    name = path.relative_to(root).as_posix()
    # Path.resolve raises if links form a loop.
    outside = not Path(os.path.realpath(path)).is_relative_to(root.resolve())
    size = 0 if outside or not path.is_file() else path.stat().st_size
    return File(name, size, partial(_read_file, path), "link leaves the set" if outside else _fault(name), path)


def _read_file(path: Path, most: int) -> bytes:
    if path.is_file() and not path.stat().st_size:
        return b""
    with open_file(path) as file:
        return _within(file.read(most + 1), most)


def _file_of_zip(entry: zipfile.ZipInfo, archive: zipfile.ZipFile) -> File:
    # Some Windows programs write backslashes, and some programs start names with "./".
    name = PurePosixPath(entry.filename.replace("\\", "/")).as_posix()
    kind = stat.S_IFMT(entry.external_attr >> 16)
    fault = _fault(name) if kind in (0, stat.S_IFREG) else "no plain file"
    # Other methods decompress everything at once, whatever its size.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        fault = fault or "neither stored nor deflated"
    return File(name, entry.file_size, partial(_read_entry, entry, archive), fault)


def _read_entry(entry: zipfile.ZipInfo, archive: zipfile.ZipFile, most: int) -> bytes:
    try:
        with archive.open(entry) as file:
            return _within(file.read(most + 1), most)
    # An encrypted entry is a RuntimeError, an unknown method a NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in SYSTEMIC:
            raise
        raise Failed("cannot be unpacked", f"{entry.filename!r}: {error}") from None


def _within(content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise Failed("file too large", f"{most:,} bytes are allowed")
    return content


def _fault(name: str) -> str:
    """Return why the file `name` must not be used, or an empty string."""
    if leaves(name):
        return "path leaves the set"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "file name is not UTF-8"
    return ""


def _hidden(name: str) -> bool:
    """Return whether the file `name` or a folder above it is hidden, or has the metadata that macOS adds to archives."""
    return any(part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in re.split(r"[/\\]", name))
