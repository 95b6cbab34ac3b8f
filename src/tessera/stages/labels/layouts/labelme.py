"""Sets in the format of labelme."""

import posixpath
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from tessera.core.archives import File
from tessera.core.errors import Failed
from tessera.core.files import IMAGE_SUFFIXES, quoted
from tessera.core.names import Names
from tessera.records.annotation.formats.labelme import (
    LEAVES,
    MAX_BYTES,
    embedded_image,
    image_path,
    parse_labelme,
    read_labelme,
)
from tessera.records.annotation.label_files import LABEL_SUFFIX, check_saved, naming, read_label_file
from tessera.records.annotation.model import Loss
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.layouts.item import Item, Regions, by_stem, several, stem
from tessera.stages.labels.pictures import several_named

T = TypeVar("T")
EMBEDDED = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}  # suffixes of embedded images, by their first two bytes


class Document:
    """A label file of a set, which is read when it is needed.

    `pictures`: the images of the set, by name. `beside`: those with the name of the label file.
    """

    def __init__(self, label: File, pictures: Names[File], beside: Sequence[File] = ()) -> None:
        self.label = label
        self.path = label.local or Path(label.name)
        self.remarks: list[Loss] = []
        self._pictures = pictures
        self._beside = beside

    @property
    def content(self) -> dict[str, Any]:
        """The document. Raises `Dropped` if it is a proposal that nobody saved, and `Failed` if it cannot be read."""
        return _content(self)

    def picture(self) -> File:
        """Return the image that the document names, the copy that it embeds, or the image that has the name of its file.

        A path that leaves the set is never followed.
        """
        self.remarks = []
        try:
            name = image_path(self.content, self.path, self.label.path)
            if pictures := self._pictures.find(name):
                if len(pictures) > 1:
                    raise several_named(self.label.path, pictures)
                return pictures[0]
            missing = str(self.path.parent / posixpath.relpath(name, self.label.path.parent))
            reason, fault = "image missing", f"{missing!r:.300} does not exist"
        except Failed as error:
            if error.reason != LEAVES:
                raise
            missing = str(self.content["imagePath"])
            reason, fault = error.reason, error.detail
        data = embedded_image(self.content)
        suffix = EMBEDDED.get(data[:2]) if data else None
        if data is not None and suffix is not None:
            self._remark("image missing, the copy in its label file was taken", missing)
            return File(f"{stem(self.label)}{suffix}", len(data), lambda most: data)
        if len(self._beside) == 1:
            self._remark("image missing, the one with the name of its label file was taken", missing)
            return self._beside[0]
        fix = f"its label file has no JPEG or PNG copy, and no image is beside it as {self.path.stem!r:.100}; restore it"
        raise Failed(reason, f"{quoted(self.path)}: {fault}, {fix}")

    def _remark(self, reason: str, missing: str) -> None:
        self.remarks.append(Loss(self.label.name, reason, f"{missing!r:.300}", kept=True))

    def regions(self, key: str, width: int, height: int) -> Regions:
        """Return the regions with the labels that the document states, and the losses."""
        with naming(self.path):
            annotated, losses = read_labelme(self.content, key, width, height)
        return annotated, self.remarks + losses

    def flags(self, key: str, width: int, height: int) -> list[str]:
        """Return the flags that are set."""
        return [flag for flag, is_set in (self.content.get("flags") or {}).items() if is_set is True]


@lru_cache(maxsize=1)  # the documents of a set may embed all of its images
def _content(document: Document) -> dict[str, Any]:
    if document.label.local:
        return read_label_file(document.label.local)
    content = parse_labelme(document.label.read(MAX_BYTES), document.path)
    check_saved(content, document.path)
    return content


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item[Regions]]:
    """One JSON file beside each image, which names it. A missing image is taken from its label file, if that embeds a copy, or
    is the image with the name of its label file.
    """
    return read_documents(files, Document.regions)


def read_documents(files: Sequence[File], read: Callable[[Document, str, int, int], T]) -> list[Item[T]]:
    """Return an item for each label file in `files`, whose labels are what `read` returns."""
    usable = [file for file in files if file.suffix in {LABEL_SUFFIX, *IMAGE_SUFFIXES}]
    pictures = Names((file.name, file) for file in files if file.suffix != LABEL_SUFFIX)
    items: list[Item[T]] = []
    for same in by_stem(usable).values():
        named = [file for file in same if file.suffix == LABEL_SUFFIX]
        if len(named) > 1 or (named and len(same) - len(named) > 1):
            items.append(several(stem(named[0]), same, "files"))
        elif named:
            document = Document(named[0], pictures, [file for file in same if file not in named])
            items.append(Item(stem(named[0]), document.picture, partial(read, document), tuple(same)))
    return items
