"""Digests of files, folders and values, lists of checksums, and records of what a job wrote."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.messages import Message


def sha256_file(path: Path) -> str:
    """Return the sha256 of the bytes of `path`, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_if_readable(path: Path) -> str:
    """Return the sha256 of `path`, or an empty string if it cannot be read: what reads it for its content reports the error."""
    try:
        # A pipe would be waited for.
        return sha256_file(path) if Path(path).is_file() else ""
    except OSError:
        return ""


def digest(value: Any) -> str:
    """Return the sha256 of `value` written as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_checksums(files: Iterable[Path], folder: Path, path: Path) -> None:
    """Write the sha256 of each of `files` to `path`, sorted by their names relative to `folder`.

    The format is that of `sha256sum`: `(cd FOLDER && sha256sum --check SHA256SUMS)` verifies the files.
    """
    lines = []
    for name, file in sorted((file.relative_to(folder).as_posix(), file) for file in map(Path, files)):
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        mark = "\\" if escaped != name else ""
        lines.append(f"{mark}{sha256_file(file)}  {escaped}\n")
    Path(path).write_text("".join(lines), encoding="utf-8", errors="surrogateescape", newline="\n")


def publish(files: Sequence[Path], copies: Sequence[Path], checksums: Path, unwanted: Iterable[str] = ()) -> None:
    """Copy each of `files`, which lie in one folder, to its place in `copies`, and write their sha256 to `checksums`.

    Files with the names `unwanted`, of earlier settings, are removed from both folders.
    """
    for name in unwanted:
        for folder in (files[0].parent, checksums.parent):
            (folder / name).unlink(missing_ok=True)
    for file, copy in zip(files, copies, strict=True):
        shutil.copyfile(file, copy)
    write_checksums(files, files[0].parent, checksums)


def read_checksums(path: Path) -> dict[str, str]:
    """Return the sha256 of each file that `path`, a SHA256SUMS, lists, by its name.

    Raises `TesseraError` if it has another format.
    """
    entries = dict(_entries(path))
    for number, entry in entries.items():
        if entry is None:
            raise TesseraError(f"{path}:{number}: not a line of sha256sum; delete the file and run again")
    return dict(filter(None, entries.values()))


def _entries(path: Path) -> Iterator[tuple[int, tuple[str, str] | None]]:
    """Yield the number of each line of `path`, and the name and the sha256 that it states; None if it has another format."""
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    for number, line in enumerate(filter(None, lines), 1):
        entry = re.fullmatch(r"(\\?)([0-9a-f]{64}) [ *](.+)", line)
        if entry is None:
            yield number, None
            continue
        mark, sha256, name = entry.groups()
        if mark:
            name = re.sub(r"\\(.)", lambda escape: {"n": "\n", "r": "\r"}.get(escape[1], escape[1]), name)
        yield number, (name, sha256)


def verify_checksums(path: Path) -> list[str]:
    """Return one line for each fault of the files that `path` lists. Their names are relative to the folder of `path`.

    A name that leads out of the folder is a fault, and the file is not read. So is a file beside the listed ones in a subfolder
    that is not listed itself.
    """
    path = Path(path)
    faults: list[Message] = []
    listed = set()
    for number, entry in _entries(path):
        if entry is None:
            faults.append(f"{path}:{number}: not a line of sha256sum")
            continue
        name, expected = entry
        file = path.parent / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            faults.append(f"{path}:{number}: {name!r} lies outside the folder")
            continue
        listed.add(file)
        if not file.is_file():
            faults.append(f"{path}:{number}: {name!r} is missing")
        elif sha256_file(file) != expected:
            faults.append(f"{path}:{number}: {name!r} is not what was written, its sha256 differs")
    subfolders = sorted({file.parent for file in listed} - {path.parent})
    present = [file for folder in subfolders for file in sorted(folder.glob("[!.]*")) if file.is_file()]
    unlisted = [file.relative_to(path.parent).as_posix() for file in present if file not in listed]
    return [*faults, *(f"{path}: {name!r} is not listed" for name in unlisted)]


def record_outputs(outputs: Iterable[Path], path: Path) -> None:
    """Write the sha256 of each file of `outputs`, files or folders, to `path`, for `tessera.core.verify`.

    The content is JSON, `{output: {name: sha256}}`. A name is relative to the output; for an output that is a file, it is `.`.
    Links in folders are left out, because the files that they lead to were not written.
    """
    record = {}
    for output in outputs:
        files = [output]
        if output.is_dir():
            files = sorted(path for path in output.rglob("*") if path.is_file() and not path.is_symlink())
        record[str(output)] = {file.relative_to(output).as_posix(): sha256_file(file) for file in files}
    path.write_text(json.dumps(record), encoding="utf-8")
