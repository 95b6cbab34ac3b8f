"""Sets in the format of COCO."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from tessera.core.archives import MAX_TEXT_BYTES, File
from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import counted
from tessera.pipeline.labels.layouts.item import Item, Regions, failed, given, stem
from tessera.pipeline.labels.pictures import Pictures, is_picture
from tessera.records.annotation.formats.coco import parse_coco
from tessera.records.annotation.model import ImageAnnotations, Loss
from tessera.records.material import LabelledSet


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item[Regions]]:
    """JSON files, each with the labels of many images. Images are found by the end of their path, see `Pictures.find`."""
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
        items += [_coco_item(file, image, losses[image.key], pictures) for image in coco.images]
    return items


def _coco_item(file: File, image: ImageAnnotations, losses: list[Loss], pictures: Pictures) -> Item[Regions]:
    name = image.key.replace("\\", "/")
    try:
        picture = pictures.find(name, file.path)
    except Failed as fault:
        return failed(PurePosixPath(name).with_suffix("").as_posix(), fault)
    if bad := [loss for loss in losses if not loss.kept]:
        # Without this region, the image would seem to have nothing in its place.
        detail = f"{file.shown}: {bad[0].key}: {bad[0].detail}; correct or remove the annotation"
        return failed(stem(picture), Failed(bad[0].reason, detail), [picture])

    def regions(key: str, width: int, height: int) -> Regions:
        if (image.width, image.height) != (width, height):
            stated = f"it states {image.width} by {image.height}, the image is {width} by {height}"
            raise Failed("size differs from the image", f"{file.shown}: {image.key!r}: {stated}; label this image itself")
        return ImageAnnotations(key, width, height, image.annotations), losses

    return Item(stem(picture), partial(given, picture), regions)
