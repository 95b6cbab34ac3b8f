"""Sets of images with mask images."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath

from tessera.core.archives import File
from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import pluralize, truncate
from tessera.core.names import folded, pair_names
from tessera.records.annotation.formats.mask_images import is_solid, load_values, read_mask, thresholded
from tessera.records.annotation.model import Loss
from tessera.records.label_sets import ANY, LabelledSet
from tessera.stages.labels.layouts.item import (
    Item,
    Items,
    Regions,
    by_stem,
    check_not_empty,
    failed,
    given,
    several,
    stem,
    unannotated,
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
    items: list[Item[Regions]] = []
    grouped = by_stem(pictures)
    # In a folder of masks or, if it is not there, beside the image.
    apart = {name: _mask_stem(same[0].path) for name, same in grouped.items()}
    in_folder = pair_names(apart.values(), masks)
    alone = [name for name in grouped if apart[name] not in in_folder]
    beside = pair_names(alone, masks.keys() - set(in_folder.values()))
    for name, same in grouped.items():
        drawn = masks.pop(in_folder.get(apart[name]) or beside.get(name, ""), [])
        if len(same) > 1:
            items.append(several(name, [*same, *drawn], "images"))
        elif len(drawn) > 1:
            items.append(several(name, [*same, *drawn], "masks"))
        elif not drawn:
            items.append(unannotated(name, same[0], label_set, "no mask", "add a black one"))
        else:
            read = partial(_mask_regions, drawn[0], label_set, described, classes)
            items.append(Item(name, partial(given, same[0]), read, (*same, *drawn)))
    for drawn in masks.values():
        fault = Failed("mask without an image", f"{drawn[0].shown}; restore its image, or remove it")
        items.append(failed(stem(drawn[0]), fault, drawn))
    return Items(items, stated_labels(described, label_set))


def _pictured(path: PurePosixPath) -> str:
    """Return the name without suffix of the image that the mask at `path` belongs to; empty if `path` is none of a mask."""
    if any(folded(part) in MASK_FOLDERS for part in path.parts[:-1]):
        return path.with_suffix("").as_posix()
    stem = path.with_suffix("").name
    ends = [end for end in MASK_STEMS if stem.lower().endswith(end) and len(stem) > len(end)]
    return path.with_name(stem[: -len(ends[0])]).as_posix() if ends else ""


def _mask_stem(path: PurePosixPath) -> str:
    """Return the name without suffix of the mask of the image at `path`, with its last folder `images` replaced by `masks`."""
    parts = list(path.with_suffix("").parts)
    for number in reversed(range(len(parts) - 1)):
        if folded(parts[number]) in {"image", "images"}:
            parts[number] = "masks"
            break
    return "/".join(parts)


def _mask_regions(
    file: File,
    label_set: LabelledSet,
    described: Described,
    classes: Sequence[str],
    key: str,
    width: int,
    height: int,
) -> Regions:
    import numpy as np

    try:
        values, is_white = load_values(BytesIO(file.read(MAX_IMAGE_BYTES)))
    except Failed as fault:
        raise type(fault)(fault.reason, f"{file.shown}: {fault.detail}") from None
    if values.shape != (height, width):
        shape = f"the mask has {values.shape[1]} by {values.shape[0]} pixels, the image {width} by {height}"
        raise Failed("size differs from the image", f"{file.shown}: {shape}; draw it at the size of the image")
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
