"""Each sort gives every face a place, by its own measure, whatever the order in which the faces come."""

import colorsys
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slow_faces
from face_pictures import face, head_landmarks, portrait, portraits
from tessera.core.errors import Failed
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.landmarks import five_points
from tessera.extras.face_sets.sorts import SORTS, AlignedFace, Place, area, by_best

FACES = portraits(24)
NEEDS_LANDMARKS = {"blur", "motion_blur", "yaw", "pitch", "histogram_dissimilarity", "best", "best_faster"}
NEEDS_NO_PICTURE = {"yaw", "pitch", "area", "frame", "faces_in_frame"}


def of(colour: tuple[int, int, int], name: str = "a") -> AlignedFace:
    image = np.full((8, 8, 3), colour, np.uint8)
    return face(name, lambda: image, 8)


@pytest.mark.parametrize("sort", SORTS)
def test_every_face_has_one_place_and_no_two_the_same(sort: str) -> None:
    # https://github.com/deepfakes/faceswap/issues/465: sorted sets that lack most faces, and repeat others.
    places = SORTS[sort](FACES)
    assert sorted(places) == [face.name for face in FACES]
    assert sorted(place.rank for place in places.values()) == list(range(len(FACES)))


SORTED = {sort: SORTS[sort](FACES) for sort in SORTS}


@pytest.mark.parametrize("sort", SORTS)
@settings(max_examples=3, deadline=None)
@given(order=st.permutations(FACES))
def test_places_do_not_depend_on_the_order_of_the_faces(sort: str, order: list[AlignedFace]) -> None:
    assert SORTS[sort](iter(order)) == SORTED[sort]


@pytest.mark.parametrize("sort", SORTS)
def test_no_faces_give_no_places(sort: str) -> None:
    assert SORTS[sort]([]) == {}


@pytest.mark.parametrize("sort", SORTS)
def test_a_face_that_cannot_be_measured_has_a_reason_and_the_others_have_their_ranks(sort: str) -> None:
    def unreadable() -> np.ndarray:
        raise Failed("unreadable image", "bad.png")

    bad = {
        "few": replace(FACES[0], name="few", landmarks=five_points(FACES[0].landmarks)),
        "gone": replace(FACES[0], name="gone", load=unreadable),
        "larger": replace(FACES[0], name="larger", load=lambda: np.zeros((80, 80, 3), np.uint8)),
        "nowhere": replace(FACES[0], name="nowhere", landmarks=np.full((68, 2), np.nan)),
    }
    places = SORTS[sort]([*FACES[:9], *bad.values()])
    reasons = {name: places[name].reason.partition(":")[0] for name in bad if places[name].rank is None}
    expected = {}
    if sort in NEEDS_LANDMARKS:
        expected |= {"few": "wrong number of landmarks", "nowhere": "landmarks not finite"}
    if sort not in NEEDS_NO_PICTURE:
        expected |= {"gone": "unreadable image", "larger": "face of another size"}
    assert reasons == expected
    assert all(places[name].key is None for name in reasons)
    ranks = sorted(place.rank for place in places.values() if place.rank is not None)
    assert ranks == list(range(9 + len(bad) - len(reasons)))


def test_the_most_frequent_size_is_compared_by_pixels() -> None:
    places = SORTS["pixel_difference"]([*FACES[:3], replace(of((0, 0, 0)), name="small")])
    assert places["small"] == Place(None, None, "face of another size: 8 pixels, but most faces of the set have 64")


def test_two_faces_of_one_name_are_an_error() -> None:
    for sort in SORTS.values():
        with pytest.raises(ValueError, match="two faces are named"):
            sort([FACES[0], FACES[1], FACES[0]])


def ranked(sort: str, faces: list[AlignedFace]) -> list[str]:
    places = SORTS[sort](faces)
    return sorted(places, key=lambda name: places[name].rank)


def test_faces_of_equal_keys_are_ranked_by_name() -> None:
    grey = [replace(of((9, 9, 9)), name=name) for name in "cab"]
    for sort in ("brightness", "black_values", "histogram_similarity", "pixel_difference"):
        assert ranked(sort, grey) == ["a", "b", "c"]


def test_faces_that_look_left_and_up_come_first() -> None:
    faces = [face(str(yaw), list, 256, landmarks=head_landmarks(yaw / 10, -yaw / 20)) for yaw in (-8, 3, 0, 9)]
    assert ranked("yaw", faces) == ["9", "3", "0", "-8"] and ranked("pitch", faces) == ["-8", "0", "3", "9"]
    assert SORTS["yaw"](faces)["3"].key == pytest.approx(0.3)


def test_sharp_faces_come_first() -> None:
    image = photograph("chelsea")[80:272, 100:292]
    softened = {sigma: cv2.GaussianBlur(image, (0, 0), sigma) for sigma in (0.6, 0.3, 1)}
    faces = [face(str(sigma), lambda soft=soft: soft, 192) for sigma, soft in softened.items()]
    assert ranked("blur", faces) == ranked("motion_blur", faces) == ["0.3", "0.6", "1"]


def test_what_is_outside_the_hull_does_not_count_as_sharp() -> None:
    image = portrait(192, np.random.default_rng(1))
    noisy = image.copy()
    noisy[:10] = np.random.default_rng(0).integers(0, 256, (10, 192, 3))
    points = head_landmarks(size=192, shift=(0, 0, 300))
    for sort in ("blur", "motion_blur"):
        places = SORTS[sort]([face("a", lambda: image, 192, landmarks=points), face("b", lambda: noisy, 192, landmarks=points)])
        assert places["a"].key == places["b"].key


def test_colours_are_measured_as_a_person_names_them() -> None:
    colours = {"red": (200, 0, 0), "green": (0, 220, 0), "blue": (0, 0, 240), "orange": (210, 105, 0)}
    faces = [of(colour, name) for name, colour in colours.items()]
    assert ranked("hue", faces) == ["blue", "green", "orange", "red"]
    assert ranked("brightness", faces) == ["blue", "green", "orange", "red"]
    assert SORTS["hue"](faces)["orange"].key == pytest.approx(30) and SORTS["brightness"](faces)["orange"].key == 210


def test_brightness_hue_and_black_are_those_of_a_loop_over_the_pixels() -> None:
    image = portrait(24, np.random.default_rng(5))
    image[:3] = 0
    pixels = [tuple(int(value) for value in pixel) for row in image for pixel in row]
    one = [face("a", lambda: image, 24)]
    hues = [colorsys.rgb_to_hsv(*(value / 255 for value in pixel))[0] * 360 for pixel in pixels]
    assert SORTS["brightness"](one)["a"].key == pytest.approx(sum(map(max, pixels)) / len(pixels))
    assert SORTS["hue"](one)["a"].key == pytest.approx(sum(hues) / len(hues), abs=1)  # OpenCV rounds to 2 degrees
    assert SORTS["black_values"](one)["a"].key == sum(value == 0 for pixel in pixels for value in pixel)


def test_faces_that_are_cut_off_come_last() -> None:
    # https://github.com/deepfakes/faceswap/pull/1169
    image = np.full((64, 64, 3), 100, np.uint8)
    cut = image.copy()
    cut[:, :20] = 0
    assert ranked("black_values", [face("cut", lambda: cut, 64), face("whole", lambda: image, 64)]) == ["whole", "cut"]


def test_large_faces_come_first_and_frames_in_their_order() -> None:
    sizes = {"a": (0, 0, 10, 10), "b": (5, 5, 25, 25), "c": (0, 0, 10, 11)}
    faces = [face(name, list, 64, box=box, frame=f"frame {8 - len(name) - box[3]:03d}") for name, box in sizes.items()]
    assert ranked("area", faces) == ["b", "c", "a"] and SORTS["area"](faces)["b"].key == 400
    assert ranked("frame", faces) == sorted("abc", key=lambda name: next(face.frame for face in faces if face.name == name))
    endless = replace(faces[0], box=(0, 0, math.inf, 1))
    assert SORTS["area"]([endless])["a"].reason.startswith("rectangle not finite")


def test_only_faces_that_are_alone_in_their_frame_are_selected() -> None:
    frames = {"a": "1", "b": "2", "c": "2", "d": "3", "e": "2", "f": "4", "g": "4"}
    places = SORTS["faces_in_frame"]([face(name, list, 64, frame=frame) for name, frame in frames.items()])
    expected = [1, 1, 2, 2, 3, 3, 3]
    for rank, (name, count) in enumerate(zip("adfgbce", expected, strict=True)):
        assert places[name] == Place(float(count), rank, "several faces in the frame" if count > 1 else "")


@pytest.mark.parametrize("target", [128, 256, 640])
def test_the_best_faces_are_those_of_the_steps_one_by_one(target: int) -> None:
    faces = portraits(150, size=16, seed=3)
    many = [
        replace(one, name=f"many-{number}", landmarks=head_landmarks(0.02 * (number % 2), number / 90, size=16))
        for number, one in enumerate(faces[:60])
    ]
    faces += many
    places = by_best(area, target)(faces)
    order = sorted(places, key=lambda name: places[name].rank)
    selected = [name for name in order if not places[name].reason]
    assert selected == slow_faces.best(faces, target, area) == order[: len(selected)]
    assert len(selected) < len(faces) or target == 640
    rest = [places[name].key for name in order[len(selected) :]]
    assert rest == sorted(rest, reverse=True)


def test_each_face_that_is_not_among_the_best_has_a_reason() -> None:
    faces = [
        replace(one, name=str(number), landmarks=head_landmarks(size=16)) for number, one in enumerate(portraits(40, size=16))
    ]
    places = by_best(area, 64)(faces)
    reasons = [place.reason for place in places.values()]
    # Bins of yaw that are empty give one more face to each of the 128 bins.
    assert reasons.count("") == 1 and reasons.count("enough faces at this yaw") == 9
    assert reasons.count("enough sharper faces at this yaw") == 30
