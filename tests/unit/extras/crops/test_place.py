"""No two crops have one name, and each lies where its detection and the rules of its step put it."""

import re
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import Dropped
from tessera.core.files import file_name
from tessera.extras.crops.place import WIDENED, holder, place
from tessera.extras.crops.settings import CropStepSettings
from tessera.records.frame_keys import crop_key

FRAME = 100, 200  # height and width
STEPS = ["a", "a_0", "person", "head", "x" * 20]
# Ids that look like the keys of frames and crops of other sources, and any others.
parts = st.sampled_from(["a", "A", ".", "-", "%2E", "%", "~", "person", "-person-0", "-0000001", "1", "é", "/", "a" * 60])
ids = st.lists(parts, min_size=1, max_size=4).map("".join) | st.text(min_size=1, max_size=8)
crops = st.tuples(
    ids,
    st.integers(0, 10**12 - 1) | st.integers(0, 2),
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 999_999) | st.integers(0, 1)), max_size=3),
)


def step(**settings: Any) -> CropStepSettings:
    return CropStepSettings(**{"name": "person", "annotations": True, "labels": ("person",), "min_side": 0, **settings})


def key_of(crop: tuple[str, int, list[tuple[str, int]]]) -> str:
    source, index, steps = crop
    key = f"{file_name(source)}-{index:07d}"
    for name, number in steps:
        key = crop_key(key, name, number)
    return key


@given(st.lists(crops, min_size=2, max_size=8, unique_by=lambda crop: (file_name(crop[0]).casefold(), crop[1], tuple(crop[2]))))
def test_different_frames_and_crops_have_different_names_also_where_case_is_ignored(found: list[Any]) -> None:
    # The manifest lets no two sources differ only in case.
    names: dict[str, str] = {}
    found = [crop for crop in found if names.setdefault(file_name(crop[0]).casefold(), crop[0]) == crop[0]]
    for one, other in combinations(map(key_of, found), 2):
        assert one.casefold() != other.casefold()


@given(crops.filter(lambda crop: bool(crop[2])))
def test_the_name_of_a_crop_is_a_file_name_without_dots_and_says_its_steps(crop: Any) -> None:
    key = key_of(crop)
    assert re.fullmatch(r"[A-Za-z0-9_~%-]+", key)
    assert len(key.encode()) < 240
    assert key.endswith("".join(f"-{name}-{number}" for name, number in crop[2]))


def test_the_name_of_a_crop_of_a_usual_source_is_read_at_a_glance() -> None:
    assert crop_key(crop_key("meadow-0000012", "person", 0), "head", 1) == "meadow-0000012-person-0-head-1"
    assert crop_key("ep.1-0000012", "person", 0) == "ep%2E1-0000012-person-0"


@given(
    x=st.tuples(st.floats(0, 200), st.floats(0, 200)).map(sorted),
    y=st.tuples(st.floats(0, 100), st.floats(0, 100)).map(sorted),
    square=st.none() | st.floats(1, 3),
)
def test_a_crop_holds_its_detection_and_lies_in_the_frame(x: list[float], y: list[float], square: float | None) -> None:
    (x0, x1), (y0, y1) = x, y
    try:
        box = place((x0, y0, x1, y1), (0, 0, 200, 100), FRAME, [], step(square=square)).box
    except Dropped as error:
        assert error.reason == "too small"
        assert min(x1 - x0, y1 - y0) == 0
        return
    assert 0 <= box[0] <= x0 <= x1 <= box[2] <= 200
    assert 0 <= box[1] <= y0 <= y1 <= box[3] <= 100
    for low, high, side, limit in ((box[0], box[2], x1 - x0, 200), (box[1], box[3], y1 - y0, 100)):
        wanted = square * max(x1 - x0, y1 - y0) if square else side
        if low > 0 and high < limit:
            assert wanted - 1e-6 <= high - low < wanted + 2


def test_a_head_becomes_a_square_that_is_cut_at_the_edge_of_the_frame() -> None:
    inside = (0, 0, 200, 100)
    assert place((50, 40, 60, 60), inside, FRAME, [], step(square=1.5)).box == (40, 35, 70, 65)
    assert place((0, 40, 10, 60), inside, FRAME, [], step(square=1.5)).box == (0, 35, 20, 65)
    # In a crop, there is more of the picture around it.
    assert place((50, 40, 60, 60), (50, 40, 80, 90), FRAME, [], step(square=1.5)).box == (40, 35, 70, 65)


def test_a_crop_is_dropped_below_the_smallest_side_and_beyond_the_largest_area() -> None:
    inside = (0, 0, 200, 100)
    assert place((0, 0, 50, 40), inside, FRAME, [], step(min_side=40)).box == (0, 0, 50, 40)
    with pytest.raises(Dropped, match="50 by 40 pixels, and `min_side` is 41"):
        place((0, 0, 50, 40), inside, FRAME, [], step(min_side=41))
    assert place((0, 0, 100, 100), inside, FRAME, [], step(max_area=0.5)).box == (0, 0, 100, 100)
    with pytest.raises(Dropped, match=r"0\.51 of its area"):
        place((0, 0, 101, 100), inside, FRAME, [], step(max_area=0.5))
    assert place((0, 0, 101, 100), inside, FRAME, [], step(max_area=0.5, larger="parent")) == (inside, WIDENED)
    with pytest.raises(Dropped, match="same crop as another"):
        place((0, 0, 101, 100), inside, FRAME, [inside], step(max_area=0.5, larger="parent"))


def test_what_people_drew_belongs_to_the_crop_that_holds_most_of_it() -> None:
    left, right = (0, 0, 60, 100), (50, 0, 120, 100)
    assert holder((48, 10, 56, 20), [left, right]) == left
    assert holder((52, 10, 62, 20), [left, right]) == right
    assert holder((52, 10, 58, 20), [right, left]) == right, "the first of two that hold all of it"
    assert holder((115, 0, 130, 10), [left, right]) is None
    assert holder((0, 0, 1, 1), []) is None


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"annotations": False}, "needs either `weights` of a detector or `annotations: true`"),
        ({"weights": "trained", "detector": "nsfw_detection"}, "needs either `weights` of a detector or `annotations: true`"),
        ({"labels": ()}, "`annotations: true` needs `labels`"),
        ({"name": "frame"}, "stands for whole frames"),
        ({"name": "frames"}, "stands for whole frames"),
        ({"name": "half-body"}, "should match pattern"),
        ({"detector": "nsfw_detection"}, "`detector` is for `weights: trained` alone"),
        ({"square": 0.5}, "greater than or equal to 1"),
        ({"max_area": 0.0}, "greater than 0"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        step(**settings)
