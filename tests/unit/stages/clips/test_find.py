"""Which parts of tracks become scenes, and their masks and boxes."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger, summarise
from tessera.core.settings import load
from tessera.imaging.boxes import Box, mask_box
from tessera.imaging.masks import Patch, decode_rle, encode_patch, encode_rle, trim
from tessera.records.tables.scenes import SceneFrames, Scenes, VideoDetections, VideoFrames
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.clips.find import find_scenes
from tessera.stages.clips.masks import (
    FRINGE,
    core,
    enlarge_patch,
    interpolate,
    scale_of,
    shrink_patch,
    smooth,
    smooth_boxes,
    unite,
)
from tessera.stages.clips.tracks import Piece, SceneSettings, divide, merge, split

HEIGHT, WIDTH, RATE = 120, 160, 25
PLAIN = SceneSettings(smooth_masks_seconds=0, smooth_boxes_seconds=0, extension=(0,), confidence=0)
Follow = Callable[[pl.DataFrame, pl.DataFrame], np.ndarray]


# Footage: tables of videos, and detections in them


def footage(count: int, source: str = "video", *, stride: int = 1, rate: float = RATE, **columns: Any) -> pl.DataFrame:
    """Return the table of a video of `count` frames; `columns` replace its defaults."""
    given = {
        "source": [source] * count,
        "index": range(count),
        "pts": range(0, 512 * count, 512),
        "time": np.arange(count) / rate,
        "width": [WIDTH] * count,
        "height": [HEIGHT] * count,
        "change": [0.0] * count,
        "looked": [index % stride == 0 for index in range(count)],
    }
    return pl.DataFrame([pl.Series(name, values, strict=False) for name, values in (given | columns).items()]).cast(
        types(VideoFrames)  # type: ignore[arg-type]
    )


def row(source: str, index: int, number: int, shape: np.ndarray | Box | tuple[Box, str], score: float = 0.9) -> dict[str, Any]:
    """Return a detection: of a mask, of a box, or of a box with these run lengths."""
    rle = None
    if isinstance(shape, np.ndarray):
        rle, box = encode_rle(shape), mask_box(shape)
    elif len(shape) == 2:
        box, rle = shape
    else:
        box = shape
    edges = dict(zip(("x0", "y0", "x1", "y1"), map(float, box), strict=True))
    return {"source": source, "index": index, "number": number, "label": "nsfw", "score": score, "rle": rle, **edges}


def detections(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=types(VideoDetections))


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (np.hypot(columns - x, rows - y) <= radius) * np.uint8(255)


def by_number(frames: pl.DataFrame, detected: pl.DataFrame) -> np.ndarray:
    """Track without a tracker: the number of a detection in its frame is its track."""
    return detected["number"].to_numpy()


class SceneResults:
    """The results of `find_scenes` for some footage."""

    def __init__(
        self,
        folder: Path,
        frames: pl.DataFrame,
        detected: pl.DataFrame,
        asked: SceneSettings,
        follow: Follow = by_number,
        **more: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        write_table(frames, VideoFrames, folder / "in.parquet")
        write_table(detected, VideoDetections, folder / "seen.parquet")
        self.files = [folder / name for name in ("scenes.parquet", "scene_frames.parquet", "ledger.jsonl")]
        find_scenes(folder / "in.parquet", folder / "seen.parquet", follow, asked, more.pop("seed", 0), *self.files, **more)
        self.scenes = read_table(self.files[0], Scenes)
        self.frames = read_table(self.files[1], SceneFrames)
        self.ledger = read_ledger(self.files[2])
        self.rows = {each["key"]: (each["status"], each["reason"]) for each in self.ledger}

    def masks(self, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
        return [decode_rle(rle, height, width) for rle in self.frames["rle"]]


# Shapes

SIZES = st.tuples(st.integers(1, 20), st.integers(1, 20))
MASKS = arrays(np.uint8, SIZES, elements=st.sampled_from([0, 255]), fill=st.sampled_from([0, 255])).filter(np.any)
PATCHES = st.builds(lambda mask, x, y: trim(Patch(mask, x, y)), MASKS, st.integers(0, 60), st.integers(0, 60))
WEIGHTS = st.lists(st.floats(0, 1), min_size=1, max_size=5)


def between(first: Patch, second: Patch, weights: Sequence[float], bend: Sequence[float] = (0, 0, 0, 0)) -> list[Patch]:
    return list(interpolate(first, second, np.array(weights, float), np.tile(bend, (len(weights), 1)), HEIGHT, WIDTH))


def same(first: Patch, second: Patch) -> bool:
    return first.box == second.box and np.array_equal(first.mask, second.mask)


@given(PATCHES, WEIGHTS)
def test_equal_masks_are_interpolated_by_the_same_mask(patch: Patch, weights: list[float]) -> None:
    assert all(same(interpolated, patch) for interpolated in between(patch, patch, weights))


@given(PATCHES, st.integers(0, 60), st.integers(0, 30), WEIGHTS)
@example(Patch(np.full((1, 1), 255, np.uint8), 0, 3), 0, 10, [0.05])  # half a pixel, less a rounding
def test_an_interpolated_mask_keeps_its_shape_and_moves_evenly(patch: Patch, dx: int, dy: int, weights: list[float]) -> None:
    moved = Patch(patch.mask, patch.x + dx, patch.y + dy)
    for weight, interpolated in zip(weights, between(patch, moved, weights), strict=True):
        np.testing.assert_array_equal(interpolated.mask, patch.mask)
        assert abs(interpolated.x - (patch.x + weight * dx)) <= 0.5 + 1e-9
        assert abs(interpolated.y - (patch.y + weight * dy)) <= 0.5 + 1e-9


@given(PATCHES, PATCHES, WEIGHTS)
def test_interpolation_goes_from_one_mask_to_the_other(first: Patch, second: Patch, weights: list[float]) -> None:
    assert same(between(first, second, [0])[0], first)
    assert same(between(first, second, [1])[0], second)
    for interpolated in between(first, second, weights):
        x0, y0, x1, y1 = interpolated.box
        assert same(interpolated, trim(interpolated)) and interpolated.mask.any()
        assert 0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT


@given(PATCHES)
def test_a_core_is_the_smallest_box_with_little_of_the_mask_beyond_each_edge(patch: Patch) -> None:
    x0, y0, x1, y1 = core(patch)
    ys, xs = np.nonzero(patch.mask)
    xs, ys, most = xs + patch.x, ys + patch.y, FRINGE * np.count_nonzero(patch.mask) + 1e-9
    for positions, first, last in ((xs, x0, x1 - 1), (ys, y0, y1 - 1)):
        assert (positions < first).sum() <= most < (positions <= first).sum()
        assert (positions > last).sum() <= most < (positions >= last).sum() + 2e-9


def test_a_speck_hardly_changes_a_core() -> None:
    body, speck = disc(60, 60, 25), disc(140, 20, 4)
    assert np.abs(np.subtract(core(Patch(body, 0, 0)), core(Patch(body | speck, 0, 0)))).max() <= 2


@given(PATCHES, PATCHES, WEIGHTS, st.tuples(*[st.floats(-300, 300)] * 4))
def test_an_interpolated_mask_stays_in_the_frame(first: Patch, second: Patch, weights: list[float], bend: Any) -> None:
    for interpolated in between(first, second, weights, bend):
        x0, y0, x1, y1 = interpolated.box
        assert interpolated.mask.any()
        assert 0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT


def test_discs_are_interpolated_by_discs() -> None:
    first, second = (trim(Patch(disc(x, 60, radius), 0, 0)) for x, radius in ((40, 12), (100, 36)))
    (interpolated,) = between(first, second, [0.5])
    mask = decode_rle(encode_patch(interpolated, HEIGHT, WIDTH), HEIGHT, WIDTH)
    expected = disc(70, 60, 24)
    assert np.count_nonzero(mask & expected) / np.count_nonzero(mask | expected) > 0.94
    (bent,) = between(first, second, [0.5], (5, -3, 5, -3))
    assert same(bent, Patch(interpolated.mask, interpolated.x + 5, interpolated.y - 3))


@given(st.lists(PATCHES, min_size=1, max_size=4))
def test_a_union_is_set_where_any_of_its_masks_is(patches: list[Patch]) -> None:
    expected = np.zeros((80, 80), np.uint8)
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        expected[y0:y1, x0:x1] |= patch.mask
    assert encode_patch(unite(patches), 80, 80) == encode_rle(expected)


@given(PATCHES, st.integers(1, 12), st.integers(0, 9), st.integers(-3, 3), st.integers(-3, 3))
def test_smoothing_does_not_change_steady_motion(patch: Patch, count: int, half: int, dx: int, dy: int) -> None:
    # Away from the border of the frame.
    patches = [Patch(patch.mask, 40 + index * dx, 40 + index * dy) for index in range(count)]
    patch = patches[0]
    smoothed = list(smooth(patches, half, HEIGHT, WIDTH))
    assert len(smoothed) == count
    # At the ends, where the window has more of one side, the mask may lag.
    for index in range(half, count - half):
        assert same(smoothed[index], patches[index])
    if dx == dy == 0:
        assert all(same(result, patch) for result in smoothed)


@given(st.lists(PATCHES, min_size=1, max_size=8), st.integers(0, 5))
def test_smoothed_masks_are_trimmed_and_never_empty(patches: list[Patch], half: int) -> None:
    smoothed = list(smooth(patches, half, HEIGHT, WIDTH))
    assert len(smoothed) == len(patches)
    assert all(patch.mask.any() and same(patch, trim(patch)) for patch in smoothed)
    if half == 0:
        assert all(map(same, smoothed, patches))


@given(PATCHES, st.integers(1, 9))
def test_a_patch_at_a_scale_lies_where_it_was_and_is_never_empty(patch: Patch, scale: int) -> None:
    restored = enlarge_patch(shrink_patch(patch, scale), scale, HEIGHT, WIDTH)
    assert restored.mask.any()
    assert same(restored, trim(restored))
    x0, y0, x1, y1 = restored.box
    assert 0 <= x0 < x1 <= WIDTH
    assert 0 <= y0 < y1 <= HEIGHT
    assert all(abs(edge - original) < 20 + scale for edge, original in zip(restored.box, patch.box, strict=True))
    if scale == 1:
        assert same(restored, patch)


@given(st.integers(400, 1900), st.floats(0, 1), st.floats(0, 1))
def test_a_large_region_changes_at_its_edges_alone(side: int, x: float, y: float) -> None:
    left, top = int(x * (1920 - side)), int(y * (1080 - side // 2))
    mask = np.zeros((side // 2, side), np.uint8)
    cv2.ellipse(mask, (side // 2, side // 4), (side // 2, side // 4), 0, 0, 360, 255, -1)
    patch = trim(Patch(mask, left, top))
    scale = scale_of(np.array([patch.box], float))
    assert 200 < side / scale < 600
    restored = enlarge_patch(shrink_patch(patch, scale), scale, 1080, 1920)
    assert max(abs(edge - original) for edge, original in zip(restored.box, patch.box, strict=True)) <= scale
    actual, expected = (each.inside((0, 0, 1920, 1080)) > 0 for each in (restored, patch))
    assert (actual & expected).sum() > 0.99 * (actual | expected).sum()


def test_smoothing_removes_changes_of_a_single_frame() -> None:
    full = disc(60, 60, 30)
    half, speck = full.copy(), full | disc(120, 30, 4)
    half[:60] = 0
    masks = [full] * 9
    masks[3], masks[6] = half, speck
    patches = [trim(Patch(mask, 0, 0)) for mask in masks]
    assert all(same(smoothed, patches[0]) for smoothed in smooth(patches, 1, HEIGHT, WIDTH))


@given(arrays(np.int64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(0, 90)), st.integers(0, 12))
def test_smoothed_boxes_are_medians_that_contain_the_original_boxes(corners: np.ndarray, half: int) -> None:
    boxes = np.hstack([corners, corners + 7])
    smoothed = smooth_boxes(boxes, half)
    for index in range(len(boxes)):
        around = [min(max(other, 0), len(boxes) - 1) for other in range(index - half, index + half + 1)]
        for edge, hold in enumerate((min, min, max, max)):
            middle = sorted(int(boxes[other, edge]) for other in around)[half]
            assert smoothed[index, edge] == hold(middle, boxes[index, edge])


# Stretches


@given(
    st.lists(st.floats(0.001, 3), min_size=1, max_size=60),
    st.floats(0.01, 5),
    st.floats(0.01, 5),
    st.sampled_from([0.0, 0.0, 0.5, 4.0]),
)
def test_stretches_cover_all_frames_and_have_allowed_lengths(
    gaps: list[float], length: float, other_length: float, stride: float
) -> None:
    asked = PLAIN.model_copy(
        update={"min_seconds": min(length, other_length), "max_seconds": max(length, other_length), "gap_seconds": stride}
    )
    ends = np.cumsum(gaps)
    starts = ends - gaps
    stretches = list(divide(starts, ends, asked))
    assert [first for first, _, _ in stretches] == [0, *(stop for _, stop, _ in stretches[:-1])]
    assert stretches[-1][1] == len(gaps)
    scenes = [(first, stop) for first, stop, reason in stretches if not reason]
    for first, stop in scenes:
        assert ends[stop - 1] - starts[first] >= asked.min_seconds - 1e-5
        assert starts[stop - 1] - starts[first] < asked.max_seconds
    for (_, stop), (first, _) in itertools.pairwise(scenes):
        assert starts[first] - ends[stop - 1] >= stride - 1e-5
    for first, stop, reason in stretches:
        if reason == "shorter than the minimum":
            assert ends[stop - 1] - starts[first] < asked.min_seconds


@pytest.mark.parametrize("rate", [10, 23.976, 24, 25, 29.97, 30, 50, 59.94, 1000])
def test_at_a_constant_rate_lengths_are_rounded_up_to_frames(rate: float) -> None:
    def frames(count: int, **asked: float) -> list[int]:
        starts = np.arange(count) / rate
        stretches = divide(starts, np.arange(1, count + 1) / rate, SceneSettings(**asked))
        return [stop - first for first, stop, reason in stretches if not reason]

    longest, shortest = (int(np.ceil(np.float32(seconds * rate))) for seconds in (8, 2))
    assert frames(2 * longest + shortest) == [longest, longest, shortest]
    assert frames(2 * longest + shortest - 1) == [longest, longest]
    assert frames(shortest) == [shortest]
    assert frames(shortest - 1) == []


def test_huge_times_that_swallow_seconds_do_not_loop_forever() -> None:
    starts = 1e18 + np.zeros(5)
    assert [stop - first for first, stop, _ in islice(divide(starts, starts, PLAIN), 6)] == [1] * 5


def pieces_of(*tracks: dict[int, Box], count: int = 100, stride: int = 1, bridge: float = 0.5) -> list[Piece]:
    frames = footage(count, stride=stride)
    detected = detections(row("video", i, n, box) for n, boxes in enumerate(tracks) for i, box in boxes.items()).sort(
        "index", "number"
    )
    return split(frames, detected, by_number(frames, detected), bridge)


def still(first: int, stop: int, box: Box, stride: int = 1) -> dict[int, Box]:
    return dict.fromkeys(range(first, stop, stride), box)


def spans(pieces: Iterable[Piece]) -> list[tuple[int, int, int]]:
    return [(piece.number, piece.first, piece.stop) for piece in pieces]


LEFT, RIGHT, TOP = (10.0, 10.0, 50.0, 50.0), (90.0, 10.0, 130.0, 50.0), (20.0, 10.0, 60.0, 50.0)


def test_short_gaps_are_bridged_and_long_ones_are_not() -> None:
    # Missed from frame 20 on, and found again 0.48 or 0.52 s later.
    assert spans(pieces_of(still(0, 20, LEFT) | still(32, 50, LEFT))) == [(0, 0, 50)]
    assert spans(pieces_of(still(0, 20, LEFT) | still(33, 50, LEFT))) == [(0, 0, 20), (1, 33, 50)]
    assert spans(pieces_of(still(0, 20, LEFT) | still(21, 50, LEFT), bridge=0)) == [(0, 0, 20), (1, 21, 50)]


def test_frames_that_the_detector_skipped_are_not_a_gap() -> None:
    assert spans(pieces_of(still(0, 100, LEFT, 20), stride=20, bridge=0)) == [(0, 0, 81)]
    assert spans(pieces_of(still(0, 40, LEFT, 10) | still(50, 100, LEFT, 10), stride=10, bridge=0)) == [(0, 0, 31), (1, 50, 91)]
    assert spans(pieces_of(still(0, 40, LEFT, 10) | still(50, 100, LEFT, 10), stride=10, bridge=0.4)) == [(0, 0, 91)]


def moved(way: Callable[[np.ndarray], np.ndarray], indices: Sequence[int], time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the interpolated boxes of a box that moves along `way` and is detected in a few frames, and the true boxes."""
    frames = footage(len(time), time=time, looked=[i in indices for i in range(len(time))])
    way_x = way(time)
    detected = detections(row("video", i, 0, (way_x[i], 5, way_x[i] + 30, 45)) for i in indices)
    (piece,) = split(frames, detected, np.zeros(len(indices), int), 0.5)
    assert (piece.boxes[:, [1, 3]] == [5, 45]).all()
    assert piece.boxes[:, 2] == pytest.approx(piece.boxes[:, 0] + 30)
    return piece.boxes[:, 0], way_x[indices[0] : indices[-1] + 1]


def test_boxes_are_interpolated_smoothly_in_time() -> None:
    even = np.arange(31) / RATE
    uneven = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.1, 31))
    for time, indices in itertools.product((even, uneven), ([0, 30], [2, 29, 30], [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30])):
        interpolated, expected = moved(lambda time: 7 + 40 * time, indices, time)
        assert interpolated == pytest.approx(expected)
    # A thrown and a swinging object.
    interpolated, expected = moved(lambda time: 40 * time - 60 * time**2, [0, 10, 20, 30], even)
    assert interpolated == pytest.approx(expected)
    every_third = range(0, 31, 3)
    interpolated, expected = moved(lambda time: 50 * np.sin(8 * time), every_third, even)
    straight = np.interp(even, even[::3], expected[::3])
    assert abs(interpolated - expected).max() < 0.5 * abs(straight - expected).max()
    assert interpolated[::3] == pytest.approx(expected[::3])


def test_boxes_are_interpolated_linearly_in_gaps() -> None:
    boxes = {i: (10.0 + 2 * i**2, 0.0, 60.0 + 2 * i**2, 50.0) for i in (0, 1, 2, 6, 7)}
    (piece,) = pieces_of(boxes)
    assert piece.boxes[2:7, 0] == pytest.approx([18, 34, 50, 66, 82])


def test_equal_times_are_allowed() -> None:
    frames = footage(20, time=np.repeat(np.arange(5) / RATE, 4), stride=3)
    detected = detections(row("video", i, 0, (10 + i, 10, 40 + i, 50)) for i in range(0, 20, 3))
    (piece,) = split(frames, detected, np.zeros(detected.height, int), 0.5)
    assert (piece.boxes[:, 0] >= 9).all() and (piece.boxes[:, 0] <= 30).all()


def test_boxes_that_overlap_most_of_the_time_are_one_region() -> None:
    def regions(*tracks: dict[int, Box], share: float = 0.5) -> list[list[int]]:
        return [[piece.number for piece in region] for region in merge(pieces_of(*tracks), share)]

    assert regions(still(0, 50, LEFT), still(0, 50, TOP)) == [[0, 1]]  # three quarters
    assert regions(still(0, 50, LEFT), still(0, 50, TOP), share=0.75) == [[0], [1]]
    assert regions(still(0, 50, LEFT), still(0, 50, RIGHT)) == [[0], [1]]
    # Only the frames that both have count.
    assert regions(still(0, 50, LEFT), still(40, 90, TOP)) == [[0, 1]]
    assert regions(still(0, 50, LEFT), still(50, 90, TOP)) == [[0], [1]]
    assert regions(still(0, 50, LEFT), still(0, 25, TOP) | still(25, 50, RIGHT)) == [[0], [1]]
    assert regions(still(0, 50, LEFT), still(0, 26, TOP) | still(26, 50, RIGHT)) == [[0, 1]]
    # The relation is transitive.
    assert regions(still(0, 50, LEFT), still(20, 50, (80, 10, 120, 50)), still(30, 90, (20, 10, 110, 50))) == [[0, 1, 2]]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40), st.integers(0, 90), st.integers(5, 60)), max_size=6),
    st.randoms(),
)
def test_regions_do_not_depend_on_the_order_of_tracks(drawn: list[tuple[int, int, int, int]], random: Any) -> None:
    tracks = [still(first, first + count, (x, 0.0, x + side, 50.0)) for first, count, x, side in drawn]

    def regions(order: Sequence[dict[int, Box]]) -> set[frozenset[tuple[int, int, float]]]:
        merged = merge(pieces_of(*order), 0.5)
        return {frozenset((piece.first, piece.stop, float(piece.boxes[0, 0])) for piece in region) for region in merged}

    shuffled = random.sample(tracks, len(tracks))
    assert regions(tracks) == regions(shuffled)


# Whole scenes


def test_the_row_of_a_scene_describes_it(tmp_path: Path) -> None:
    masks = [disc(40 + i, 60, 20) for i in range(60)]
    detected = detections(row("a video", i, 0, mask, 0.6 + 0.005 * i) for i, mask in enumerate(masks))
    results = SceneResults(tmp_path, footage(80, "a video"), detected, PLAIN)
    (scene,) = results.scenes.iter_rows(named=True)
    assert scene == {
        "key": "a%20video-0000000-000",
        "source": "a video",
        "track": 0,
        "label": "nsfw",
        "first": 0,
        "frames": 60,
        "width": WIDTH,
        "height": HEIGHT,
        "score": pytest.approx(0.7475),
        "detected": 60,
        "extension": 0,
    }
    assert results.frames["index"].to_list() == list(range(60))
    assert results.frames["pts"].to_list() == list(range(0, 60 * 512, 512))
    assert results.frames["time"].to_list() == [i / RATE for i in range(60)]
    assert results.frames.select("x0", "y0", "x1", "y1").rows() == [mask_box(mask) for mask in masks]
    np.testing.assert_array_equal(results.masks(), masks)
    assert results.rows == {"a%20video-0000000-000": ("ok", "")}


def test_every_stretch_that_is_not_a_scene_has_a_row(tmp_path: Path) -> None:
    frames = pl.concat([footage(700, "long"), footage(60, "empty"), footage(100, "short"), footage(60, "unsure")])
    rows = [
        *(row("long", i, n, box) for i in range(700) for n, box in enumerate([LEFT, RIGHT])),
        *(row("long", i, 2, TOP) for i in range(50, 60)),
        *(row("short", i, i // 30, LEFT) for i in range(0, 90) if i not in (30, 31)),
        *(row("unsure", i, 0, LEFT, 0.4) for i in range(60)),
    ]
    detected = detections(sorted(rows, key=lambda each: (each["source"], each["index"], each["number"])))
    asked = PLAIN.model_copy(update={"confidence": 0.5, "gap_seconds": 3.0})
    results = SceneResults(
        tmp_path,
        frames,
        detected,
        asked,
        lambda frames, detected: np.where(detected["index"] == 89, -1, detected["number"].to_numpy()),
    )
    assert results.rows == {
        "long-0000000-000": ("ok", ""),
        "long-0000000-001": ("ok", ""),
        "long-0000050-002": ("dropped", "merged into another"),
        "long-0000200-000": ("dropped", "in the gap between scenes"),
        "long-0000200-001": ("dropped", "in the gap between scenes"),
        "long-0000275-000": ("ok", ""),
        "long-0000275-001": ("ok", ""),
        "long-0000475-000": ("dropped", "in the gap between scenes"),
        "long-0000475-001": ("dropped", "in the gap between scenes"),
        "long-0000550-000": ("ok", ""),
        "long-0000550-001": ("ok", ""),
        "empty": ("dropped", "no region"),
        "short-0000000-000": ("dropped", "shorter than the minimum"),
        "short-0000032-001": ("dropped", "shorter than the minimum"),
        "short-0000060-002": ("dropped", "shorter than the minimum"),
        "unsure-0000000-000": ("dropped", "below the confidence"),
    }
    assert len(results.ledger) == len(results.rows)
    assert summarise(results.ledger)["ok"] == results.scenes.height
    assert {each["detail"] for each in results.ledger if each["reason"] == "merged into another"} == {"long-0000000-000"}
    assert results.frames["key"].unique(maintain_order=True).to_list() == results.scenes["key"].to_list()


def test_no_videos_give_empty_tables(tmp_path: Path) -> None:
    results = SceneResults(tmp_path, footage(0), detections([]), PLAIN)
    assert results.scenes.is_empty() and results.frames.is_empty() and not results.ledger


def test_a_track_of_one_frame_can_be_a_scene(tmp_path: Path) -> None:
    asked = SceneSettings(min_seconds=0.01)
    for frames in (footage(1), footage(9)):
        results = SceneResults(tmp_path, frames, detections([row("video", 0, 0, LEFT)]), asked)
        assert results.scenes["frames"].to_list() == [1]


def test_a_region_that_fills_the_frame_stays_within_it(tmp_path: Path) -> None:
    full = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for shape in (full, (-3.5, -2.0, WIDTH + 9.0, HEIGHT + 1.5)):
        results = SceneResults(
            tmp_path, footage(60), detections(row("video", i, 0, shape) for i in range(60)), SceneSettings(extension=(2,))
        )
        assert set(results.frames.select("x0", "y0", "x1", "y1").rows()) == {(0, 0, WIDTH, HEIGHT)}
        assert set(results.frames["rle"]) == {encode_rle(full)}


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10.2, 20.0, 30.0, 40.7), (10, 20, 30, 41)),
        ((-9.0, -9.0, -5.0, -5.0), (0, 0, 1, 1)),
        ((WIDTH + 5.0, 3.0, WIDTH + 9.0, 8.0), (WIDTH - 1, 3, WIDTH, 8)),
    ],
)
def test_without_a_mask_the_box_is_used(tmp_path: Path, box: Box, expected: Box) -> None:
    empty = encode_rle(np.zeros((HEIGHT, WIDTH), np.uint8))
    for shape in (box, (box, empty)):
        results = SceneResults(tmp_path, footage(60), detections(row("video", i, 0, shape) for i in range(60)), PLAIN)
        assert set(results.frames.select("x0", "y0", "x1", "y1").rows()) == {expected}
        assert all(mask_box(mask) == expected and np.count_nonzero(mask) == (mask > 0).sum() for mask in results.masks())


@pytest.mark.parametrize("broken", ["5", "", "no run lengths", encode_rle(np.zeros((HEIGHT + 1, WIDTH), np.uint8))])
def test_a_broken_mask_fails_only_its_scene(tmp_path: Path, broken: str) -> None:
    detected = detections(
        row("video", i, n, (box, broken if (i, n) == (30, 1) else encode_rle(disc(30, 30, 9))))
        for i in range(60)
        for n, box in enumerate([LEFT, RIGHT])
    )
    results = SceneResults(tmp_path, footage(60), detected, PLAIN)
    fault = "failed", "region does not match its frame"
    assert results.rows == {"video-0000000-000": ("ok", ""), "video-0000000-001": fault}


def test_between_detections_masks_are_interpolated_by_time(tmp_path: Path) -> None:
    detected = detections(row("video", i, 0, disc(30 + i, 60, 20)) for i in range(0, 99, 3))
    results = SceneResults(tmp_path, footage(100, stride=3), detected, PLAIN)
    assert results.scenes["detected"].to_list() == [33]
    np.testing.assert_array_equal(results.masks(), [disc(30 + i, 60, 20) for i in range(97)])
    # Two frames right after the last but one detection, and a long wait for the last.
    time = [*np.arange(99) / RATE, 98 / RATE + 0.36]
    detected = detections(row("video", i, 0, disc(30 + 40 * (i == 99), 60, 20)) for i in (*range(97), 99))
    results = SceneResults(tmp_path, footage(100, time=time), detected, PLAIN)
    moved = [round(40 * passed / 0.44) for passed in (0, 0.04, 0.08, 0.44)]
    np.testing.assert_array_equal(results.masks()[96:], [disc(30 + dx, 60, 20) for dx in moved])


def test_shapes_are_interpolated_by_time(tmp_path: Path) -> None:
    square, round_ = np.zeros((HEIGHT, WIDTH), np.uint8), disc(60, 60, 30)
    square[30:91, 30:91] = 255
    time = [*np.arange(59) / RATE, 2.6, 2.61, 2.62]
    detected = detections(row("video", i, 0, round_ if i == 61 else square) for i in (*range(59), 61))
    sizes = [np.count_nonzero(mask) for mask in SceneResults(tmp_path, footage(62, time=time), detected, PLAIN).masks()]
    assert sizes[58] == 61**2 and sizes[61] == np.count_nonzero(round_)
    # Nine tenths of the time pass before the first frame between them.
    assert all(size - sizes[61] < 0.15 * (sizes[58] - sizes[61]) for size in sizes[59:61])


def test_a_scene_counts_only_its_own_detections(tmp_path: Path) -> None:
    detected = detections(row("video", i, 0, LEFT) for i in range(0, 300, 3))
    results = SceneResults(tmp_path, footage(300, stride=3), detected, PLAIN)
    assert results.scenes.select("first", "frames", "detected").rows() == [(0, 200, 67), (200, 98, 33)]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [25, 50])
def test_smoothing_windows_have_the_same_seconds_at_any_rate(tmp_path: Path, rate: int) -> None:
    # For some frames, half of the region is missed.
    def find(missed: int, **asked: float) -> SceneResults:
        half = disc(60, 60, 30)
        half[:60] = 0
        masks = [half if 60 <= i < 60 + missed else disc(60, 60, 30) for i in range(4 * rate)]
        detected = detections(row("video", i, 0, mask) for i, mask in enumerate(masks))
        return SceneResults(tmp_path, footage(4 * rate, rate=rate), detected, PLAIN.model_copy(update=asked))

    def tops(missed: int, **asked: float) -> set[int]:
        return set(find(missed, **asked).frames["y0"])

    assert tops(1) == {30, 60}
    assert tops(round(0.4 * rate), smooth_boxes_seconds=1.0) == {30}
    assert tops(round(0.6 * rate), smooth_boxes_seconds=1.0) == {30, 60}
    assert tops(round(0.04 * rate), smooth_masks_seconds=0.13) == {30}
    assert tops(round(0.12 * rate), smooth_masks_seconds=0.13) == {30, 60}


def test_merged_masks_are_united_while_both_are_there(tmp_path: Path) -> None:
    first, second = disc(50, 60, 25), disc(70, 60, 25)
    detected = detections(
        row("video", i, n, mask) for i in range(80) for n, mask in enumerate([first, second]) if n == 0 or 20 <= i < 60
    )
    results = SceneResults(tmp_path, footage(80), detected, PLAIN)
    assert results.scenes["detected"].to_list() == [80]
    for i, mask in enumerate(results.masks()):
        np.testing.assert_array_equal(mask, first | second if 20 <= i < 60 else first)


@pytest.mark.slow
def test_a_scene_grows_by_the_steps_drawn_for_it(tmp_path: Path) -> None:
    frames = pl.concat([footage(6, f"video {n:02}") for n in range(30)])
    detected = detections(row(f"video {n:02}", i, 0, disc(80, 60, 20)) for n in range(30) for i in range(6))
    asked = PLAIN.model_copy(update={"extension": (0, 0, 1, 1, 2), "min_seconds": 0.2})
    results = SceneResults(tmp_path / "0", frames, detected, asked)
    steps = results.scenes["extension"].to_list()
    assert all(steps.count(step) > 2 for step in (0, 1, 2))
    # By 7/256 of the longer side: 4.4 pixels.
    left = dict(results.frames.select("key", "x0").rows())
    assert [left[key] for key in results.scenes["key"]] == [60 - (0, 4, 8)[step] for step in steps]
    assert SceneResults(tmp_path / "1", frames, detected, asked, seed=1).scenes["extension"].to_list() != steps


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_scenes_keep_the_promises_of_their_tables(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    count, stride = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 4))
    cuts = sorted(data.draw(st.sets(st.integers(0, count), max_size=2)))
    frames = footage(count, stride=stride)
    tracks, rows = {}, []
    for number in range(data.draw(st.integers(0, 3))):
        x, y, radius, speed = (data.draw(st.integers(*limits)) for limits in ((0, 150), (0, 110), (1, 40), (-2, 2)))
        for i in range(0, count, stride):
            if data.draw(st.integers(0, 9)) and (mask := disc(x + speed * i, y, radius)).any():
                rows.append(row("video", i, number, mask if number else mask_box(mask)))
                tracks[i, number] = number + 10 * sum(cut <= i for cut in cuts)
    detected = detections(sorted(rows, key=lambda each: (each["index"], each["number"])))
    asked = SceneSettings(
        min_seconds=0.3, max_seconds=1.2, gap_seconds=data.draw(st.sampled_from([0.0, 0.2])), bridge_seconds=0.2, confidence=0
    )
    numbers = np.array([tracks[pair] for pair in detected.select("index", "number").rows()], int)
    results = SceneResults(tmp_path_factory.mktemp("scenes"), frames, detected, asked, lambda frames, detected: numbers)
    assert summarise(results.ledger)["ok"] == results.scenes.height
    assert summarise(results.ledger)["failed"] == {}
    assert len(results.ledger) == len(results.rows)
    for scene in results.scenes.iter_rows(named=True):
        scene_frames = results.frames.filter(key=scene["key"])
        first, last = scene["first"], scene["first"] + scene["frames"] - 1
        assert scene_frames["index"].to_list() == list(range(first, last + 1))
        assert 8 <= scene["frames"] <= 30
        assert not any(first < cut <= last for cut in cuts)
        assert 1 <= scene["detected"] <= scene["frames"] or stride > 1
        for rle, *box in scene_frames.select("rle", "x0", "y0", "x1", "y1").rows():
            x0, y0, x1, y1 = mask_box(decode_rle(rle, HEIGHT, WIDTH))
            assert 0 <= box[0] <= x0 < x1 <= box[2] <= WIDTH
            assert 0 <= box[1] <= y0 < y1 <= box[3] <= HEIGHT


@pytest.mark.slow
def test_the_same_bytes_in_any_shard_on_any_number_of_cores(tmp_path: Path) -> None:
    def made(name: str, sources: Sequence[str], threads: int) -> SceneResults:
        frames = pl.concat([footage(90, source) for source in sources])
        detected = detections(
            row(source, i, n, disc(30 + 60 * n + (i * (1 + len(source))) % 9, 60, 15 + i % 3), 0.5 + i / 200)
            for source in sources
            for i in range(0, 90, 2)
            for n in (0, 1)
        )
        return SceneResults(tmp_path / name, frames, detected, SceneSettings(max_seconds=2.5), threads=threads)

    both, again = made("both", ["a", "bb"], 1), made("again", ["a", "bb"], 4)
    for file, again_file in zip(both.files[:2], again.files[:2], strict=True):
        assert file.read_bytes() == again_file.read_bytes()
    assert both.rows == again.rows
    other_way = made("other way", ["bb", "a"], 2)
    alone = [made(source, [source], 2) for source in ("a", "bb")]
    for index in (0, 1):
        table = read_table(both.files[index], (Scenes, SceneFrames)[index])
        parts = [read_table(results.files[index], (Scenes, SceneFrames)[index]) for results in alone]
        assert table.equals(pl.concat(parts))
        assert table.sort("key", maintain_order=True).equals(
            read_table(other_way.files[index], (Scenes, SceneFrames)[index]).sort("key", maintain_order=True)
        )


def test_a_missing_column_is_reported(tmp_path: Path) -> None:
    write_table(footage(3), VideoFrames, tmp_path / "frames.parquet")
    footage(3).write_parquet(tmp_path / "seen.parquet")
    with pytest.raises(TesseraError, match=r"seen\.parquet is not a table of VideoDetections"):
        find_scenes(
            tmp_path / "frames.parquet", tmp_path / "seen.parquet", by_number, PLAIN, 0, *[tmp_path / name for name in "abc"]
        )


def test_lengths_are_checked_before_any_job() -> None:
    with pytest.raises(TesseraError, match="`min_seconds` is 9, which is more than `max_seconds`, 8"):
        load(SceneSettings, {"min_seconds": 9}, "the settings")
