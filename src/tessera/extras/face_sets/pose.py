"""The pose of a head by its landmarks."""

from typing import NamedTuple

import numpy as np

from tessera.core.errors import Failed
from tessera.extras.face_sets.landmarks import HEAD, check_landmarks

_RIGID = (*range(27), *range(30, 36))  # jaw, brows, and the tip and wings of the nose


class Pose(NamedTuple):
    """Where a head looks, radians from -pi / 2 to pi / 2."""

    yaw: float
    """Positive if it looks to the left of the picture."""
    pitch: float
    """Positive if it looks up."""
    roll: float
    """Positive if it is tilted clockwise in the picture."""


def estimate_pose(landmarks: np.ndarray, size: int) -> Pose:
    """Return the pose of the face with the 68 `landmarks`, (68, 2), pixels of its aligned square of `size` pixels.

    A pinhole camera with a focal length of `size` looks at the middle of the square. The pose is that in which the points of a
    mean head appear nearest to the landmarks, and it turns by pitch, then yaw, then roll. Raises `Failed` if the landmarks
    cannot be used, see `check_landmarks`, or if no head in front of the camera fits them.
    """
    import cv2

    points = check_landmarks(landmarks, size, size)[list(_RIGID)]
    head = HEAD[list(_RIGID)]
    camera = np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1]], dtype=np.float64)
    # The iterative solver alone can put the head behind the camera: https://github.com/opencv/opencv_contrib/issues/744
    is_found, rotation, shift = cv2.solvePnP(head, points, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if is_found:
        rotation, shift = cv2.solvePnPRefineLM(head, points, camera, None, rotation, shift)
    if not is_found or not np.isfinite([rotation, shift]).all() or shift[2, 0] <= 0:
        raise Failed("pose not found", "no head in front of the camera fits the landmarks")
    turn = cv2.Rodrigues(rotation)[0]
    level = np.hypot(turn[0, 0], turn[1, 0])
    if level < 1e-6:  # in profile, pitch and roll turn about the same axis
        angles = np.arctan2(-turn[2, 0], level), -np.arctan2(-turn[1, 2], turn[1, 1]), 0.0
    else:
        angles = np.arctan2(-turn[2, 0], level), -np.arctan2(turn[2, 1], turn[2, 2]), np.arctan2(turn[1, 0], turn[0, 0])
    return Pose(*(float(np.clip(angle, -np.pi / 2, np.pi / 2)) for angle in angles))
