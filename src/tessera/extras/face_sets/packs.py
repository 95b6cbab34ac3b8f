"""Read and write `faceset.pak`, in which DeepFaceLab keeps the files of a face set: its `PackedFaceset`, version 1.

Its numbers are unsigned, little-endian, of 8 bytes. In this order: the version, which is 1; the length of the index; the
index, a pickled list with a dictionary for each face; a table of where each file starts, relative to the end of the table,
and where the last one ends, relative to the start of the pack; the files. Packing and unpacking delete nothing.
"""

import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import open_file, open_unbuffered, quoted, readable_name
from tessera.core.ledger import Status
from tessera.core.names import folded
from tessera.core.outputs import beside, clean, discard
from tessera.extras.face_sets.entries import entry_opcodes
from tessera.extras.face_sets.jpeg_metadata import size_of_picture
from tessera.extras.face_sets.metadata import FaceMetadata, face_of_index
from tessera.extras.face_sets.plain_pickle import read_pickle
from tessera.imaging.images import MAX_BYTES

VERSION = 1
HEADER = struct.Struct("<QQ")
OFFSET = np.dtype("<u8")
MAX_INDEX = 2**31  # bytes
BUFFER = 2**17  # bytes that are written at once; 2**20 take twice the time
START = 2**14  # bytes of a file that nearly always hold all that stands before its picture
MAX_OPCODES = 2**24  # of the index; a face takes 40 to 500
DAMAGED = "damaged pack"
SUFFIXES = (".jpg", ".jpeg")
USUAL = re.compile(r"\w[\w-]{4,99}", re.ASCII)  # names that every system accepts; those of devices are shorter
# Windows has these names for devices, whatever suffix follows.
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


class Row(NamedTuple):
    """What became of a face. `file`: the path that was packed, or the one that was written, relative to the folder.

    `reason`: why it failed, or what was changed; empty if nothing was.
    """

    file: str
    status: Status
    reason: str


@dataclass(frozen=True)
class Packed:
    """A face in a pack.

    `name`: of its file. `person`: whose face it is; None in packs of one person. `offset`, `size`: where its file lies in the
    pack, in bytes.
    """

    name: str
    person: str | None
    face: FaceMetadata
    offset: int
    size: int


class _Entry(NamedTuple):
    """An entry of the index, before its metadata are read. See `Packed`."""

    name: str
    person: str | None
    fields: dict[str, Any]
    offset: int
    size: int

    @property
    def shown(self) -> str:
        """Return how rows call the face."""
        return self.name if self.person is None else f"{self.person}/{self.name}"


def pack(files: Iterable[Path], path: Path, *, has_persons: bool = False) -> list[Row]:
    """Write the JPEG files `files` to the new pack `path`, in this order, and return a row for each of them.

    A file that cannot be packed has a failed row: it is damaged, has no metadata, or its name differs from an earlier one in
    case at most. `has_persons`: whether the folder that a file lies in has the name of the person. The memory holds one file
    and the index. Raises `TesseraError` if `path` exists, or a file changes meanwhile. Then nothing is written.
    """
    rows: list[Row] = []
    packed: list[tuple[Path, os.stat_result]] = []
    index = [b"\x80\x03]("]  # a pickle of protocol 3: a list, to which the values behind the mark are appended
    taken: set[tuple[str | None, str]] = set()
    with _whole(path) as partial, partial.open("wb", BUFFER) as pack_file:
        for file in files:
            person = file.parent.name if has_persons else None
            key = (person, folded(file.name))
            try:
                start, state = _read(file, START)
                if key in taken:
                    raise Failed("name taken", "one of the two files would replace the other when they are unpacked")
                try:
                    index.append(entry_opcodes(start, file.name, person))
                except Failed:  # more of the file may be needed
                    content, state = _read(file)
                    index.append(entry_opcodes(content, file.name, person))
            except Failed as error:
                rows.append(Row(str(file), "failed", str(error)))
                continue
            taken.add(key)
            packed.append((file, state))
            rows.append(Row(str(file), "ok", ""))
        index.append(b"e.")
        length = sum(map(len, index))
        pack_file.write(HEADER.pack(VERSION, length))
        pack_file.writelines(index)
        table = np.array([*accumulate((state.st_size for _, state in packed), initial=0)], OFFSET)
        table[-1] += HEADER.size + length + table.nbytes
        pack_file.write(table.tobytes())
        for file, state in packed:
            pack_file.write(_read_again(file, state))
    return rows


def _read(file: Path, most: int = MAX_BYTES) -> tuple[bytes, os.stat_result]:
    """Return the first `most` bytes of `file`, and its state. Raises `Failed` if it cannot be read, or is too large."""
    with open_unbuffered(file) as opened:
        state = os.fstat(opened.fileno())
        _check_size(state.st_size)
        return opened.read(min(state.st_size, most)), state


def _read_again(file: Path, state: os.stat_result) -> bytes:
    """Return the content of `file`. Raises `TesseraError` if it has changed since it had the `state`."""
    with suppress(Failed):
        content, now = _read(file)
        if _stamp(now) == _stamp(state) and len(content) == state.st_size:
            return content
    raise TesseraError(f"{quoted(file)} changed while it was packed; pack again when nothing writes to its folder")


def _stamp(state: os.stat_result) -> tuple[int, ...]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _check_size(size: int) -> None:
    """Raise `Failed` if a file of `size` bytes is too large for the memory."""
    if size > MAX_BYTES:
        raise Failed("file too large", f"{size:,} bytes, {MAX_BYTES:,} are allowed")


def read_index(path: Path) -> list[Packed]:
    """Return the faces in the pack `path`. Raises `Failed`, with the number of the entry counted from 0, if it is damaged."""
    faces = []
    with open_file(path) as pack_file:
        for number, entry in enumerate(_read_entries(pack_file)):
            try:
                face = face_of_index(entry.fields)
            except Failed as error:
                raise Failed(DAMAGED, f"entry {number}: {error}") from None
            faces.append(Packed(entry.name, entry.person, face, entry.offset, entry.size))
    return faces


def unpack(path: Path, folder: Path) -> list[Row]:
    """Write the files in the pack `path` to the new `folder`, and return a row for each of them.

    Their bytes are those that were packed, with all metadata of the JPEG files. Each person that the pack names has a folder
    of their own. A name that is no file name on every system, or is taken, is changed. An entry that is no JPEG file has a
    failed row. The memory holds one file and the index.

    Raises `Failed` if the pack is damaged, and `TesseraError` if `folder` exists. Then nothing is written.
    """
    rows = []
    names = _Names()
    with open_file(path) as pack_file, _whole(folder) as partial:
        partial.mkdir()
        for entry in _read_entries(pack_file):
            try:
                content = _read_entry(pack_file, entry)
            except Failed as error:
                rows.append(Row(entry.shown, "failed", str(error)))
                continue
            name = names.choose(entry)
            if entry.person is not None:
                (partial / name).parent.mkdir(exist_ok=True)
            with open(f"{partial}/{name}", "wb") as file:  # noqa: PTH123 (pathlib takes 5 us longer)
                file.write(content)
            rows.append(Row(name, "ok", "" if name == entry.shown else f"renamed from {entry.shown!r:.200}"))
    return rows


def _read_entry(pack_file: BinaryIO, entry: _Entry) -> bytes:
    """Return the JPEG file of `entry`. Raises `Failed` if it is none."""
    _check_size(entry.size)
    content = os.pread(pack_file.fileno(), entry.size, entry.offset)
    if len(content) != entry.size:
        raise Failed(DAMAGED, "it became shorter while it was read")
    size_of_picture(content)
    return content


def _read_entries(pack_file: BinaryIO) -> list[_Entry]:
    """Return the entries of a pack. Raises `Failed` if it is damaged. The metadata of the faces are not checked."""
    size = os.fstat(pack_file.fileno()).st_size
    if size < HEADER.size:
        raise Failed(DAMAGED, "it is cut off")
    version, length = HEADER.unpack(pack_file.read(HEADER.size))
    if version != VERSION:
        raise Failed(DAMAGED, f"it has the version {version}, and {VERSION} is read")
    if length > min(size, MAX_INDEX):
        raise Failed(DAMAGED, f"its index has {length:,} bytes, the file {size:,}; {MAX_INDEX:,} are allowed")
    entries = read_pickle(pack_file.read(length), MAX_OPCODES)
    if type(entries) is not list:
        raise Failed(DAMAGED, "its index is no list")
    begin = HEADER.size + length + OFFSET.itemsize * (len(entries) + 1)
    if begin > size:
        raise Failed(DAMAGED, f"its index has {len(entries):,} faces, and the file ends before the table of their offsets")
    table = np.frombuffer(pack_file.read(begin - HEADER.size - length), OFFSET).tolist()
    # A program that corrects what looks like a mistake in the format states the end like the starts.
    if table[-1] not in {size, size - begin}:
        raise Failed(DAMAGED, f"it ends at byte {size:,}, and should end at {table[-1]:,}; copy it again")
    table[-1] = size - begin
    return [
        _checked(number, entry, start, end, begin)
        for number, (entry, (start, end)) in enumerate(zip(entries, pairwise(table), strict=True))
    ]


def _checked(number: int, fields: Any, start: int, end: int, begin: int) -> _Entry:
    """Return the entry `number`, whose file lies from `start` to `end` behind `begin`. Raises `Failed` if it is damaged."""
    if type(fields) is not dict or type(fields.get("filename")) is not str:
        raise Failed(DAMAGED, f"entry {number}: it has no file name")
    name, person = fields["filename"], fields.get("person_name")
    if type(person) not in {str, type(None)}:
        raise Failed(DAMAGED, f"entry {number}, {name!r:.200}: the name of its person is no text")
    # An end beyond the file is above the end of the last entry, so that one of them runs backwards.
    if start >= end:
        raise Failed(DAMAGED, f"entry {number}, {name!r:.200}: it starts at byte {start:,}, and ends before byte {end:,}")
    return _Entry(name, person, fields, begin + start, end - start)


class _Names:
    """Chooses a path for each face: no two are equal on any system, even one that ignores case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._copies: Counter[str] = Counter()

    def choose(self, entry: _Entry) -> str:
        """Return the path of the file of `entry`, relative to the folder."""
        # No file has the name of a folder, because files end in a suffix, and folders do not.
        folder = "" if entry.person is None else re.sub(r"\.(?=jpe?g$)", "%2E", _safe(entry.person), flags=re.IGNORECASE) + "/"
        stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 (a path of others may have any form)
        if suffix.lower() not in SUFFIXES:
            stem, suffix = entry.name, SUFFIXES[0]
        start = folder + _safe(stem)
        name = start + suffix
        first = key = folded(name)
        while key in self._taken:
            self._copies[first] += 1
            name = f"{start}~{self._copies[first]}{suffix}"
            key = folded(name)
        self._taken.add(key)
        return name


def _safe(text: str) -> str:
    """Return a file name that every system accepts: `text`, or what `readable_name` makes of it."""
    if USUAL.fullmatch(text):
        return text
    plain = re.sub("[%~]", "_", text)  # they are kept where nothing else must be changed
    name = text if readable_name(plain) == plain else readable_name(text)
    return f"%{ord(name[0]):02X}{name[1:]}" if DEVICE.match(name) else name


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield where to write the new file or folder `path`: it appears at the end of the block, or not at all if this fails."""
    if os.path.lexists(path):
        raise TesseraError(f"{quoted(path)} exists; name another path, or move it away")
    clean(path)
    partial = beside(path)
    try:
        yield partial
        partial.rename(path)
    finally:
        discard(partial)
