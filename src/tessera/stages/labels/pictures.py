"""The pictures of sets that others labelled: found by the names in label files, checked, and stored."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeAlias

import numpy as np

from tessera.core.archives import File
from tessera.core.errors import Dropped, Failed
from tessera.core.files import IMAGE_SUFFIXES, PICTURE_SUFFIXES, without_suffix
from tessera.core.messages import truncate
from tessera.core.names import Names, composed, folded
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import MAX_BYTES, PLAIN, SUFFIX, read_file, write_image
from tessera.records.annotation.annotation_tables import Origin
from tessera.records.blocklist import Blocklist
from tessera.records.image_checks import check_content
from tessera.records.label_sets import PictureSet
from tessera.records.rounds import ROUND

MAX_IMAGE_BYTES = MAX_BYTES
NAMES_SHOWN = 10
READ_BY_ALL = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}  # suffixes that every program knows
SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
SPLIT_FOLDER = re.compile(r"(train|training|val|valid|validation|test|testing)(?:[-_]?(?:yolo|set|split|\d+))?", re.IGNORECASE)


def is_picture(file: File) -> bool:
    """Return whether the name of `file` is that of an image, of whatever format."""
    return file.suffix in PICTURE_SUFFIXES


class Pictures:
    """The pictures of a set, to find one by the name that a label file states. `stems`: whether names have no suffix."""

    def __init__(self, files: Iterable[File], stems: bool = False) -> None:
        self._named: dict[str, list[File]] = defaultdict(list)
        self._stems = stems
        for file in files:
            self._named[folded(self._path(file).name)].append(file)

    def find(self, name: str, beside: PurePosixPath) -> File:
        """Return the picture whose path ends with `name`, see `Names.find`.

        Label files state paths relative to folders of their own. Of several such pictures, the one in or nearest to the folder
        of the label file `beside` is returned. Raises `Failed` if there is none, or if two are equally near.
        """
        candidates = self._ending(name)
        if not candidates:
            raise Failed("image missing", f"{beside}: {name!r:.200} is not in the set; restore it")
        near = [_shared(file.path, beside) for file in candidates]
        best = [file for file, count in zip(candidates, near, strict=True) if count == max(near)]
        if len(best) > 1:
            raise several_named(beside, best)
        return best[0]

    def has(self, name: str) -> bool:
        """Return whether the path of a picture ends with `name`."""
        return bool(self._ending(name))

    def like(self, name: str) -> list[File]:
        """Return the pictures whose name differs from `name` only in characters that servers replace or remove on an upload."""
        wanted = _letters(name)
        return [file for same in self._named.values() for file in same if _letters(file.path.name) == wanted]

    def _ending(self, name: str) -> list[File]:
        parts = [part for part in PurePosixPath(name).parts if part != "."]
        named = self._named.get(folded(parts[-1]), []) if parts else []
        return Names(("/".join(self._path(file).parts[-len(parts) :]), file) for file in named).find("/".join(parts))

    def _path(self, file: File) -> PurePosixPath:
        return without_suffix(file.path) if self._stems else file.path


def several_named(beside: PurePosixPath, files: Iterable[File]) -> Failed:
    """Return the error that a name in the label file `beside` may be that of each of `files`."""
    return Failed("several images of one name", f"{beside}: {', '.join(file.shown for file in files)}; rename all but one")


def _letters(name: str) -> str:
    """Return the letters, digits, points and hyphens of `name`: Label Studio, as Django does, keeps these in uploaded names."""
    return folded(re.sub(r"[^-\w.]|_", "", composed(name)))


def _shared(path: PurePosixPath, other: PurePosixPath) -> int:
    """Return how many folders from the top the two paths have in common."""
    pairs = zip(map(folded, path.parent.parts), map(folded, other.parent.parts), strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(path.parts), len(other.parts)))


class Picture(NamedTuple):
    """A picture of a set that can be used."""

    file: File
    image: np.ndarray  # uint8 (H, W, 3), RGB
    path: str  # for a table
    sha256: str  # of the file of the set
    remark: str = ""  # what of it could not be used


@dataclass
class Store:
    """Checks the pictures of a set, and stores those that are not files of a folder, or that programs show differently.

    The latter, such as pictures with a colour profile, are stored as this library reads them: as PNG or, if they were
    compressed with losses, as JPEG. `folder` is where pictures are written, `final_folder` its final path. An image is dropped
    if its sha256 is in `blocklist`, or if its perceptual hash differs from a listed one in at most `distance` bits.
    """

    folder: Path
    final_folder: Path
    blocklist: Blocklist
    distance: int
    _used: dict[str, str] = field(default_factory=dict)  # the name of the first picture of each sha256

    def check_beside(self, file: File) -> None:
        """Raise `Dropped` or `Failed` if `file`, a picture that belongs to another one, such as a mask, must not be used."""
        if self.blocklist.files or self.blocklist.hashes.size:
            check_content(file.read(MAX_IMAGE_BYTES), file.shown, self.blocklist, self.distance)

    @contextmanager
    def take(self, file: File, key: str) -> Iterator[Picture]:
        """Yield the picture in `file`.

        What is stored has its `key` as its name, unless the block raises an error. Of identical files, only the first
        whose block ends without one is used, so that an image with broken labels replaces no copy with good ones.

        Raises `Dropped` or `Failed` if the picture cannot be used.
        """
        if file.suffix not in IMAGE_SUFFIXES:
            raise Failed("image of a kind that is not read", f"{file.shown}: convert it to PNG, or leave it out")
        content = read_file(file.local) if file.local else file.read(MAX_IMAGE_BYTES)
        picture, sha256 = check_content(content, file.shown, self.blocklist, self.distance)
        if sha256 in self._used:
            raise Dropped("the same image twice", f"{file.shown} is {self._used[sha256]}; keep one")
        suffix = PLAIN.get(picture.format, "") if picture.is_plain else SUFFIX["jpeg" if picture.is_lossy else "png"]
        is_used_there = picture.is_plain and PICTURE_SUFFIXES[file.suffix] == picture.format and file.suffix in READ_BY_ALL
        stored = self.folder / f"{key}{file.suffix if is_used_there else suffix}"
        path = file.local if file.local and is_used_there else self.final_folder / stored.name
        try:
            if not picture.is_plain:
                write_image(stored, picture.pixels)
            elif path != file.local:
                stored.write_bytes(content)
            yield Picture(file, picture.pixels, path.as_posix(), sha256, picture.remark)
        except BaseException:
            stored.unlink(missing_ok=True)
            raise
        self._used[sha256] = file.shown


SplitOf: TypeAlias = Callable[[PurePosixPath], str]  # the split that the folders of a path name, or an empty string


def origin(label_set: PictureSet, source: str, picture: Picture, split: SplitOf) -> Origin:
    """Return the origin of a `picture` of `label_set`, whose source is `source`.

    If the settings of the set name a split, all its images belong to one source, with that split. Otherwise, images whose
    folders name a `split` belong to the source `SOURCE/SPLIT` and to that split. Every other image belongs to the source of
    the set or, if `split_by` of the set is `image`, is the source `SOURCE/PATH`.
    """
    folder = split(picture.file.path)
    group = folder or (picture.file.name if label_set.split_by == "image" else "")
    if label_set.split or not group:
        group, folder = "", label_set.split
    source = f"{source}/{group}" if group else source
    return Origin(source, picture.path, perceptual_hash(picture.image), folder, label_set.rights)


def split_of(path: PurePosixPath) -> str:
    """Return the split named by the innermost such folder of `path`, or an empty string."""
    return next(filter(None, map(split_name, reversed(path.parts[:-1]))), "")


def split_name(folder: str) -> str:
    """Return the split that the name of a folder means, or an empty string."""
    match = SPLIT_FOLDER.fullmatch(folder)
    name = match[1].lower() if match else ""
    return SPLIT_NAMES.get(name, name)


class ClassFolders:
    """How the folders of a set with a folder for each class are read. All pictures of the set decide it together.

    The folders at the top are splits if each of them has the name of a split, and pictures lie in folders inside them: these
    are the classes. Otherwise, the folders at the top are the classes, whatever their names are, and no folder is a split. In
    a round of `snakemake ask`, the folders at the top are always splits, because Tessera made them.
    """

    def __init__(self, pictures: Iterable[PurePosixPath]) -> None:
        """Decide by the paths of all `pictures`, below the top of the set."""
        folders = {path.parts[:-1] for path in pictures}
        self._folders = {parts for parts in folders if parts and not ROUND.fullmatch(parts[0])}
        self._tops = sorted({parts[0] for parts in self._folders})
        self.has_splits = all(map(split_name, self._tops)) and any(len(parts) > 1 for parts in self._folders)

    def split(self, path: PurePosixPath) -> str:
        """Return the split of the picture at `path`, or an empty string."""
        return self._read(path)[0]

    def label(self, path: PurePosixPath) -> str:
        """Return the class of the picture at `path`, or an empty string if it lies in no folder of a class."""
        return self._read(path)[1]

    def _read(self, path: PurePosixPath) -> tuple[str, str]:
        top, *inside = path.parts[:-1] or ("",)
        is_round = bool(ROUND.fullmatch(top))
        if is_round:
            top, *inside = inside or [""]
        split = split_name(top) if is_round or self.has_splits else ""
        return split, (inside or [""])[0] if split else top

    def decision(self) -> str:
        """Return what was decided, for messages."""
        tops = ", ".join(truncate(list(map(repr, self._tops)), NAMES_SHOWN))
        if self.has_splits:
            return f"the folders {tops} are splits, and the folders inside them are classes"
        said = f"the folders {tops} are classes" if tops else "only the folders of rounds are read"
        named = sorted({repr(name) for parts in self._folders for name in parts if split_name(name)})
        if named:
            listed = ", ".join(truncate(named, NAMES_SHOWN))
            said += f"; not read as splits: {listed}. Splits are all folders at the top, with the folders of classes inside"
        return said
