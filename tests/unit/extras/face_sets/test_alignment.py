"""Faces are aligned as DeepFaceLab aligns them, whatever their place, size and turn in the picture."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform

from face_pictures import head_landmarks
from tessera.core.errors import Failed
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.alignment import PADDING, FaceType, align, inverse, misfit, similarity, transform, warp
from tessera.extras.face_sets.hull import face_hull
from tessera.extras.face_sets.landmarks import HEAD, MEAN_FACE, MEAN_FIVE, five_points
from tessera.extras.face_sets.pose import estimate_pose

MEAN = np.concatenate([HEAD[:17, :2] / 125 + (0.49, 0.47), MEAN_FACE])  # 68 points; the jaw about where it belongs
FACE = MEAN * 200 + (300, 150)
# Measured with DeepFaceLab: scale and shift of the mean face at 200 pixels from (300, 150), in a square of 512 pixels.
GOLDEN = {"half": (2.56, -768, -384), "full": (1.603386, -385.354, -144.846), "whole": (1.201105, -224.442, -27.461)}


@pytest.mark.parametrize("face_type", GOLDEN)
def test_the_mean_face_is_aligned_as_by_deepfacelab(face_type: FaceType) -> None:
    scale, x, y = GOLDEN[face_type]
    matrix = align(FACE, 512, 512, face_type, 512)
    assert matrix == pytest.approx(np.array([[scale, 0, x], [0, scale, y]]), abs=1e-3)
    assert align(five_points(FACE), 512, 512, face_type, 512) == pytest.approx(matrix, abs=1e-9)


def test_the_five_points_are_about_where_aligners_of_mtcnn_put_them() -> None:
    # They take the same mouth, but four of the six points of an eye.
    eyes, mouth = [(0.224152, 0.2119465), (0.75610125, 0.2119465)], [(0.254149, 0.780233), (0.726104, 0.780233)]
    assert pytest.approx(np.array([*eyes, (0.490127, 0.515625), *mouth]), abs=0.005) == MEAN_FIVE


def test_the_mean_face_is_symmetric_and_the_head_nearly_so() -> None:
    pairs = [
        *zip(range(17, 22), range(26, 21, -1), strict=True),
        (31, 35),
        (32, 34),
        (48, 54),
        (49, 53),
        (50, 52),
        (59, 55),
        (58, 56),
    ]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (60, 64), (61, 63), (67, 65)]
    pairs += [(point, point) for point in (*range(27, 31), 33, 51, 57, 62, 66)]
    assert len({point for pair in pairs for point in pair}) == len(MEAN_FACE)
    for left, right in pairs:
        (x0, y0), (x1, y1) = MEAN_FACE[left - 17], MEAN_FACE[right - 17]
        assert (x0 + x1, y0) == pytest.approx((0.980253, y1), abs=2e-6)
        if right < len(HEAD):
            assert HEAD[left] * (-1, 1, 1) == pytest.approx(HEAD[right], abs=3)
    assert HEAD[:17] * (-1, 1, 1) == pytest.approx(HEAD[16::-1], abs=3)


@pytest.mark.parametrize("point", range(68))
def test_faces_are_aligned_by_the_points_that_hardly_move(point: int) -> None:
    moved = FACE.copy()
    moved[point] += (9, 5)
    is_same = np.array_equal(align(moved, 512, 512, "full", 512), align(FACE, 512, 512, "full", 512))
    assert is_same == (point not in (*range(17, 49), 54))


def test_each_face_type_shows_more_than_the_one_before_it() -> None:
    corners = np.array([[0.0, 0.0], [512.0, 512.0]])
    squares = [transform(corners, inverse(align(FACE, 512, 512, face_type, 512))) for face_type in PADDING]
    for smaller, larger in pairwise(squares[:4]):
        assert (larger[0] < smaller[0]).all() and (larger[1] > smaller[1]).all()
    whole, head = squares[3:]
    assert (head[0] < whole[0] - 80).all() and head[1, 0] > whole[1, 0] + 80


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-np.pi, np.pi),
    st.floats(0.1, 5),
    st.sampled_from(list(PADDING)),
    st.booleans(),
)
def test_alignment_undoes_any_similarity(seed: int, angle: float, scale: float, face_type: FaceType, is_five: bool) -> None:
    points = FACE + np.random.default_rng(seed).normal(0, 4, FACE.shape)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (points - points.mean(axis=0)) @ turn.T + (4000, 3000)
    if is_five:
        points, moved = five_points(points), five_points(moved)
    before, after = align(points, 6000, 8000, face_type, 256), align(moved, 6000, 8000, face_type, 256)
    assert transform(moved, after) == pytest.approx(transform(points, before), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_the_similarity_is_that_of_umeyama(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    target = draw.normal(size=(count, 2))
    source = target @ draw.normal(size=(2, 2)) + draw.normal(size=2) + draw.normal(0, 0.1, (count, 2))
    try:
        matrix = similarity(source, target)
    except Failed:
        return  # they are unlike
    assert matrix == pytest.approx(SimilarityTransform.from_estimate(source, target).params[:2], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10), st.booleans())
def test_the_misfit_is_the_distance_from_the_mean_face(seed: int, scale: float, is_five: bool) -> None:
    points = FACE + np.random.default_rng(seed).normal(0, 5, FACE.shape)
    points, mean = (five_points(points), MEAN_FIVE) if is_five else (points, MEAN_FACE)
    # In a half face, the square is that of the mean face.
    aligned = transform(points, align(points, 512, 512, "half", 100)) / 100
    if not is_five:
        aligned, mean = aligned[[*range(17, 49), 54]], mean[[*range(32), 37]]
    expected = np.sqrt(np.mean([np.hypot(*(one - other)) ** 2 for one, other in zip(aligned, mean, strict=True)]))
    assert misfit(points) == pytest.approx(expected)
    assert misfit(points * scale) == pytest.approx(expected) and misfit(FACE) == pytest.approx(0, abs=1e-12)


def test_no_face_is_mirrored() -> None:
    # https://github.com/deepfakes/faceswap/issues/316
    try:
        matrix = align(FACE * (-1, 1) + (700, 0), 512, 512, "full", 256)
    except Failed as error:
        assert error.reason == "landmarks unlike a face"
    else:
        assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("yaw", [-1.4, -1, 1, 1.4])
def test_a_profile_stays_upright(yaw: float) -> None:
    # https://github.com/iperov/DeepFaceLab/issues/458
    matrix = align(head_landmarks(yaw), 256, 256, "whole", 256)
    assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) < 20


def test_a_turned_head_moves_sideways_to_show_its_back() -> None:
    left, front, right = (align(head_landmarks(yaw), 256, 256, "head", 256) for yaw in (0.8, 0, -0.8))
    nose = [transform(head_landmarks(yaw)[30:31], matrix)[0, 0] for yaw, matrix in ((0.8, left), (0, front), (-0.8, right))]
    assert nose[0] < nose[1] - 5 < nose[1] + 5 < nose[2]


def test_a_warped_picture_shows_the_points_where_the_matrix_moves_them() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:110, 200:210] = (250, 120, 10)
    turn = np.array([[0.8, -0.6, 100], [0.6, 0.8, -60]])
    square = warp(image, turn, 256)
    assert square.shape == (256, 256, 3) and square.dtype == np.uint8
    x, y = np.rint(transform(np.array([[204.5, 104.5]]), turn)[0]).astype(int)
    assert square[y, x].tolist() == [250, 120, 10]
    assert square[0, 0].tolist() == [0, 0, 0]


def test_warping_is_bilinear() -> None:
    image = photograph("astronaut")[:64, :64]
    matrix = np.array([[1, 0, 0.5], [0, 1, 0.25]])
    expected = np.zeros((32, 32, 3))
    for y in range(1, 33):
        for x in range(1, 33):
            # The pixel (x, y) of the square lies at (x - 0.5, y - 0.25) of the picture.
            above, below = (image[row, x - 1] * 0.5 + image[row, x] * 0.5 for row in (y - 1, y))
            expected[y - 1, x - 1] = above * 0.25 + below * 0.75
    assert np.abs(warp(image, matrix, 33)[1:, 1:] - expected).max() <= 1


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_inverse_leads_back(angle: float, scale: float, shift: float) -> None:
    matrix = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]) * scale
    matrix[:, 2] = shift, -shift
    assert transform(transform(FACE, matrix), inverse(matrix)) == pytest.approx(FACE, abs=1e-6)


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.array([[1, 2, 0], [2, 4, 0.0]])])
def test_a_matrix_without_an_inverse_is_a_reason(matrix: np.ndarray) -> None:
    for work in (lambda: inverse(matrix), lambda: warp(np.zeros((8, 8, 3), np.uint8), matrix, 8)):
        with pytest.raises(Failed, match="matrix without an inverse"):
            work()


def with_point(number: int, value: tuple[float, float]) -> np.ndarray:
    points = FACE.copy()
    points[number] = value
    return points


BAD = {
    "landmarks not finite": [with_point(5, (np.nan, 10)), with_point(50, (10, np.inf)), np.full((68, 2), np.nan)],
    "landmarks outside the picture": [FACE + 600, FACE - (600, 0), with_point(3, (1e30, 0)), with_point(67, (0, -1e9))],
    "landmarks at one point": [np.full((68, 2), 100.0), np.full((68, 2), 100.0) + np.linspace(0, 0.9, 68)[:, None]],
    "wrong number of landmarks": [FACE[:67], np.zeros((0, 2)), np.zeros(136), np.zeros((68, 3))],
}


@pytest.mark.parametrize(("reason", "points"), [(reason, points) for reason, many in BAD.items() for points in many])
def test_landmarks_that_cannot_be_used_are_a_reason(reason: str, points: np.ndarray) -> None:
    for work in (
        lambda: align(points, 512, 512, "full", 256),
        lambda: estimate_pose(points, 512),
        lambda: face_hull(points, 512, 512),
    ):
        with pytest.raises(Failed, match=f"^{reason}: "):
            work()


def test_landmarks_unlike_a_face_are_a_reason() -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    for other in (square[:, ::-1], np.full((4, 2), 3.0)):  # mirrored, and a point
        with pytest.raises(Failed, match="landmarks unlike a face"):
            similarity(other, square)


def test_a_face_at_the_border_may_have_landmarks_outside() -> None:
    shifted = FACE - (400, 0)
    assert align(shifted, 512, 512, "full", 512)[:, :2] == pytest.approx(align(FACE, 512, 512, "full", 512)[:, :2])
