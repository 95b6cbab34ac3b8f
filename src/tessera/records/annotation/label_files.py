"""The labels of frames that people draw: where they lie, and which of them nobody has saved yet.

They are files of labelme, and exports of Label Studio.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from glob import escape
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import IMAGE_SUFFIXES, file_name, files_below, quoted
from tessera.records.annotation.formats.label_studio import Task, newest, parse_export
from tessera.records.annotation.formats.labelme import is_proposal, load_labelme
from tessera.records.frame_keys import source_of
from tessera.records.manifest import BUCKET

LABEL_SUFFIX = ".json"
CHECKSUMS = "SHA256SUMS"  # lists the files that were proposed in its folder, in the format of `sha256sum`


def label_files(folder: Path, suffixes: Collection[str] = (LABEL_SUFFIX, *IMAGE_SUFFIXES)) -> list[Path]:
    """Return the files with one of `suffixes` in `folder` and below, sorted by name, without hidden files.

    A broken link is returned too, so that a label that it led to is missed.
    """
    return files_below(folder, suffixes)


def frame_label_folders(source: str) -> list[str]:
    """Return the names that a folder with labels for frames of `source` may have.

    These are the escaped id, as in the results, and the id itself. The id is left out if it is not a valid folder name, or is
    the escaped id of another source.
    """
    escaped = file_name(source)
    is_name = source not in {".", ".."} and not {"/", "\0"} & set(source)
    return [escaped, source] if is_name and source not in {escaped, file_name(unquote(source))} else [escaped]


def frame_label_files(folder: Path | None, source: str) -> list[Path]:
    """Return the label files for frames of `source` in `folder`, sorted by name; none if `folder` is None.

    They lie in the folder of the source or, named after its frames, in the folder of a shard of several sources.
    """
    if folder is None:
        return []
    in_folders = [file for name in frame_label_folders(source) for file in label_files(Path(folder, name), [LABEL_SUFFIX])]
    shared = sorted(Path(folder).glob(f"{BUCKET}*/{escape(file_name(source))}-*{LABEL_SUFFIX}"))
    return in_folders + [file for file in shared if frame_source(file) == file_name(source) and file not in in_folders]


def frame_exports(folder: Path | None) -> list[Path]:
    """Return the exports of Label Studio directly in `folder`, sorted by name. They are lists in JSON."""
    if folder is None or not Path(folder).is_dir():
        return []
    files = [file for file in sorted(Path(folder).iterdir()) if file.suffix.lower() == LABEL_SUFFIX and file.is_file()]
    return [file for file in files if not file.name.startswith(".") and _start(file) == b"["]


def frame_answers(folder: Path | None, source: str) -> dict[str, Task]:
    """Return the newest task in the exports in `folder` of each frame of `source`, by the key of the frame, sorted.

    Raises `TesseraError` if an export cannot be read.
    """
    tasks: dict[str, list[Task]] = defaultdict(list)
    for file in frame_exports(folder):
        for task in _tasks(file, file.stat().st_mtime_ns):
            if source_of(task.key) == file_name(source):
                tasks[task.key].append(task)
    return {key: newest(tasks[key]) for key in sorted(tasks)}


@lru_cache(maxsize=8)  # a shard may have many sources
def _tasks(file: Path, changed: int) -> list[Task]:
    try:
        return parse_export(file.read_bytes(), str(file))
    except Failed as fault:
        raise TesseraError(f"annotations.frame_labels: {fault.reason}: {fault.detail}") from None


def _start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]


def frame_source(file: Path) -> str:
    """Return the escaped id of the source whose frame the label file `file` is named after."""
    return source_of(file.stem)


def read_label_file(path: Path) -> dict[str, Any]:
    """Return the labelme document `path`, which a person drew or saved.

    Raises `Dropped` if it is a proposal that nobody has saved, wherever it lies, and `Failed` if it cannot be read.
    """
    document = load_labelme(path)
    check_saved(document, path)
    if _is_old_proposal(path):
        raise _unsaved(path)
    return document


def check_saved(document: dict[str, Any], path: Path) -> None:
    """Raise `Dropped` if the labelme `document` of the file `path` is a proposal that nobody has saved."""
    if is_proposal(document):
        raise _unsaved(path)


def _unsaved(path: Path) -> Dropped:
    fix = "correct it in labelme, or set its flag `accept` there if it is right"
    return Dropped("proposal that nobody saved", f"{quoted(path)}: {fix}")


@contextmanager
def naming(path: PurePath) -> Iterator[None]:
    """Put `path` before the detail of a `Dropped` or `Failed` that the block raises about the content of this file."""
    try:
        yield
    except Dropped as fault:
        raise type(fault)(fault.reason, f"{quoted(path)}: {fault.detail}") from None


def frame_label_keys(folder: Path | None, sources: Iterable[str]) -> set[str]:
    """Return the keys of frames of `sources` that labels or proposals in `folder` are named after, also those of no frame."""
    files = (path for source in sources for path in frame_label_files(folder, source))
    answers = (key for source in sources for key in frame_answers(folder, source))
    return {*(path.stem for path in files), *answers}


def labelled_frames(folder: Path | None, source: str) -> set[str]:
    """Return the keys of the frames of `source` that have a label in `folder`, see `frame_label_files` and `frame_answers`.

    A proposal that nobody saved is no label, nor is a task without an annotation. A label file that cannot be read is one,
    because a person made it.
    """
    answered = {key for key, task in frame_answers(folder, source).items() if task.result is not None}
    return {path.stem for path in frame_label_files(folder, source) if not is_unsaved(path)} | answered


def is_unsaved(path: Path) -> bool:
    """Return whether the label file `path` is a proposal that nobody saved. One that cannot be read is not."""
    try:
        read_label_file(path)
    except Failed:
        return False
    except Dropped:
        return True
    return False


def _is_old_proposal(path: Path) -> bool:
    """Return whether `path` is an unsaved proposal of Tessera 0.1, which has no mark: its checksum is listed beside it.

    It ends with a newline, which labelme does not write. So a person may list checksums of labels as well. Line ends may have
    been changed since.
    """
    checksums = path.parent / CHECKSUMS
    content = path.read_bytes().replace(b"\r\n", b"\n")
    if not checksums.is_file() or not content.endswith(b"\n"):
        return False
    return f"{hashlib.sha256(content).hexdigest()}  {path.name}" in checksums.read_text(
        encoding="utf-8", errors="replace"
    ).split("\n")
