import subprocess
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as pycoco

from tessera.imaging import polygons as geometry
from tessera.imaging.boxes import clip_box, mask_box
from tessera.imaging.masks import (
    Patch,
    decode_counts,
    decode_patch,
    decode_rle,
    encode_patch,
    encode_rle,
    grow,
    growth_step,
    trim,
)
from tessera.imaging.polygons import (
    Part,
    area,
    circle,
    clip,
    contains,
    keyhole,
    nest,
    outline,
    polygon_box,
    rasterize,
    rectangle,
    trace,
)

SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))
MASKS = arrays(np.uint8, SIZES, elements=st.sampled_from([0, 255]), fill=st.sampled_from([0, 255]))
COORDINATES = st.floats(0, 24, allow_nan=False)
RINGS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=8).map(lambda ring: np.array(ring, dtype=np.float64))


def noise(seed: int, side: int, density: float, blur: int) -> np.ndarray:
    """A mask of many pieces, thin lines, holes, and islands in holes."""
    field = np.random.default_rng(seed).random((side, side)).astype(np.float32)
    field = cv2.blur(field, (blur, blur))
    return ((field < np.quantile(field, density)) * 255).astype(np.uint8)


@given(MASKS)
def test_a_traced_mask_is_drawn_again_exactly(mask):
    assert np.array_equal(rasterize(trace(mask), *mask.shape), mask)


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("blur", [1, 2, 5])
def test_a_traced_large_mask_is_drawn_again_exactly_as_parts_and_as_keyholes(density, blur):
    mask = noise(7, 200, density, blur)
    parts = trace(mask)
    assert np.array_equal(rasterize(parts, *mask.shape), mask)
    assert np.array_equal(rasterize([Part(keyhole(part)) for part in parts], *mask.shape), mask)


@given(MASKS)
def test_a_keyhole_draws_a_traced_part_exactly(mask):
    assert np.array_equal(rasterize([Part(keyhole(part)) for part in trace(mask)], *mask.shape), mask)


def shortest_bridges(mask):
    """The least total length of lines between pixels that connect all 8-connected parts of `mask` (Prim, 1957)."""
    count, numbers = cv2.connectedComponents(mask, connectivity=8)
    pixels = [np.argwhere(numbers == number) for number in range(1, count)]
    gap = np.array([[np.hypot(*(one[:, None] - other).reshape(-1, 2).T).min() for other in pixels] for one in pixels])
    joined, total = [0], 0.0
    while len(joined) < len(pixels):
        left = [number for number in range(len(pixels)) if number not in joined]
        lengths = gap[np.ix_(joined, left)].min(axis=0)
        joined.append(left[int(lengths.argmin())])
        total += lengths.min()
    return total


@given(MASKS.filter(np.any))
def test_an_outline_draws_a_region_of_many_parts_and_holes_but_for_the_lines_of_the_shortest_bridges(mask):
    drawn = rasterize([Part(outline(mask))], *mask.shape)
    assert not (mask & ~drawn).any()
    # A line of that length sets less than one pixel per pixel of length between its ends.
    assert np.count_nonzero(drawn & ~mask) <= shortest_bridges(mask)
    assert cv2.connectedComponents(drawn, connectivity=8)[0] == 2


def test_an_outline_has_a_corner_only_where_its_direction_changes():
    mask = np.zeros((40, 90), np.uint8)
    mask[5:35, 5:35] = mask[5:35, 50:80] = 255
    mask[10:20, 10:20] = 0
    ring = outline(mask)
    assert len(ring) <= 4 + 4 + 8 + 4 + 4
    drawn = rasterize([Part(ring)], *mask.shape)
    assert np.count_nonzero(drawn != mask) == 50 - 35
    assert drawn[:, 35:50].any(axis=1).sum() == 1


@pytest.mark.slow
def test_thousands_of_parts_are_joined_quickly():
    mask = noise(3, 1000, 0.1, 2)
    assert len(trace(mask)) > 20_000
    start = time.process_time()
    drawn = rasterize([Part(outline(mask))], *mask.shape)
    assert time.process_time() - start < 4
    assert not (mask & ~drawn).any()


@given(MASKS)
def test_pieces_and_holes_are_those_of_the_definition(mask):
    parts = trace(mask)
    assert len(parts) == cv2.connectedComponents(mask, connectivity=8)[0] - 1
    outside = np.pad(mask, 1)
    assert sum(len(part.holes) for part in parts) == cv2.connectedComponents(255 - outside, connectivity=4)[0] - 2


def test_holes_and_islands_in_holes_stay():
    mask = np.zeros((9, 9), np.uint8)
    mask[1:8, 1:8] = 255
    mask[2:7, 2:7] = 0
    mask[4, 4] = 255
    ring, island = trace(mask)
    assert (len(ring.holes), len(island.holes)) == (1, 0)
    assert island.outer.tolist() == [[4.5, 4.5]]


def test_a_polygon_with_a_hole_differs_as_a_keyhole_on_the_bridge_alone():
    part = Part(rectangle((2, 2, 38, 30)), (circle((20, 16), (26, 16)),))
    whole, joined = rasterize([part], 32, 40), rasterize([Part(keyhole(part))], 32, 40)
    assert whole[16, 20] == 0
    assert np.array_equal(whole, joined)


def test_a_hole_outside_its_part_still_becomes_one_ring():
    part = Part(rectangle((20, 20, 30, 30)), (rectangle((2, 2, 8, 8)),))
    assert len(keyhole(part)) == 4 + 4 + 3


@pytest.mark.slow
def test_rasterize_draws_what_ultralytics_draws():
    # In a process of its own: ultralytics replaces functions of Pillow and OpenCV when it is imported.
    code = """
import numpy as np
from ultralytics.data.utils import polygon2mask
from tessera.imaging.polygons import Part, rasterize
ring = np.random.default_rng(1).random((30, 2)) * [64, 48]
assert np.array_equal(rasterize([Part(ring)], 48, 64), polygon2mask((48, 64), [ring.ravel()], color=255))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parts_that_overlap_are_a_union_and_a_hole_in_one_does_not_cut_the_other():
    holed = Part(rectangle((0, 0, 9, 9)), (rectangle((2, 2, 6, 6)),))
    cover = Part(rectangle((3, 3, 5, 5)))
    mask = rasterize([holed, cover], 12, 12)
    assert mask[4, 4] == 255
    assert np.array_equal(mask, rasterize([cover, holed], 12, 12))


def test_rings_nest_by_the_even_odd_rule():
    outer, hole, island = (rectangle((d, d, 30 - d, 30 - d)) for d in (0, 5, 10))
    apart, crossing = rectangle((40, 0, 50, 10)), rectangle((25, 0, 35, 10))
    parts = nest([hole, island, outer, apart, crossing])
    assert [part.outer is ring for part, ring in zip(parts, (island, outer, apart, crossing), strict=True)] == [True] * 4
    assert [len(part.holes) for part in parts] == [0, 1, 0, 0]
    assert parts[1].holes[0] is hole


def test_a_duplicate_ring_is_not_a_hole():
    ring = rectangle((1, 1, 9, 9))
    assert [len(part.holes) for part in nest([ring, ring.copy()])] == [0, 0]


@given(RINGS, arrays(np.float64, (6, 2), elements=st.floats(-2, 26)))
def test_contains_agrees_with_opencv_away_from_the_line(ring, points):
    distances = [cv2.pointPolygonTest(ring.astype(np.float32), tuple(point), True) for point in points]
    for inside, distance in zip(contains(ring, points), distances, strict=True):
        if abs(distance) > 1e-3:
            assert inside == (distance > 0)


def naive_contains(ring, point):
    """Whether `point` lies on an edge of `ring`, or an odd number of its edges lie to the right."""
    inside = False
    x, y = point
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        if side == 0 and min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1):
            return True
        inside ^= (y0 <= y) != (y1 <= y) and (side > 0) == (y1 > y0)
    return inside


@pytest.mark.parametrize("chunk", [1, 7, geometry.CHUNK])
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=9))
def test_contains_is_exact_on_corners_and_edges_however_much_is_compared_at_a_time(chunk, corners):
    ring = np.array(corners, dtype=float)
    points = np.stack(np.meshgrid(np.arange(-0.5, 6, 0.5), np.arange(-0.5, 6, 0.5)), axis=-1).reshape(-1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "CHUNK", chunk)
        assert contains(ring, points).tolist() == [naive_contains(ring, point) for point in points]


def test_thousands_of_corners_are_nested_quickly():
    start = time.process_time()
    assert len(nest([ring_of(60, 300, 300, 1000), *(ring_of(60, 20 * (i % 30), 20 * (i // 30), 8) for i in range(900))])) == 1
    assert len(nest([ring_of(20000, 300, 300, radius) for radius in (1, 2)])) == 1
    assert time.process_time() - start < 4


def ring_of(corners, x, y, radius):
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def test_points_on_a_ring_are_contained():
    assert contains(rectangle((1, 1, 5, 5)), np.array([[1, 1], [5, 5], [3, 1], [1, 4], [5, 2.5]], dtype=float)).all()


@given(RINGS.map(lambda ring: ring * 2 - 12), arrays(np.float64, (9, 2), elements=st.floats(0.1, 19.9)))
def test_a_clipped_part_lies_inside_and_contains_the_same_points(ring, points):
    part = clip(Part(ring), 24, 20)
    if part is not None:
        assert (part.outer >= 0).all() and (part.outer <= [24, 20]).all()
        away = [abs(cv2.pointPolygonTest(ring.astype(np.float32), tuple(point), True)) > 1e-3 for point in points]
        assert np.array_equal(contains(part.outer, points[away]), contains(ring, points[away]))


def test_clipping_gives_the_area_inside():
    part = clip(Part(rectangle((-5, -5, 5, 5)), (rectangle((-2, -2, 2, 2)), rectangle((-4, -4, -3, -3)))), 10, 10)
    assert part is not None
    assert (area(part.outer), [area(hole) for hole in part.holes]) == (25, [4])
    assert clip(Part(rectangle((-5, -5, -1, 5))), 10, 10) is None


def test_parts_inside_are_not_changed():
    part = Part(rectangle((0, 0, 10, 10)))
    assert clip(part, 10, 10) is part


@given(MASKS)
def test_run_lengths_equal_those_of_pycocotools(mask):
    rle = encode_rle(mask)
    expected = pycoco.encode(np.asfortranarray(mask // 255))
    assert rle == expected["counts"].decode()
    assert np.array_equal(decode_rle(rle, *mask.shape), mask)


def test_long_runs_are_read_back():
    mask = np.zeros((3000, 2000), np.uint8)
    mask[:, 700:] = 255
    mask[5, 1999] = 0
    assert np.array_equal(decode_rle(encode_rle(mask), 3000, 2000), mask)


@given(st.text(max_size=30))
def test_text_that_is_not_a_run_length_encoding_is_refused(text):
    try:
        mask = decode_rle(text, 5, 7)
    except ValueError:
        return
    assert mask.shape == (5, 7)


@pytest.mark.parametrize("counts", [[36], [35, 1], [-1, 36], [1.5, 33.5], ["35"], [[35]], [2**70], {"a": 1}, [True] * 35])
def test_run_lengths_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(ValueError):
        decode_counts(counts, 5, 7)


def test_boxes_are_half_open():
    mask = np.zeros((10, 20), np.uint8)
    mask[2:4, 5:9] = 255
    assert mask_box(mask) == (5, 2, 9, 4)
    assert mask_box(mask * 0) == (0, 0, 0, 0)
    assert polygon_box([Part(rectangle((1, 2, 3, 4))), Part(rectangle((0.5, 3, 2, 9)))]) == (0.5, 2, 3, 9)
    assert clip_box((-3, -3, 50, 5), 20, 10) == (0, 0, 20, 5)
    assert clip_box((30, 3, 50, 5), 20, 10) == (20, 3, 20, 5)


@pytest.mark.parametrize("radius", [0.3, 1, 7, 300])
def test_a_polygon_of_a_circle_deviates_by_at_most_an_eighth_of_a_pixel(radius):
    ring = circle((50, 60), (50 + radius, 60))
    middle = (ring + np.roll(ring, 1, axis=0)) / 2 - [50, 60]
    assert np.allclose(np.hypot(*(ring - [50, 60]).T), radius)
    assert (radius - np.hypot(*middle.T)).max() <= 0.126


@given(MASKS)
def test_a_patch_of_a_mask_is_read_and_written_like_the_whole_mask(mask: np.ndarray) -> None:
    height, width = mask.shape
    part = decode_patch(encode_rle(mask), height, width)
    expected = trim(Patch(mask, 0, 0))
    np.testing.assert_array_equal(part.mask, expected.mask)
    assert not mask.any() or part.box == expected.box
    # Unset pixels in the box do not matter.
    for patch in (part, Patch(mask, 0, 0)):
        assert encode_patch(patch, height, width) == encode_rle(mask)


@given(MASKS, st.data())
def test_a_patch_gives_the_same_pixels_in_any_box_as_the_whole_mask(mask: np.ndarray, data: st.DataObject) -> None:
    (y0, y1), (x0, x1) = (
        sorted(data.draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True))) for side in mask.shape
    )
    part = decode_patch(encode_rle(mask), *mask.shape)
    np.testing.assert_array_equal(part.inside((x0, y0, x1, y1)), mask[y0:y1, x0:x1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 6)])
def test_a_patch_may_be_the_whole_mask(shape: tuple[int, int]) -> None:
    mask = np.full(shape, 255, np.uint8)
    part = decode_patch(encode_rle(mask), *shape)
    np.testing.assert_array_equal(part.mask, mask)
    assert part.box == (0, 0, shape[1], shape[0])
    assert encode_patch(part, *shape) == encode_rle(mask)


def test_a_patch_is_read_much_faster_than_the_whole_mask() -> None:
    mask = np.zeros((2160, 3840), np.uint8)
    cv2.circle(mask, (3000, 1000), 150, 255, -1)
    rle = encode_rle(mask)

    def seconds(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        for _ in range(5):
            work()
        return time.perf_counter() - start

    part = decode_patch(rle, 2160, 3840)
    assert (
        min(seconds(lambda: decode_patch(rle, 2160, 3840)) for _ in range(3)) < seconds(lambda: decode_rle(rle, 2160, 3840)) / 3
    )
    assert min(seconds(lambda: encode_patch(part, 2160, 3840)) for _ in range(3)) < seconds(lambda: encode_rle(mask)) / 3


@pytest.mark.parametrize("rle", ["", "0", "5", "x", "é", "03", "1" * 4000])
def test_a_patch_of_an_invalid_mask_is_refused(rle: str) -> None:
    with pytest.raises(ValueError):
        decode_patch(rle, 6, 4)


@given(MASKS, st.sampled_from([0, 0.5, 1, 1.5, 3, 40]))
def test_a_mask_grows_by_all_pixels_within_the_radius(mask: np.ndarray, radius: float) -> None:
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    expected = np.zeros(mask.shape, bool)
    for y, x in np.argwhere(mask):
        expected |= np.hypot(rows - y, columns - x) <= radius
    np.testing.assert_array_equal(grow(mask, radius), expected * np.uint8(255))


def test_small_regions_grow_in_small_steps() -> None:
    assert growth_step(99, 50, 200) == 200 / 128
    assert growth_step(100, 50, 200) == growth_step(10_000, 200, 50) == 200 * 7 / 256
