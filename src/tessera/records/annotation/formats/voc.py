"""Pascal VOC: an XML file with boxes for each image, and masks in colours. Files are read as untrusted input."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from tessera.core.errors import Failed
from tessera.imaging.borders import Outside, box_inside
from tessera.imaging.boxes import overlap
from tessera.records.annotation.model import MAX_PIXELS, OUTSIDE_IMAGE, Annotation, ImageAnnotations, Loss
from tessera.records.annotation.xml_files import parse_xml

Colour: TypeAlias = tuple[int, int, int]  # red, green, blue
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse"),
    *("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
BACKGROUND = {"background", "_background_", "__background__"}
VOID = {"void", "ignored", "__ignore__"}  # pixels of which nobody says what they show, such as the outlines of objects in VOC

SAME = 0.3  # overlap of a box with that of a mask from which both are taken for one object; masks of VOC lack their outline


def colour_map(number: int) -> Colour:
    """Return the colour of class `number` in masks of VOC: 0 is the background, 255 the void.

    The bits of the number, the lowest first, are in turn the highest bits that are left of red, green and blue, as in
    `VOClabelcolormap` of its development kit.
    """
    colour = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            colour[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return colour[0], colour[1], colour[2]


def standard_labels(names: tuple[str, ...] = ("background", *CLASSES)) -> dict[Colour, str]:
    """Return the label of each colour, if `names` are those of the classes 0, 1 and so on."""
    return {colour_map(255): "void", **{colour_map(number): name for number, name in enumerate(names)}}


def parse_labelmap(content: bytes, file: str) -> dict[Colour, str]:
    """Return the label of each colour in a `labelmap.txt` of CVAT: lines `label:red,green,blue:parts:actions`.

    Raises `Failed` if a line cannot be read, or if a colour has two labels.
    """
    labels: dict[Colour, str] = {}
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *rest = line.rsplit(":", 3)
        try:
            red, green, blue = (int(part) for part in rest[0].split(","))
            if not all(0 <= part <= 255 for part in (red, green, blue)):
                raise ValueError
        except (ValueError, IndexError):
            detail = f"{file}, line {number}: {line!r:.100}; it should be `label:red,green,blue::`"
            raise Failed("broken labelmap", detail) from None
        if labels.setdefault((red, green, blue), name.strip()) != name.strip():
            raise Failed(
                "broken labelmap", f"{file}, line {number}: its colour is that of {labels[red, green, blue]!r:.40}, too"
            )
    return {colour_map(255): "void", **labels}


def read_boxes(content: bytes, file: str, key: str, width: int, height: int) -> tuple[ImageAnnotations, list[Loss], str]:
    """Return the objects in the XML `content` of `file`, the losses, and the name of its image as it states it.

    Coordinates count pixels from 1, and the last one belongs to the box, as in the development kit of VOC, whose boxes are
    `xmax - xmin + 1` wide. If one of a file is 0 or has a decimal point, they are the edges of boxes, as CVAT writes them.

    Raises `Failed` if it is no such file, or was made for an image of another size.
    """
    root = parse_xml(content, file)
    if root.tag != "annotation":
        raise Failed("not a VOC file", f"{file} has <{root.tag:.40}> at the top; export it as `PASCAL VOC`")
    stated = [root.findtext(f"size/{side}", "").strip() for side in ("width", "height")]
    # Some tools write 0.
    if all(side.isdecimal() and int(side[:9]) for side in stated) and stated != [str(width), str(height)]:
        shape = f"it states {stated[0]:.9} by {stated[1]:.9}, the image is {width} by {height}"
        raise Failed("size differs from the image", f"{file}: {shape}; label this image itself")
    boxes: list[tuple[str, list[float]]] = []
    losses: list[Loss] = []
    edges = False
    for number, element in enumerate(root.findall("object")):
        try:
            name = element.findtext("name", "").strip()
            texts = [element.findtext(f"bndbox/{edge}", "nan") for edge in ("xmin", "ymin", "xmax", "ymax")]
            corners = [float(text) for text in texts]
            if not name or not np.isfinite(corners).all():
                raise ValueError("it has no name, or no bndbox of four numbers")
            boxes.append((name, corners))
            edges = edges or min(corners[:2]) == 0 or any("." in text for text in texts)
        except ValueError as error:
            losses.append(Loss(f"{key}#{number}", "broken object", f"{file}: object {number}: {error}", "failed"))
    first = 0 if edges else 1
    annotations = []
    for number, (name, (x0, y0, x1, y1)) in enumerate(boxes):
        where = f"{key}#{number}"
        try:
            box, cut = box_inside((x0 - first, y0 - first, x1, y1), width, height)
            annotations.append(Annotation(name, None, None, box))
            if cut:
                losses.append(Loss(where, "cut at the border of the image", kept=True))
        except Outside as error:
            losses.append(Loss(where, OUTSIDE_IMAGE, f"{file}: {name!r:.40}: {error}"))
        except ValueError as error:
            losses.append(Loss(where, "broken object", f"{file}: {name!r:.40}: {error}", "failed"))
    return ImageAnnotations(key, width, height, tuple(annotations)), losses, root.findtext("filename", "").strip()


def boxes_beside(masks: ImageAnnotations, boxes: ImageAnnotations, has_objects: bool) -> tuple[Annotation, ...]:
    """Return those of `boxes` that none of the regions in `masks` is about: CVAT writes rectangles as boxes, polygons as masks.

    `has_objects`: whether each region is an object; else the regions of a label in a box are taken for one. Raises `Failed` if
    a region of the label of a box lies in it, and is not what the box is about.
    """
    alone = []
    unmatched = list(masks.annotations)
    for box in boxes.annotations:
        same = [region for region in unmatched if region.label == box.label]
        if not has_objects:
            inside = np.zeros((masks.height, masks.width), np.uint8)
            x0, y0, x1, y1 = np.rint(box.box).astype(int).tolist()
            for region in same:
                inside[y0:y1, x0:x1] |= region.mask(masks.height, masks.width)[y0:y1, x0:x1]
            same = [Annotation.of_mask(box.label, inside)]
        overlaps = [overlap(box.box, region.box) for region in same]
        if not max(overlaps, default=0):
            alone.append(box)
        elif max(overlaps) < SAME:
            raise Failed(
                "labels differ", f"the box of {box.label!r:.40} at {box.box} fits no region of the mask; correct one of them"
            )
        elif has_objects:
            unmatched.remove(same[overlaps.index(max(overlaps))])
    return tuple(alone)


def load_colours(file: Path | BinaryIO) -> np.ndarray:
    """Return the colours of the PNG `file`, uint8 (H, W, 3), RGB. Raises `Failed` if it cannot be read, or is too large."""
    from PIL.PngImagePlugin import PngImageFile

    try:
        with PngImageFile(file) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Failed("mask too large", f"{picture.width} by {picture.height} pixels")
            if picture.mode not in ("1", "L", "P", "RGB", "RGBA"):
                raise Failed("mask of a kind that is not read", f"mode {picture.mode}; save it as RGB or with a palette")
            return np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise Failed("not a PNG picture", str(error)) from None


def read_colours(
    colours: np.ndarray, objects: np.ndarray | None, key: str, labels: Mapping[Colour, str]
) -> tuple[ImageAnnotations, list[Loss]]:
    """Return the regions in a mask, and the losses. `colours`, `objects`: uint8 (H, W, 3), RGB.

    `labels`: the label of each colour. `objects`: a mask that has another colour for each object; without it, the regions are
    the 8-connected parts of each class. Void pixels are a minor loss: nobody says what is there.

    Raises `Failed` if a colour is not in `labels`, or if a pixel with a class belongs to no object.
    """
    import cv2

    height, width = colours.shape[:2]
    codes, unnamed = _codes(colours), np.ones((height, width), bool)
    numbers = None if objects is None else _codes(objects)
    annotations: list[Annotation] = []
    losses: list[Loss] = []
    if (0, 0, 0) not in labels:
        labels = {(0, 0, 0): "background", **labels}
    for colour, label in labels.items():
        mask = codes == _code(colour)
        unnamed &= ~mask
        if not mask.any() or label in BACKGROUND:
            continue
        if label in VOID:
            losses.append(Loss(f"{key}#void", "void pixels", f"{np.count_nonzero(mask)}", minor=True))
            continue
        if numbers is None:
            count, parts = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
            regions = [parts == number for number in range(1, count)]
        else:
            present = np.unique(numbers[mask]).tolist()
            if set(present) & {_code((0, 0, 0)), _code(colour_map(255))}:
                raise Failed(
                    "masks differ", f"pixels of {label!r:.40} belong to no object in the mask of objects; export it again"
                )
            regions = [mask & (numbers == number) for number in present]
        annotations += [Annotation.of_mask(label, region.view(np.uint8)) for region in regions]
    if unnamed.any():
        unknown = [f"{code >> 16},{code >> 8 & 255},{code & 255}" for code in np.unique(codes[unnamed]).tolist()]
        detail = (
            f"{np.count_nonzero(unnamed)} pixels of {len(unknown)} colours, such as {unknown[0]}; name them in labelmap.txt"
        )
        raise Failed("unknown colour in mask", detail)
    return ImageAnnotations(key, width, height, tuple(annotations)), losses


def _codes(colours: np.ndarray) -> np.ndarray:
    """Return the colours, uint8 (H, W, 3), as one number each: int32 (H, W)."""
    red, green, blue = (colours[:, :, channel].astype(np.int32) for channel in range(3))
    codes: np.ndarray = red << 16 | green << 8 | blue
    return codes


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
