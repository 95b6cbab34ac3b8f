"""Files and folders that a user names: found, opened, listed, and named after any text."""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Collection
from io import BufferedReader
from pathlib import Path
from urllib.parse import quote

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import SYSTEMIC

NAME_BYTES = 120


def file_name(text: str) -> str:
    """Return a file name for `text`: readable, portable, different for different texts.

    Letters, digits and `_.-` stay, everything else is percent-encoded; a leading `.` or `-` is encoded too,
    and a name that would be too long for a file system ends in `~` and a hash instead. No text becomes `%`.
    """
    name = quote(text, safe="", errors="surrogatepass").replace("~", "%7E") or "%"
    if name[:1] in {".", "-"}:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > NAME_BYTES:
        name = f"{name[: NAME_BYTES - 17]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name


def link_or_copy(file: Path, name: Path) -> None:
    """Give `file` another `name`, so that it takes no room twice; where there are no links, a copy gets it.

    Raises `FileNotFoundError` where there is no such file.
    """
    try:
        name.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, name)


IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
SPECIAL = re.compile(r"[<>{}\x00-\x1f]")  # in the name of an input, Snakemake takes these for more than themselves


def files_of(path: Path) -> list[Path]:
    """Return the file `path`, or the images directly in the folder `path` by name; nothing where there is nothing to read."""
    path = Path(path)
    try:
        # Unlike `Path.is_dir` and `Path.exists`, these take whatever a manifest may hold.
        if os.path.isdir(path):  # noqa: PTH112
            return sorted(path / name for name in os.listdir(path) if Path(name).suffix.lower() in IMAGE_SUFFIXES)  # noqa: PTH208
    except PermissionError:
        return []
    return [path] if os.path.exists(path) else []  # noqa: PTH110


def is_plain_file(path: Path) -> bool:
    """Whether `path` is a regular file that may be read and whose name Snakemake takes as it is."""
    return os.path.isfile(path) and os.access(path, os.R_OK) and not SPECIAL.search(str(path))  # noqa: PTH113


def size_of(path: Path) -> int:
    """Return the size of the regular file `path` in bytes, or of all files of a folder; 0 where there is none."""
    sizes = [state.st_size for state in map(_stat, files_of(path)) if state and stat.S_ISREG(state.st_mode)]
    return sum(sizes)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def check_there(setting: str, path: Path, *, folder: bool = False) -> None:
    """Raise `TesseraError` where there is nothing at the `path` that `setting` names or, where it must be one, no folder."""
    # Unlike `Path.is_dir` and `Path.exists`, these take whatever a setting may hold.
    there = os.path.isdir(path) if folder else os.path.exists(path)  # noqa: PTH110, PTH112
    if not there:
        raise TesseraError(f"{setting}: {str(path)!r} is {'no folder' if folder else 'not there'}; mend its path")


def files_below(path: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """Return the file `path`, or the files in the folder `path` and below by name; hidden ones left out.

    With `suffixes`, only those that end in one of them, in either case. Links to folders are not followed.
    """
    if Path(path).is_file():
        return [Path(path)]
    found = []
    for place, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(file for file in found if not suffixes or file.suffix.lower() in suffixes)


def open_file(path: Path) -> BufferedReader:
    """Return the regular file `path` opened for reading. Raises `Failed` where there is none, or nothing in it."""
    try:
        state = Path(path).stat()
        if not stat.S_ISREG(state.st_mode):
            raise Failed("not a regular file", f"{quoted(path)} is a device, a pipe or the like; give the path of a file")
        if not state.st_size:
            raise Failed("empty file", f"{quoted(path)} has no bytes; copy it again")
        return Path(path).open("rb")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise Failed("missing", f"{quoted(path)} is not there; mend its path, or bring the file back") from None
    except PermissionError:
        raise Failed("permission denied", f"{quoted(path)} may not be read; give yourself the right to read it") from None
    except OSError as error:
        if error.errno in SYSTEMIC:
            raise
        raise Failed("unreadable", f"{quoted(path)}: {error.strerror}; mend its path") from None


def quoted(path: Path) -> str:
    """Return `path` in quotes, for a message."""
    return repr(str(path))
