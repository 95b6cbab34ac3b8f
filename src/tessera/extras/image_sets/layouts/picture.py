"""What every layout is given: the pictures of a set, and how they are placed and repeated."""

from collections.abc import Iterator, Mapping, Sequence
from math import floor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tessera.core.errors import TesseraError
from tessera.core.files import link_or_copy
from tessera.core.messages import pluralize
from tessera.core.seeds import fraction

TRAIN = "train"
SPLITS = (TRAIN, "val", "test")


class Picture(NamedTuple):
    """A picture of an image set, ready to be written."""

    key: str
    file: Path  # the encoded picture
    split: str  # one of `SPLITS`
    folder: str  # path of its folder in the split, with `/`; empty for the folder of the split
    repeats: float  # how often it appears in an epoch of the training; 1 in the other splits
    captions: tuple[str, ...]  # its captions, one line each; at least one
    columns: Mapping[str, Any]  # what else is known of it, as JSON types


class Copy(NamedTuple):
    """One appearance of a picture in an epoch, for layouts of readers that know no repeats."""

    picture: Picture
    stem: str  # name of its files without the suffix; no two copies share one
    caption: str


def times(picture: Picture, seed: int) -> int:
    """Return how often `picture` appears in a layout that needs a whole number.

    The fraction of its repeats is the probability of one more appearance. The draw depends on the seed and the key alone.
    """
    copies = floor(picture.repeats)
    return copies + (fraction(f"repeats {seed}", picture.key) < picture.repeats - copies)


def copies(pictures: Sequence[Picture], seed: int) -> Iterator[Copy]:
    """Yield each of `pictures` as often as it appears, each copy with the next of its captions."""
    for picture in pictures:
        for number in range(times(picture, seed)):
            # Keys have no `+`.
            stem = f"{picture.key}+{number}" if number else picture.key
            yield Copy(picture, stem, picture.captions[number % len(picture.captions)])


def folders(pictures: Sequence[Picture]) -> dict[tuple[str, str], list[Picture]]:
    """Return the pictures of each split and folder, in their order.

    Raises `TesseraError` if a folder would lie outside the set.
    """
    pictures_by_folder: dict[tuple[str, str], list[Picture]] = {}
    for picture in pictures:
        pictures_by_folder.setdefault((picture.split, picture.folder), []).append(picture)
    for _, folder in pictures_by_folder:
        parts = PurePosixPath(folder).parts
        if {"..", "/"}.intersection(parts) or "/".join(parts) != folder or any(part.startswith(".") for part in parts):
            raise TesseraError(f"{folder!r} cannot be a folder of an image set; this is a bug in Tessera")
    return pictures_by_folder


def repeats_of(pictures: Sequence[Picture]) -> float:
    """Return how often each picture of a folder appears. Raises `TesseraError` if they differ."""
    repeats = sorted({picture.repeats for picture in pictures})
    if len(repeats) > 1:
        shown = ", ".join(f"{each:g}" for each in repeats[:3])
        raise TesseraError(
            f"the {pluralize(len(pictures), 'pictures')} in {pictures[0].folder!r} have the repeats {shown}, and a folder has"
            " one number; this is a bug in Tessera"
        )
    return repeats[0]


def put(picture: Picture, captions: Sequence[str], folder: Path, stem: str = "") -> Path:
    """Write a picture and, one per line, its `captions` to `folder` under the name `stem` or its key; return the picture.

    The picture is linked, so that other captions write no picture. A file of captions is never empty: some trainers take an
    empty one for a mistake.
    """
    file = folder / f"{stem or picture.key}{picture.file.suffix}"
    link_or_copy(picture.file, file)
    text = "".join(f"{caption}\n" for caption in captions)
    file.with_name(f"{stem or picture.key}.txt").write_text(text, encoding="utf-8", newline="\n")
    return file
