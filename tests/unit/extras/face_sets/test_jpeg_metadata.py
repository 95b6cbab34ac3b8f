"""Metadata in a JPEG file: every field comes back, nothing else of the file changes, and hostile ones fail."""

import io
import pickle
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_faces import BASELINE, BEHIND_APP0, JPEGS, PNG, face, faces, jpeg, segment
from PIL import Image

from tessera.core.errors import Failed
from tessera.extras.face_sets.jpeg_metadata import MAX_PAYLOAD, read_metadata, remove_metadata, size_of_picture, write_metadata
from tessera.extras.face_sets.metadata import FaceMetadata, jpeg_fields
from tessera.extras.face_sets.plain_pickle import write_pickle

files = pytest.mark.parametrize("content", JPEGS.values(), ids=JPEGS)


def segments(content: bytes) -> list[tuple[int, bytes]]:
    """Return the marker and the payload of each segment before the first scan, and at last 0 and the rest: slow and obvious."""
    found = []
    position = 2
    while True:
        while content[position + 1] == 0xFF:
            position += 1
        assert content[position] == 0xFF
        marker = content[position + 1]
        if marker == 0xDA:
            return [*found, (0, content[position:])]
        length = content[position + 2] * 256 + content[position + 3]
        found.append((marker, content[position + 4 : position + 2 + length]))
        position += 2 + length


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


@given(st.sampled_from(list(JPEGS.values())), faces)
def test_every_field_is_read_as_it_was_written(content: bytes, face: FaceMetadata) -> None:
    assert read_metadata(write_metadata(content, face)) == face


@files
def test_the_metadata_are_one_segment_behind_the_last_app_segment_and_nothing_else_changes(content: bytes) -> None:
    written = write_metadata(content, face())
    before, after = segments(content), segments(written)
    last = max((number for number, (marker, _) in enumerate(before) if 0xE0 <= marker <= 0xEF), default=-1)
    assert after[: last + 1] + after[last + 2 :] == before
    assert after[last + 1] == (0xEF, write_pickle(jpeg_fields(face())))
    assert (pixels(written) == pixels(content)).all()


@files
def test_without_the_metadata_the_file_is_the_original(content: bytes) -> None:
    assert remove_metadata(content) == content
    assert read_metadata(content) is None
    once = write_metadata(content, face(1))
    assert remove_metadata(once) == content
    assert write_metadata(once, face(2)) == write_metadata(content, face(2))


@files
def test_the_size_is_that_of_the_stored_picture(content: bytes) -> None:
    assert size_of_picture(content) == Image.open(io.BytesIO(content)).size[::-1]
    assert size_of_picture(jpeg(side=9)) == (9, 9)


def test_pickle_reads_plain_lists_and_the_mask_as_the_buffer_that_opencv_decodes() -> None:
    cv2 = pytest.importorskip("cv2")
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    png = cv2.imencode(".png", mask)[1].tobytes()
    written = write_metadata(BASELINE, face(mask=png))
    read = pickle.loads(dict(segments(written))[0xEF])  # noqa: S301
    assert read["landmarks"] == face().landmarks.tolist() and read["source_rect"] == [10, 20, 110, 140]
    assert read["image_to_face_mat"] == face().image_to_face_mat.tolist()
    assert (read["face_type"], read["source_filename"], read["eyebrows_expand_mod"]) == ("whole_face", "00000.png", 1.0)
    assert "seg_ie_polys" not in read, "what is not there is left out"
    assert (cv2.imdecode(read["xseg_mask"], cv2.IMREAD_UNCHANGED) == mask).all()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_metadata_of_other_versions_are_read(protocol: int) -> None:
    points = np.random.default_rng(0).uniform(0, 256, (68, 2))
    written = {
        "landmarks": points,
        "source_landmarks": points.astype("f4"),
        "source_rect": np.array([1, 2, 3, 4]),
        "source_filename": None,
        "image_to_face_mat": np.eye(3)[:2].tolist(),
        "seg_ie_polys": [(1, [(0, 1), (2, 3), (4.5, 5)]), (np.int32(0), [])],
        "xseg_mask": np.frombuffer(PNG + b"rest", np.uint8)[:, None],
        "pitch_yaw_roll": (np.float32(0.5), 1.0, -1.0),
    }
    read = read_metadata(BASELINE[:20] + segment(0xEF, pickle.dumps(written, protocol)) + BASELINE[20:])
    assert read is not None
    assert (read.landmarks == points).all() and read.source_landmarks is not None
    assert (read.source_landmarks == points.astype("f4")).all()
    assert (read.face_type, read.source_rect, read.source_filename, read.mask) == (
        "full_face",
        (1, 2, 3, 4),
        None,
        PNG + b"rest",
    )
    assert [(each.is_included, each.points.tolist()) for each in read.polygons] == [
        (True, [[0, 1], [2, 3], [4.5, 5]]),
        (False, []),
    ]
    assert read.others == {"pitch_yaw_roll": (0.5, 1.0, -1.0)}
    assert read_metadata(write_metadata(BASELINE, read)) == read


def test_of_several_segments_the_last_counts_and_all_are_replaced() -> None:
    both = BASELINE[:2] + b"".join(segment(0xEF, write_pickle(jpeg_fields(face(seed)))) for seed in (1, 2)) + BASELINE[2:]
    assert read_metadata(both) == face(2)
    assert remove_metadata(both) == BASELINE


def test_faces_differ_in_every_field() -> None:
    other = {
        "face_type": "head",
        "landmarks": face(1).landmarks,
        "source_filename": None,
        "source_rect": None,
        "source_landmarks": None,
        "image_to_face_mat": None,
        "eyebrows_expand_mod": 2,
        "polygons": read_polygons(),
        "mask": PNG,
        "others": {"a": 1},
    }
    assert list(other) == [each.name for each in fields(FaceMetadata)]
    assert face() == face()
    for name, value in other.items():
        assert face() != replace(face(), **{name: value}), name


def read_polygons() -> object:
    written = {"landmarks": face().landmarks, "seg_ie_polys": {"polys": [{"type": 1, "pts": [[1.0, 2.0]]}]}}
    read = read_metadata(BASELINE[:2] + segment(0xEF, pickle.dumps(written)) + BASELINE[2:])
    assert read is not None
    return read.polygons


def test_the_largest_metadata_fill_a_segment_and_larger_ones_are_an_error() -> None:
    room = MAX_PAYLOAD - len(write_pickle(jpeg_fields(face(mask=PNG + b"m" * 50_000)))) + 50_000
    largest = face(mask=PNG + b"m" * room)
    written = write_metadata(BASELINE, largest)
    assert written[BEHIND_APP0 : BEHIND_APP0 + 4] == b"\xff\xef\xff\xff"
    assert read_metadata(written) == largest and remove_metadata(written) == BASELINE
    with pytest.raises(Failed, match="65,534 bytes, 65,533 are allowed"):
        write_metadata(BASELINE, face(mask=PNG + b"m" * (room + 1)))


USABLE = jpeg_fields(face(mask=PNG))
NOT_USABLE = {
    "no dictionary": [USABLE],
    "no landmarks": {**USABLE, "landmarks": None},
    "five landmarks": {**USABLE, "landmarks": USABLE["landmarks"][:5]},
    "landmarks of text": {**USABLE, "landmarks": [["1", "2"]] * 68},
    "a long text among landmarks": {**USABLE, "landmarks": [[1.5, "x" * 9000], *USABLE["landmarks"][1:]]},
    "landmarks that are no numbers": {**USABLE, "landmarks": [[float("nan"), 1.0]] * 68},
    "landmarks of different lengths": {**USABLE, "landmarks": [[1.0, 2.0]] * 67 + [[1.0]]},
    "landmarks in three dimensions": {**USABLE, "landmarks": [[1.0, 2.0, 3.0]] * 68},
    "an infinite matrix": {**USABLE, "image_to_face_mat": [[float("inf"), 0.0, 0.0]] * 2},
    "a rectangle of three sides": {**USABLE, "source_rect": [1, 2, 3]},
    "an integer beyond all": {**USABLE, "source_rect": [1, 2, 3, 2**900]},
    "an unknown alignment": {**USABLE, "face_type": "quarter_face"},
    "an alignment that is a number": {**USABLE, "face_type": 3},
    "a file name that is a number": {**USABLE, "source_filename": 3},
    "a factor that is a text": {**USABLE, "eyebrows_expand_mod": "1"},
    "factors": {**USABLE, "eyebrows_expand_mod": np.ones(2)},
    "an outline that is a number": {**USABLE, "seg_ie_polys": [(1, 0.5)]},
    "outlines that are pairs of numbers": {**USABLE, "seg_ie_polys": {"polys": [[0.5, 1.5], [2.5, 3.5]]}},
    "an infinite factor": {**USABLE, "eyebrows_expand_mod": float("inf")},
    "a mask that is no image": {**USABLE, "xseg_mask": b"mask"},
    "a mask that is a number": {**USABLE, "xseg_mask": 5},
    "outlines that are a number": {**USABLE, "seg_ie_polys": 5},
    "an outline without points": {**USABLE, "seg_ie_polys": {"polys": [{"type": 1}]}},
    "an outline beyond float32": {**USABLE, "seg_ie_polys": {"polys": [{"type": 1, "pts": [[1e300, 0.0]]}]}},
}


@pytest.mark.parametrize("content", NOT_USABLE.values(), ids=NOT_USABLE)
def test_metadata_that_are_not_usable_fail(content: object) -> None:
    for written in (write_pickle(content), pickle.dumps(content, 4)):
        with pytest.raises(Failed, match="face metadata not usable"):
            read_metadata(BASELINE[:2] + segment(0xEF, written) + BASELINE[2:])


def test_a_long_text_among_numbers_takes_little_memory() -> None:
    written = write_pickle({**USABLE, "landmarks": [[1.5, "x" * 50_000], *USABLE["landmarks"][1:]]})
    tracemalloc.start()
    try:
        with pytest.raises(Failed, match="landmarks"):
            read_metadata(BASELINE[:2] + segment(0xEF, written) + BASELINE[2:])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_pickle_that_runs_code_fails_and_runs_nothing(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return exec, (f"open({str(tmp_path / 'made')!r}, 'w')",)

    for content in (Runs(), {"landmarks": Runs()}, {**USABLE, "xseg_mask": Runs()}):
        with pytest.raises(Failed, match="exec"):
            read_metadata(BASELINE[:2] + segment(0xEF, pickle.dumps(content)) + BASELINE[2:])
    assert not list(tmp_path.iterdir())


BROKEN = {
    "no bytes": b"",
    "a PNG file": PNG,
    "no segments": b"\xff\xd8",
    "no picture": b"\xff\xd8\xff\xd9",
    "two starts": b"\xff\xd8" + BASELINE,
    "no marker": BASELINE[:BEHIND_APP0] + b"x" + BASELINE[BEHIND_APP0:],
    "the marker 0": BASELINE[:BEHIND_APP0] + b"\xff\x00" + BASELINE[BEHIND_APP0:],
    "a length of 1": BASELINE[:BEHIND_APP0] + b"\xff\xe1\x00\x01" + BASELINE[BEHIND_APP0:],
    "a length beyond the file": BASELINE[:BEHIND_APP0] + b"\xff\xe1\xff\xff" + BASELINE[BEHIND_APP0:],
    "nothing but fill bytes": b"\xff\xd8" + b"\xff" * 1_000_000,
    "a million segments": b"\xff\xd8" + b"\xff\xe1\x00\x02" * 1_000_000 + BASELINE[2:],
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_fails(content: bytes) -> None:
    for work in (read_metadata, remove_metadata, size_of_picture, lambda content: write_metadata(content, face())):
        with pytest.raises(Failed, match="not a readable JPEG"):
            work(content)


@given(st.data())
def test_a_damaged_file_is_read_or_fails(data: st.DataObject) -> None:
    content = bytearray(write_metadata(BASELINE, face(mask=PNG)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read = read_metadata(damaged)
    except Failed:
        return
    assert read is None or read_metadata(write_metadata(remove_metadata(damaged), read)) == read
