"""Detections of one region become one track, which ends at the end of its shot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.imaging.video import read_frames, read_packets
from tessera.learning.detection.tracking import (
    REACH,
    MosaicTrackSettings,
    TrackSettings,
    find_breaks,
    find_cuts,
    join,
    track,
    track_mosaics,
)
from tessera.records.tables.scenes import VideoDetections, VideoFrames
from tessera.records.tables.table import types

MEDIA = Path(__file__).parents[5] / "shared" / "media"
CUT = TrackSettings().cut
Box = tuple[float, float, float, float]


def footage(count: int, *, stride: int = 1, rate: float = 25, **columns: Any) -> pl.DataFrame:
    """Return the table of a video of `count` frames; `columns` replace its defaults."""
    given = {
        "source": ["video"] * count,
        "index": range(count),
        "pts": range(count),
        "time": np.arange(count) / rate,
        "width": [640] * count,
        "height": [480] * count,
        "change": [1.0] * count,
        "looked": [index % stride == 0 for index in range(count)],
    }
    return pl.DataFrame({name: pl.Series(name, values, strict=False) for name, values in (given | columns).items()}).cast(
        types(VideoFrames)  # type: ignore[arg-type]
    )


def detected(boxes: dict[int, Sequence[Box]], scores: dict[int, Sequence[float]] | None = None) -> pl.DataFrame:
    """Return the table of detections with these `boxes`, by frame."""
    rows = [
        ("video", index, number, "nsfw", scores[index][number] if scores else 0.9, None, *box, None)
        for index, found in sorted(boxes.items())
        for number, box in enumerate(found)
    ]
    return pl.DataFrame(rows, schema=types(VideoDetections), orient="row")


def square(x: float, y: float = 200, side: float = 60) -> Box:
    return x, y, x + side, y + side


def test_a_region_that_moves_is_one_track_from_its_first_detection_on() -> None:
    seen = detected({index: [square(50 + 4 * index)] for index in range(3, 40)})
    assert track(footage(60), seen, TrackSettings()).tolist() == [0] * 37


def test_every_detection_has_a_track_if_all_are_kept() -> None:
    random = np.random.default_rng(0)
    boxes, scores = {}, {}
    for index in range(60):
        scores[index] = sorted(random.uniform(0.1, 0.9, random.integers(0, 5)).tolist(), reverse=True)
        boxes[index] = [square(50 + 100 * random.integers(2) + random.normal(0, 10)) for _ in scores[index]]
    seen = detected(boxes, scores)
    settings = TrackSettings(high=0.1, low=0.1, new=0.1)
    assert (track(footage(60), seen, settings) < 0).any()
    tracks = track(footage(60), seen, settings, keeps_all=True)
    assert tracks.min() == 0
    assert not pl.DataFrame({"track": tracks, "index": seen["index"]}).is_duplicated().any()


def behind_a_post(shown: int, hidden: int, farther: int = 0) -> dict[int, Sequence[Box]]:
    """Return the boxes of a square that passes behind a post for so many frames, and comes out at its other edge.

    It comes out `farther` pixels beyond the place to which it can have moved.
    """
    boxes = {index: [square(100 + 2 * index)] for index in range(shown)}
    return boxes | {shown + hidden + i: [square(160 + farther + 2 * (shown + hidden + i))] for i in range(shown)}


@pytest.mark.parametrize("hidden", [0, 1, 11])
def test_a_region_that_passes_behind_a_post_stays_one_track(hidden: int) -> None:
    settings = TrackSettings(speed=0, buffer_seconds=0.5)
    assert track(footage(60), detected(behind_a_post(20, hidden)), settings).tolist() == [0] * 40
    assert track(footage(60), detected(behind_a_post(20, hidden, 1)), settings).tolist() == [0] * 20 + [1] * 20


@pytest.mark.parametrize("stride", [1, 3])
def test_a_region_that_appears_where_the_last_cannot_have_gone_is_another(stride: int) -> None:
    # Without a bound by the time, this was one track, and the masks in between were over nothing.
    here, there = square(600, 400, 280), square(1150, 400, 280)
    seen = detected({i: [here if i < 30 else there] for i in [*range(0, 30, stride), *range(42, 72, stride)]})
    numbers = track(footage(72, stride=stride, rate=30), seen, TrackSettings()).tolist()
    assert numbers == sorted(numbers)
    assert set(numbers) == {0, 1}


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("speed", [-30, -4, 1, 8, 24])
def test_a_region_that_moves_steadily_is_joined_across_a_gap(speed: int, stride: int) -> None:
    seen = detected({i: [square(5000 + speed * i)] for i in range(0, 90, stride) if not 30 < i < 42})
    assert set(track(footage(90, stride=stride, rate=30), seen, TrackSettings())) == {0}


@given(
    before=st.integers(1, 12),
    missed=st.integers(0, 12),
    speed=st.floats(-100, 100),
    jump=st.floats(-600, 600),
    has_same_number=st.booleans(),
)
def test_a_lost_region_is_joined_if_it_can_have_gone_that_far(
    before: int, missed: int, speed: float, jump: float, has_same_number: bool
) -> None:
    side = 80.0
    xs = [*(speed * i for i in range(before)), speed * (before - 1) + jump]
    corners = np.array([(x, 0, x + side, side) for x in xs])
    looks = np.array([*range(before), before + missed])
    numbers = np.array([0] * before + [0 if has_same_number else 1])
    time = np.arange(before + missed + 1) / 25
    found = join(numbers, looks, time, np.zeros(len(time), int), corners, 1.0)
    # As far as it moved in the frames just before it was lost, as many as it was lost for, and as far as its size.
    reach = side + abs(speed) * min(missed + 1, before - 1)
    is_one_run = has_same_number and not missed
    if abs(abs(jump) - reach) > 1e-6:
        assert (found.max() == 0) == (is_one_run or abs(jump) < reach)


def test_a_track_ends_after_a_long_gap_at_a_cut_or_far_away() -> None:
    settings = TrackSettings(speed=0, buffer_seconds=0.5)
    apart = [0] * 20 + [1] * 20
    assert track(footage(60), detected(behind_a_post(20, 14)), settings).tolist() == apart
    cut = footage(60, change=[60.0 if index == 20 else 1.0 for index in range(60)])
    assert track(cut, detected(behind_a_post(20, 0)), settings).tolist() == apart
    far = {index: [square(100 if index < 20 else 221)] for index in range(40)}
    assert track(footage(60), detected(far), settings).tolist() == apart


def test_a_region_that_is_half_hidden_for_a_moment_keeps_its_track() -> None:
    boxes = {index: [square(100)] for index in range(20)} | {index: [square(185)] for index in range(22, 40)}
    slivers = {20: [(150.0, 230.0, 160.0, 250.0)], 21: [(195.0, 210.0, 205.0, 230.0)]}
    assert track(footage(60), detected(boxes | slivers), TrackSettings(speed=0)).tolist() == [0] * 40


def test_two_regions_that_are_missed_together_keep_their_tracks() -> None:
    boxes = {index: [square(100), square(170)] for index in range(40) if index not in (20, 21)}
    assert track(footage(60), detected(boxes), TrackSettings(speed=0)).tolist() == [0, 1] * 38


def test_a_single_detection_is_a_track_of_one_frame() -> None:
    assert track(footage(9), detected({0: [square(50)]}), TrackSettings()).tolist() == [0]
    assert track(footage(9), detected({5: [square(50)]}), TrackSettings()).tolist() == [0]
    assert track(footage(1), detected({0: [square(50)]}), TrackSettings()).tolist() == [0]
    assert track(footage(9), detected({}), TrackSettings()).tolist() == []


@pytest.mark.parametrize("stride", [1, 3])
def test_regions_that_cross_keep_their_tracks(stride: int) -> None:
    seen = detected({i: [square(50 + 5 * i, 150), square(400 - 5 * i, 210)] for i in range(0, 70, stride)})
    numbers = track(footage(70, stride=stride), seen, TrackSettings())
    assert numbers.tolist() == [0, 1] * (seen.height // 2)


def test_the_order_of_the_detections_in_a_frame_does_not_matter() -> None:
    seen = detected({i: [square(50 + 5 * i, 100), square(400 - 5 * i, 250)][:: -1 if i % 2 else 1] for i in range(30)})
    assert track(footage(30), seen, TrackSettings()).tolist() == [0, 1, 1, 0] * 15


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("rate", [12.5, 25, 100])
def test_a_lost_region_is_searched_for_the_seconds_of_the_buffer(rate: float, stride: int) -> None:
    frames = footage(800, stride=stride, rate=rate)

    def tracks(seconds: float) -> int:
        # Missed in the looks between frame 100 and the one in which it is found again.
        back = 100 + round(seconds * rate)
        seen = detected({i: [square(300)] for i in [*range(0, 101, stride), *range(back, back + 101, stride)]})
        return int(track(frames, seen, TrackSettings(buffer_seconds=1.6)).max()) + 1

    assert tracks(1.6) == 1
    assert tracks(2.4) == 2


def test_frames_between_looks_do_not_count_as_missed() -> None:
    # They use up nothing of a short buffer.
    seen = detected({i: [square(50 + i)] for i in range(0, 300, 30)})
    assert track(footage(300, stride=30), seen, TrackSettings(buffer_seconds=0)).tolist() == [0] * 10


def test_small_and_fast_regions_are_tracked() -> None:
    # From look to look, they move by one and a half times their side, and back.
    xs = 300 + 200 * np.sin(0.15 * np.arange(30))
    seen = detected({3 * place: [square(x, side=20)] for place, x in enumerate(xs.tolist())})
    assert set(track(footage(90, stride=3), seen, TrackSettings())) == {0}


def test_detections_of_low_confidence_continue_a_track_but_begin_none() -> None:
    boxes = {i: [square(100 + i), square(400 + i)] for i in range(20)}
    scores = {i: [0.9 if i < 10 else 0.15, 0.2] for i in range(20)}
    assert track(footage(20), detected(boxes, scores), TrackSettings()).tolist() == [0, -1] * 20


@pytest.mark.parametrize(
    "columns",
    [
        {"change": [1.0] * 20 + [60.0] + [1.0] * 19},
        {"width": [640] * 20 + [320] * 20},
        {"height": [480] * 20 + [240] * 20},
        {
            "width": [640] * 19 + [0] + [640] * 20,
            "height": [480] * 19 + [0] + [480] * 20,
            "looked": [i != 19 for i in range(40)],
        },
    ],
    ids=["cut", "width", "height", "undecodable"],
)
@pytest.mark.parametrize("stride", [1, 4])
def test_no_track_extends_beyond_a_break(columns: dict[str, Any], stride: int) -> None:
    frames = footage(40, stride=stride, **{"looked": [True] * 40} | columns)
    looked = [i for i in frames.filter("looked")["index"] if i % stride == 0]
    seen = detected({i: [square(200)] for i in looked})
    expected = [0 if i < 20 else 1 for i in looked]
    assert track(frames, seen, TrackSettings()).tolist() == expected


def test_numbers_do_not_depend_on_earlier_videos() -> None:
    frames, seen = footage(30), detected({i: [square(100 + i), square(400)] for i in range(30)})
    once = track(frames, seen, TrackSettings())
    np.testing.assert_array_equal(track(frames, seen, TrackSettings()), once)


# Cuts


def quiet(count: int = 100, level: float = 1.5) -> np.ndarray:
    change = np.random.default_rng(0).uniform(0.5 * level, 1.5 * level, count)
    change[0] = 0
    return change


def test_a_cut_is_found_in_still_and_in_moving_pictures() -> None:
    for level, height in ((0, 9), (3, 15), (12, 30)):
        change = quiet() + level
        change[[1, 40, 99]] = height
        assert np.flatnonzero(find_cuts(change, CUT)).tolist() == [1, 40, 99]


def test_a_change_that_many_frames_have_is_not_a_cut() -> None:
    pan, strobe, twice = quiet(), quiet(), quiet(level=1.5) + 20
    pan[30:60] = 25
    strobe[30:60] = 80
    twice[::2] = 0.1  # each picture is shown twice
    for change in (pan, strobe, twice, quiet(level=1.5) + 20, np.zeros(50), np.zeros(1)):
        assert not find_cuts(change, CUT).any()


@given(st.lists(st.floats(0, 255), min_size=1, max_size=40), st.floats(0, 30))
def test_a_cut_depends_only_on_nearby_frames(values: list[float], cut: float) -> None:
    change = np.array(values)
    whole = find_cuts(change, cut)
    for place in range(REACH, len(change) - REACH):
        assert whole[place] == find_cuts(change[place - REACH : place + REACH + 1], cut)[REACH]


def changes(path: Path) -> np.ndarray:
    """Return the changes between the pictures of a video, computed independently of our code."""
    small = [
        cv2.cvtColor(cv2.resize(frame.image(), (256, 144), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2HSV).astype(int)
        for frame in read_frames(path, read_packets(path))
    ]
    hue = np.array([[180, 0, 0]])
    differences = [np.abs(one - other) for one, other in zip(small[1:], small, strict=False)]
    return np.array([0.0, *(np.minimum(each, np.where(hue, hue - each, each)).mean() for each in differences)])


@pytest.mark.slow
@pytest.mark.skipif(not MEDIA.is_dir(), reason="real footage, ../shared/media, is not here")
def test_a_hand_held_camera_makes_no_cut_and_a_jump_does() -> None:
    found = {}
    for name in ("dog.mp4", "tennis/tennis.mp4"):
        found[name] = changes(MEDIA / name)
        assert not find_cuts(found[name], CUT).any()
    joined = np.concatenate([found["dog.mp4"], [60.0], found["tennis/tennis.mp4"][1:]])
    assert np.flatnonzero(find_cuts(joined, CUT)).tolist() == [len(found["dog.mp4"])]


def test_breaks_are_marked_at_the_frame_after_them() -> None:
    sizes = [640] * 3 + [0] * 2 + [640] * 3 + [320] * 2
    frames = footage(10, width=sizes, change=[0.0, *[1.0] * 9])
    assert np.flatnonzero(find_breaks(frames, CUT)).tolist() == [3, 5, 8]


@pytest.mark.parametrize(
    ("score", "settings", "expected"),
    [(0.84, {}, [0, -1]), (0.84, {"grid": 1}, [0, 1]), (0.85, {}, [0, 1]), (0.85, {"sure": 1}, [0, -1])],
)
def test_regions_without_a_grid_of_blocks_are_mosaics_only_if_the_detector_is_sure(
    score: float, settings: dict[str, float], expected: list[int]
) -> None:
    boxes = {index: [square(50), square(400)] for index in range(20)}
    seen = detected(boxes, {index: [0.5, score] for index in boxes}).with_columns(grid=pl.Series([5.0, 1.2] * 20))
    assert track_mosaics(footage(20), seen, MosaicTrackSettings(**settings)).tolist() == expected * 20


@pytest.mark.parametrize(("looks", "found"), [(1, 1), (2, 2), (9, 0)])
def test_what_is_detected_in_two_frames_is_a_mosaic_only_if_there_are_no_more(looks: int, found: int) -> None:
    seen = detected({index: [square(50)] for index in range(min(looks, 2))}).with_columns(grid=pl.lit(9.0))
    assert (track_mosaics(footage(looks), seen, MosaicTrackSettings()) >= 0).sum() == found


def test_a_mosaic_without_a_grid_in_some_frames_is_one_track() -> None:
    boxes = {index: [square(50)] for index in range(20)}
    seen = detected(boxes, {index: [0.5] for index in boxes}).with_columns(grid=pl.Series([5.0, 5.0, 2.0, 4.0] * 5))
    assert track_mosaics(footage(20), seen, MosaicTrackSettings()).tolist() == [0, 0, -1, 0] * 5
