"""The keys of frames: how they are made, and which frame of today a key of an earlier day means.

A frame of a video is known by its number: `SOURCE-0000012`. A picture of a folder is known by its path there and its content:
`SOURCE-PATH~DIGEST`, such as `album-sea%2Fa.jpg~3f2a9c1b4d5e`. So its key stays when other pictures come and go, a renamed
picture is recognised by its digest, and one whose content changed is another frame.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from tessera.core.files import NAME_BYTES as SOURCE_BYTES
from tessera.core.files import file_name
from tessera.core.names import composed
from tessera.imaging.footage import Still
from tessera.imaging.frame import VideoFrame

DIGITS = (
    12  # of the sha256 of a picture: chance gives two of a million pictures of a folder equal ones once in 500 such folders
)
NAME_BYTES = 80  # of the path of a picture in a key; the name of a label file, with the source, must fit in 255
INDEX = re.compile(r"\d{7,12}", re.ASCII)  # of a frame of a video, in its key
VIDEO_KEY = re.compile(rf"(?P<source>.+)-(?P<index>{INDEX.pattern})", re.ASCII | re.DOTALL)
PICTURE = re.compile(r"(.+)-([^-+~]+(?:~[0-9a-f]{16})?)(?:~([0-9a-f]{12}))?", re.ASCII | re.DOTALL)
LONGEST_PARENT = SOURCE_BYTES + 20  # characters that the key of a frame contributes to the key of a crop
CROPS = re.compile(r"(.+?)((?:-[a-z][a-z0-9_]*-\d{1,6})*)", re.ASCII | re.DOTALL)  # a frame, and a crop of it, and so on
Value = TypeVar("Value")


class FrameKey(NamedTuple):
    """The parts of the key of a frame or of a crop of it."""

    source: str
    name: str  # the index of a frame of a video, or the path of a picture
    digest: str  # of the picture; empty if there is none
    crops: str  # the steps and numbers of a crop; empty for the frame itself

    @property
    def frame(self) -> str:
        """The key of the frame, without the digest."""
        return f"{self.source}-{self.name}"


def parse_key(key: str) -> FrameKey | None:
    """Return the parts of `key`; None if it is no key of a frame or a crop."""
    crop = CROPS.fullmatch(key)
    match = PICTURE.fullmatch(crop[1]) if crop else None
    return FrameKey(match[1], match[2], match[3] or "", crop[2]) if crop and match else None


def video_key(source: str, index: int) -> str:
    """Return the key of the frame `index` of the video `source`, or of the only frame of a source that is an image."""
    return f"{file_name(source)}-{index:07d}"


def picture_key(source: str, name: str, sha256: str) -> str:
    """Return the key of the picture at the path `name` in the folder `source`; without digest if `sha256` is empty.

    Names are compared in the composed form of Unicode, because file systems and archives write either form.
    """
    # A `-` ends the source, and a `~` begins the digest.
    token = quote(composed(name), safe="", errors="surrogatepass").replace("-", "%2D").replace("~", "%7E")
    if len(token) > NAME_BYTES:
        token = f"{token[: NAME_BYTES - 17]}~{hashlib.sha256(token.encode()).hexdigest()[:16]}"
    return f"{file_name(source)}-{token}" + (f"~{sha256[:DIGITS]}" if sha256 else "")


def frame_key(source: str, frame: VideoFrame | Still) -> str:
    """Return the key of a frame of `source`."""
    if isinstance(frame, Still) and frame.name is not None:
        return picture_key(source, frame.name, frame.sha256)
    return video_key(source, frame.index)


def crop_key(parent: str, step: str, number: int) -> str:
    """Return the key of a part of the frame or crop `parent`, `PARENT-STEP-NUMBER`: a file name without dots.

    Different crops get different keys, whatever their sources are called. `number` has at most six digits, and the index at
    the end of the key of a frame has seven or more. `step` begins with a letter and has no hyphen. So the key is read back from
    its end: each pair of a step and a number is a crop, and the rest is the key of the frame. A dot becomes `%2E`, which
    `file_name` writes for nothing else but a dot at the start, in whose place no other character can stand.
    """
    stem = parent.replace(".", "%2E")
    if len(stem) > LONGEST_PARENT and stem != parent:
        stem = f"{stem[: LONGEST_PARENT - 17]}~{hashlib.sha256(stem.encode()).hexdigest()[:16]}"
    assert 0 <= number < 1_000_000, "a frame has fewer regions than this"
    return f"{stem}-{step}-{number}"


def content_key(key: str) -> str:
    """Return the part of the key of a frame or a crop that a renamed file keeps."""
    parsed = parse_key(key)
    return f"{parsed.source}~{parsed.digest}{parsed.crops}" if parsed and parsed.digest else key


def source_of(key: str, *, by_hand: bool = True) -> str:
    """Return the name of the source, see `file_name`, of the `key` of a frame or a crop; empty if it is no such key.

    `by_hand`: whether `SOURCE-PATH`, without the digest that each key has that is written here, is one.
    """
    parsed = parse_key(key)
    return parsed.source if parsed and (by_hand or parsed.digest or INDEX.fullmatch(parsed.name)) else ""


class Meant(NamedTuple):
    """The frames that keys mean."""

    now: dict[str, str]  # the key of a frame of today, by the key that means it
    lost: dict[str, str]  # why others mean none, by key


def meant_frames(keys: Iterable[str], frames: Collection[str], moved: Mapping[str, str] | None = None) -> Meant:
    """Return which of `frames`, keys of today, are meant by `keys`, which may be older or written by a person. Keys of crops
    too.

    A key that is there means itself. Else, a key with a digest means the only picture of its source with that digest: a renamed
    file. A key without a digest means the picture at its path. Several keys may mean one frame. `moved`: what keys of version
    0.1 became, see `records.moved_keys`.
    """
    by_content: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    by_name: dict[tuple[str, str], list[str]] = defaultdict(list)
    for frame in sorted(frames):
        if (parsed := parse_key(frame)) and parsed.digest:
            by_content[parsed.source, parsed.digest, parsed.crops].append(frame)
            by_name[parsed.frame, parsed.crops].append(frame)
    current = set(frames)
    meant = Meant({}, {})
    for given in keys:
        key = (moved or {}).get(given, given)
        parsed = parse_key(key)
        named = by_name[parsed.frame, parsed.crops] if parsed else []
        if key in current:
            alike = [key]
        elif parsed and parsed.digest:
            alike = by_content[parsed.source, parsed.digest, parsed.crops]
        else:
            alike = named
        if len(alike) == 1:
            meant.now[given] = alike[0]
        elif alike:
            meant.lost[given] = f"{len(alike)} pictures have its content: {', '.join(alike)}"
        elif named:
            meant.lost[given] = f"the picture has changed since, and is now {named[0]!r}"
        else:
            meant.lost[given] = "the picture is gone" if parsed and parsed.digest else "there is no such frame"
    return meant


def for_frames(values: Mapping[str, Value], frames: Collection[str]) -> dict[str, Value]:
    """Return those of `values`, given by keys, that are meant for `frames`, by the keys of these; see `meant_frames`.

    Of several values of one frame, given under its own key and former ones, the last counts, as in a table that is a log.
    """
    return {frame: values[key] for key, frame in meant_frames(values, frames).now.items()}
