"""Mask images: the value of each pixel is a class, 0 for none."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tessera.core.errors import Failed
from tessera.imaging.boxes import mask_box
from tessera.records.annotation.model import MAX_PIXELS, Annotation, ImageAnnotations, Loss

NOISE = 32  # values that are closer to 0 or 255 are noise of JPEG
SOLID = 5  # side of a square of one value that edges do not have, pixels


def load_mask(file: Path | BinaryIO) -> np.ndarray:
    """Return the pixel values of the PNG `file`, a path or an open file, uint8 or uint16 (H, W).

    The file may be greyscale, black and white (0 and 255), or have a palette, whose indices are returned. Raises `Failed` for
    all other files, and for images with more than `MAX_PIXELS`.
    """
    return load_values(file)[0]


def load_values(file: Path | BinaryIO) -> tuple[np.ndarray, bool]:
    """Return the pixel values of the PNG `file`, see `load_mask`, and whether 255 is white in it, if it has a palette."""
    from PIL.PngImagePlugin import PngImageFile

    try:
        with PngImageFile(file) as picture:
            if picture.mode not in ("1", "L", "P", "I;16"):
                raise Failed("mask in colour", f"mode {picture.mode}; save it in grey or with a palette")
            if picture.is_animated:
                raise Failed("several pictures in one image", "the mask is animated; save one picture")
            if picture.width * picture.height > MAX_PIXELS:
                raise Failed("mask too large", f"{picture.width} by {picture.height} pixels")
            values = np.array(picture)
            colours = picture.getpalette() if picture.mode == "P" else None
    except (OSError, SyntaxError, ValueError) as error:
        raise Failed("not a PNG picture", str(error)) from None
    is_white = colours is None or colours[255 * 3 : 256 * 3] == [255, 255, 255]
    return values.astype(np.uint8) * 255 if values.dtype == bool else values, is_white


def thresholded(mask: np.ndarray) -> np.ndarray | None:
    """Return `mask`, uint8 (H, W), with 0 and 255 alone if it was once such a mask, before it was resized or saved as JPEG;
    None if it seems to have other values.

    Such a mask has white pixels, and fewer grey ones, which lie along edges: no square of `SOLID` pixels has one grey value.
    Without grey ones, it has noise both near black and near white; class numbers and 255 for none are near black alone.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    dark, grey, light = (int(part.sum()) for part in (counts[1:NOISE], counts[NOISE : 256 - NOISE], counts[256 - NOISE : 255]))
    if grey > (light + int(counts[255])) / 2 or (not grey and bool(dark) != bool(light)):
        return None
    values = [value for value in np.flatnonzero(counts).tolist() if NOISE <= value < 256 - NOISE and counts[value] >= SOLID**2]
    if any(is_solid(mask, value, SOLID) for value in values):
        return None
    return np.where(mask >= 128, 255, 0).astype(np.uint8)


def is_solid(mask: np.ndarray, value: int, side: int = 3) -> bool:
    """Return whether `mask`, uint8 or uint16 (H, W), has a square of `side` pixels of this `value`."""
    import cv2

    return bool(cv2.erode((mask == value).view(np.uint8), np.ones((side, side), np.uint8), borderValue=0).any())


def read_mask(
    mask: np.ndarray, key: str, values: Mapping[int, str], min_area: int = 1, joined: bool = False
) -> tuple[ImageAnnotations, list[Loss]]:
    """Return the 8-connected regions of each value in `mask`, uint8 or uint16 (H, W), with their holes, and the losses.

    `values` maps each value to a label; 0 is the background. `joined`: all pixels of a value are one region. Regions with fewer
    than `min_area` pixels are losses. Raises `Failed` if `mask` has a value that is not in `values`.
    """
    import cv2

    present = [value for value in np.flatnonzero(np.bincount(mask.ravel())).tolist() if value]
    unknown = [value for value in present if value not in values]
    if unknown:
        raise Failed("unknown value in mask", f"{unknown[:10]}; known are 0 and {sorted(values)}")
    annotations: list[Annotation] = []
    losses: list[Loss] = []
    for value in present:
        drawn = (mask == value).astype(np.uint8)
        count, numbers = (2, drawn) if joined else cv2.connectedComponents(drawn, connectivity=8)
        for number in range(1, count):
            region = (numbers == number).view(np.uint8)
            area = cv2.countNonZero(region)
            if area < min_area:
                left, top, *_ = map(int, mask_box(region))
                where = f"{area} of {min_area} pixels at {left}, {top}"
                losses.append(Loss(f"{key}#{value}", "smaller than min_area", where, minor=True))
            else:
                annotations.append(Annotation.of_mask(values[value], region))
    return ImageAnnotations(key, mask.shape[1], mask.shape[0], tuple(annotations)), losses


def write_mask(image: ImageAnnotations, values: Mapping[str, int]) -> tuple[np.ndarray, list[Loss]]:
    """Return the mask of `image`, uint8 or uint16 (H, W), and the losses.

    `values` maps labels to values. Later regions cover earlier ones. `read_mask` joins touching regions of the same label, and
    splits regions whose parts do not touch.
    """
    import cv2

    mask = np.zeros((image.height, image.width), dtype=np.uint16 if max(values.values(), default=0) > 255 else np.uint8)
    losses: list[Loss] = []
    for number, annotation in enumerate(image.annotations):
        key = f"{image.key}#{number}"
        if annotation.label not in values:
            losses.append(Loss(key, "unknown label", annotation.label))
            continue
        if annotation.polygons is None and annotation.rle is None:
            losses.append(Loss(key, "a box alone has no mask"))
            continue
        region = annotation.mask(image.height, image.width)
        value = values[annotation.label]
        if (mask[region > 0] > 0).any():
            losses.append(Loss(key, "covers another region", kept=True))
        elif (mask[cv2.dilate(region, np.ones((3, 3), np.uint8)) > 0] == value).any():
            losses.append(Loss(key, "touches another region of its label", kept=True))
        if cv2.connectedComponents(region, connectivity=8)[0] != 2:
            losses.append(Loss(key, "mask images have no parts", kept=True))
        if annotation.crowd or annotation.score is not None:
            losses.append(Loss(key, "mask images have neither crowd nor score", kept=True))
        mask[region > 0] = value
    return mask, losses
