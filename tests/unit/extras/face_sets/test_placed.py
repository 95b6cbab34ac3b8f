"""Landmarks that a person placed are read from tables and files of labelme, and each fault names its file, line and fix."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, read_ledger
from tessera.extras.face_sets.find import FoundFace
from tessera.extras.face_sets.landmarks import MEAN_FIVE
from tessera.extras.face_sets.placed import placed_faces, read_placements

FIVE = MEAN_FIVE * 50 + 100
SIDE = 320
HEADER = "frame\tpoint\tx\ty"


def rows_of(points: np.ndarray, *before: object, first: int = 0) -> list[str]:
    """Return rows of a table of landmarks, each with the fields `before`."""
    return ["\t".join(map(str, [*before, first + number, *point])) for number, point in enumerate(points.tolist())]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def frame(key: str) -> dict[str, Any]:
    return {"key": key, "width": SIDE, "height": SIDE, "aspect": None}


def placed(path: Path, *keys: str, source: str = "film") -> tuple[dict[str, list[FoundFace]], dict[str, dict[str, Any]]]:
    """Return the faces that are placed in the frames of `source` with these keys, and the ledger, by key."""
    ledger = path.parent / "ledger.jsonl"
    with Ledger(ledger) as writer:
        faces = placed_faces(read_placements(path).get(source, []), [frame(key) for key in keys], writer)
    rows = read_ledger(ledger)
    return faces, {row["key"]: row for row in rows}


def shapes_of(points: np.ndarray, group: int | None = None, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"label": str(first + number), "points": [point], "group_id": group, "shape_type": "point"}
        for number, point in enumerate(points.tolist())
    ]


def write_document(path: Path, shapes: list[dict[str, Any]], **fields: Any) -> Path:
    path.write_text(json.dumps({"shapes": shapes, "imageWidth": SIDE, "imageHeight": SIDE, **fields}))
    return path


@pytest.mark.parametrize(
    "named", ["film-0000007", "film-0000007.jpg", "film-0000007.png"], ids=["key", "file", "file before the format changed"]
)
def test_a_table_names_a_frame_by_its_key_or_its_file(tmp_path: Path, named: str) -> None:
    faces, rows = placed(write(tmp_path / "a.tsv", HEADER, *rows_of(FIVE, named)), "film-0000007")
    np.testing.assert_allclose(faces["film-0000007"][0].landmarks, FIVE)
    assert not rows and faces["film-0000007"][0].where == f"{tmp_path / 'a.tsv'}, line 2"


def test_a_table_names_a_frame_by_its_source_and_number_or_path(tmp_path: Path) -> None:
    lines = [*rows_of(FIVE, "my film", 7), *rows_of(FIVE, "album", "sea/a.jpg")]
    table = write(tmp_path / "a.tsv", f"source\t{HEADER}", *lines)
    assert placed(table, "my%20film-0000007", source="my%20film")[0].keys() == {"my%20film-0000007"}
    key = "album-sea%2Fa.jpg~3f2a9c1b4d5e"
    assert placed(table, key, source="album")[0].keys() == {key}


def test_a_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """With a byte order mark, line ends of Windows, quotes, empty columns and rows, and points that count from 1."""
    lines = [f"{HEADER}\t", *(f'"{line}"'.replace("\t", '"\t"') for line in rows_of(FIVE, "film-0000007", first=1)), "\t\t\t"]
    (tmp_path / "a.tsv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    faces, _ = placed(tmp_path / "a.tsv", "film-0000007")
    np.testing.assert_allclose(faces["film-0000007"][0].landmarks, FIVE)


def test_several_faces_of_a_frame_are_sorted_by_size_in_both_formats(tmp_path: Path) -> None:
    small, large = FIVE, FIVE * 1.2
    lines = [*rows_of(small, "film-0000007", 0), *rows_of(large, "film-0000007", 1)]
    write(tmp_path / "a.tsv", HEADER.replace("point", "face\tpoint"), *lines)
    write_document(tmp_path / "film-0000008.json", [*shapes_of(small, 3), *shapes_of(large, 9, first=1)])
    faces, _ = placed(tmp_path, "film-0000007", "film-0000008")
    for found in faces.values():
        np.testing.assert_allclose([face.landmarks for face in found], [large, small])
    assert faces["film-0000008"][0].where.endswith("film-0000008.json, group 9")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({4: "film-0000007\t2\tNaN\t3"}, "line 4: x: .*finite number; given: 'NaN'"),
        ({4: "film-0000007\t2\t12,5\t3"}, "line 4: x: should be a number, .*with a point for decimals; given: '12,5'"),
        ({4: "film-0000007\t2\t\t3"}, "line 4: x: should be a number.*given: ''"),
        ({4: ""}, "line 2: frame 'film-0000007', face 0: 4 points, of which 2 is missing; a face has 68 points"),
        ({6: "film-0000007\t5\t1\t3"}, "line 2: frame 'film-0000007', face 0: 5 points, of which 4 is missing, 6 is missing"),
        ({4: "film-0000007\t1\t1\t3"}, "line 4: point 1 of this face is already on line 3; remove one, or give each face"),
        ({4: "film-0000007\t69\t1\t3"}, "line 4: point: .*68; given: '69'"),
        ({4: "\t2\t1\t3"}, "line 4: frame: .*given: ''"),
        ({1: HEADER.replace("\t", ",")}, "line 1: the columns are separated by ','; separate columns with tabs"),
        ({1: "frame\tpoint\tx"}, "line 1: column 'y' is missing"),
    ],
)
def test_each_fault_of_a_table_is_an_error_with_its_line_and_the_fix(
    tmp_path: Path, change: dict[int, str], message: str
) -> None:
    lines = dict(enumerate([HEADER, *rows_of(FIVE, "film-0000007")], 1)) | change
    table = write(tmp_path / "a.tsv", *lines.values())
    with pytest.raises(TesseraError, match=message) as error:
        read_placements(table)
    assert str(error.value).startswith(str(table))


def test_a_table_that_is_no_utf_8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes("\n".join([HEADER, *rows_of(FIVE, "film-0000007")]).encode("utf-16"))
    with pytest.raises(TesseraError, match=r"a\.tsv: not UTF-8 .*save it as UTF-8"):
        read_placements(tmp_path)


def test_landmarks_of_no_frame_and_of_a_frame_twice_are_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", HEADER, *rows_of(FIVE, "film-0000009"), *rows_of(FIVE, "film-0000007"))
    write_document(tmp_path / "film-0000007.json", shapes_of(FIVE))
    faces, rows = placed(tmp_path, "film-0000007", "film-0000008")
    assert faces == {"film-0000007": []}
    assert rows["film-0000009"]["reason"] == "landmarks of no such frame"
    assert (
        rows["film-0000009"]["detail"]
        == f"{tmp_path / 'a.tsv'}, line 2: there is no such frame; correct the frame, or remove it"
    )
    assert rows["film-0000007"]["reason"] == "landmarks placed twice" and "keep one" in rows["film-0000007"]["detail"]
    assert read_placements(write(tmp_path / "b.tsv", HEADER, *rows_of(FIVE, "nonsense"))).keys() == {""}


def test_points_of_labelme_on_a_copy_of_another_size_are_scaled(tmp_path: Path) -> None:
    document = write_document(tmp_path / "film-0000007.json", shapes_of(FIVE * 2), imageWidth=2 * SIDE, imageHeight=2 * SIDE)
    faces, _ = placed(document, "film-0000007")
    np.testing.assert_allclose(faces["film-0000007"][0].landmarks, FIVE)


def test_a_file_of_labelme_without_points_places_nothing(tmp_path: Path) -> None:
    """Such as the labels of regions in the same folder."""
    region = {"label": "face", "points": [[0, 0], [9, 0], [9, 9]], "shape_type": "polygon"}
    write_document(tmp_path / "film-0000007.json", [region], imageWidth=99)
    assert placed(tmp_path, "film-0000007") == ({}, {})
    write_document(tmp_path / "film-0000007.json", [region, *shapes_of(FIVE)])
    assert placed(tmp_path, "film-0000007")[0]["film-0000007"]


@pytest.mark.parametrize(
    ("shapes", "fields", "reason", "detail"),
    [
        (shapes_of(FIVE)[:4], {}, "wrong number of landmarks", "4 points, of which 4 is missing"),
        ([*shapes_of(FIVE), *shapes_of(FIVE)], {}, "wrong number of landmarks", "0 is there twice; .* its own group_id"),
        ([shapes_of(FIVE)[0] | {"label": "nose"}], {}, "wrong number of landmarks", "shape 0 has the label 'nose'"),
        ([shapes_of(FIVE)[0] | {"points": [[float("nan"), 1]]}], {}, "broken shape", "not finite"),
        ([shapes_of(FIVE)[0] | {"points": []}], {}, "broken shape", "not a list of x, y"),
        ([shapes_of(FIVE)[0] | {"group_id": "a"}], {}, "broken shape", "group_id is no number"),
        # On the square of the face, which is the picture that other tools show.
        (
            shapes_of(FIVE),
            {"imageHeight": 256},
            "size differs from the image",
            "states 320 by 256 pixels, the frame has 320 by",
        ),
    ],
)
def test_a_file_of_labelme_that_cannot_be_used_is_a_row(
    tmp_path: Path, shapes: list[dict[str, Any]], fields: dict[str, Any], reason: str, detail: str
) -> None:
    document = write_document(tmp_path / "film-0000007.json", shapes, **fields)
    faces, rows = placed(document, "film-0000007")
    row = rows["film-0000007"]
    assert faces == {"film-0000007": []} and (row["status"], row["reason"]) == ("failed", reason)
    assert str(document) in row["detail"] and re.search(detail, row["detail"])
