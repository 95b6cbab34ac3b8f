"""Sets of images with mask images."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath

from tessera.core.archives import File
from tessera.core.errors import Failed, TesseraError
from tessera.core.files import without_suffix
from tessera.core.messages import pluralize, truncate
from tessera.core.names import folded
from tessera.records.annotation.formats.mask_images import is_solid, load_values, read_mask, thresholded
from tessera.records.annotation.label_files import naming
from tessera.records.annotation.model import Loss
from tessera.records.label_sets import ANY, LabelledSet
from tessera.stages.labels.layouts.item import (
    Items,
    Regions,
    by_stem,
    check_not_empty,
    check_size,
    failed,
    pair_stems,
    paired_items,
    stem,
)
from tessera.stages.labels.layouts.names import Described, check_numbers, numbered, read_values, stated_labels
from tessera.stages.labels.pictures import MAX_IMAGE_BYTES, is_picture

MASK_FOLDERS = {"mask", "masks"}
MASK_STEMS = ("-masklabel", "_masklabel", "-mask", "_mask", ".mask")  # ends of the names of masks beside their images


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> Items[Regions]:
    """A PNG mask for each image: `images/…/NAME.jpg` with `masks/…/NAME.png`, or beside it `NAME_mask.png`, `NAME-mask.png`,
    `NAME.mask.png` or `NAME-masklabel.png`.

    The value of a pixel is the number of its class, and 0 none; a mask of 0 and 255 states the one class of the dataset.

    Raises `TesseraError` if no image has a mask, or if the files that name the classes contradict each other.
    """
    described = read_values(files, label_set)
    masks: dict[str, list[File]] = defaultdict(list)
    pictures = []
    for file in filter(is_picture, files):
        pictured = _pictured(file.path)
        if pictured:
            masks[pictured].append(file)
        else:
            pictures.append(file)
    if pictures and not masks:
        raise TesseraError(
            f"{label_set.name!r}: none of its {pluralize(len(pictures), 'images')} has a mask; for example,"
            f" '{_mask_stem(pictures[0].path)}.png' is missing. Add the masks, or correct the layout of the set"
        )
    # Which values its masks have is known when they are read.
    check_numbers(label_set, described, None)
    grouped = by_stem(pictures)
    paired = pair_stems({name: (_mask_stem(same[0].path), name) for name, same in grouped.items()}, masks)
    drawn_of = {name: masks.pop(mask) for name, mask in paired.items()}
    read = partial(_mask_regions, label_set, described, classes)
    items = list(paired_items(grouped, drawn_of, read, label_set, "masks", "no mask", "add a black one"))
    for drawn in masks.values():
        fault = Failed("mask without an image", f"{drawn[0].shown}; restore its image, or remove it")
        items.append(failed(stem(drawn[0]), fault, drawn))
    return Items(items, stated_labels(described, label_set))


def _pictured(path: PurePosixPath) -> str:
    """Return the name without suffix of the image that the mask at `path` belongs to; empty if `path` is none of a mask."""
    if any(folded(part) in MASK_FOLDERS for part in path.parts[:-1]):
        return without_suffix(path).as_posix()
    stem = without_suffix(path).name
    ends = [end for end in MASK_STEMS if stem.lower().endswith(end) and len(stem) > len(end)]
    return path.with_name(stem[: -len(ends[0])]).as_posix() if ends else ""


def _mask_stem(path: PurePosixPath) -> str:
    """Return the name without suffix of the mask of the image at `path`, with its last folder `images` replaced by `masks`."""
    parts = list(without_suffix(path).parts)
    for number in reversed(range(len(parts) - 1)):
        if folded(parts[number]) in {"image", "images"}:
            parts[number] = "masks"
            break
    return "/".join(parts)


def _mask_regions(
    label_set: LabelledSet,
    described: Described,
    classes: Sequence[str],
    file: File,
    key: str,
    width: int,
    height: int,
) -> Regions:
    import numpy as np

    with naming(file.local or file.path):
        values, is_white = load_values(BytesIO(file.read(MAX_IMAGE_BYTES)))
    check_size(values.shape, width, height, file.shown)
    present = [value for value in np.flatnonzero(np.bincount(values.ravel())).tolist() if value]
    label = numbered(described, label_set)
    named = {int(each) for each in label_set.classes if each.isdecimal()} | set(described.names)
    remarks: list[Loss] = []
    if present and is_white and values.dtype == np.uint8 and named.isdisjoint({*present} - {255}):
        binary = thresholded(values)
        if binary is not None and binary.any() and present != [255]:
            remarks.append(
                Loss(key, "grey pixels of a black and white mask were taken as black below 128", file.shown, kept=True)
            )
            values, present = binary, [255]
    if present == [255] and is_white and not named and len(classes) == 1 and ANY not in label_set.classes:
        labels = {255: classes[0]}  # it states one thing, and the dataset has one class
    else:
        # Noise is no label, even if all are wanted.
        used = [value for value in present if value in named or (ANY in label_set.classes and is_solid(values, value))]
        labels = {value: text for value in used if (text := label(value)) is not None}
    if missing := [value for value in present if value not in labels]:
        advice = f"say in the settings of the set what each means, such as `classes: {{{missing[0]}: {classes[0]}}}`"
        raise Failed("unknown value in mask", f"{file.shown} has the values {_listed(missing)}, which no class has; {advice}")
    regions, losses = read_mask(values, key, labels, joined=label_set.pieces == "joined")
    return check_not_empty((regions, losses + remarks), label_set, file.shown)


def _listed(values: Sequence[int]) -> str:
    return ", ".join(truncate([str(value) for value in values], 10))
