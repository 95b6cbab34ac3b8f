"""Go through the labelled pictures of a set: each is checked, used once, and a row of the ledger."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from tessera.core.archives import File
from tessera.core.errors import Dropped, Failed
from tessera.core.files import without_suffix
from tessera.core.ledger import Ledger
from tessera.core.progress import progress
from tessera.records.annotation.model import Loss, remark
from tessera.records.label_sets import key_in_set
from tessera.stages.labels.layouts.item import Item, failed, several
from tessera.stages.labels.pictures import Picture, Store, is_picture

T = TypeVar("T")


def usable_files(files: Iterable[File], name: str, rows: Ledger) -> list[File]:
    """Return those of `files`, of the set `name`, that may be read, and write a row to the ledger `rows` for each other."""
    usable = []
    for file in files:
        if file.fault:
            rows.row(key_in_set(name, file.name), "failed", file.fault, f"{file.shown}; leave it out")
        else:
            usable.append(file)
    return usable


def take_all(
    items: Sequence[Item[T]],
    files: Sequence[File],
    name: str,
    store: Store,
    rows: Ledger,
    use: Callable[[Item[T], str, Picture], list[Loss]],
    is_held_out: Callable[[PurePosixPath], bool],
) -> None:
    """Call `use` for each of `items` whose picture can be used, with its key, and write a row for each to the ledger `rows`.

    `files`: all files of the set `name`. `use` returns what is to be remarked in the row. Pictures that belong to no item are
    rows too. `is_held_out`: whether a picture is for validation or tests: these come first, because the first of equal files is
    kept.
    """
    taken: dict[str, str] = {}
    items = sorted(_one_of_each_name(items), key=lambda item: (not is_held_out(PurePosixPath(item.name)), item.name))
    for item in progress(items, unit="images"):
        key = key_in_set(name, item.name)
        with rows.item(key) as note:
            file = item.picture()
            if taken.setdefault(file.name, key) != key:
                raise Failed("image is labelled twice", f"{file.shown} has the labels {taken[file.name]} and {key}; keep one")
            for other in item.files:
                if other.name != file.name and is_picture(other):
                    store.check_beside(other)
            with store.take(file, key) as picture:
                remark(note, use(item, key, picture))
                if picture.remark and not note:
                    note |= {"reason": "a part of the file is ignored", "detail": f"{file.shown}: {picture.remark}"}
    stood_for = {file.name for item in items for file in item.files}
    # Known only now: a label file may refer to an image with a different name.
    for file in sorted((file for file in files if is_picture(file)), key=lambda file: file.name):
        if file.name not in taken and file.name not in stood_for:
            alone = key_in_set(name, without_suffix(file.path).as_posix())
            rows.row(alone, "dropped", "unlabelled", f"{file.shown} has no label; label it, or leave it out")


def _one_of_each_name(items: Sequence[Item[T]]) -> list[Item[T]]:
    """Return `items`, with one failed item in place of several that would have one key."""
    names = Counter(item.name for item in items)
    single = [item for item in items if names[item.name] == 1]
    for name in sorted(name for name, count in names.items() if count > 1):
        same = [item for item in items if item.name == name]
        files = list({file.name: file for item in same for file in _files_of(item)}.values())
        path = PurePosixPath(same[0].name)
        if len(files) > 1:
            single.append(several(path.as_posix(), files, "images"))
        else:
            fault = Failed("image is labelled twice", f"{path.as_posix()!r} has {len(same)} labels; keep one of them")
            single.append(failed(path.as_posix(), fault, files))
    return single


def _files_of(item: Item[T]) -> list[File]:
    try:
        return [*item.files, item.picture()]
    except Dropped:
        return list(item.files)
