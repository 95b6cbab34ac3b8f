"""The metadata of a face in its JPEG file, as DeepFaceLab's `DFLJPG` keeps them: a pickle in a segment APP15.

Nothing but this segment ever changes. DeepFaceLab itself reads no file with restart intervals, with fill bytes between
segments, or with bytes behind the picture.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from tessera.core.errors import Failed
from tessera.extras.face_sets.metadata import FaceMetadata, face_of_jpeg, jpeg_fields
from tessera.extras.face_sets.plain_pickle import read_pickle, write_pickle

MAX_PAYLOAD = 65_533  # bytes of a segment; its length counts itself
MAX_OPCODES = MAX_PAYLOAD
MAX_SEGMENTS = 10_000  # before the picture; a colour profile has up to 255
HEAD = struct.Struct(">BBH")  # FF, a marker, and the length of the segment if it has one
FILL = re.compile(rb"\xff+")  # the last one begins the segment
START, END, SCAN, APP0, APP15 = 0xD8, 0xD9, 0xDA, 0xE0, 0xEF
ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a payload
NO_SEGMENTS = {0, START, END}
FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers of segments that state the size of the picture
USED = FRAMES | set(range(APP0, APP15 + 1))
BROKEN = "not a readable JPEG"


class _Segment(NamedTuple):
    """The bytes `start` to `end` of a file: FF, the `marker`, two bytes of length and the payload."""

    marker: int
    start: int
    end: int


def _segments(content: bytes) -> Iterator[_Segment]:
    """Yield the `USED` segments before the first scan. Raises `Failed` if there is no scan, or the file is damaged before."""
    if content[:2] != bytes([0xFF, START]):
        raise Failed(BROKEN, "it does not start like a JPEG file")
    end = 2
    with suppress(struct.error):  # the file ends
        for _ in range(MAX_SEGMENTS):
            at = end
            first, marker, length = HEAD.unpack_from(content, at)
            if first == marker == 0xFF and (fill := FILL.match(content, at)):
                at = fill.end() - 1
                _, marker, length = HEAD.unpack_from(content, at)
            if first != 0xFF:
                break
            if marker == SCAN:
                return
            end = at + 2
            if marker not in ALONE:
                end += length
                if marker in NO_SEGMENTS or length < 2 or end > len(content):
                    raise Failed(BROKEN, f"byte {at:,}: marker {marker:#04x} with a length of {length}")
            if marker in USED:
                yield _Segment(marker, at, end)
    raise Failed(BROKEN, f"byte {end:,}: it has no picture, is cut off, or has more than {MAX_SEGMENTS:,} segments")


def _is_metadata(segment: _Segment, content: bytes) -> bool:
    """Return whether `segment` is a pickle of protocol 2 or later. Other programs may have an APP15 of their own."""
    return segment.marker == APP15 and content[segment.start + 4 : segment.start + 5] == b"\x80"


def size_of_picture(content: bytes) -> tuple[int, int]:
    """Return the height and the width of the JPEG file `content`, in pixels. Raises `Failed` if it is damaged."""
    return _size(content, _segments(content))


def _size(content: bytes, segments: Iterable[_Segment]) -> tuple[int, int]:
    for segment in segments:
        if segment.marker in FRAMES and segment.end - segment.start >= 9:
            start = segment.start + 5
            height, width = int.from_bytes(content[start : start + 2]), int.from_bytes(content[start + 2 : start + 4])
            if height and width:
                return height, width
    raise Failed(BROKEN, "it does not state the size of its picture")


def read_metadata(content: bytes) -> FaceMetadata | None:
    """Return the metadata of the face in the JPEG file `content`; None if it has none.

    Raises `Failed` if the file or the metadata are damaged, or the metadata are not those of a face.
    """
    return _face(content, _segments(content))


def read_face_and_size(content: bytes) -> tuple[FaceMetadata | None, tuple[int, int]]:
    """Return what `read_metadata` and `size_of_picture` return of the JPEG file `content`."""
    segments = list(_segments(content))
    return _face(content, segments), _size(content, segments)


def read_pickle_and_size(content: bytes) -> tuple[bytes | None, tuple[int, int]]:
    """Return what `read_face_and_size` returns of the JPEG file `content`, with the face as the pickle in the file."""
    segments = list(_segments(content))
    return _pickle(content, segments), _size(content, segments)


def read_sole_face(content: bytes) -> tuple[FaceMetadata, tuple[int, int]]:
    """Return the metadata of the face in the JPEG file `content`, and the height and the width of its picture, in pixels.

    Raises `Failed` as `read_metadata` does, and if the file has no metadata, or another segment APP15: DeepFaceLab loads each
    as a pickle, and one that this module does not take for metadata could run code there.
    """
    segments = list(_segments(content))
    face, size = _face(content, segments), _size(content, segments)
    if face is None:
        raise Failed("no face metadata", "no segment APP15 is a pickle of protocol 2 or later")
    if (count := sum(segment.marker == APP15 for segment in segments)) > 1:
        raise Failed("more than one segment APP15", f"there are {count}, and DeepFaceLab loads each as a pickle")
    return face, size


def _face(content: bytes, segments: Iterable[_Segment]) -> FaceMetadata | None:
    pickled = _pickle(content, segments)
    return None if pickled is None else face_of_pickle(pickled)


def _pickle(content: bytes, segments: Iterable[_Segment]) -> bytes | None:
    # DeepFaceLab takes the last one, too.
    found = [segment for segment in segments if _is_metadata(segment, content)]
    return content[found[-1].start + 4 : found[-1].end] if found else None


def face_of_pickle(pickled: bytes) -> FaceMetadata:
    """Return the face whose metadata are in the pickle of a JPEG file. Raises `Failed` if they are not usable."""
    return face_of_jpeg(read_pickle(pickled, MAX_OPCODES))


def write_metadata(content: bytes, face: FaceMetadata) -> bytes:
    """Return the JPEG file `content` with the metadata of `face`, instead of those that it has.

    They follow on the last segment APP0 to APP15. Raises `Failed` if they have more than `MAX_PAYLOAD` bytes, or the file is
    damaged.
    """
    content = remove_metadata(content)
    payload = write_pickle(jpeg_fields(face))
    if len(payload) > MAX_PAYLOAD:
        raise Failed(
            "metadata too large", f"{len(payload):,} bytes, {MAX_PAYLOAD:,} are allowed; use a smaller mask, or fewer points"
        )
    at = max((segment.end for segment in _segments(content) if APP0 <= segment.marker <= APP15), default=2)
    return b"".join([content[:at], bytes([0xFF, APP15]), (len(payload) + 2).to_bytes(2), payload, content[at:]])


def remove_metadata(content: bytes) -> bytes:
    """Return the JPEG file `content` without the metadata of a face. Raises `Failed` if the file is damaged."""
    found = [segment for segment in _segments(content) if _is_metadata(segment, content)]
    starts, ends = [0, *(segment.end for segment in found)], [*(segment.start for segment in found), len(content)]
    return b"".join(content[start:end] for start, end in zip(starts, ends, strict=True))
