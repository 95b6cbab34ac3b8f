"""Import a set of images that people labelled, in any format, into tables of the hub."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from tessera.core.archives import File, open_files
from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import IMAGE_SUFFIXES, file_name
from tessera.core.job import progress
from tessera.core.ledger import Ledger
from tessera.imaging.masks import rle_counts
from tessera.imaging.polygons import parts_area
from tessera.pipeline.labels.layouts import coco, label_studio, labelme, masks, yolo
from tessera.pipeline.labels.layouts.item import Item, failed, several
from tessera.pipeline.labels.pictures import Store, is_picture, order, origin
from tessera.pipeline.labels.unknown import tell_unknown
from tessera.records.annotation.hub import Origin, write_hub
from tessera.records.annotation.model import Annotation, ImageAnnotations, Loss, remark
from tessera.records.blocklist import read_blocklist
from tessera.records.material import LabelledSet, meaning

READERS = {  # by format: each returns the items in the files of a set
    "labelme": labelme.read_set,
    "coco": coco.read_set,
    "yolo": yolo.read_set,
    "masks": masks.read_set,
    "label_studio": label_studio.read_set,
}
FIX = "rename the labels, or say in `classes` of the set what they mean"


def import_labels(
    label_set: LabelledSet,
    setting: str,
    source: str,
    classes: Sequence[str],
    min_area: int,
    blocklist: Path,
    blocklist_distance: int,
    place: Path,
    images: Path,
    annotations: Path,
    pictures: Path,
    ledger: Path,
) -> None:
    """Write the labelled images of the folder or zip file of `label_set` to the tables `images` and `annotations` of the hub.

    `setting` is the setting that names the set, for messages; `source` the id of its source, see `pictures.origin`. `classes`
    are those of the dataset that it feeds; `material.meaning` says what its own labels mean. Regions smaller than `min_area`
    square pixels are taken for mistakes. Equal boxes count once.

    The images of a folder stay where they are. Those of an archive, and copies that label files embed, are stored unchanged in
    the folder `pictures`, whose final path is `place`. An image is dropped if its sha256 is in `blocklist`, or if its
    perceptual hash differs from a listed one in at most `blocklist_distance` bits. Of identical image files one is kept, from
    the validation or test split if one of them is there.

    `ledger` gets one row per image, and one for each file that cannot be used. Its key is `SET+NAME`; NAME is the path below
    the top of the set, without suffix. The `+` keeps these keys apart from those of frames, which have none. A row that is `ok`
    with a reason lost some of its labels, or something else was remarked. An image without a label is dropped, because nothing
    is known about it, and so is one of whose regions none is left.

    Raises `TesseraError` if the set does not exist, cannot be opened, exceeds the limits of `core.archives`, or has no labels,
    or if the blocklist cannot be read.
    """
    store = Store(pictures, place, read_blocklist(blocklist), blocklist_distance)
    prefix = f"{file_name(label_set.name)}+"
    found: list[tuple[ImageAnnotations, Origin]] = []
    unknown: dict[str, list[str]] = {}
    taken: dict[str, str] = {}
    pictures.mkdir()

    def read(item: Item, key: str) -> list[Loss]:
        file = item.picture()
        if taken.setdefault(file.name, key) != key:
            raise Failed("image is labelled twice", f"{file.shown} has the labels {taken[file.name]} and {key}; keep one")
        with store.take(file, key) as (image, path):
            annotated, losses = item.regions(key, image.shape[1], image.shape[0])
            kept, lost, others = wanted(annotated, label_set, classes, min_area)
            if others:
                unknown[file.shown] = others
            if annotated.annotations and not kept and lost:
                reasons = sorted({loss.reason for loss in lost})
                details = sorted({f"{loss.reason} {loss.detail}".strip() for loss in lost})
                raise Dropped(f"no usable shape: {'; '.join(reasons)}", f"{file.shown}: {'; '.join(details)}")
            found.append((replace(annotated, annotations=kept), origin(label_set, source, file.path, path, image)))
        return losses + lost

    with open_files(label_set.path, f"{setting}: {label_set.name!r}") as files, Ledger(ledger) as rows:
        for file in files:
            if file.fault:
                rows.row(f"{prefix}{file_name(file.name)}", "failed", file.fault, f"{file.shown}; leave it out")
        _check_not_empty(files, label_set, setting)
        files = [file for file in files if not file.fault]
        try:
            items = READERS[label_set.format](files, label_set, classes)
        except TesseraError as error:
            raise TesseraError(f"{setting}: {error}") from None
        items = _one_of_each_name(items)
        for item in progress(sorted(items, key=lambda item: order(item.name)), len(items), "images"):
            key = f"{prefix}{file_name(item.name)}"
            with rows.item(key) as note:
                remark(note, read(item, key))
        # Known only now: a label file may refer to an image with a different name.
        stood_for = {file.name for item in items for file in item.files}
        for file in sorted((file for file in files if is_picture(file)), key=lambda file: file.name):
            if file.name not in taken and file.name not in stood_for:
                name = f"{prefix}{file_name(file.path.with_suffix('').as_posix())}"
                rows.row(name, "dropped", "unlabelled", f"{file.shown} has no label; label it, or leave it out")
    tell_unknown(unknown, "images", classes, FIX)
    write_hub(annotations, images, found)


def wanted(
    image: ImageAnnotations, label_set: LabelledSet, classes: Sequence[str], min_area: int
) -> tuple[tuple[Annotation, ...], list[Loss], list[str]]:
    """Return the regions of `image` that its dataset uses, with their classes there; the losses; and the unknown labels."""
    kept: list[Annotation] = []
    losses: list[Loss] = []
    unknown: list[str] = []
    boxes = set()
    for number, annotation in enumerate(image.annotations):
        where = f"{image.key}#{number}"
        try:
            label = meaning(annotation.label, label_set.classes, classes)
        except KeyError:
            losses.append(Loss(where, "unknown label", f"{annotation.label!r:.40}"))
            unknown.append(annotation.label)
            continue
        if label is None:
            continue
        size = area_of(annotation)
        if size < min_area:
            losses.append(Loss(where, "smaller than min_area", f"{size:g} of {min_area:g} pixels"))
            continue
        is_box = annotation.polygons is None and annotation.rle is None
        if is_box and (label, annotation.box) in boxes:
            continue
        boxes.add((label, annotation.box) if is_box else (label, number))
        kept.append(replace(annotation, label=label))
    return tuple(kept), losses, unknown


def area_of(annotation: Annotation) -> float:
    """Return the area of `annotation` in square pixels."""
    if annotation.polygons is not None:
        return parts_area(annotation.polygons)
    if annotation.rle is not None:
        return float(np.sum(rle_counts(annotation.rle)[1::2]))
    x0, y0, x1, y1 = annotation.box
    return (x1 - x0) * (y1 - y0)


def _one_of_each_name(items: Sequence[Item]) -> list[Item]:
    """Return `items`, with one failed item in place of several that would have one key."""
    names = Counter(item.name.casefold() for item in items)
    single = [item for item in items if names[item.name.casefold()] == 1]
    for name in sorted(name for name, count in names.items() if count > 1):
        same = [item for item in items if item.name.casefold() == name]
        files = list({file.name: file for item in same for file in _files_of(item)}.values())
        one = PurePosixPath(same[0].name)
        if len(files) > 1:
            single.append(several(one.as_posix(), files, "images"))
        else:
            fault = Failed("image is labelled twice", f"{one.as_posix()!r} has {len(same)} labels; keep one of them")
            single.append(failed(one.as_posix(), fault, files))
    return single


def _files_of(item: Item) -> list[File]:
    try:
        return [*item.files, item.picture()]
    except Dropped:
        return list(item.files)


def _check_not_empty(files: Sequence[File], label_set: LabelledSet, setting: str) -> None:
    """Raise `TesseraError` if there is no image, or none of the label files that the format needs."""
    place = f"{setting}: {label_set.name!r}: {str(label_set.path)!r}"
    if label_set.format != "labelme" and not any(map(is_picture, files)):
        raise TesseraError(
            f"{place} contains no image ({', '.join(sorted(IMAGE_SUFFIXES))}); correct its path, or unpack archives in it"
        )
    if label_set.format in ("coco", "label_studio") and not any(file.suffix == ".json" for file in files):
        raise TesseraError(f"{place} contains no JSON file with labels; add it beside the images, or correct `format`")
