"""A pack of others gives its files and what they state of the faces, and what is hostile in it is a row."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from packed_faces import entry, face, jpeg, segment, slow_write

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.face_sets.jpeg_metadata import APP15, write_metadata
from tessera.extras.face_sets.metadata import FaceMetadata, Polygon
from tessera.extras.face_sets.packs import pack
from tessera.extras.face_sets.unpack import unpack_faces
from tessera.records.subjects import Subject

ADA = {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
BLOCKLIST = "sha256\tphash\treason\n"


def unpacked(folder: Path, path: Path, listed: str = "", **subject: str) -> tuple[pl.DataFrame, list[tuple[str, str]]]:
    """Unpack the pack `path`; return the table, and the status and the reason of each entry."""
    (folder / "blocklist.tsv").write_text(BLOCKLIST + (f"{listed}\t\tours\n" if listed else ""))
    out = {"aligned": folder / "aligned", "table": folder / "faces.parquet", "ledger": folder / "ledger.jsonl"}
    unpack_faces(path, folder / "blocklist.tsv", 4, Subject.model_validate(ADA | subject), **out)
    return pl.read_parquet(out["table"]), [(row["status"], row["reason"]) for row in read_ledger(out["ledger"])]


def picture(seed: int, metadata: FaceMetadata | None = None) -> bytes:
    return write_metadata(jpeg(seed, 64), metadata or face(seed))


def hostile(payload: bytes, seed: int = 1) -> bytes:
    """Return a picture with a face, and a second segment APP15 behind the first two bytes."""
    content = picture(seed)
    return content[:2] + segment(APP15, payload) + content[2:]


def test_files_come_back_with_a_table_of_what_they_state(tmp_path: Path) -> None:
    outline = Polygon(False, np.array([[1, 2], [3, 4], [5, 6.5]]))
    drawn = FaceMetadata(
        "full_face", face().landmarks, polygons=(Polygon(True, outline.points + 1), outline), source_filename="\ud800.png"
    )
    contents = {"a.jpg": picture(1), "b.jpg": picture(2, drawn)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    pack([tmp_path / name for name in contents], tmp_path / "faceset.pak")
    before = (tmp_path / "faceset.pak").read_bytes()
    table, outcomes = unpacked(tmp_path, tmp_path / "faceset.pak")
    assert {path.name: path.read_bytes() for path in (tmp_path / "aligned").iterdir()} == contents
    assert (tmp_path / "faceset.pak").read_bytes() == before and outcomes == [("ok", "")] * 2
    one, two = table.to_dicts()
    assert (one["file"], one["width"], one["height"], one["face_type"]) == ("a.jpg", 64, 64, "whole_face")
    assert one["landmarks"] == face(1).landmarks.ravel().tolist() and one["source_file"] == "00001.png"
    assert one["source_landmarks"] == face(1).source_landmarks.ravel().tolist() and one["rectangle"] == [10, 20, 110, 140]
    assert one["matrix"] == face(1).image_to_face_mat.ravel().tolist() and one["polygons"] == []
    assert one["sha256"] == hashlib.sha256(contents["a.jpg"]).hexdigest() and not one["has_mask"]
    assert two["polygons"] == [[2, 3, 4, 5, 6, 7.5], [1, 2, 3, 4, 5, 6.5]] and two["included"] == [True, False]
    assert (two["matrix"], two["rectangle"], two["source_file"]) == (None, None, "?.png")


def test_what_is_hostile_is_a_row_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "out.jpg").write_bytes(b"mine")
    touch = f"cos\nsystem\n(S'touch {tmp_path / 'ran'}'\ntR."
    files: dict[str, tuple[bytes, str]] = {
        "good.jpg": (picture(0), ""),
        "plain.jpg": (jpeg(1, 64), "no face metadata"),
        "code.jpg": (jpeg(2, 64)[:2] + segment(APP15, b"\x80\x02" + touch.encode()) + jpeg(2, 64)[2:], "not a plain pickle"),
        "hidden.jpg": (hostile(touch.encode()), "more than one segment APP15"),
        "before.jpg": (hostile(b"\x80\x02" + touch.encode()), "more than one segment APP15"),
        "cut.jpg": (picture(3)[:-300], "image cannot be decoded"),
        "listed.jpg": (picture(4), "on the blocklist"),
        "tiny.jpg": (write_metadata(jpeg(5, 8), face(5)), "image too small"),
        "../out.jpg": (b"no picture", "not a readable JPEG"),
    }
    content = slow_write([entry(name) for name in files], [each for each, _ in files.values()])
    (tmp_path / "faceset.pak").write_bytes(content)
    table, outcomes = unpacked(tmp_path, tmp_path / "faceset.pak", hashlib.sha256(picture(4)).hexdigest())
    assert table["file"].to_list() == ["good.jpg"] == [path.name for path in (tmp_path / "aligned").iterdir()]
    reasons = [reason.partition(":")[0] for _, reason in outcomes]
    assert reasons == [reason for _, reason in files.values()]
    assert not (tmp_path / "ran").exists() and (tmp_path / "out.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("entries", "subject", "message"),
    [
        ([{"person_name": "ann"}, {"person_name": "bob"}], {}, "shows several people: ann, bob; .* shows 'Ada' alone"),
        ([{"person_name": "ann"}, {}], {}, "shows several people: one without a name, ann; "),
        ([{}], {"expires": "2020-01-31"}, "no faces of 'Ada' are collected .consent expired"),
        ([{}], {"adult_attested": "no"}, "no faces of 'Ada' are collected .not attested to be an adult"),
        ([], {}, "has no face that can be used .it is empty"),
        (None, {}, "damaged pack"),
    ],
)
def test_a_pack_that_must_not_be_unpacked_gives_nothing(
    tmp_path: Path, entries: list[dict[str, Any]] | None, subject: dict[str, str], message: str
) -> None:
    named = [entry(f"{number}.jpg", **changed) for number, changed in enumerate(entries or [])]
    content = b"no pack" if entries is None else slow_write(named, [picture(number) for number in range(len(named))])
    (tmp_path / "faceset.pak").write_bytes(content)
    with pytest.raises(TesseraError, match=message):
        unpacked(tmp_path, tmp_path / "faceset.pak", **subject)
    assert not (tmp_path / "faces.parquet").exists() and (tmp_path / "faceset.pak").read_bytes() == content
