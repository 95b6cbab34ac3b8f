"""Sets in the format of Pascal VOC: XML files with boxes, masks in colours, or both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath

import numpy as np

from tessera.core.archives import File
from tessera.core.errors import Failed, TesseraError
from tessera.core.files import without_suffix
from tessera.core.messages import pluralize
from tessera.records.annotation.formats.voc import (
    Colour,
    boxes_beside,
    load_colours,
    parse_labelmap,
    read_boxes,
    read_colours,
    standard_labels,
)
from tessera.records.annotation.label_files import naming
from tessera.records.annotation.model import Loss
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.layouts.item import (
    Item,
    Items,
    Regions,
    check_not_empty,
    check_size,
    failed,
    given,
    stem,
    unannotated,
)
from tessera.stages.labels.pictures import MAX_IMAGE_BYTES, Pictures, is_picture

MAX_LABEL_BYTES = 2**24  # of an XML file or a list of labels
# Folders of masks. labelme writes those that end with PNG, and others to look at.
CLASS_MASKS = {"segmentationclass", "segmentationclasspng"}
OBJECT_MASKS = {"segmentationobject", "segmentationobjectpng"}
LABELMAPS = {"labelmap.txt", "label_map.txt"}
NAMES = "class_names.txt"  # of labelme: the names of the classes in the order of VOC's colours
FIX = "add a black mask to SegmentationClass"


@dataclass
class Labels:
    """The label files of a picture."""

    boxes: File | None = None
    classes: File | None = None
    objects: File | None = None


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> Items[Regions]:
    """`Annotations/NAME.xml` or `SegmentationClass/NAME.png` for each picture `JPEGImages/NAME.jpg`, or in other folders.

    The labels of the colours are in `labelmap.txt`, as CVAT writes it, or in `class_names.txt`, as labelme does; without them,
    they are those of VOC. `SegmentationObject/NAME.png` separates the objects of a class. Boxes count where the mask has no
    region of their label. An XML file without objects states nothing: tools write it for pictures that nobody has labelled.

    Raises `TesseraError` if there is neither an XML file nor a mask.
    """
    images = [
        file for file in files if is_picture(file) and not _folder(file, {"segmentation", "visualization"}, is_exact=False)
    ]
    pictures = Pictures(images, stems=True)
    labels_of: dict[str, Labels] = {file.name: Labels() for file in images}
    kinds = {
        "boxes": [file for file in files if file.suffix == ".xml"],
        "classes": [file for file in files if is_picture(file) and _folder(file, CLASS_MASKS)],
        "objects": [file for file in files if is_picture(file) and _folder(file, OBJECT_MASKS)],
    }
    if not kinds["boxes"] and not kinds["classes"]:
        raise TesseraError(
            f"{label_set.name!r}: none of its {pluralize(len(images), 'images')} has a file in Annotations or"
            " SegmentationClass; add them, or correct the layout of the set"
        )
    items: list[Item[Regions]] = []
    for kind, labels in kinds.items():
        for file in labels:
            try:
                label_files = labels_of[pictures.find(_below(file), file.path).name]
                if (other := getattr(label_files, kind)) is not None:
                    raise Failed("image is labelled twice", f"{other.shown} and {file.shown}; keep one")
                setattr(label_files, kind, file)
            except Failed as fault:
                items.append(failed(file.name, fault, [file]))
    maps = {file.path.parent: _labels_of_colours(file) for file in files if file.path.name.lower() in {*LABELMAPS, NAMES}}
    names = Pictures(images)
    for picture in images:
        label_files = labels_of[picture.name]
        if label_files.boxes is None and label_files.classes is None:
            items.append(unannotated(stem(picture), picture, label_set, "neither a mask nor an XML file", FIX))
        else:
            read = partial(_regions, picture, label_files, label_set, maps, names)
            masks = [file for file in (label_files.classes, label_files.objects) if file]
            items.append(Item(stem(picture), partial(given, picture), read, (picture, *masks)))
    stated = sorted({name for colours in maps.values() for name in colours.values()})
    return Items(items, {name: (None, name) for name in stated})


def _folder(file: File, names: set[str], is_exact: bool = True) -> bool:
    """Return whether a folder of `file` has one of `names` or, if `is_exact` is false, has one of them in its name."""
    folders = [folder.casefold() for folder in file.path.parts[:-1]]
    return any(folder in names if is_exact else any(name in folder for name in names) for folder in folders)


def _below(file: File) -> str:
    """Return the path of a label file without suffix, below the folder of such files."""
    parts = without_suffix(file.path).parts
    tops = CLASS_MASKS | OBJECT_MASKS | {"annotations"}
    first = next((number for number in reversed(range(len(parts) - 1)) if parts[number].casefold() in tops), len(parts) - 2)
    return "/".join(parts[first + 1 :])


def _labels_of_colours(file: File) -> dict[Colour, str]:
    """Return the label of each colour in a list of labels. Raises `TesseraError` if it cannot be read."""
    try:
        content = file.read(MAX_LABEL_BYTES)
        if file.path.name.lower() != NAMES:
            return parse_labelmap(content, file.shown)
    except Failed as fault:
        raise TesseraError(f"{fault.detail} ({fault.reason})") from None
    lines = tuple(line.strip() for line in content.decode("utf-8-sig", "replace").splitlines() if line.strip())
    return standard_labels(lines[lines[:1] == ("__ignore__",) :])


def _regions(
    picture: File,
    label_files: Labels,
    label_set: LabelledSet,
    maps: dict[PurePosixPath, dict[Colour, str]],
    names: Pictures,
    key: str,
    width: int,
    height: int,
) -> Regions:
    boxes: Regions | None = None
    if label_files.boxes:
        image, losses, stated = read_boxes(label_files.boxes.read(MAX_LABEL_BYTES), label_files.boxes.shown, key, width, height)
        boxes = image, losses + _name_losses(stated, picture, label_files.boxes, names)
    if label_files.classes:
        near = max(
            (folder for folder in maps if folder in label_files.classes.path.parents),
            key=lambda path: len(path.parts),
            default=None,
        )
        labels = standard_labels() if near is None else maps[near]
        drawn = [_colours(file, width, height) if file else None for file in (label_files.classes, label_files.objects)]
        assert drawn[0] is not None
        with naming(label_files.classes.local or label_files.classes.path):
            regions = read_colours(drawn[0], drawn[1], key, labels)
        if boxes:
            alone = boxes_beside(regions[0], boxes[0], label_files.objects is not None)
            image = replace(regions[0], annotations=(*regions[0].annotations, *alone))
            regions = image, regions[1] + boxes[1]
        return check_not_empty(regions, label_set, label_files.classes.shown)
    assert label_files.boxes is not None and boxes is not None
    if not boxes[0].annotations and all(loss.kept for loss in boxes[1]):
        return unannotated("", picture, label_set, f"no object in {label_files.boxes.shown}", FIX).labels(key, width, height)
    return boxes


def _name_losses(stated: str, picture: File, boxes: File, names: Pictures) -> list[Loss]:
    """Return a remark if the XML file `boxes` states another image than the `picture` that has its name.

    Raises `Failed` if that image is in the set.
    """
    name = PurePosixPath(stated.replace("\\", "/")).name
    if not name or name.casefold() in (picture.path.name.casefold(), picture.path.stem.casefold()):
        return []
    if names.has(name):
        raise Failed(
            "labels of another image", f"{boxes.shown} states {name!r:.100}, which is in the set; rename or correct it"
        )
    return [Loss(boxes.name, "another name in the XML file", f"{name!r:.100}", kept=True)]


def _colours(file: File, width: int, height: int) -> np.ndarray:
    with naming(file.local or file.path):
        colours = load_colours(BytesIO(file.read(MAX_IMAGE_BYTES)))
    check_size(colours.shape[:2], width, height, file.shown)
    return colours
