"""Entries of a pack: what is copied from the pickle of a JPEG file is what its values give, and nothing damaged is copied."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_faces import BASELINE, BEHIND_APP0, PNG, face, faces, segment, texts

from tessera.core.errors import Failed
from tessera.extras.face_sets.entries import USUAL, entry_opcodes
from tessera.extras.face_sets.jpeg_metadata import read_face_and_size, write_metadata
from tessera.extras.face_sets.metadata import FACE_TYPES, FaceMetadata, index_fields, jpeg_fields
from tessera.extras.face_sets.plain_pickle import value_opcodes, write_pickle

USUAL_PICKLE = write_pickle(jpeg_fields(face()))
names = st.none() | texts | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)
usual_faces = st.builds(
    lambda face, name: replace(face, source_filename=name, polygons=(), mask=None, others={}),
    faces,
    names | st.just("00001.png"),
)


def in_jpeg(pickled: bytes) -> bytes:
    return BASELINE[:BEHIND_APP0] + segment(0xEF, pickled) + BASELINE[BEHIND_APP0:]


def slow_entry(content: bytes, name: str, person: str | None) -> bytes:
    """Return the entry of `content`: slow and obvious, by its values."""
    read, (height, width) = read_face_and_size(content)
    if read is None:
        raise Failed("no face metadata", "")
    return value_opcodes(index_fields(read, name, person, height, width))


def outcome(content: bytes, name: str = "a.jpg", person: str | None = None) -> tuple[bytes | None, bytes | None]:
    """Return the entry of `content` and the slow one, None for what fails."""
    entries: list[bytes | None] = []
    for work in (entry_opcodes, slow_entry):
        try:
            entries.append(work(content, name, person))
        except Failed:
            entries.append(None)
    return entries[0], entries[1]


@given(faces | usual_faces, texts, st.none() | texts)
def test_an_entry_has_the_values_of_the_file(face: FaceMetadata, name: str, person: str | None) -> None:
    entry, slow = outcome(write_metadata(BASELINE, face), name, person)
    assert entry == slow is not None


@pytest.mark.parametrize("face_type", FACE_TYPES)
def test_the_faces_of_an_extraction_are_usual(face_type: str) -> None:
    extracted = replace(face(), face_type=face_type)
    for each in (extracted, replace(extracted, source_rect=(1.5, 2, 300, 70_000)), replace(extracted, source_landmarks=None)):
        assert USUAL.fullmatch(write_pickle(jpeg_fields(each)))


@given(st.data())
def test_damaged_metadata_give_what_their_values_give_or_fail(data: st.DataObject) -> None:
    pickled = bytearray(USUAL_PICKLE)
    # Most of it is numbers. The others are rarer, and damage them more.
    places = st.integers(0, len(pickled) - 1) | st.sampled_from(OPCODES)
    for _ in range(data.draw(st.integers(1, 3))):
        pickled[data.draw(places)] = data.draw(st.integers(0, 255) | st.sampled_from(b"GKMJX](eu.\x7f\xff"))
    entry, slow = outcome(in_jpeg(bytes(pickled)))
    assert entry == slow


NUMBERS = [at for at in range(len(USUAL_PICKLE) - 9) if USUAL_PICKLE[at : at + 1] == b"G" and USUAL_PICKLE[at + 9] in b"GeX"]
OPCODES = sorted(set(range(len(USUAL_PICKLE))) - {at + byte for at in NUMBERS for byte in range(1, 9)})


@pytest.mark.parametrize("number", [math.nan, -math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_fails(number: float) -> None:
    assert len(NUMBERS) == 68 * 2 * 2 + 6 + 1
    for at in NUMBERS:
        wrong = value_opcodes(number)
        assert len(wrong) == 9
        with pytest.raises(Failed, match="finite"):
            entry_opcodes(in_jpeg(USUAL_PICKLE[:at] + wrong + USUAL_PICKLE[at + 9 :]), "a.jpg", None)


@pytest.mark.parametrize("length", [0, 8, 10, 255])
def test_a_name_with_a_wrong_length_fails(length: int) -> None:
    right = value_opcodes("00000.png")
    damaged = USUAL_PICKLE.replace(right, right[:1] + bytes([length]) + right[2:])
    assert damaged != USUAL_PICKLE and outcome(in_jpeg(damaged)) == (None, None)


def test_a_file_without_metadata_or_with_damaged_ones_fails() -> None:
    for content, message in ((BASELINE, "no face metadata"), (in_jpeg(b"\x80\x03N."), "not usable"), (PNG, "JPEG")):
        with pytest.raises(Failed, match=message):
            entry_opcodes(content, "a.jpg", None)
