"""Documents with the labels of many images, such as COCO's and CVAT's."""

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from tessera.core.archives import File
from tessera.core.errors import Failed
from tessera.core.files import without_suffix
from tessera.records.annotation.model import ImageAnnotations, Loss
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.layouts.item import Item, Regions, failed, given, stem, unannotated
from tessera.stages.labels.pictures import Pictures


def item_of(
    image: ImageAnnotations,
    losses: Sequence[Loss],
    file: File,
    subset: str,
    pictures: Pictures,
    label_set: LabelledSet,
    fix: str = "",
) -> Item[Regions]:
    """Return the item of an `image` that the document `file` lists, whose key is its name there.

    `subset`: the folder that tools put pictures of a subset into, and that their names leave out; it may be empty. `fix`: how
    to state that the image shows nothing, if it has neither regions nor `losses`; empty if the document states that.
    """
    name = image.key.replace("\\", "/")
    try:
        inside = f"{subset}/{name}"
        picture = pictures.find(inside if subset and pictures.has(inside) else name, file.path)
    except Failed as fault:
        return failed(without_suffix(PurePosixPath(name)).as_posix(), fault)
    if fix and not image.annotations and not losses:
        return unannotated(stem(picture), picture, label_set, f"no region in {file.shown}", fix)
    return Item(stem(picture), partial(given, picture), partial(_regions, file, image, losses))


def others(file: File, losses: Sequence[Loss]) -> list[Item[Regions]]:
    """Return the items of those of `losses` of the document `file` that are images which cannot be read: `image ID`."""
    broken = [loss for loss in losses if loss.key.startswith("image ")]
    return [
        failed(f"{file.name}#{loss.key}", Failed(loss.reason, f"{file.shown}: {loss.key}: {loss.detail}")) for loss in broken
    ]


def _regions(file: File, image: ImageAnnotations, losses: Sequence[Loss], key: str, width: int, height: int) -> Regions:
    if (image.width, image.height) != (width, height):
        stated = f"it states {image.width} by {image.height}, the image is {width} by {height}"
        raise Failed("size differs from the image", f"{file.shown}: {image.key!r}: {stated}; label this image itself")
    fix = "correct or remove the annotation"
    named = [each if each.kept else each._replace(detail=f"{file.shown}: {each.key}: {each.detail}; {fix}") for each in losses]
    return ImageAnnotations(key, width, height, image.annotations), named
