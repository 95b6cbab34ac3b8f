"""Alignment: the part of a picture that shows a face becomes a square in which eyes, nose and mouth have their mean positions.

The rules and the margins are those of DeepFaceLab, so that its face sets and ours fit together.
"""

from typing import Literal, TypeAlias

import numpy as np

from tessera.core.errors import Failed
from tessera.extras.face_sets.landmarks import COUNT, MEAN_FACE, MEAN_FIVE, check_landmarks

FaceType: TypeAlias = Literal["half", "midfull", "full", "whole", "head"]
Matrix: TypeAlias = np.ndarray  # float64 (2, 3): multiplied by (x, y, 1), pixels

# The square reaches beyond that of the mean face, whose side is 1, by this times the square root of two, in all directions.
PADDING: dict[FaceType, float] = {"half": 0.0, "midfull": 0.0675, "full": 0.2109375, "whole": 0.4, "head": 0.7}
RAISED = {"whole": 0.07, "head": 0.5}  # how far the centre of the square lies above that of the mean face
_ALIGNED = (*range(17, 49), 54)  # brows, nose, eyes, and the corners of the mouth; the rest of the mouth moves
_LEAST_LIKENESS = 0.1  # then a hundredth of the variance of the landmarks is explained


def similarity(source: np.ndarray, target: np.ndarray) -> Matrix:
    """Return the rotation, scale and shift that move the points `source` nearest to `target`, both float64 (N, 2).

    It is the least-squares solution of Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", 1991. In the plane, it is a division of complex numbers, and never a reflection. Raises `Failed` if `source` is
    a single point, or so unlike `target` that any solution is as bad.
    """
    moments = [points - points.mean(axis=0) for points in (source, target)]
    before, after = (x + 1j * y for x, y in (points.T for points in moments))
    product, power = np.vdot(before, after), np.vdot(before, before).real
    if abs(product) <= _LEAST_LIKENESS * np.sqrt(power * np.vdot(after, after).real):
        raise Failed("landmarks unlike a face", "no rotation and scale brings them near to the mean face")
    turn = product / power
    rotation = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([rotation, target.mean(axis=0) - rotation @ source.mean(axis=0)])


def align(landmarks: np.ndarray, height: int, width: int, face_type: FaceType, size: int) -> Matrix:
    """Return the matrix from a picture of `height` by `width` pixels to a square of `size` pixels around its face.

    `landmarks`: (68, 2) or (5, 2), pixels. Of 68 points, those that hardly move are aligned to the mean face: brows, nose, eyes
    and the corners of the mouth. Five points are aligned to the same five of the mean face, so the square is the same for a
    face of mean proportions. The square of a turned `head` is moved towards its back, which the jaw shows; five points do not.
    Raises `Failed` if the landmarks cannot be used, see `check_landmarks` and `similarity`.
    """
    points = check_landmarks(landmarks, height, width, (COUNT, len(MEAN_FIVE)))
    unit = similarity(*_pairs(points))
    centre = np.array([0.5, 0.5 - RAISED.get(face_type, 0.0)])
    if face_type == "head" and len(points) == COUNT:
        turned = _turned(transform(points, unit))
        centre[0] += turned * abs(np.tanh(2 * turned)) / 2
    half = 0.5 + np.sqrt(2) * PADDING[face_type]
    unit[:, 2] -= centre - half
    matrix: Matrix = unit * (size / (2 * half))
    return matrix


def misfit(landmarks: np.ndarray) -> float:
    """Return how far the `landmarks`, (68, 2) or (5, 2), are from those of the mean face to which `align` aligns them.

    It is the root of the mean squared distance, in sides of the mean face, so it does not depend on the size of the face.
    """
    source, target = _pairs(np.asarray(landmarks, dtype=np.float64))
    return float(np.sqrt(((transform(source, similarity(source, target)) - target) ** 2).sum(axis=1).mean()))


def _pairs(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those of `points`, (68, 2) or (5, 2), that are aligned, and the same ones of the mean face."""
    if len(points) == COUNT:
        return points[list(_ALIGNED)], MEAN_FACE[[point - 17 for point in _ALIGNED]]
    return points, MEAN_FIVE


def _turned(points: np.ndarray) -> float:
    """Return how much wider the face is right of the bridge of the nose than left of it. `points`: (68, 2), aligned."""
    x = points[:, 0]
    return float((x[[16, 15, 14]] - x[27:30]).mean() - (x[27:30] - x[:3]).mean())


def transform(points: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Return the `points`, (N, 2), moved by `matrix`: float64 (N, 2)."""
    moved: np.ndarray = points @ matrix[:, :2].T + matrix[:, 2]
    return moved


def inverse(matrix: Matrix) -> Matrix:
    """Return the matrix from the square of a face to its picture. Raises `Failed` if `matrix` has no inverse."""
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < np.finfo(np.float64).tiny:
        raise Failed("matrix without an inverse", f"{np.asarray(matrix).tolist()}")
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def warp(image: np.ndarray, matrix: Matrix, size: int) -> np.ndarray:
    """Return the square of `size` pixels that `matrix` cuts out of `image`: uint8 (size, size, 3), RGB, as `image` is.

    Pixels are interpolated bilinearly; what lies outside the picture is black. Raises `Failed` if `matrix` has no inverse.
    """
    import cv2

    warped: np.ndarray = cv2.warpAffine(image, inverse(matrix), (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return warped
