"""A labelled image of a set, whatever the format of its labels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from tessera.core.archives import File
from tessera.core.errors import Dropped, Failed
from tessera.records.annotation.model import ImageAnnotations, Loss
from tessera.records.label_sets import LabelledSet

T = TypeVar("T")
TAKEN = "taken for a negative"  # how a remark on an image ends that is one because of `unannotated`
Regions: TypeAlias = tuple[ImageAnnotations, list[Loss]]  # the regions of a picture, and the losses in reading them


@dataclass(frozen=True)
class Item(Generic[T]):
    """A picture of a set and its labels: a row of the ledger. Neither has been read yet."""

    name: str  # path below the top of the set, without suffix; its key is made of it
    picture: Callable[[], File]  # finds the picture; raises `Dropped` or `Failed`
    labels: Callable[[str, int, int], T]  # reads the labels, with the key, width and height; raises `Dropped` or `Failed`
    files: tuple[File, ...] = ()  # what this row stands for besides the picture: these need no rows of their own


class Items(list[Item[T]]):
    """The items of a set, and `stated`: the labels that its files name, used or not, each with its number and its name.

    The number is None if the set has none.
    """

    def __init__(self, items: Iterable[Item[T]] = (), stated: Mapping[str, tuple[int | None, str]] | None = None) -> None:
        super().__init__(items)
        self.stated = stated or {}


def failed(name: str, fault: Dropped, files: Sequence[File] = ()) -> Item[Any]:
    """Return an item that raises `fault`."""

    def fail(*_: object) -> Any:
        raise fault

    return Item(name, fail, fail, tuple(files))


def several(name: str, files: Sequence[File], what: str) -> Item[Any]:
    """Return the item of `files` that have one name, so that it is not known which of them belong together."""
    names = ", ".join(file.shown for file in files)
    return failed(name, Failed(f"several {what} of one name", f"{names}; rename or remove all but one"), files)


def stem(file: File) -> str:
    """Return the name of `file` without its suffix."""
    return file.path.with_suffix("").as_posix()


def by_stem(files: Sequence[File]) -> dict[str, list[File]]:
    """Return `files` by their names without suffix: a label matches an image with any."""
    items: dict[str, list[File]] = defaultdict(list)
    for file in files:
        items[stem(file)].append(file)
    return items


def given(file: File) -> File:
    """Return `file`: the picture of an item for which it is known from the start."""
    return file


def unannotated(name: str, picture: File, label_set: LabelledSet, lacks: str, fix: str) -> Item[Regions]:
    """Return the item of a `picture` that no label of `label_set` is about: what `unannotated` of the set says.

    `lacks`: what it does not have, such as `no label file`. `fix`: what would state that it shows nothing.
    """
    if label_set.unannotated == "unknown":
        reason = f"{picture.shown} has {lacks}; if it shows nothing, {fix}, or set `unannotated: negative` of the set"
        return failed(name, Dropped("unlabelled", reason), [picture])

    def nothing(key: str, width: int, height: int) -> Regions:
        return ImageAnnotations(key, width, height), [Loss(key, f"{lacks}, {TAKEN}", picture.shown, kept=True)]

    return Item(name, partial(given, picture), nothing, (picture,))


def check_not_empty(regions: Regions, label_set: LabelledSet, where: str) -> Regions:
    """Return `regions`, which the labels at `where` state. Raises `Dropped` if there are none, and `empty` of the set says that
    this states nothing.
    """
    image, losses = regions
    if not image.annotations and not losses and label_set.empty == "unknown":
        raise Dropped("empty label", f"{where} states no region, which is `empty: unknown` in this set; label the image")
    return regions
