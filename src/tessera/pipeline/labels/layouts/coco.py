"""Sets in the format of COCO."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from tessera.core.archives import MAX_TEXT_BYTES, File
from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import counted
from tessera.pipeline.labels.layouts.item import Item, Regions, failed, given, stem, unannotated
from tessera.pipeline.labels.pictures import Pictures, is_picture
from tessera.records.annotation.formats.coco import parse_coco
from tessera.records.annotation.model import ImageAnnotations, Loss
from tessera.records.material import LabelledSet


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item[Regions]]:
    """JSON files, each with the labels of many images. Images are found by the end of their path, see `Pictures.find`.

    An image without annotations shows nothing if its file marks it as negative, see `formats.coco`. Else, see `unannotated`.
    """
    pictures = Pictures(filter(is_picture, files))
    items = []
    documents = [file for file in files if file.suffix == ".json"]
    for file in documents:
        try:
            coco = parse_coco(file.read(MAX_TEXT_BYTES), file.shown)
        except Failed as fault:
            items.append(failed(file.name, fault))
            continue
        except TesseraError as error:
            items.append(failed(file.name, Failed("not a COCO file", f"{error}; export it again")))
            continue
        losses: dict[str, list[Loss]] = defaultdict(list)
        keys = {image.key for image in coco.images}
        for loss in coco.losses:
            key = loss.key.rpartition("#")[0]
            if key in keys:
                losses[key].append(loss)
            elif loss.key.startswith("image "):
                items.append(failed(f"{file.name}#{loss.key}", Failed(loss.reason, f"{file.shown}: {loss.key}: {loss.detail}")))
        lost = [loss for loss in coco.losses if loss.key.startswith("annotation ")]
        if lost:
            detail = f"{file.shown}: {counted(len(lost), 'annotations')} of images that are not read, such as {lost[0].key}"
            items.append(failed(f"{file.name}#annotations", Failed("annotations of no image", detail)))
        for image in coco.images:
            try:
                picture = _find(image.key, file, pictures)
            except Failed as fault:
                items.append(failed(PurePosixPath(image.key.replace("\\", "/")).with_suffix("").as_posix(), fault))
                continue
            if image.annotations or losses[image.key] or image.key in coco.negatives:
                read = partial(_regions, file, image, losses[image.key])
                items.append(Item(stem(picture), partial(given, picture), read))
            else:
                fix = 'give its entry in the file the field `"negative": true`'
                items.append(unannotated(stem(picture), picture, label_set, f"no annotation in {file.shown}", fix))
    return items


def _find(name: str, file: File, pictures: Pictures) -> File:
    """Return the picture `name` of the document `file`. Raises `Failed` as `Pictures.find` does."""
    path = name.replace("\\", "/")
    # COCO and CVAT put the pictures of `instances_SUBSET.json` into a folder SUBSET, which their names leave out.
    subset = file.path.stem.partition("_")[2]
    if subset and pictures.has(f"{subset}/{path}"):
        path = f"{subset}/{path}"
    return pictures.find(path, file.path)


def _regions(file: File, image: ImageAnnotations, losses: list[Loss], key: str, width: int, height: int) -> Regions:
    if (image.width, image.height) != (width, height):
        stated = f"it states {image.width} by {image.height}, the image is {width} by {height}"
        raise Failed("size differs from the image", f"{file.shown}: {image.key!r}: {stated}; label this image itself")
    fix = "correct or remove the annotation"
    named = [each if each.kept else each._replace(detail=f"{file.shown}: {each.key}: {each.detail}; {fix}") for each in losses]
    return ImageAnnotations(key, width, height, image.annotations), named
