"""Sets in the format of labelme."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from tessera.core.archives import File
from tessera.core.errors import Failed
from tessera.core.files import IMAGE_SUFFIXES
from tessera.pipeline.labels.layouts.item import Item, by_stem, several, stem
from tessera.records.annotation.formats.labelme import MAX_BYTES, embedded_image, image_path, parse_labelme, read_labelme
from tessera.records.annotation.label_files import LABEL_SUFFIX, check_saved, naming, read_label_file
from tessera.records.annotation.model import ImageAnnotations, Loss
from tessera.records.material import LabelledSet

EMBEDDED = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}  # suffixes of embedded images, by their first two bytes


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item]:
    """One JSON file beside each image, which names it. A missing image is taken from its label file, if that embeds a copy."""
    found = [file for file in files if file.suffix in {LABEL_SUFFIX, *IMAGE_SUFFIXES}]
    # The names in label files are compared with case, as by labelme.
    pictures = {file.name: file for file in files if file.suffix != LABEL_SUFFIX}
    items = []
    for same in by_stem(found).values():
        named = [file for file in same if file.suffix == LABEL_SUFFIX]
        if len(named) > 1 or (named and len(same) - len(named) > 1):
            items.append(several(stem(named[0]), same, "files"))
        elif named:
            items.append(_labelme_item(named[0], pictures, same))
    return items


def _labelme_item(label: File, pictures: dict[str, File], same: Sequence[File]) -> Item:
    path = label.local or Path(label.name)
    remarks: list[Loss] = []

    @cache
    def document() -> dict[str, object]:
        if label.local:
            return read_label_file(label.local)
        content = parse_labelme(label.read(MAX_BYTES), path)
        check_saved(content, path)
        return content

    def picture() -> File:
        name = image_path(document(), path, label.path)
        if name in pictures:
            return pictures[name]
        data = embedded_image(document())
        suffix = EMBEDDED.get(data[:2]) if data else None
        missing = (label.local.parent if label.local else label.path.parent) / PurePosixPath(name).name
        if data is None or suffix is None:
            raise Failed(
                "image missing", f"{str(missing)!r:.300} does not exist, and its label file has no JPEG or PNG copy; restore it"
            )
        remarks.append(Loss(label.name, "image missing, the copy in its label file was taken", str(missing), kept=True))
        return File(f"{stem(label)}{suffix}", len(data), lambda most: data)

    def regions(key: str, width: int, height: int) -> tuple[ImageAnnotations, list[Loss]]:
        shapes = document()["shapes"]
        assert isinstance(shapes, list)
        labels = {shape["label"] for shape in shapes if isinstance(shape.get("label"), str)}
        with naming(path):
            annotated, losses = read_labelme(document(), key, width, height, sorted(labels))
        return annotated, remarks + losses

    return Item(stem(label), picture, regions, tuple(same))
