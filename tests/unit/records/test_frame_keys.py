"""A frame of a folder is known by its file, not by its position: what was said of it stays with it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.core.files import file_name
from tessera.imaging.footage import Still
from tessera.imaging.frame import VideoFrame
from tessera.records.frame_keys import (
    content_key,
    crop_key,
    for_frames,
    frame_key,
    meant_frames,
    picture_key,
    source_of,
    video_key,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=90).filter(
    lambda name: name not in {".", ".."}
)


def sha(content: int) -> str:
    return f"{content:03x}".ljust(64, "0")


@given(NAMES, NAMES, st.integers(0, 2**40))
def test_a_key_is_a_file_name_and_says_which_source_it_is_of(source: str, name: str, content: int) -> None:
    for key in (picture_key(source, name, sha(content)), video_key(source, content % 10**12)):
        assert source_of(key, by_hand=False) == source_of(key) == file_name(source)
        assert not set(key) & set("/\\+#* \0") and len(f"{key}.json".encode()) <= 255
        crop = crop_key(crop_key(key, "person", 3), "head", 999_999)
        assert "~" in crop or source_of(crop, by_hand=False) == file_name(source).replace(".", "%2E")


@given(st.lists(st.tuples(NAMES, st.integers(0, 5)), unique=True), NAMES)
def test_different_pictures_have_different_keys(pictures: list[tuple[str, int]], source: str) -> None:
    import unicodedata

    distinct = {(unicodedata.normalize("NFC", name), content) for name, content in pictures}
    assert len({picture_key(source, name, sha(content)) for name, content in pictures}) == len(distinct)


def test_both_forms_of_a_letter_are_one_name() -> None:
    assert picture_key("a", "caf\u00e9.jpg", sha(1)) == picture_key("a", "cafe\u0301.jpg", sha(1))


def test_keys_are_made_of_the_path_and_the_content_of_a_picture_and_of_the_index_of_a_frame() -> None:
    still = Still(
        5, Path("folder/sea/b-1.jpg"), "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", "sea/b-1.jpg"
    )
    assert frame_key("my album", still) == "my%20album-sea%2Fb%2D1.jpg~7692c3ad3540"
    assert frame_key("film", VideoFrame(12, 5, 0.5, None)) == "film-0000012"
    assert frame_key("one", Still(0, Path("b-1.jpg"), still.sha256)) == "one-0000000"


folders = st.dictionaries(st.sampled_from([f"{letter}.jpg" for letter in "abcdefgh"]), st.integers(0, 6), max_size=7)


@settings(max_examples=300)
@given(folders, folders, st.sets(st.sampled_from([f"{letter}.jpg" for letter in "abcdefgh"])))
def test_what_was_said_of_a_picture_never_goes_to_another_content(
    before: dict[str, int], after: dict[str, int], labelled: set[str]
) -> None:
    said = {picture_key("s", name, sha(content)): content for name, content in before.items() if name in labelled}
    frames = {picture_key("s", name, sha(content)): (name, content) for name, content in after.items()}
    found = for_frames(said, frames)
    # The slow, obvious rule: the same name and content; or the only picture with the content, if one label alone means it.
    expected = {}
    for frame, (name, content) in frames.items():
        own = picture_key("s", name, sha(content))
        copies = [other for other in after.values() if other == content]
        left = [key for key in said if said[key] == content and key not in frames]
        if own in said or (len(copies) == 1 and left):
            expected[frame] = content
    assert found == expected
    meant = meant_frames(said, frames)
    assert meant.now.keys() | meant.lost.keys() == said.keys() and not meant.now.keys() & meant.lost.keys()


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=30), st.lists(st.integers(10**7, 10**8), unique=True, max_size=30))
def test_pictures_that_come_and_go_move_nothing(here: list[int], more: list[int]) -> None:
    said = {picture_key("s", f"{number}.jpg", sha(number)): number for number in here}
    frames = [*said, *(picture_key("s", f"{number}.jpg", sha(number)) for number in more)]
    assert for_frames(said, frames) == said


@pytest.mark.parametrize(
    ("key", "now"),
    [
        ("s-a.jpg~000000000001", "s-b.jpg~000000000001"),  # renamed
        ("s-b.jpg", "s-b.jpg~000000000001"),  # written by a person
        ("s-c.jpg~000000000009", "the picture has changed since, and is now 's-c.jpg~000000000002'"),
        ("s-d.jpg~000000000003", "2 pictures have its content: s-e.jpg~000000000003, s-f.jpg~000000000003"),
        ("s-g.jpg~000000000007", "the picture is gone"),
        ("t-a.jpg~000000000001", "the picture is gone"),
        ("s-0000000", "there is no such frame"),
        ("s-a%2Ejpg~000000000001-head-0", "s-b%2Ejpg~000000000001-head-0"),
    ],
)
def test_the_reason_says_what_became_of_a_picture(key: str, now: str) -> None:
    frames = [f"s-{name}.jpg~00000000000{content}" for name, content in zip("bcef", (1, 2, 3, 3), strict=True)]
    meant = meant_frames([key], [*frames, "s-b%2Ejpg~000000000001-head-0"])
    assert (meant.now | meant.lost) == {key: now}


def test_of_several_keys_of_one_picture_the_last_counts() -> None:
    frame = "s-b.jpg~000000000001"
    assert for_frames({frame: "first", "s-a.jpg~000000000001": "last"}, [frame]) == {frame: "last"}
    assert for_frames({"s-c.jpg~000000000001": "first", frame: "last"}, [frame]) == {frame: "last"}
    assert for_frames({"s-c.jpg~000000000001": "first", "s-b.jpg": "last"}, [frame]) == {frame: "last"}
    assert meant_frames(["s-0000003"], [frame], {"s-0000003": frame}).now == {"s-0000003": frame}


def test_a_renamed_file_keeps_the_name_of_its_cluster() -> None:
    one, other = "s-a%2Ejpg~000000000001-head-0", "s-b%2Ejpg~000000000001-head-0"
    assert content_key(one) == content_key(other) != content_key("s-a%2Ejpg~000000000001-head-1")
    assert content_key("film-0000012-head-0") == "film-0000012-head-0"
