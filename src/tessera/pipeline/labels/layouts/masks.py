"""Sets of images with mask images."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath

from tessera.core.archives import File
from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import counted
from tessera.core.names import folded, pair_names
from tessera.pipeline.labels.layouts.item import (
    Item,
    Regions,
    by_stem,
    check_not_empty,
    class_name,
    failed,
    given,
    several,
    stem,
    unannotated,
)
from tessera.pipeline.labels.pictures import MAX_IMAGE_BYTES, is_picture
from tessera.records.annotation.formats.mask_images import load_mask, read_mask
from tessera.records.material import ANY, LabelledSet

MASK_FOLDERS = {"mask", "masks"}
MASK_STEMS = ("-masklabel", "_masklabel", "-mask", "_mask", ".mask")  # ends of the names of masks beside their images


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item[Regions]]:
    """A PNG mask for each image: `images/…/NAME.jpg` with `masks/…/NAME.png`, or beside it `NAME_mask.png`, `NAME-mask.png`,
    `NAME.mask.png` or `NAME-masklabel.png`.

    The value of a pixel is the number of its class, from 1; a mask of 0 and 255 states the first class.
    """
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
            f"{label_set.name!r}: none of its {counted(len(pictures), 'images')} has a mask; for example,"
            f" '{_mask_stem(pictures[0].path)}.png' is missing. Add the masks, or correct the layout of the set"
        )
    items = []
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
            read = partial(_mask_regions, drawn[0], label_set, classes)
            items.append(Item(name, partial(given, same[0]), read, (*same, *drawn)))
    for drawn in masks.values():
        fault = Failed("mask without an image", f"{drawn[0].shown}; restore its image, or remove it")
        items.append(failed(stem(drawn[0]), fault, drawn))
    return items


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
    for place in reversed(range(len(parts) - 1)):
        if folded(parts[place]) in {"image", "images"}:
            parts[place] = "masks"
            break
    return "/".join(parts)


def _mask_regions(file: File, label_set: LabelledSet, classes: Sequence[str], key: str, width: int, height: int) -> Regions:
    import numpy as np

    try:
        values = load_mask(BytesIO(file.read(MAX_IMAGE_BYTES)))
    except Failed as fault:
        raise type(fault)(fault.reason, f"{file.shown}: {fault.detail}") from None
    if values.shape != (height, width):
        shape = f"the mask has {values.shape[1]} by {values.shape[0]} pixels, the image {width} by {height}"
        raise Failed("size differs from the image", f"{file.shown}: {shape}; draw it at the size of the image")
    found = [int(value) for value in np.unique(values) if value]
    if found == [255] and "255" not in label_set.classes:
        labels = {255: class_name(0, [], label_set, classes)}
    else:
        # Classes count from 1, because 0 is the background.
        labels = {value: _value_name(value, label_set, classes) for value in found}
    return check_not_empty(read_mask(values, key, labels), label_set, file.shown)


def _value_name(value: int, label_set: LabelledSet, classes: Sequence[str]) -> str:
    if str(value) in label_set.classes or ANY in label_set.classes or value > len(classes):
        return str(value)
    return classes[value - 1]
