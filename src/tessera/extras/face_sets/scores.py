"""What is measured of a face, to leave out those that are cut off, badly lit, or blurred where others are not."""

from typing import NamedTuple

import numpy as np

from tessera.extras.face_sets.alignment import Matrix, transform

DARK, BRIGHT = 8, 247  # levels up to which, and from which, a pixel shows nothing
ANGLE = np.pi / 18  # radians; the directions in which heads look are counted in steps of this
UNKNOWN = 1000  # steps, in place of an angle that is not known


class Exposure(NamedTuple):
    """How a face is lit."""

    dark: float
    """Fraction of the pixels that are nearly black."""
    bright: float
    """Fraction of the pixels that are nearly white."""
    contrast: float
    """Standard deviation of the luma, levels."""


def exposure(luma: np.ndarray, mask: np.ndarray) -> Exposure:
    """Return how the pixels of `luma`, uint8 (H, W), are lit where `mask`, uint8 (H, W), is not 0.

    A face without a pixel in the mask is neither dark nor bright, and has no contrast.
    """
    import cv2

    # Several times as fast as to pick out the pixels.
    counts = cv2.calcHist([luma], [0], mask, [256], [0, 256]).ravel().astype(np.float64)
    total, levels = counts.sum(), np.arange(256)
    if not total:
        return Exposure(0.0, 0.0, 0.0)
    mean = counts @ levels / total
    deviation = np.sqrt(counts @ (levels - mean) ** 2 / total)
    return Exposure(float(counts[: DARK + 1].sum() / total), float(counts[BRIGHT:].sum() / total), float(deviation))


def cut_off(matrix: Matrix, size: int, height: int, width: int) -> float:
    """Return the fraction of the square of `size` pixels that lies outside its frame of `height` by `width` pixels.

    `matrix`: from the frame to the square.
    """
    import cv2

    frame = outline(matrix, height, width)
    square = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    area, _ = cv2.intersectConvexConvex(frame.astype(np.float32), square)
    return float(np.clip(1 - area / size**2, 0, 1))


def outline(matrix: Matrix, height: int, width: int) -> np.ndarray:
    """Return the corners of a frame of `height` by `width` pixels in the square that `matrix` cuts out: float64 (4, 2)."""
    return transform(np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64), matrix)


def commonness(yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Return how many faces look in the direction of each face, int64 (N,), itself included.

    `yaw`, `pitch`: float64 (N,), radians, which are compared in steps of `ANGLE`. NaN is unknown, a direction of its own.
    """
    steps = np.floor(np.stack([yaw, pitch], axis=1) / ANGLE)
    cells = np.nan_to_num(steps, nan=UNKNOWN).astype(np.int64)
    _, number, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(counts[number.reshape(-1)])
