"""The mask of a face is the hull of its landmarks, with raised brows."""

import numpy as np
import pytest

from face_pictures import head_landmarks
from tessera.core.errors import Failed
from tessera.extras.face_sets.hull import face_hull, hull_mask
from tessera.imaging.polygons import area


def is_left_of_all_edges(ring: np.ndarray, x: float, y: float) -> bool:
    signs = []
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        signs.append((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
    return min(signs) >= 0 or max(signs) <= 0


def test_the_mask_covers_the_landmarks_and_the_area_of_the_hull() -> None:
    points = head_landmarks(0.3, 0.1, 0.2, size=96)
    hull = face_hull(points, 96, 96)
    mask = hull_mask(hull, 96, 96)
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    for x, y in points:
        assert mask[int(y), int(x)] == 255
    inside = sum(is_left_of_all_edges(hull, x, y) for y in range(96) for x in range(96))
    assert np.count_nonzero(mask) == pytest.approx(inside, rel=0.05)
    assert area(hull) == pytest.approx(inside, rel=0.02)


def test_brows_are_raised_by_half_their_distance_from_the_eyes() -> None:
    points = head_landmarks()
    kept, raised, more = (face_hull(points, 256, 256, expansion) for expansion in (0.0, 1.0, 2.0))
    brow, eye = points[19, 1], points[37, 1]
    assert kept[:, 1].min() == pytest.approx(points[:, 1].min(), abs=1e-3)
    expected = min(points[number, 1] + 0.5 * (points[number, 1] - points[below, 1]) for number, below in ((19, 37), (20, 38)))
    assert eye > brow and raised[:, 1].min() == pytest.approx(expected, abs=2)
    assert area(kept) < area(raised) < area(more)


def test_the_mask_ends_at_the_borders() -> None:
    mask = hull_mask(face_hull(head_landmarks() - (100, 0), 256, 256), 256, 256)
    assert mask[128, 0] == 255 and mask.shape == (256, 256)


def test_landmarks_on_a_line_are_a_reason() -> None:
    with pytest.raises(Failed, match="landmarks on a line"):
        face_hull(np.column_stack([np.arange(68.0), np.arange(68.0)]), 256, 256)
