"""Find, open and list the files and folders that a user names, and make file names from any text."""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, FileIO
from math import inf
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from pydantic import AfterValidator

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import SYSTEMIC

AnyPath = TypeVar("AnyPath", bound=PurePath)
NAME_BYTES = 120
READABLE_BYTES = 200


def without_suffix(path: AnyPath) -> AnyPath:
    """Return `path` without the suffix of its name, except "..png": from Python 3.13 on, it has no other name without it."""
    return path if path.stem == "." else path.with_suffix("")


def file_name(text: str) -> str:
    """Return a file name for `text`: readable, portable, different for different texts.

    Letters, digits and `_.-` stay. Everything else is percent-encoded, and so is a leading `.` or `-`. A name longer than
    `NAME_BYTES` is cut and ends in `~` and a hash. An empty `text` becomes `%`.
    """
    name = quote(text, safe="", errors="surrogatepass").replace("~", "%7E") or "%"
    if name[:1] in {".", "-"}:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > NAME_BYTES:
        name = f"{name[: NAME_BYTES - 17]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name


def readable_name(text: str) -> str:
    """Return a file name for `text` that people read: like `file_name`, but letters of all scripts, spaces and most signs stay.

    What a file system or a shell on any platform refuses is percent-encoded.
    """
    name = re.sub(r'[%/\\:*?"<>|~\x00-\x1f\x7f\ud800-\udfff]|^[.\- ]|[. ]$', lambda sign: _percent(sign[0]), text) or "%"
    if len(name.encode()) > READABLE_BYTES:
        end = f"~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        name = name.encode()[: READABLE_BYTES - len(end)].decode(errors="ignore") + end
    return name


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode(errors="surrogatepass"))


def link_or_copy(file: Path, name: Path) -> None:
    """Make `name` a hard link to `file`, or a copy of it if the file system does not allow the link.

    Raises `FileNotFoundError` if `file` does not exist.
    """
    try:
        name.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, name)


# The format of Pillow that reads pictures with this suffix. None: a picture, but of a kind that is not read.
PICTURE_SUFFIXES: Mapping[str, str | None] = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG"),  # an MPO file is a JPEG with more pictures behind it
    ".png": "PNG",
    ".webp": "WEBP",
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".gif": "GIF",
    ".avif": "AVIF",
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys(
        (
            *(".jxl", ".jp2", ".j2k", ".jpx", ".apng", ".tga", ".ico", ".psd", ".xcf", ".svg", ".eps"),
            *(".hdr", ".exr", ".pfm", ".pgm", ".ppm", ".pbm", ".pnm", ".pcx", ".dds", ".qoi"),
            *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
        ),
        None,
    ),
}
IMAGE_SUFFIXES = {suffix for suffix, format_ in PICTURE_SUFFIXES.items() if format_}
IMAGE_FORMATS = tuple(sorted({format_ for format_ in PICTURE_SUFFIXES.values() if format_}))
# Files that lie beside pictures and say something about them: labels, captions and tables.
SIDECAR_SUFFIXES = {".json", ".jsonl", ".txt", ".caption", ".xml", ".yaml", ".yml", ".csv", ".tsv", ".names"}
SYSTEM_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin"}
UNREAD = "picture of a kind that is not read"
SPECIAL = re.compile(r"[<>{}\x00-\x1f]")  # Snakemake interprets these in names of inputs


@dataclass(frozen=True)
class Listing:
    """The files in a folder by their paths relative to it, such as `album/a.jpg`, sorted. Each file is in one of the fields.

    `pictures`: named like pictures that can be read. `others`: any other files, each with the reason why it is no frame.
    `sidecars`: named like labels and captions. `hidden`: hidden files, and those that systems add to folders, such as
    `._a.jpg` and `Thumbs.db`. `below`: files in subfolders, if these are left out.
    """

    pictures: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    sidecars: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    below: tuple[str, ...] = ()


def list_folder(path: Path, *, subfolders: bool, below: bool = True) -> Listing:
    """Return what the folder `path` holds, by names alone: no file is opened.

    `subfolders`: whether the pictures in subfolders count too. If they do not, `below` says whether subfolders are searched for
    what is left out. Links to folders are not followed. The listing is empty if `path` does not exist, or is a folder that
    cannot be read.
    """
    if not os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises on some strings that a manifest may contain)
        return Listing()
    pictures, sidecars, hidden, below_names = [], [], [], []
    others: dict[str, str] = {}
    for name, is_folder in _walk(path, subfolders or below):
        relative = PurePosixPath(name)
        deep = len(relative.parts) > 1
        if any(part.startswith(".") or part.casefold() in SYSTEM_NAMES for part in relative.parts):
            hidden.append(name)
        elif deep and not subfolders:
            below_names.append(name)
        elif is_folder:
            others[name] = "a folder that is a link, or cannot be read"
        elif not _is_text(name):
            others[name.encode("utf-8", "backslashreplace").decode()] = "its name is not UTF-8"
        elif relative.suffix.lower() in IMAGE_SUFFIXES:
            pictures.append(name)
        elif relative.suffix.lower() in SIDECAR_SUFFIXES:
            sidecars.append(name)
        else:
            others[name] = UNREAD if relative.suffix.lower() in PICTURE_SUFFIXES else "not a picture"
    sorted_names = (tuple(sorted(names)) for names in (sidecars, hidden, below_names))
    return Listing(tuple(sorted(pictures)), dict(sorted(others.items())), *sorted_names)


def _walk(path: Path, deep: bool) -> Iterator[tuple[str, bool]]:
    """Yield the relative path of everything in the folder `path` that is no readable folder, and whether it is a folder.

    `deep`: whether subfolders are searched.
    """
    unread: list[str] = []
    for folder, folders, names in os.walk(path, onerror=lambda error: unread.append(str(error.filename))):
        start = os.path.relpath(folder, path)
        start = "" if start == "." else f"{start}/"
        yield from ((start + name, False) for name in names)
        yield from ((start + name, True) for name in folders if os.path.islink(os.path.join(folder, name)))  # noqa: PTH114, PTH118
        if not deep:
            return
    yield from ((os.path.relpath(folder, path), True) for folder in unread if Path(folder) != Path(path))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def files_of(path: Path, *, subfolders: bool = False) -> list[Path]:
    """Return the file `path`, or the pictures in the folder `path`, sorted by their relative paths, see `list_folder`.

    The list is empty if `path` does not exist, or is a folder that cannot be read.
    """
    path = Path(path)
    # Unlike `Path.is_dir` and `Path.exists`, these accept any string that a manifest can contain.
    if os.path.isdir(path):  # noqa: PTH112
        return [path / name for name in list_folder(path, subfolders=subfolders, below=False).pictures]
    return [path] if os.path.exists(path) else []  # noqa: PTH110


def is_plain_file(path: Path) -> bool:
    """Return whether `path` is a readable regular file whose name Snakemake takes literally."""
    return os.path.isfile(path) and os.access(path, os.R_OK) and not SPECIAL.search(str(path))  # noqa: PTH113


def size_of(path: Path, enough: float = inf, *, subfolders: bool = False) -> int:
    """Return the size of the regular file `path`, or of all images in the folder `path`, in bytes; 0 if there is none.

    Images are no longer counted once there are `enough` bytes. For `subfolders`, see `list_folder`.
    """
    size = 0
    for file in files_of(path, subfolders=subfolders):
        state = _stat(file)
        size += state.st_size if state and stat.S_ISREG(state.st_mode) else 0
        if size >= enough:
            break
    return size


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def check_exists(setting: str, path: Path, *, folder: bool = False) -> None:
    """Raise `TesseraError` if the `path` that `setting` names does not exist or, if `folder` is true, is not a folder."""
    # Unlike `Path.is_dir` and `Path.exists`, these accept any string that a setting can contain.
    exists = os.path.isdir(path) if folder else os.path.exists(path)  # noqa: PTH110, PTH112
    if not exists:
        raise TesseraError(f"{setting}: {quoted(path)} is {'not a folder' if folder else 'not there'}; fix the path")


def check_apart(setting: str, folder: Path, results: Path) -> None:
    """Raise `TesseraError` if the `folder` that `setting` names lies in the folder `results`, or holds it."""
    inner, outer = sorted([Path(folder).resolve(), Path(results).resolve()], key=lambda path: -len(path.parts))
    if inner.is_relative_to(outer):
        raise TesseraError(
            f"{setting}: {quoted(folder)} must not contain, or lie inside, the results in {quoted(results)}; name another"
        )


def _can_be_an_input(path: Path) -> Path:
    if SPECIAL.search(str(path)):
        raise ValueError("this path must not contain <, >, { or }, which have a meaning for Snakemake")
    return path


InputFile = Annotated[Path, AfterValidator(_can_be_an_input)]  # a setting that names an input of a rule


def not_an_address(path: Any) -> Any:
    """Return `path`. Raises `ValueError` if it is an address: only declared weights and harvests are downloaded."""
    if re.match(r"[a-z][a-z0-9+.-]*://", str(path), re.IGNORECASE):
        raise ValueError("should be a path, not an address; download the file, and give its path")
    return path


def look_alike(path: Path) -> str:
    """Return the end of a message about the missing file `path`: a file that may be meant, such as sources.tsv.txt.

    It has another suffix or another case, or lies in the working folder instead.
    """
    path = Path(path)
    beside = [
        file
        for file in sorted(path.parent.glob("*.*"))
        if Path(file.name.casefold().removesuffix(".txt")).stem == path.stem.casefold()
    ]
    meant = next(filter(Path.is_file, [*beside, Path(path.name)]), None)
    return f"; if {quoted(meant)} is meant, save it as {quoted(path)}" if meant else ""


def or_folder(path: Path) -> str:
    """Return the end of a message about the missing file `path`: the other fix, if it is relative to the working folder."""
    if Path(path).is_absolute():
        return ""
    options = "`--directory`, for make with `PROJECT=`"
    return f", or name the folder of your project with {options} (paths are relative to {Path.cwd()})"


def files_below(path: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """Return the file `path`, or all files in the folder `path` and its subfolders, sorted by path.

    Hidden files and folders are left out, and links to folders are not followed. If `suffixes` are given, only files of the
    folder with one of these suffixes are returned; `suffixes` are in lower case, and the case in file names does not matter.
    """
    if Path(path).is_file():
        return [Path(path)]
    files = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if not suffixes or file.suffix.lower() in suffixes)


def open_file(path: Path) -> BufferedReader:
    """Open the regular file `path` for reading, in binary mode. Raises `Failed` if it is missing, empty or cannot be read."""
    return BufferedReader(open_unbuffered(path))


def open_unbuffered(path: Path) -> FileIO:
    """Open `path` like `open_file`, but without a buffer, which a file that is read at once does not need."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise Failed("not a regular file", f"{quoted(path)} is a device, a pipe or the like; give the path of a file")
        if not state.st_size:
            raise Failed("empty file", f"{quoted(path)} has no bytes; copy it again")
        return FileIO(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise Failed("missing", f"{quoted(path)} is not there; fix the path or restore the file") from None
    except PermissionError:
        raise Failed("permission denied", f"{quoted(path)} cannot be read; give yourself read permission") from None
    except OSError as error:
        if error.errno in SYSTEMIC:
            raise
        raise Failed("unreadable", f"{quoted(path)}: {error.strerror}; fix the path") from None


def quoted(path: PurePath) -> str:
    """Return `path` in quotes, for a message."""
    return repr(str(path))
