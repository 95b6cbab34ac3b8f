"""Import a set of images that people labelled, in any format, into annotation tables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tessera.core.archives import File, open_files
from tessera.core.errors import Dropped, TesseraError
from tessera.core.files import IMAGE_SUFFIXES
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.imaging.masks import rle_counts
from tessera.imaging.polygons import parts_area
from tessera.records.annotation.annotation_tables import Origin, write_annotations
from tessera.records.annotation.model import Annotation, ImageAnnotations, Loss, check_complete
from tessera.records.blocklist import read_blocklist
from tessera.records.label_sets import Crowd, LabelledSet, meaning
from tessera.stages.labels.counts import Counts, described_counts, write_counts
from tessera.stages.labels.layouts import coco, cvat, label_studio, labelme, masks, voc, yolo
from tessera.stages.labels.layouts.item import Item, Items, Regions
from tessera.stages.labels.layouts.names import check_keys_occur
from tessera.stages.labels.pictures import Picture, Store, is_picture, origin
from tessera.stages.labels.splits import OwnSplits
from tessera.stages.labels.unknown import describe_unknown
from tessera.stages.labels.walk import take_all, usable_files

READERS = {  # by format: each returns the items in the files of a set; `Items` if these name labels
    "labelme": labelme.read_set,
    "coco": coco.read_set,
    "yolo": yolo.read_set,
    "masks": masks.read_set,
    "label_studio": label_studio.read_set,
    "cvat": cvat.read_set,
    "voc": voc.read_set,
}
CROWD = "crowd region"
SPECK = "smaller than min_area"
CROWD_FIX = (
    "if each such region is one object, as in masks of CVAT, set `iscrowd: objects` of the set; if they hold several objects,"
    " `iscrowd: ignore` leaves these regions out and keeps the images"
)
FIX = "rename the labels, or say in `classes` of the set what they mean"


def import_labels(
    label_set: LabelledSet,
    setting: str,
    source: str,
    classes: Sequence[str],
    min_area: int,
    blocklist: Path,
    blocklist_distance: int,
    final_folder: Path,
    images: Path,
    annotations: Path,
    pictures: Path,
    ledger: Path,
    counts: Path,
) -> None:
    """Write the labelled images of the folder or zip file of `label_set` to the annotation tables `images` and `annotations`.

    `setting` is the setting that names the set, for messages; `source` the id of its source, see `pictures.origin`. `classes`
    are those of the dataset that it feeds; `label_sets.meaning` says what its own labels mean. `counts` gets
    `tables.LabelCounts`, which the log shows too. Regions smaller than `min_area` square pixels are taken for mistakes. Equal
    boxes count once.

    The images of a folder stay where they are. Those of an archive, and copies that label files embed, are stored unchanged in
    the folder `pictures`, whose final path is `final_folder`. An image is dropped if its sha256 is in `blocklist`, or if its
    perceptual hash differs from a listed one in at most `blocklist_distance` bits. Of identical image files one is kept, from
    the validation or test split if one of them is there.

    `ledger` gets one row per image, and one for each file that cannot be used. Its key is `SET+NAME`; NAME is the path below
    the top of the set, without suffix. The `+` keeps these keys apart from those of frames, which have none. A row that is `ok`
    with a reason has a remark, such as a region that was cut at the border. An image of which a region was lost is dropped, and
    so is one without a label, because nothing is known about it.

    Raises `TesseraError` if the set does not exist, cannot be opened, exceeds the limits of `core.archives`, or has no labels,
    if its files do not say what its class numbers mean, if `classes` of the set has a key that is none of its labels, or if the
    blocklist cannot be read.
    """
    labelled: list[tuple[ImageAnnotations, Origin]] = []
    unknown: dict[str, list[str]] = {}
    crowds: dict[str, bool] = {}

    def use(item: Item[Regions], key: str, picture: Picture) -> list[Loss]:
        image_origin = origin(label_set, source, picture, splits.of)
        stated, losses = item.labels(key, picture.image.shape[1], picture.image.shape[0])
        labels.see(stated)
        where = picture.file.shown
        meanings = label_set.classes, classes, min_area, where, unknown, label_set.iscrowd
        try:
            used, remarks = usable_regions(stated, losses, *meanings)
        except Dropped as fault:
            crowds[where] = CROWD in fault.reason
            raise
        left_out = [region_label(stated, loss) for loss in remarks if loss.reason in (CROWD, SPECK)]
        labels.use(stated, used, remarks, left_out)
        labelled.append((used, image_origin))
        return remarks

    pictures.mkdir()
    store = Store(pictures, final_folder, read_blocklist(blocklist), blocklist_distance)
    with open_files(label_set.path, f"{setting}: {label_set.name!r}") as files, Ledger(ledger) as rows:
        _check_not_empty(files, label_set, setting)
        usable = usable_files(files, label_set.name, rows)
        try:
            items = READERS[label_set.format](usable, label_set, classes)
            splits = OwnSplits(usable, label_set)
        except TesseraError as error:
            raise TesseraError(f"{setting}: {error}") from None
        labels = Counts(items.stated if isinstance(items, Items) else {})
        take_all([*items, *splits.faults], usable, label_set.name, store, rows, use, splits.is_held_out)
    if any(unknown.values()):
        tell(describe_unknown(unknown, "shapes", "images", classes, FIX))
    if lost := sum(crowds.values()):
        tell(
            f"{setting}: {label_set.name!r}: {pluralize(lost, 'images')} left out, with regions marked as a crowd: {CROWD_FIX}"
        )
    stated = labels.rows(source, label_set.classes, classes, ledger)
    tell(f"{setting}: what the labels of {label_set.name!r} mean:\n  {described_counts(stated)}")
    check_keys_occur(label_set, labels.labels, is_complete=labels.read == len(items), setting=setting)
    write_counts(stated, counts)
    write_annotations(annotations, images, labelled)


def region_label(image: ImageAnnotations, loss: Loss) -> str:
    """Return the label of the region of `image` that a loss of `usable_regions` is about."""
    return image.annotations[int(loss.key.rpartition("#")[2])].label


def usable_regions(
    image: ImageAnnotations,
    losses: Sequence[Loss],
    stated: Mapping[str, str | None],
    classes: Sequence[str],
    min_area: int,
    where: str,
    unknown: dict[str, list[str]],
    crowd: Crowd = "",
) -> tuple[ImageAnnotations, list[Loss]]:
    """Return `image` with the regions that its dataset uses, labelled with classes of the dataset, and what is to be remarked.

    `losses`: those of reading the regions. `stated`, `classes`: see `meaning`. `where`: where the labels are, for messages;
    unknown labels are added to `unknown` under it.

    `crowd`: what regions marked as a crowd are. Ignored ones and those below `min_area` are minor losses. Raises `Dropped` or
    `Failed` if a region was lost, see `check_complete`.
    """
    usable: list[Annotation] = []
    remarks = list(losses)
    boxes = set()
    for number, annotation in enumerate(image.annotations):
        key = f"{image.key}#{number}"
        try:
            label = meaning(annotation.label, stated, classes)
        except KeyError:
            remarks.append(Loss(key, "unknown label", f"{annotation.label!r:.40}"))
            unknown.setdefault(where, []).append(annotation.label)
            continue
        if label is None:
            continue
        if annotation.crowd and crowd != "objects":
            ignored = crowd == "ignore"
            detail = "left out by `iscrowd: ignore`" if ignored else f"it may hold several objects; {CROWD_FIX}"
            remarks.append(Loss(key, CROWD, detail, minor=ignored))
            continue
        size = area_of(annotation)
        if size < min_area:
            remarks.append(Loss(key, SPECK, f"{size:g} of {min_area:g} pixels", minor=True))
            continue
        is_box = annotation.polygons is None and annotation.rle is None
        if is_box and (label, annotation.box) in boxes:
            continue
        boxes.add((label, annotation.box) if is_box else (label, number))
        usable.append(replace(annotation, label=label, crowd=False))
    check_complete(remarks, usable, where)
    return replace(image, annotations=tuple(usable)), remarks


def area_of(annotation: Annotation) -> float:
    """Return the area of `annotation` in square pixels."""
    if annotation.polygons is not None:
        return parts_area(annotation.polygons)
    if annotation.rle is not None:
        return float(np.sum(rle_counts(annotation.rle)[1::2]))
    x0, y0, x1, y1 = annotation.box
    return (x1 - x0) * (y1 - y0)


def _check_not_empty(files: Sequence[File], label_set: LabelledSet, setting: str) -> None:
    """Raise `TesseraError` if there is no image, or none of the label files that the format needs."""
    named_set = f"{setting}: {label_set.name!r}: {str(label_set.path)!r}"
    if label_set.format != "labelme" and not any(map(is_picture, files)):
        raise TesseraError(
            f"{named_set} contains no image ({', '.join(sorted(IMAGE_SUFFIXES))}); correct its path, or unpack archives in it"
        )
    suffix = {"coco": ".json", "label_studio": ".json", "cvat": ".xml"}.get(label_set.format)
    if suffix and not any(file.suffix == suffix for file in files):
        kind = suffix[1:].upper()
        raise TesseraError(f"{named_set} contains no {kind} file with labels; add it beside the images, or correct `format`")
