"""Sets in the format of exports of Label Studio."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from tessera.core.archives import MAX_TEXT_BYTES, File, leaves
from tessera.core.errors import Dropped, Failed
from tessera.pipeline.labels.layouts.item import Item, Regions, failed, given
from tessera.pipeline.labels.pictures import Pictures, is_picture
from tessera.records.annotation.formats.label_studio import Task, newest, parse_export, read_task
from tessera.records.material import LabelledSet

T = TypeVar("T")


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item[Regions]]:
    """JSON exports, each with the labels of many images, see `read_exports`."""
    return read_exports(files, read_task)


def read_exports(files: Sequence[File], read: Callable[[Task, str, int, int], T]) -> list[Item[T]]:
    """Return an item for each image in the exports among `files`, whose labels are what `read` returns.

    Of several annotations of one image, the newest counts. An image is found by the end of its address, without what Label
    Studio puts before the names of uploaded files.
    """
    pictures = Pictures(filter(is_picture, files))
    exports = [file for file in files if file.suffix == ".json"]
    items: list[Item[T]] = []
    tasks: dict[str, list[tuple[Task, File]]] = defaultdict(list)
    for name, task in _tasks(exports, items):
        try:
            picture = find_picture(task, pictures, PurePosixPath(name))
        except Failed as fault:
            items.append(failed(name, fault))
        else:
            tasks[picture.name].append((task, picture))
    for name, same in tasks.items():
        task, picture = newest([task for task, _ in same]), same[0][1]
        stem = PurePosixPath(name).with_suffix("").as_posix()
        if task.result is None:
            why = f" ({task.remark})" if task.remark else ""
            reason = f"{task.where}: {picture.shown} has no annotation{why}; submit one, an empty one if it shows nothing"
            items.append(failed(stem, Dropped("unlabelled", reason), [picture]))
        else:
            items.append(Item(stem, partial(given, picture), partial(read, task)))
    return items


def _tasks(exports: Sequence[File], items: list[Item[T]]) -> Iterator[tuple[str, Task]]:
    """Yield the tasks of all `exports`, each with a name of its own, and add those that cannot be read to `items`."""
    for file in exports:
        try:
            for number, task in enumerate(parse_export(file.read(MAX_TEXT_BYTES), file.shown), 1):
                yield f"{file.name}#{number}", task
        except Failed as fault:
            items.append(failed(file.name, fault, [file]))


def find_picture(task: Task, pictures: Pictures, beside: PurePosixPath) -> File:
    """Return the picture of `task`. Raises `Failed` if there is none, or several."""
    address = urlsplit(task.image)
    query = parse_qs(address.query).get("d", [""])[0]
    name = (query or unquote(address.path)).replace("\\", "/").lstrip("/")
    if not name or leaves(name):
        raise Failed("no image", f"{task.where}: its image is {task.image!r:.200}; it should be a path in `data.image`")
    *folders, last = PurePosixPath(name).parts
    # The folders on the server are seldom those of the set. An uploaded file has eight digits before its name.
    names = ["/".join([*folders[first:], last]) for first in range(len(folders) + 1)]
    names += [last[9:]] if len(last) > 9 and last[8] == "-" else []
    for wanted in names:
        try:
            return pictures.find(wanted, beside)
        except Failed as fault:
            if fault.reason != "image missing":
                raise
    raise Failed("image missing", f"{task.where}: {name!r:.200} is not in the set; put the image there")
