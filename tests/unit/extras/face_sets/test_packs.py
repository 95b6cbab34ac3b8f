"""`faceset.pak`: nothing is lost, nothing is deleted, a damaged pack gives nothing, and no name leaves the folder."""

import enum
import io
import pickle
import struct
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_faces import BASELINE, JPEGS, PNG, entry, face, faces, jpeg, segment, slow_write

from tessera.core.errors import Failed, TesseraError
from tessera.core.names import folded
from tessera.extras.face_sets.jpeg_metadata import read_metadata, write_metadata
from tessera.extras.face_sets.metadata import FACE_TYPES, FaceMetadata
from tessera.extras.face_sets.packs import Row, pack, read_index, unpack


def write_files(folder: Path, contents: dict[str, bytes]) -> list[Path]:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def in_pack(face: FaceMetadata) -> FaceMetadata:
    """Return what a pack has of `face`."""
    return replace(face, source_rect=None, source_landmarks=None, image_to_face_mat=None)


def slow_read(content: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """Return the entry and the file of each face in a pack: slow and obvious, as DeepFaceLab does it."""
    file = io.BytesIO(content)
    (version,) = struct.unpack("<Q", file.read(8))
    (length,) = struct.unpack("<Q", file.read(8))
    entries = pickle.loads(file.read(length))  # noqa: S301
    offsets = [struct.unpack("<Q", file.read(8))[0] for _ in range(len(entries) + 1)]
    start = file.tell()
    assert version == 1
    read = []
    for number, fields in enumerate(entries):
        file.seek(start + offsets[number])
        # The last one reads too much, and ends with the file.
        read.append((fields, file.read(offsets[number + 1] - offsets[number])))
    return read


def unpacked(tmp_path: Path, content: bytes) -> tuple[list[Row], dict[str, bytes]]:
    (tmp_path / "faceset.pak").write_bytes(content)
    rows = unpack(tmp_path / "faceset.pak", tmp_path / "unpacked")
    assert {path.name for path in tmp_path.iterdir()} == {"faceset.pak", "unpacked"}
    return rows, contents_of(tmp_path / "unpacked")


@given(st.lists(st.tuples(faces, st.sampled_from(sorted(JPEGS))), max_size=4), st.booleans())
def test_a_set_is_packed_as_deepfacelab_reads_it_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[FaceMetadata, str]], has_persons: bool
) -> None:
    tmp_path = tmp_path_factory.mktemp("set")
    contents = {
        f"person {number % 2}/{number // 2 if has_persons else number}_0.jpg": write_metadata(JPEGS[kind], face)
        for number, (face, kind) in enumerate(members)
    }
    files = write_files(tmp_path / "faces", contents)
    rows = pack(files, tmp_path / "faceset.pak", has_persons=has_persons)
    assert rows == [Row(str(file), "ok", "") for file in files]
    content = (tmp_path / "faceset.pak").read_bytes()
    stored = slow_read(content)
    assert [picture for _, picture in stored] == list(contents.values())
    packed = read_index(tmp_path / "faceset.pak")
    assert [each.face for each in packed] == [in_pack(face) for face, _ in members]
    for (fields, _), each, file, (member, _) in zip(stored, packed, files, members, strict=True):
        assert (fields["filename"], fields["person_name"]) == (file.name, file.parent.name if has_persons else None)
        assert (each.name, each.person) == (fields["filename"], fields["person_name"])
        assert (fields["sample_type"], fields["face_type"], fields["shape"]) == (1, FACE_TYPES[member.face_type], (16, 16, 3))
        assert fields["landmarks"] == member.landmarks.tolist() and fields["source_filename"] == member.source_filename
        assert (None if member.mask is None else fields["xseg_mask_compressed"].tobytes()) == member.mask
        assert fields["eyebrows_expand_mod"] == member.eyebrows_expand_mod and fields["xseg_mask"] is None
        assert content[each.offset : each.offset + each.size] == file.read_bytes()
    assert [row.reason for row in unpack(tmp_path / "faceset.pak", tmp_path / "unpacked")] == [""] * len(files)
    expected = {name if has_persons else Path(name).name: content for name, content in contents.items()}
    assert contents_of(tmp_path / "unpacked") == expected
    assert [read_metadata(expected[name]) for name in expected] == [face for face, _ in members], "with all metadata"
    assert contents_of(tmp_path / "faces") == contents, "nothing is deleted"
    assert (tmp_path / "faceset.pak").read_bytes() == content


def test_a_pack_of_deepfacelab_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enumerations = {}
    for module in ("samplelib.Sample", "facelib.FaceType"):
        for path in accumulate(module.split("."), "{}.{}".format):
            monkeypatch.setitem(sys.modules, path, ModuleType(path))
        name = {"samplelib.Sample": "SampleType"}.get(module, "FaceType")
        enumerations[name] = enum.IntEnum(name, {"FACE": 1, "HEAD": 10}, module=module)
        setattr(sys.modules[module], name, enumerations[name])
    polygon = {"type": 1, "pts": np.array([[1, 2], [3, 4], [5, 6.5]], np.float32)}
    entries = [
        entry(
            f"{seed}.jpg",
            seed,
            sample_type=enumerations["SampleType"].FACE,
            face_type=enumerations["FaceType"].HEAD,
            seg_ie_polys={"polys": [polygon]},
            xseg_mask_compressed=np.frombuffer(PNG + b"mask", np.uint8)[:, None],
            person_name="somebody",
            pitch_yaw_roll=(np.float64(0.5), 0.25, 0.0),
        )
        for seed in range(300)
    ]
    files = [jpeg(seed) for seed in range(len(entries))]
    (tmp_path / "faceset.pak").write_bytes(slow_write(entries, files))
    read = read_index(tmp_path / "faceset.pak")
    assert [(each.name, each.person, each.size) for each in read] == [
        (f"{seed}.jpg", "somebody", len(files[seed])) for seed in range(300)
    ]
    for seed, each in enumerate(read):
        assert (each.face.landmarks == face(seed).landmarks).all() and each.face.face_type == "head"
        assert each.face.polygons[0].is_included and each.face.polygons[0].points.tolist() == [[1, 2], [3, 4], [5, 6.5]]
        assert each.face.mask == PNG + b"mask" and each.face.others == {"pitch_yaw_roll": (0.5, 0.25, 0.0)}


def test_a_mask_of_numbers_is_read_as_a_picture(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    mask = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1)
    (tmp_path / "faceset.pak").write_bytes(slow_write([entry(xseg_mask=mask)], [BASELINE]))
    [packed] = read_index(tmp_path / "faceset.pak")
    read = cv2.imdecode(np.frombuffer(packed.face.mask, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (read == (mask[..., 0] * 255).astype(np.uint8)).all()


@pytest.mark.parametrize("length", [*range(2**14 - 800, 2**14 + 200, 50), 2**15, 60_000])
def test_what_stands_before_the_picture_may_be_long(tmp_path: Path, length: int) -> None:
    other = BASELINE[:2] + segment(0xE1, b"x" * length) + BASELINE[2:]
    member = face(mask=PNG + b"m" * 2**15)
    contents = {"a.jpg": write_metadata(other, face()), "b.jpg": write_metadata(other, member)}
    assert {row.status for row in pack(write_files(tmp_path / "faces", contents), tmp_path / "faceset.pak")} == {"ok"}
    assert [each.face for each in read_index(tmp_path / "faceset.pak")] == [in_pack(face()), in_pack(member)]
    assert [read for _, read in slow_read((tmp_path / "faceset.pak").read_bytes())] == list(contents.values())


def test_what_cannot_be_packed_is_a_row(tmp_path: Path) -> None:
    good = write_metadata(BASELINE, face())
    contents = {
        "a.jpg": good,
        "b.jpg": BASELINE,
        "c.png": PNG,
        "d.jpg": good[:300],
        "e.jpg": b"",
        "f.jpg": BASELINE[:2] + segment(0xEF, pickle.dumps({"landmarks": [[1.0, 2.0]] * 5})) + BASELINE[2:],
        "sub/A.jpg": good,
        "g.jpg": write_metadata(JPEGS["progressive"], face(1)),
    }
    files = [*write_files(tmp_path / "faces", contents), tmp_path / "faces" / "missing.jpg", tmp_path / "faces" / "sub"]
    rows = pack(files, tmp_path / "faceset.pak")
    assert [row.file for row in rows] == [str(file) for file in files], "a row for each"
    reasons = {Path(row.file).name: row.reason.partition(":")[0] for row in rows if row.status == "failed"}
    assert reasons == {
        "b.jpg": "no face metadata",
        "c.png": "not a readable JPEG",
        "d.jpg": "not a readable JPEG",
        "e.jpg": "empty file",
        "f.jpg": "face metadata not usable",
        "A.jpg": "name taken",
        "missing.jpg": "missing",
        "sub": "not a regular file",
    }
    assert [each.name for each in read_index(tmp_path / "faceset.pak")] == ["a.jpg", "g.jpg"]
    assert contents_of(tmp_path / "faces") == contents, "nothing is deleted"


def test_what_exists_is_not_replaced(tmp_path: Path) -> None:
    files = write_files(tmp_path / "faces", {"a.jpg": write_metadata(BASELINE, face())})
    pack(files, tmp_path / "faceset.pak")
    before = contents_of(tmp_path)
    for work in (lambda: pack(files, tmp_path / "faceset.pak"), lambda: unpack(tmp_path / "faceset.pak", tmp_path / "faces")):
        with pytest.raises(TesseraError, match="exists"):
            work()
    assert contents_of(tmp_path) == before


@pytest.mark.parametrize("change", ["content", "size", "removed"])
def test_a_file_that_changes_meanwhile_stops_and_nothing_is_left(tmp_path: Path, change: str) -> None:
    first, second = write_files(tmp_path / "faces", {name: write_metadata(BASELINE, face()) for name in ("a.jpg", "b.jpg")})

    def changing() -> Iterator[Path]:
        yield first
        if change == "removed":
            first.unlink()
        else:
            first.write_bytes(write_metadata(BASELINE, face(1)) + b"x" * (change == "size"))
        yield second

    with pytest.raises(TesseraError, match=r"a\.jpg' changed while it was packed"):
        pack(changing(), tmp_path / "faceset.pak")
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


FILES = [jpeg(seed) for seed in range(3)]
SIZE = len(FILES[0])
ENTRIES = [entry(f"{seed}.jpg", seed) for seed in range(3)]
BEGIN = 16 + len(pickle.dumps(ENTRIES, 4)) + 8 * 4
WHOLE = slow_write(ENTRIES, FILES)
DAMAGED = {
    "no bytes": (b"", "empty file"),
    "a cut header": (WHOLE[:15], "cut off"),
    "another version": (slow_write(ENTRIES, FILES, version=2), "version 2"),
    "an index beyond the file": (slow_write(ENTRIES, FILES, length=2**63), "index has 9,223"),
    "a cut index": (WHOLE[:500], "index has"),
    "an index that ends early": (slow_write(ENTRIES, FILES, length=700), "not a plain pickle"),
    "a cut table": (WHOLE[: BEGIN - 1], "before the table"),
    "a cut file": (WHOLE[:-1], "copy it again"),
    "more behind the files": (WHOLE + b"x", "copy it again"),
    "an offset beyond the file": (slow_write(ENTRIES, FILES, offsets=[0, 2**62, 2 * SIZE, len(WHOLE)]), "entry 1, '1.jpg'"),
    "offsets that run backwards": (slow_write(ENTRIES, FILES, offsets=[0, 2 * SIZE, SIZE, len(WHOLE)]), "entry 1, '1.jpg'"),
    "files that overlap": (slow_write(ENTRIES, FILES, offsets=[SIZE, 0, 2 * SIZE, len(WHOLE)]), "entry 0, '0.jpg'"),
    "a file without bytes": (slow_write(ENTRIES, FILES, offsets=[0, SIZE, len(WHOLE) - BEGIN, len(WHOLE)]), "entry 2, '2.jpg'"),
    "an index that is a dictionary": (slow_write({"a": 1}, []), "no list"),
    "an entry that is a number": (slow_write([*ENTRIES[:2], 5], FILES), "entry 2: it has no file name"),
    "a name that is a number": (slow_write([entry(5)], FILES[:1]), "entry 0: it has no file name"),
    "a person that is a number": (slow_write([entry(person_name=5)], FILES[:1]), "name of its person"),
    "a million faces in 40 bytes": (slow_write(b"\x80\x04]\x94(N" + b"h\x00" * 8 + b"e.", []), "in one another"),
    "a million numbers in 40 bytes": (
        slow_write(b"\x80\x04cnumpy\nndarray\nJ\x40\x42\x0f\x00\x85\x8c\x02u1C\x00\x87R.", []),
        "not a plain pickle",
    ),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_pack_gives_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "faceset.pak").write_bytes(content)
    for work in (lambda: read_index(tmp_path / "faceset.pak"), lambda: unpack(tmp_path / "faceset.pak", tmp_path / "unpacked")):
        with pytest.raises(Failed) as raised:
            work()
        assert message in str(raised.value)
    assert contents_of(tmp_path) == {"faceset.pak": content}


def test_an_end_that_is_relative_like_the_starts_is_read(tmp_path: Path) -> None:
    rows, written = unpacked(tmp_path, slow_write(ENTRIES, FILES, offsets=[0, SIZE, SIZE + len(FILES[1]), len(WHOLE) - BEGIN]))
    assert list(written.values()) == FILES and [row.status for row in rows] == ["ok"] * 3


def test_a_pack_that_runs_code_runs_nothing(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return exec, (f"open({str(tmp_path / 'made')!r}, 'w')",)

    for entries in (Runs(), [Runs()], [entry(landmarks=Runs())]):
        (tmp_path / "faceset.pak").write_bytes(slow_write(entries, FILES[:1]))
        with pytest.raises(Failed, match="exec"):
            read_index(tmp_path / "faceset.pak")
        with pytest.raises(Failed, match="exec"):
            unpack(tmp_path / "faceset.pak", tmp_path / "unpacked")
    assert [path.name for path in tmp_path.iterdir()] == ["faceset.pak"]


def test_metadata_of_a_pack_that_are_not_usable_name_the_entry_and_do_not_hinder_unpacking(tmp_path: Path) -> None:
    content = slow_write([ENTRIES[0], entry("1.jpg", landmarks=[[1.0, 2.0]])], FILES[:2])
    (tmp_path / "faceset.pak").write_bytes(content)
    with pytest.raises(Failed, match=r"entry 1: face metadata not usable: landmarks: 68 x 2"):
        read_index(tmp_path / "faceset.pak")
    assert unpacked(tmp_path, content)[1] == {"0.jpg": FILES[0], "1.jpg": FILES[1]}


@pytest.mark.parametrize(
    "changed",
    [
        {"face_type": 7},
        {"face_type": "head"},
        {"face_type": ((1,),)},
        {"xseg_mask": np.zeros((1, 2**17), np.float32)},
        {"xseg_mask": np.zeros((9, 9, 3), np.float32)},
        {"xseg_mask": [[0.5, 1.5]] * 9},
    ],
)
def test_an_entry_with_unusable_values_fails(tmp_path: Path, changed: dict[str, Any]) -> None:
    (tmp_path / "faceset.pak").write_bytes(slow_write([entry(**changed)], FILES[:1]))
    with pytest.raises(Failed, match=f"entry 0: face metadata not usable: {next(iter(changed))}"):
        read_index(tmp_path / "faceset.pak")


def test_an_entry_that_is_no_jpeg_is_a_row(tmp_path: Path) -> None:
    rows, written = unpacked(tmp_path, slow_write(ENTRIES, [FILES[0], b"\x7fELF" * 50, FILES[2]]))
    assert [(row.file, row.status) for row in rows] == [("0.jpg", "ok"), ("1.jpg", "failed"), ("2.jpg", "ok")]
    assert written == {"0.jpg": FILES[0], "2.jpg": FILES[2]}


NAMES = {
    "../../a.jpg": "%2E.%2F..%2Fa.jpg",
    "/etc/a.jpg": "%2Fetc%2Fa.jpg",
    "c:\\a.jpg": "c%3A%5Ca.jpg",
    "..": "%2E%2E.jpg",
    "": "%.jpg",
    ".jpg": "%2Ejpg.jpg",
    "con.jpg": "%63on.jpg",
    "LPT1 .x.jpeg": "%4CPT1 .x.jpeg",
    "com¹.jpg": "%63om¹.jpg",
    "console.jpg": "console.jpg",
    "a.exe": "a.exe.jpg",
    "a\0b.jpg": "a%00b.jpg",
    "a\nb.jpg": "a%0Ab.jpg",
    "a\ud800.jpg": "a%ED%A0%80.jpg",
    "-rf.jpg": "%2Drf.jpg",
    "100% ~1.jpg": "100% ~1.jpg",
    "é.JPG": "é.JPG",
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items(), ids=range(len(NAMES)))
def test_a_name_that_is_not_safe_is_changed(tmp_path: Path, name: str, expected: str) -> None:
    rows, written = unpacked(tmp_path, slow_write([entry(name)], FILES[:1]))
    assert list(written) == [expected]
    assert rows == [Row(expected, "ok", "" if name == expected else f"renamed from {name!r}")]


def test_no_file_replaces_another_on_any_system(tmp_path: Path) -> None:
    names = ["a.jpg", "A.jpg", "a.jpg", "a~1.jpg", "e\u0301.jpg", "é.jpg", "a", "x" * 300 + ".jpg", "x" * 301 + ".jpg"]
    people = ["b", "B", "../b", "", "a.jpg", "nul", None]
    entries = [entry(name, person_name=person) for person in people for name in names]
    files = [jpeg(seed) for seed in range(len(entries))]
    rows, written = unpacked(tmp_path, slow_write(entries, files))
    assert len({folded(name) for name in written}) == len(entries)
    assert [written[row.file] for row in rows] == files, "each face has its row"
    assert all(len(part.encode()) <= 255 and part not in {"", ".", ".."} for name in written for part in name.split("/"))
    folders = {folded(name.split("/")[0]) for name in written if "/" in name}
    assert not folders & {folded(name) for name in written}


@given(st.data())
def test_a_pack_with_wrong_bytes_gives_its_faces_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("damaged")
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, BEGIN - 1))] = data.draw(st.integers(0, 255))
    try:
        rows, written = unpacked(tmp_path, bytes(content))
    except Failed:
        assert [path.name for path in tmp_path.iterdir()] == ["faceset.pak"]
    else:
        assert len(rows) == 3 and sum(row.status == "ok" for row in rows) == len(written)


def test_the_memory_holds_one_face_and_the_index(tmp_path: Path) -> None:
    padding = b"x" * 1_000_000
    files = write_files(
        tmp_path / "faces", {f"{seed}.jpg": write_metadata(BASELINE, face(seed)) + padding for seed in range(40)}
    )
    tracemalloc.start()
    try:
        pack(files, tmp_path / "faceset.pak")
        unpack(tmp_path / "faceset.pak", tmp_path / "unpacked")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(padding), f"{peak:,} bytes"
    assert contents_of(tmp_path / "unpacked") == contents_of(tmp_path / "faces")
