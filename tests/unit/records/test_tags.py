"""Two ways of writing a tag mean one tag, and a tag that the tagger does not have is named."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core import log
from tessera.records.tags import SHOWN, Tag, read_tags, readable, same_tag, unknown_tags

KNOWN = [Tag("long_hair", "general"), Tag("", ""), Tag("hatsune_miku_(vocaloid)", "character"), Tag("^_^", "general")]


@pytest.mark.parametrize("written", ["hatsune_miku_(vocaloid)", r"hatsune_miku_\(vocaloid\)", r" hatsune miku  \(vocaloid\)"])
def test_ways_of_writing_a_tag(written: str) -> None:
    assert same_tag(written) == readable(written).strip() == "hatsune miku (vocaloid)"
    assert not unknown_tags({"x": [written]}, KNOWN)


FACES = [
    "0_0",
    "(o)_(o)",
    "+_+",
    "+_-",
    "._.",
    "<o>_<o>",
    "<|>_<|>",
    "=_=",
    ">_<",
    "3_3",
    "6_9",
    ">_o",
    "@_@",
    "^_^",
    "o_o",
    "u_u",
    "x_x",
    "|_|",
    "||_||",
]


def test_faces_keep_their_underscores_and_are_found_without() -> None:
    known = [Tag(face, "general") for face in FACES]
    assert list(map(readable, FACES)) == FACES
    assert not unknown_tags({"x": [face.replace("_", " ") for face in FACES]}, known)


@given(st.text())
def test_a_tag_stays_the_same_tag(text: str) -> None:
    assert same_tag(same_tag(text)) == same_tag(text) == same_tag(readable(text)) == same_tag(text.replace(" ", "_"))


def test_unknown_tags_are_named_with_what_was_meant() -> None:
    stated = {"a.none": ["lnog hair", "^ ^", "lnog hair"], "a.all": ["", "???"], "b": [f"{n}xyz" for n in range(SHOWN + 2)]}
    messages = unknown_tags(stated, KNOWN)
    assert messages[0] == "`a.none`: the tagger has no tag 'lnog hair'; did you mean 'long_hair'?"
    assert messages[2] == "`a.all`: the tagger has no tag '???'; correct or remove it"
    assert len(messages) == 3 + SHOWN + 1 and messages[-1] == "`b`: 2 more tags that the tagger does not have"


def test_a_row_without_a_name_keeps_the_places_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    path = tmp_path / "tags.csv"
    path.write_text("tag_id,name,category\n1,a,0\n,,\n3,c,4\n", encoding="utf-8")
    assert read_tags(path) == [Tag("a", "general"), Tag("", ""), Tag("c", "character")]
    assert f"{path}: row 2 has no name: its scores are not used" in terminal.getvalue()
