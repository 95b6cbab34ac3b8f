"""The pose of a head is found by its landmarks, also in profile."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_pictures import head_landmarks
from tessera.extras.face_sets.landmarks import HEAD
from tessera.extras.face_sets.pose import estimate_pose

RIGID = [*range(27), *range(30, 36)]
ANGLES = st.floats(-1.2, 1.2)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1.55, 1.55), ANGLES, ANGLES, st.floats(-20, 20), st.sampled_from([64, 256, 513]))
def test_the_pose_of_a_projected_head_is_found(yaw: float, pitch: float, roll: float, x: float, size: int) -> None:
    # https://github.com/yinguobing/head-pose-estimation/issues/10: near 90 degrees, others find 0.
    pose = estimate_pose(head_landmarks(yaw, pitch, roll, size, (x, -x, 400)), size)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=1e-4)


def test_signs_are_those_of_a_viewer() -> None:
    ahead, left, up, tilted = (head_landmarks(**angles) for angles in ({}, {"yaw": 0.5}, {"pitch": 0.5}, {"roll": 0.5}))
    nose, chin = 30, 8
    assert left[nose, 0] < ahead[nose, 0] - 10 and estimate_pose(left, 256).yaw == pytest.approx(0.5)
    assert up[nose, 1] < ahead[nose, 1] - 10 and estimate_pose(up, 256).pitch == pytest.approx(0.5)
    # Clockwise: the chin moves to the left.
    assert tilted[chin, 0] < ahead[chin, 0] - 10 and estimate_pose(tilted, 256).roll == pytest.approx(0.5)


@pytest.mark.parametrize("yaw", [-np.pi / 2, np.pi / 2])
def test_in_full_profile_the_yaw_is_found_and_the_rest_is_finite(yaw: float) -> None:
    pose = estimate_pose(head_landmarks(yaw, 0.2, 0.1, shift=(0, 0, 400)), 256)
    assert pose.yaw == pytest.approx(yaw, abs=1e-3)
    assert np.isfinite(pose).all() and max(map(abs, pose)) <= np.pi / 2


@pytest.mark.parametrize("seed", range(20))
def test_noisy_landmarks_give_the_pose_that_fits_best(seed: int) -> None:
    # https://github.com/opencv/opencv_contrib/issues/744: the iterative solver alone can end behind the camera.
    draw = np.random.default_rng(seed)
    points = head_landmarks(draw.uniform(-1, 1), draw.uniform(-0.5, 0.5), draw.uniform(-0.5, 0.5)) + draw.normal(0, 5, (68, 2))
    pose = estimate_pose(points, 256)
    assert np.isfinite(pose).all()
    camera = np.array([[256, 0, 128], [0, 256, 128], [0, 0, 1.0]])
    _, turn, shift = cv2.solvePnP(HEAD[RIGID], points[RIGID], camera, None)
    if shift[2, 0] > 0:
        matrix = cv2.Rodrigues(turn)[0]
        angles = np.arcsin(-matrix[2, 0]), -np.arctan2(matrix[2, 1], matrix[2, 2]), np.arctan2(matrix[1, 0], matrix[0, 0])
        assert tuple(pose) == pytest.approx(np.clip(angles, -np.pi / 2, np.pi / 2), abs=1e-3)
