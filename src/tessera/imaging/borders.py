"""Regions at the border of an image: a little may lie outside and is cut off, more means that something is wrong."""

import numpy as np

from tessera.imaging.boxes import Box, clip_box
from tessera.imaging.polygons import Part, clip

OUTSIDE = 0.01  # fraction of a side of the image by which a region may leave it, or a pixel, as in ultralytics
NOISE = 0.01  # pixels outside the image that are rounding


class Outside(ValueError):
    """A region, or too much of it, lies outside its image."""


def box_inside(box: Box, width: int, height: int) -> tuple[Box, bool]:
    """Return the part of `box` inside an image of `width` by `height` pixels, and whether more than rounding was cut off.

    Raises `Outside` if it lies wholly outside, or by more than `OUTSIDE` of a side: such a box may belong to another image, or
    have its corners in place of its size. Raises `ValueError` if it has no area.
    """
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("it has no area")
    inside = clip_box(box, width, height)
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise Outside("it lies wholly outside the image")
    return inside, inside != box and _beyond(np.array(box).reshape(2, 2), width, height, OUTSIDE)


def part_inside(part: Part, width: int, height: int, most: float = OUTSIDE) -> tuple[Part, bool]:
    """Return the part of `part` inside an image of `width` by `height` pixels, and whether more than rounding was cut off.

    Raises `Outside` if that part has no area, or if more than the fraction `most` of a side lies outside.
    """
    inside = clip(part, width, height)
    if inside is None:
        raise Outside("it lies wholly outside the image")
    return inside, inside is not part and _beyond(part.outer, width, height, most)


def _beyond(points: np.ndarray, width: int, height: int, most: float) -> bool:
    """Return whether one of `points`, float64 (n, 2), is outside the image. Raises `Outside` if one is too far outside."""
    sides = np.array([width, height])
    outside = np.maximum(-points, points - sides).max(axis=0)
    if (outside > np.maximum(most * sides, 1)).any():
        far = float((outside / sides).max())
        raise Outside(f"{far:.0%} of a side of the image lies outside it, {most:.0%} may")
    return bool((outside > NOISE).any())
