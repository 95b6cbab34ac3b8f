"""The mask of a face by its landmarks."""

import numpy as np

from tessera.core.errors import Failed
from tessera.extras.face_sets.landmarks import check_landmarks
from tessera.imaging.polygons import Part, Ring, rasterize

_BROWS = slice(17, 27)  # from left to right
_BELOW_BROWS = [36, *range(36, 40), *range(42, 46), 45]  # of each of these points, the point of an eye below it


def face_hull(landmarks: np.ndarray, height: int, width: int, brow_expansion: float = 1.0) -> Ring:
    """Return the convex hull of 68 `landmarks`, (68, 2), in a picture of `height` by `width` pixels: float64 (N, 2).

    The landmarks end at the brows. To take in more of the forehead, each brow is raised by `brow_expansion` times half of its
    distance from the eye, as DeepFaceLab does; 0 keeps the brows. Raises `Failed` if the landmarks cannot be used, see
    `check_landmarks`, or lie on a line.
    """
    import cv2

    points = check_landmarks(landmarks, height, width).copy()
    below = points[_BELOW_BROWS]
    # Below the outer end of a brow, a point beside the eye, a quarter of the way to the jaw.
    below[[0, -1]] += (points[[0, 16]] - below[[0, -1]]) / 4
    points[_BROWS] += brow_expansion * 0.5 * (points[_BROWS] - below)
    hull: Ring = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    if len(hull) < 3:
        raise Failed("landmarks on a line", f"all {len(points)} lie on a line")
    return hull


def hull_mask(hull: Ring, height: int, width: int) -> np.ndarray:
    """Return the mask of `hull` in a picture of `height` by `width` pixels: uint8 (height, width), 0 or 255."""
    return rasterize([Part(hull)], height, width)
