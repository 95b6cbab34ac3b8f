"""Sets in the format of exports of Label Studio."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import unquote

from tessera.core.archives import MAX_TEXT_BYTES, File, leaves
from tessera.core.errors import Dropped, Failed
from tessera.core.files import without_suffix
from tessera.records.annotation.formats.label_studio import Task, newest, parse_export, read_task
from tessera.records.label_sets import Absence, LabelledSet
from tessera.stages.labels.layouts.item import Item, Regions, failed, given
from tessera.stages.labels.pictures import Pictures, is_picture, several_named

T = TypeVar("T")
UPLOAD = re.compile(r"(?:.*/)?[0-9a-f]{8}-([^/]+)")  # the name that Label Studio gives to an uploaded file


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item[Regions]]:
    """JSON exports, each with the labels of many images, see `read_exports`."""
    read = partial(read_task, empty=label_set.empty, unannotated=label_set.unannotated)
    return read_exports(files, read, label_set.unannotated)


def read_exports(
    files: Sequence[File], read: Callable[[Task, str, int, int], T], unannotated: Absence = "unknown"
) -> list[Item[T]]:
    """Return an item for each image in the exports among `files`, whose labels are what `read` returns.

    Of several annotations of one image, the ground truth or else the newest counts. An image is found by the end of its
    address, see `find_picture`. Tasks about different images fail if only one of these is in the set. A task without an
    annotation is only read if `unannotated` is `negative`, and if none of its annotations was left out.
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
        stem = without_suffix(PurePosixPath(name)).as_posix()
        addresses = sorted(
            {unquote(_path(each.image)).replace("\\", "/") for each, _ in same}, key=lambda address: (len(address), address)
        )
        if not all(f"/{addresses[-1]}".endswith(f"/{address}") for address in addresses):
            fix = "put the others into the set, in folders of the same names, or remove all but one of the tasks"
            detail = f"{task.where}: of {', '.join(addresses):.300} only {picture.shown} is there; {fix}"
            items.append(failed(stem, Failed("several images for one picture", detail), [picture]))
        elif task.result is None and (unannotated == "unknown" or task.remark):
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
    """Return the picture of `task`. Raises `Failed` if there is none, or several.

    The folders of its address may differ from those of the set. Label Studio puts eight digits and a hyphen before the name of
    an uploaded file, and renames it, see `Pictures.like`.
    """
    if task.fault:
        raise Failed("several pictures in a task", f"{task.where}: {task.fault}")
    path = _path(task.image)
    decoded = _below_drive(unquote(path).replace("\\", "/"))
    if not path or leaves(path) or leaves(decoded):
        raise Failed("no image", f"{task.where}: its image is {task.image!r:.200}; it should be a path in `data.image`")
    # A name may have what looks like an escape or a query.
    unquoted = task.image.replace("\\", "/").lstrip("/")
    forms = dict.fromkeys([path, decoded, decoded.replace("+", " "), *([] if leaves(unquoted) else [unquoted])])
    for folders in range(decoded.count("/"), -1, -1):
        for form in forms:
            name = "/".join(form.split("/")[-1 - folders :])
            if pictures.has(name):
                return pictures.find(name, beside)
    if upload := UPLOAD.fullmatch(decoded):
        if pictures.has(upload[1]):
            return pictures.find(upload[1], beside)
        if similar := pictures.like(upload[1]):
            if len(similar) > 1:
                raise several_named(beside, similar)
            return similar[0]
    raise Failed("image missing", f"{task.where}: {unquote(path)!r:.200} is not in the set; put the image there")


def _path(address: str) -> str:
    """Return the path that `address` names, as it is written there: that of a local file is in its query."""
    plain = address.replace("\\", "/")
    local = re.search(r"[?&]d=([^&#]*)", plain)
    path = local[1] if local else re.split("[?#]", re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", plain))[0]
    return _below_drive(path)


def _below_drive(path: str) -> str:
    """Return `path` without the root or the drive of Windows that it begins with."""
    return re.sub(r"^/*([A-Za-z]:/)?/*", "", path)
