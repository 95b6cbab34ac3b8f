"""A mask is that of a person, else that of the model, else the hull of the landmarks, and its row says which, and why."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from decoded_models import write_mask_model
from face_pictures import head_landmarks, portrait
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.extras.face_sets.hull import face_hull, hull_mask
from tessera.extras.face_sets.jpeg_metadata import write_metadata
from tessera.extras.face_sets.landmarks import five_points
from tessera.extras.face_sets.masks import mask_faces
from tessera.extras.face_sets.metadata import FaceMetadata, Polygon
from tessera.imaging.images import read_image, write_image
from tessera.learning.mask_settings import MaskModelSettings
from tessera.records.subjects import Subject
from tessera.records.tables.faces import FaceMasks, Faces
from tessera.records.tables.table import read_table, types, write_table

SIZE = 64
MATRIX = np.array([[0.5, 0, 3], [0, 0.5, -4]])
KEYS = [f"film-000000{number}-face-0" for number in (1, 2)]
KEY = KEYS[0]
ADA = Subject.model_validate(
    {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
)
LEFT = [[0, 0], [32, 0], [32, SIZE], [0, SIZE]]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A table of two faces, the second with five landmarks, with their files in the folder `images`."""
    return write_faces(tmp_path)


def write_faces(folder: Path, angle: float = 0.0) -> Path:
    draw = np.random.default_rng(0)
    rows = []
    for key, count in zip(KEYS, (68, 5), strict=True):
        (folder / "images").mkdir(exist_ok=True)
        write_image(folder / "images" / f"{key}.jpg", portrait(SIZE, draw))
        landmarks = head_landmarks(angle, 0, 0, SIZE)
        in_frame = ((landmarks if count == 68 else five_points(landmarks)) - MATRIX[:, 2]) * 2
        row = dict.fromkeys(("x0", "y0", "cut_off", "misfit", "dark", "bright"), 0.0) | {"x1": 1.0, "y1": 1.0}
        row |= {"confidence": 0.9, "contrast": 50.0, "turned": 0, "index": 1, "size": SIZE, "face_type": "whole"}
        row |= {"key": key, "source": "film", "frame": key[:12], "landmarks": in_frame.ravel().tolist(), "placed_by": "model"}
        row |= {
            "matrix": MATRIX.ravel().tolist(),
            "file": f"{key}.jpg",
            "sha256": sha256_file(folder / "images" / f"{key}.jpg"),
        }
        rows.append({**dict.fromkeys(types(Faces)), **row})
    write_table(pl.DataFrame(rows, schema=types(Faces)), Faces, folder / "faces.parquet")
    return folder / "faces.parquet"


def hull() -> np.ndarray:
    return hull_mask(face_hull(head_landmarks(0, 0, 0, SIZE), SIZE, SIZE), SIZE, SIZE)


def write_document(path: Path, *shapes: tuple[str, list[list[float]]], **fields: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    drawn = [{"label": label, "points": points, "shape_type": "polygon"} for label, points in shapes]
    path.write_text(json.dumps({"shapes": drawn, "imageWidth": SIZE, "imageHeight": SIZE, **fields}))


def masked(faces: Path, model: Path | None = None, out: str = "out", **settings: Any) -> dict[str, dict[str, Any]]:
    """Return the rows of the masks by their keys, with the pixels of each."""
    folder = faces.parent
    place = folder / out
    place.mkdir()
    subject = settings.pop("subject", ADA)
    if model:
        settings["weights"] = {"source": str(model), "sha256": sha256_file(model)}
    mask_faces(
        faces,
        folder / "images",
        subject,
        model,
        MaskModelSettings(size=SIZE, **settings),
        folder / "drawn" if (folder / "drawn").exists() else None,
        folder / "outlined",
        code="1",
        masks=place / "masks",
        table=place / "masks.parquet",
    )
    rows = read_table(place / "masks.parquet", FaceMasks).to_dicts()
    assert sorted(row["file"] for row in rows if row["file"]) == sorted(path.name for path in (place / "masks").iterdir())
    return {
        row["key"]: row | {"mask": read_image(place / "masks" / row["file"])[..., 0] if row["file"] else None} for row in rows
    }


def everywhere(folder: Path) -> Path:
    """Return a model that takes each pixel for the face that is not black."""
    return write_mask_model(folder / "m.onnx", [(100.0, 100.0, 100.0)], SIZE)


def test_without_a_model_and_a_person_the_hull_is_the_mask(faces: Path) -> None:
    rows = masked(faces)
    np.testing.assert_array_equal(rows[KEY]["mask"], hull())
    assert (rows[KEY]["origin"], rows[KEY]["occlusion"], rows[KEY]["reason"]) == ("hull", None, "")
    assert (rows[KEYS[1]]["file"], rows[KEYS[1]]["origin"]) == (None, None)
    assert rows[KEYS[1]]["reason"].startswith("wrong number of landmarks")


def test_the_model_goes_before_the_hull_and_needs_no_landmarks(faces: Path) -> None:
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[:, :32] = 250
    for key in KEYS:
        write_image(faces.parent / "images" / f"{key}.jpg", picture)
    rows = masked(faces, write_mask_model(faces.parent / "m.onnx", [(1.0, 0.0, 0.0)], SIZE))
    assert {row["origin"] for row in rows.values()} == {"model"} and {row["reason"] for row in rows.values()} == {""}
    np.testing.assert_array_equal(rows[KEY]["mask"][:, 4:60] > 0, np.broadcast_to(np.arange(4, 60) < 32, (SIZE, 56)))
    assert rows[KEY]["occlusion"] == pytest.approx(np.count_nonzero(hull()[:, 32:]) / np.count_nonzero(hull()), abs=0.01)
    assert rows[KEYS[1]]["occlusion"] is None, "there is no hull of five landmarks"


def test_what_the_model_outlines_is_stored_and_another_model_or_file_outlines_again(faces: Path) -> None:
    model = everywhere(faces.parent)
    first = masked(faces, model, output="logits")
    stored = {path.name: path.stat().st_mtime_ns for path in (faces.parent / "outlined").iterdir()}
    write_document(faces.parent / "drawn" / f"{KEY}.json", ("include", LEFT))
    again = masked(faces, model, "again", output="logits")
    assert {path.name: path.stat().st_mtime_ns for path in (faces.parent / "outlined").iterdir()} == stored
    assert again[KEY]["origin"] == "hand" and again[KEYS[1]]["mask"].tobytes() == first[KEYS[1]]["mask"].tobytes()
    masked(faces, model, "threshold", output="logits", threshold=0.9)
    assert stored.keys().isdisjoint(path.name for path in (faces.parent / "outlined").iterdir())


def test_a_model_that_finds_no_face_or_no_numbers_leaves_it_to_the_hull_and_says_so(faces: Path) -> None:
    nothing = write_mask_model(faces.parent / "m.onnx", [(0.0, 0.0, 0.0)], SIZE)
    rows = masked(faces, nothing)
    assert (rows[KEY]["origin"], rows[KEY]["reason"]) == ("hull", "mask empty: the model finds no face")
    assert rows[KEYS[1]]["reason"].startswith("mask empty: the model finds no face; wrong number of landmarks")
    rows = masked(faces, write_mask_model(faces.parent / "n.onnx", [(float("nan"), 0, 0)], SIZE), "n", output="logits")
    assert (rows[KEY]["origin"], rows[KEY]["reason"]) == ("hull", "mask not finite: of the model")


def test_polygons_of_a_person_go_before_the_model_in_the_order_in_which_they_are_drawn(faces: Path) -> None:
    hole, spot = [[8, 8], [24, 8], [24, 24], [8, 24]], [[12, 12], [20, 12], [20, 20], [12, 20]]
    write_document(faces.parent / "drawn" / f"{KEY}.json", ("Include", LEFT), ("exclude ", hole), ("include", spot))
    row = masked(faces, everywhere(faces.parent), output="logits")[KEY]
    assert (row["origin"], row["reason"]) == ("hand", "")
    assert [int(row["mask"][y, x]) for y, x in ((40, 10), (10, 10), (16, 16), (16, 22), (16, 50))] == [255, 0, 255, 0, 0]
    outside = np.count_nonzero(hull() & ~row["mask"]) / np.count_nonzero(hull())
    assert row["occlusion"] == pytest.approx(outside, abs=1e-3)


def test_what_is_only_excluded_is_taken_out_of_the_other_mask(faces: Path) -> None:
    for key in KEYS:
        write_document(faces.parent / "drawn" / f"{key}.json", ("exclude", LEFT))
    rows = masked(faces)
    assert not rows[KEY]["mask"][:, :31].any()
    np.testing.assert_array_equal(rows[KEY]["mask"][:, 34:], hull()[:, 34:])
    assert rows[KEYS[1]]["mask"] is None and "it only excludes, and there is no other mask" in rows[KEYS[1]]["reason"]
    rows = masked(faces, everywhere(faces.parent), "model", output="logits")
    assert {row["origin"] for row in rows.values()} == {"hand"} and rows[KEYS[1]]["mask"][:, 34:].all()


def test_polygons_of_deepfacelab_follow_the_face_to_another_square(faces: Path) -> None:
    """The JPEG file of the face, after its polygons were drawn in XSeg, and with the alignment that it had then."""
    then = np.array([[0.25, 0, 10], [0, 0.25, 8]])
    landmarks = head_landmarks(0, 0, 0, SIZE)
    # XSeg also saves what was begun and left.
    polygons = (
        Polygon(True, np.array([[1, 1], [2, 2]])),
        Polygon(True, np.array([[10, 8], [18, 8], [18, 24], [10, 24]])),
        Polygon(False, np.array([[10, 8], [12, 8], [12, 9]])),
    )
    (faces.parent / "drawn").mkdir()
    content = (faces.parent / "images" / f"{KEY}.jpg").read_bytes()
    for matrix, box in ((then, (3, -4, 19, 28)), (None, (10, 8, 18, 24))):
        face = FaceMetadata("full_face", landmarks, image_to_face_mat=matrix, polygons=polygons)
        (faces.parent / "drawn" / f"{KEY}.jpg").write_bytes(write_metadata(content, face))
        row = masked(faces, out=f"at {box[0]}")[KEY]
        assert row["origin"] == "hand"
        ys, xs = np.nonzero(row["mask"])
        assert (xs.min(), xs.max()) == pytest.approx((box[0], box[2]), abs=1)
        assert (ys.min(), ys.max()) == pytest.approx((max(box[1], 0), box[3]), abs=1)
    (faces.parent / "drawn" / f"{KEY}.jpg").write_bytes(content)
    assert masked(faces, out="without polygons")[KEY]["origin"] == "hull"


def test_a_square_of_another_size_keeps_the_mask_of_a_person(faces: Path) -> None:
    points = [[x / 2, y / 2] for x, y in LEFT]
    write_document(faces.parent / "drawn" / f"{KEY}.json", ("include", points), imageWidth=32, imageHeight=32)
    row = masked(faces)[KEY]
    assert row["origin"] == "hand" and row["mask"][:, :31].all() and not row["mask"][:, 34:].any()


def test_a_mask_that_was_drawn_on_another_picture_is_not_used(faces: Path) -> None:
    """labelme keeps the picture that it showed, compressed once more."""
    image = Image.open(faces.parent / "images" / f"{KEY}.jpg")
    for shown, origin in ((image, "hand"), (image.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "hull")):
        content = io.BytesIO()
        shown.save(content, "JPEG", quality=70)
        data = base64.b64encode(content.getvalue()).decode()
        write_document(faces.parent / "drawn" / f"{KEY}.json", ("include", LEFT), imageData=data)
        row = masked(faces, out=origin)[KEY]
        assert row["origin"] == origin
    assert row["reason"] == (
        f"drawn on another picture: '{faces.parent}/drawn/{KEY}.json': the square of the face has changed since; draw it again"
    )


@pytest.mark.parametrize(
    ("shapes", "fields", "reason"),
    [
        ([("face", LEFT)], {}, "unknown label: .*'face'; rename it to include or exclude"),
        ([("include", LEFT[:2])], {}, "broken shape: .*polygon of 2 points"),
        ([("include", [[float("nan"), 0], [1, 1], [2, 0]])], {}, "broken shape: .*not finite"),
        ([("include", [[900, 900], [910, 900], [910, 910]])], {}, "shape outside the image"),
        ([("include", LEFT)], {"imageWidth": 99}, "size differs from the image: .*99 by 64, the image is 64 by 64"),
        ([("include", LEFT), ("exclude", [[-1, -1], [99, -1], [99, 99], [-1, 99]])], {}, "mask empty: .*all that it includes"),
    ],
)
def test_a_drawing_that_cannot_be_used_leaves_it_to_the_others_and_says_why(
    faces: Path, shapes: list[tuple[str, list[list[float]]]], fields: dict[str, Any], reason: str
) -> None:
    write_document(faces.parent / "drawn" / f"{KEY}.json", *shapes, **fields)
    row = masked(faces)[KEY]
    assert row["origin"] == "hull"
    assert pl.Series([row["reason"]]).str.contains(reason).all(), row["reason"]
    assert f"{KEY}.json" in row["reason"]


def test_damaged_and_double_files_leave_it_to_the_others_and_say_why(faces: Path) -> None:
    (faces.parent / "drawn").mkdir()
    jpeg = faces.parent / "drawn" / f"{KEY}.jpg"
    for content in (b"\xff\xd8\xff", with_pickle(b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR.")):
        jpeg.write_bytes(content)
        row = masked(faces, out=f"{len(content)}")[KEY]
        assert row["origin"] == "hull" and f"{jpeg}" in row["reason"]
    assert not Path("hacked").exists()
    content = (faces.parent / "images" / f"{KEY}.jpg").read_bytes()
    face = FaceMetadata("whole_face", head_landmarks(0, 0, 0, SIZE), polygons=(Polygon(True, np.array(LEFT)),))
    jpeg.write_bytes(write_metadata(content, face))
    write_document(faces.parent / "drawn" / f"{KEY}.json", ("include", LEFT))
    assert masked(faces, out="twice")[KEY]["reason"].startswith("mask drawn twice: ")
    # The copy of a square that labelme shows.
    jpeg.write_bytes(content)
    row = masked(faces, out="copy")[KEY]
    assert (row["origin"], row["reason"]) == ("hand", "")
    write_document(faces.parent / "drawn" / f"{KEY}.json")
    assert masked(faces, out="nothing")[KEY]["reason"] == "", "a file without shapes draws nothing"


def with_pickle(pickled: bytes) -> bytes:
    """Return the start of a JPEG file whose metadata are `pickled`."""
    return b"\xff\xd8\xff\xef" + (len(pickled) + 2).to_bytes(2) + pickled + b"\xff\xda\0\2"


def test_masks_of_no_face_are_named(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("tessera.extras.face_sets.masks.tell", told.append)
    write_document(faces.parent / "drawn" / "film-0000009-face-0.json", ("include", LEFT))
    assert masked(faces)[KEY]["origin"] == "hull"
    assert told[0].startswith("1 drawn mask left out, of faces that are not there:") and "film-0000009-face-0.json" in told[0]


@pytest.mark.parametrize("changed", [{"revoked": "yes"}, {"expires": "2020-01-01"}, {"scope": ()}])
def test_no_face_is_masked_without_a_valid_consent(faces: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(TesseraError, match="'Ada'"):
        masked(faces, subject=ADA.model_copy(update=changed))
    assert not (faces.parent / "out" / "masks").exists()
