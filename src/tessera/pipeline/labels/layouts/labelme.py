"""Sets in the format of labelme."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from tessera.core.archives import File
from tessera.core.errors import Failed
from tessera.core.files import IMAGE_SUFFIXES
from tessera.core.names import Names
from tessera.pipeline.labels.layouts.item import Item, Regions, by_stem, several, stem
from tessera.records.annotation.formats.labelme import MAX_BYTES, embedded_image, image_path, parse_labelme, read_labelme
from tessera.records.annotation.label_files import LABEL_SUFFIX, check_saved, naming, read_label_file
from tessera.records.annotation.model import Loss
from tessera.records.material import LabelledSet

T = TypeVar("T")
EMBEDDED = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}  # suffixes of embedded images, by their first two bytes


class Document:
    """A label file of a set, which is read when it is needed. `pictures`: the images of the set."""

    def __init__(self, label: File, pictures: Names[File]) -> None:
        self.label = label
        self.path = label.local or Path(label.name)
        self.remarks: list[Loss] = []
        self._pictures = pictures

    @property
    def content(self) -> dict[str, Any]:
        """The document. Raises `Dropped` if it is a proposal that nobody saved, and `Failed` if it cannot be read."""
        return _content(self)

    def picture(self) -> File:
        """Return the image that the document names or, if it is missing, the copy that the document embeds."""
        self.remarks = []
        name = image_path(self.content, self.path, self.label.path)
        if found := self._pictures.find(name):
            if len(found) > 1:
                raise Failed(
                    "several images of one name", f"{name!r:.300}: {', '.join(file.shown for file in found)}; rename one"
                )
            return found[0]
        data = embedded_image(self.content)
        suffix = EMBEDDED.get(data[:2]) if data else None
        missing = str(self.path.parent / PurePosixPath(name).name)
        if data is None or suffix is None:
            raise Failed(
                "image missing", f"{missing!r:.300} does not exist, and its label file has no JPEG or PNG copy; restore it"
            )
        self.remarks.append(Loss(self.label.name, "image missing, the copy in its label file was taken", missing, kept=True))
        return File(f"{stem(self.label)}{suffix}", len(data), lambda most: data)

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
    """One JSON file beside each image, which names it. A missing image is taken from its label file, if that embeds a copy."""
    return read_documents(files, Document.regions)


def read_documents(files: Sequence[File], read: Callable[[Document, str, int, int], T]) -> list[Item[T]]:
    """Return an item for each label file in `files`, whose labels are what `read` returns."""
    found = [file for file in files if file.suffix in {LABEL_SUFFIX, *IMAGE_SUFFIXES}]
    pictures = Names((file.name, file) for file in files if file.suffix != LABEL_SUFFIX)
    items: list[Item[T]] = []
    for same in by_stem(found).values():
        named = [file for file in same if file.suffix == LABEL_SUFFIX]
        if len(named) > 1 or (named and len(same) - len(named) > 1):
            items.append(several(stem(named[0]), same, "files"))
        elif named:
            document = Document(named[0], pictures)
            items.append(Item(stem(named[0]), document.picture, partial(read, document), tuple(same)))
    return items
