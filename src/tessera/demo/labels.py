"""Make the labels that a person would draw in the demo footage, as labelme documents."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from tessera.demo.footage import LABEL
from tessera.demo.stages import FINE, SLACK, SMALLEST, Picture, Stage, Track


def labelme(picture: Picture, stage: Stage, frame: int, image: str, scale: float = 1) -> dict[str, Any]:
    """Return the labelme document of `picture`, frame `frame` of `stage`.

    `image`: name of the image file. `scale`: size of this image relative to `stage`.
    """
    subjects = [track for track in stage.tracks if track.role == "subject"]
    shapes = [
        shape
        for number, (track, mask) in enumerate(zip(subjects, picture.visible, strict=True), 1)
        for shape in _shapes(track, frame, mask, number)
    ]
    for shape in shapes:
        shape["points"] = np.round(np.asarray(shape["points"]) * scale, 2).tolist()
    return {
        "version": "5.5.0",
        "flags": {"sfw": not shapes},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": round(stage.height * scale),
        "imageWidth": round(stage.width * scale),
    }


def _shapes(track: Track, frame: int, mask: np.ndarray, number: int) -> Iterator[dict[str, Any]]:
    """Yield the labelme shapes of the visible part of `track`: the rings of its polygons, or its circle or rectangle."""
    if track.shape == "circle":
        centre = track.centre[frame]
        rings = [np.array([centre, (centre[0] + track.radii[frame, 0], centre[1])])]
    elif track.shape == "rectangle":
        rings = [track.outline(frame)[[0, 2]]]
    else:
        rings = outlines(mask)
    for ring in rings:
        yield {
            "label": LABEL,
            "points": ring,
            "group_id": number if len(rings) > 1 else None,
            "description": "",
            "shape_type": "polygon" if track.shape == "ellipse" else track.shape,
            "flags": {},
            "mask": None,
        }


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return the rings around `mask` and around its holes, each float (points, 2), in pixels of the frame.

    `mask`: bool (H * FINE, W * FINE). Rings with an area of less than `SMALLEST` pixels are left out.
    """
    rings, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A contour runs through the centres of the outermost pixels, hence the 0.5 below.
    large = [ring for ring in rings if cv2.contourArea(ring) >= SMALLEST * FINE**2]
    smooth = (cv2.approxPolyDP(ring, SLACK * FINE, closed=True)[:, 0] for ring in large)
    return [(ring + 0.5) / FINE for ring in smooth]
