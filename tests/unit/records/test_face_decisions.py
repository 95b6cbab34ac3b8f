"""Decisions on faces follow the face, however its set is made again, and none is lost."""

from typing import Any

import pytest

from tessera.records.decisions import Decision
from tessera.records.face_decisions import find_faces

SMALL, LARGE = (10.0, 10.0, 60.0, 70.0), (200.0, 20.0, 300.0, 140.0)
FACES = {"film-0000001-face-0": LARGE, "film-0000001-face-1": SMALL, "film-0000002-face-0": SMALL}


def decision(key: str, **more: Any) -> Decision:
    row = {"key": key, "decision": "drop", "who": "Ada", "when": "2026-01-31", "classifier": "ada", **more}
    return Decision.model_validate(row)


def found(keys: list[str], faces: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the key of the decision on each of `faces`, and why others are on none."""
    decided, lost = find_faces([decision(key) for key in keys], faces)
    return {key: each.key for key, each in decided.items()}, lost


def test_a_decision_is_on_the_face_in_its_place_also_if_faces_are_numbered_otherwise() -> None:
    keys = ["film-0000001-face-1+10-10-60-70", "film-0000002-face-0"]
    assert found(keys, FACES) == ({"film-0000001-face-1": keys[0], "film-0000002-face-0": keys[1]}, {})
    # Another detector draws other rectangles, and finds a third face, which is larger.
    faces = {"film-0000001-face-0": (0.0, 0.0, 400.0, 300.0), "film-0000001-face-2": (12.0, 8.0, 64.0, 74.0)}
    assert found(keys[:1], faces) == ({"film-0000001-face-2": keys[0]}, {})


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("film-0000001-face-1+100-10-150-70", "nothing is seen there now"),
        ("film-0000009-face-0+10-10-60-70", "nothing is seen there now"),
        ("film-0000001-face-7", "there is no such face"),
        ("film-0000001", "there is no such face"),
    ],
)
def test_a_decision_on_a_face_that_is_gone_says_why(key: str, why: str) -> None:
    assert found([key], FACES) == ({}, {key: why})


def test_of_two_decisions_on_one_face_the_later_counts() -> None:
    first, second = "film-0000001-face-0", "film-0000001-face-0+200-20-300-140"
    for earlier, later in ((first, second), (second, first)):
        decided, lost = found([earlier, later], FACES)
        assert decided == {"film-0000001-face-0": later}
        assert lost == {earlier: f"the decision on {later!r} is on the same face, and comes later"}


def test_a_decision_follows_the_face_in_a_renamed_picture() -> None:
    faces = {"album-new%2Fa.jpg~3f2a9c1b4d5e-face-0": SMALL}
    for key in ("album-a.jpg~3f2a9c1b4d5e-face-0", "album-a.jpg~3f2a9c1b4d5e-face-0+10-10-60-70"):
        assert found([key], faces) == ({"album-new%2Fa.jpg~3f2a9c1b4d5e-face-0": key}, {})
