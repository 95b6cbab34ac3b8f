"""A labelled image of a set, whatever the format of its labels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from tessera.core.archives import File
from tessera.core.errors import Dropped, Failed
from tessera.core.files import without_suffix
from tessera.core.names import pair_names
from tessera.records.annotation.model import ImageAnnotations, Loss
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.pictures import is_picture

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
    return without_suffix(file.path).as_posix()


def by_stem(files: Sequence[File]) -> dict[str, list[File]]:
    """Return `files` by their names without suffix: a label matches an image with any."""
    items: dict[str, list[File]] = defaultdict(list)
    for file in files:
        items[stem(file)].append(file)
    return items


def pair_stems(wanted: Mapping[str, Sequence[str]], names: Iterable[str]) -> dict[str, str]:
    """Return the one of `names` that is the label file of each image, by the image.

    `wanted`: the names that it may have: in a folder of labels and, last, beside the image.
    """
    names = set(names)
    in_folder = pair_names([each[0] for each in wanted.values()], names)
    alone = [each[-1] for each in wanted.values() if each[0] not in in_folder]
    beside = pair_names(alone, names - set(in_folder.values()))
    paired = {image: in_folder.get(each[0]) or beside.get(each[-1], "") for image, each in wanted.items()}
    return {image: name for image, name in paired.items() if name}


def paired_items(
    images: Mapping[str, Sequence[File]],
    labels: Mapping[str, Sequence[File]],
    read: Callable[[File, str, int, int], Regions],
    label_set: LabelledSet,
    what: str,
    lacks: str,
    fix: str,
) -> Iterator[Item[Regions]]:
    """Yield the item of each of `images`, whose `labels` have the same name, and are what `read` returns.

    `what`: the word for several labels of an image. `lacks`, `fix`: of an image without labels, see `unannotated`.
    """
    for name, same in images.items():
        files = labels.get(name, ())
        if len(same) > 1:
            yield several(name, [*same, *files], "images")
        elif len(files) > 1:
            yield several(name, [*same, *files], what)
        elif not files:
            yield unannotated(name, same[0], label_set, lacks, fix)
        else:
            yield Item(name, partial(given, same[0]), partial(read, files[0]), tuple(filter(is_picture, (*same, *files))))


def check_size(size: Sequence[int], width: int, height: int, where: str) -> None:
    """Raise `Failed` if a mask of this `size`, its height and width, is not that of an image of `width` by `height` pixels."""
    if tuple(size) != (height, width):
        shape = f"the mask has {size[1]} by {size[0]} pixels, the image {width} by {height}"
        raise Failed("size differs from the image", f"{where}: {shape}; draw it at the size of the image")


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
