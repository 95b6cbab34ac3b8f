"""Bounding boxes: x0, y0, x1, y1 in pixels, half-open."""

from typing import TypeAlias

import numpy as np

Box: TypeAlias = tuple[float, float, float, float]


def mask_box(mask: np.ndarray) -> Box:
    """Return the smallest box around the set pixels of `mask`, uint8 (H, W); (0, 0, 0, 0) if none is set."""
    import cv2

    x, y, width, height = cv2.boundingRect(mask)
    return float(x), float(y), float(x + width), float(y + height)


def clip_box(box: Box, width: int, height: int) -> Box:
    """Return the part of `box` inside the image; its area is 0 if `box` lies outside."""
    x0, y0, x1, y1 = box
    return min(max(x0, 0.0), width), min(max(y0, 0.0), height), min(max(x1, 0.0), width), min(max(y1, 0.0), height)


def overlap(first: Box, second: Box) -> float:
    """Return the intersection over the union of two boxes, in [0, 1]; 0 if neither has an area."""
    sides = [max(0.0, min(first[2 + axis], second[2 + axis]) - max(first[axis], second[axis])) for axis in (0, 1)]
    both = sides[0] * sides[1]
    areas = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (first, second))
    return both / (areas - both) if areas > both else 0.0
