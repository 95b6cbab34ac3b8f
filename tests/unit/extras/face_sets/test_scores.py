"""What is measured of faces equals obvious slow code."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessera.extras.face_sets.scores import ANGLE, commonness, cut_off, exposure


def test_only_pixels_in_the_mask_count_as_lit() -> None:
    luma = np.array([[0, 8, 9, 128], [246, 247, 255, 100]], np.uint8)
    mask = np.array([[255, 255, 255, 0], [255, 255, 0, 255]], np.uint8)
    lit = exposure(luma, mask)
    assert (lit.dark, lit.bright) == (2 / 6, 1 / 6)
    assert lit.contrast == pytest.approx(np.std([0, 8, 9, 246, 247, 100]))
    assert exposure(luma, np.zeros_like(mask)) == (0, 0, 0)


@given(st.floats(-60, 60), st.floats(-60, 60), st.floats(0.5, 3), st.floats(-np.pi, np.pi))
def test_the_part_outside_the_frame_is_the_fraction_of_points_there(x: float, y: float, scale: float, turn: float) -> None:
    height, width, size = 60, 80, 40
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.column_stack([rotation, [x, y]])
    grid = (np.stack(np.meshgrid(np.arange(200), np.arange(200)), axis=2).reshape(-1, 2) + 0.5) * size / 200
    places = (grid - matrix[:, 2]) @ np.linalg.inv(rotation).T
    is_inside = ((places >= 0) & (places <= (width, height))).all(axis=1)
    assert cut_off(matrix, size, height, width) == pytest.approx(1 - is_inside.mean(), abs=0.02)


@given(arrays(np.float64, st.tuples(st.integers(0, 30), st.just(2)), elements=st.one_of(st.floats(-1.5, 1.5), st.just(np.nan))))
def test_faces_are_as_common_as_slow_code_counts(angles: np.ndarray) -> None:
    cells = [tuple("unknown" if np.isnan(angle) else math.floor(angle / ANGLE) for angle in pair) for pair in angles.tolist()]
    counts = Counter(cells)
    assert commonness(angles[:, 0], angles[:, 1]).tolist() == [counts[cell] for cell in cells]
