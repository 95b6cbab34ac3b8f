"""Faces are found at any turn, cut out once, and each has a row: a face of the set, or why it is none."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ledgers import outcomes

from decoded_models import write_centerface, write_landmark_model, write_s3fd
from frame_shards import write_shard
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.core.tsv import write_sheet
from tessera.extras.face_sets.alignment import align, transform, warp
from tessera.extras.face_sets.extract import extract_faces
from tessera.extras.face_sets.jpeg_metadata import read_metadata
from tessera.extras.face_sets.landmarks import HEAD, MEAN_FACE, MEAN_FIVE
from tessera.extras.face_sets.settings import FaceSetSettings
from tessera.imaging.images import read_image, write_image
from tessera.records.subjects import Subject
from tessera.records.tables.faces import Faces
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table, write_table

SIDE = 320  # pixels of the frames, so that the detector sees them as they are
POINTS = MEAN_FIVE * 0.8 + 0.1  # of a face, in its box
# 68 landmarks, as fractions of the box of a face.
MEAN = np.concatenate([HEAD[:17, :2] / 125 + (0.49, 0.47), MEAN_FACE]) * 0.8 + 0.1
ADA = Subject.model_validate(
    {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
)


def frame(*faces: tuple[int, int, int]) -> np.ndarray:
    """Return a frame with a face at each x, y whose side is 4 e^(level / 32) pixels.

    A cell of 4 by 4 pixels is red, which the detector takes for the middle of a face.
    """
    picture = np.random.default_rng(0).integers(0, 60, (SIDE, SIDE, 3), np.uint8)
    for x, y, level in faces:
        picture[y // 4 * 4 : y // 4 * 4 + 4, x // 4 * 4 : x // 4 * 4 + 4] = (255, level, level)
    return picture


def turned_frame() -> np.ndarray:
    """Return a frame that was turned clockwise; as it is, the red cell lies across two cells of the detector."""
    return np.ascontiguousarray(np.rot90(frame((160, 100, 110))[: SIDE - 2], -1))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard of the source `film`, and the detector."""
    write_shard(tmp_path, {"film": []}, 4, (SIDE, SIDE))
    pictures = [frame((160, 120, 110), (60, 240, 100)), frame(), turned_frame(), frame((160, 160, 60))]
    for index, picture in enumerate(pictures):
        write_image(tmp_path / "frames" / f"film-{index:07d}.png", picture)
    frames = read_table(tmp_path / "frames.parquet", Frames).with_columns(width=pl.Series([p.shape[1] for p in pictures]))
    write_table(frames, Frames, tmp_path / "frames.parquet")
    write_centerface(tmp_path / "faces.onnx", points=[(x, y) for x, y in POINTS])
    return tmp_path


def run(folder: Path, out: str = "out", subject: Subject = ADA, landmarks: np.ndarray | None = None, **given: Any) -> Path:
    place = folder / out
    place.mkdir()
    weights = folder / "faces.onnx"
    detector = {"weights": {"source": str(weights), "sha256": sha256_file(weights)}, "image_size": SIDE, "confidence": 0.9}
    declared = {}
    if landmarks is not None:
        model = write_landmark_model(folder / "landmarks.onnx", landmarks)
        declared["weights"] = {"source": str(model), "sha256": sha256_file(model)}
    settings = {"subject": "Ada", "sources": ["film"], "detector": detector}
    settings["landmarks"] = {"crop": "square", "factor": 1.0, **declared}
    settings["squares"] = {"size": 128, **given.pop("squares", {})}
    settings["detector"] |= given.pop("find", {})
    settings["landmarks_by_hand"] = given.pop("by_hand", None)
    extract_faces(
        **{
            "frames": folder / "frames.parquet",
            "images": folder / "frames",
            "sources": folder / "sources.parquet",
            "subject": subject,
            "detector": weights,
            "landmarks": folder / "landmarks.onnx" if declared else None,
            "settings": FaceSetSettings(**settings),
            "cache": folder / "kept",
            "code": "1",
            "threads": 2,
            "table": place / "faces.parquet",
            "pictures": place / "images",
            "ledger": place / "ledger.jsonl",
            **given,
        }
    )
    return place


def content(place: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in sorted((place / "images").iterdir())}
    return files | {"table": (place / "faces.parquet").read_bytes()}


def test_each_face_is_cut_out_at_the_turn_at_which_it_is_found(shard: Path) -> None:
    place = run(shard)
    assert outcomes(place) == {
        "film-0000000-face-0": ("ok", ""),
        "film-0000000-face-1": ("ok", ""),
        "film-0000001": ("dropped", "no face in it"),
        "film-0000002-face-0": ("ok", ""),
        "film-0000003-face-0": ("dropped", "face too small"),
    }
    rows = {row["key"]: row for row in read_table(place / "faces.parquet", Faces).to_dicts()}
    assert {key: row["turned"] for key, row in rows.items()} == {
        "film-0000000-face-0": 0,
        "film-0000000-face-1": 0,
        "film-0000002-face-0": 90,
    }
    side = 4 * np.exp(110 / 32)
    for key, corner in (("film-0000000-face-0", (162, 122)), ("film-0000002-face-0", (SIDE - 104, 162))):
        row = rows[key]
        box = [corner[0] - side / 2, corner[1] - side / 2, corner[0] + side / 2, corner[1] + side / 2]
        assert [row[name] for name in ("x0", "y0", "x1", "y1")] == pytest.approx(box, abs=0.1)
        picture = read_image(shard / "frames" / f"{row['frame']}.png")
        points = np.reshape(row["landmarks"], (5, 2))
        matrix = align(points, *picture.shape[:2], "whole", 128)
        assert row["matrix"] == pytest.approx(matrix.ravel().tolist())
        square = read_image(place / "images" / row["file"])
        assert np.abs(square.astype(int) - warp(picture, matrix, 128)).mean() < 12, "a JPEG of the square"
        assert row["sha256"] == sha256_file(place / "images" / row["file"])
        assert row["yaw"] is None and row["landmark_model"] is None and row["misfit"] < 0.001
    # The eyes of the face in the turned frame stand above each other.
    eyes = np.reshape(rows["film-0000002-face-0"]["landmarks"], (5, 2))[:2]
    assert abs(eyes[0, 0] - eyes[1, 0]) < 1 < eyes[1, 1] - eyes[0, 1]


def test_png_files_hold_the_squares_without_a_loss(shard: Path) -> None:
    place = run(shard, squares={"format": "png"})
    row = read_table(place / "faces.parquet", Faces).to_dicts()[0]
    matrix = np.reshape(row["matrix"], (2, 3))
    expected = warp(read_image(shard / "frames" / f"{row['frame']}.png"), matrix, 128)
    np.testing.assert_array_equal(read_image(place / "images" / f"{row['key']}.png"), expected)


def test_threads_change_no_byte_and_each_source_is_cut_once(shard: Path) -> None:
    made = content(run(shard))
    assert content(run(shard, "one", cache=shard / "another", threads=1)) == made
    assert content(run(shard, "again", detector=shard / "nowhere.onnx")) == made, "the models are not loaded"


def test_another_model_or_setting_or_frame_cuts_again(shard: Path) -> None:
    made = [content(run(shard))]
    made.append(content(run(shard, "smaller", squares={"size": 64})))
    made.append(content(run(shard, "landmarks", landmarks=MEAN)))
    write_centerface(shard / "faces.onnx", points=[(1 - x, y) for x, y in POINTS[[1, 0, 2, 4, 3]] + 0.01])
    made.append(content(run(shard, "detector")))
    write_image(shard / "frames" / "film-0000001.png", frame((160, 160, 110)))
    made.append(content(run(shard, "frame")))
    assert len({each["table"] for each in made}) == 5


def test_a_smaller_minimum_side_adds_faces_and_renames_none(shard: Path) -> None:
    keys = [
        set(read_table(run(shard, f"{side}", find={"min_side": side}) / "faces.parquet", Faces)["key"]) for side in (95, 40, 20)
    ]
    assert keys[0] < keys[1] < keys[2]


def test_68_landmarks_give_a_pose_and_what_deepfacelab_reads(shard: Path) -> None:
    place = run(shard, landmarks=MEAN)
    row = read_table(place / "faces.parquet", Faces).to_dicts()[0]
    assert row["landmark_model"] == sha256_file(shard / "landmarks.onnx")
    assert abs(row["yaw"]) < 0.2 and abs(row["roll"]) < 0.1
    points = np.reshape(row["landmarks"], (68, 2))
    corner, sides = np.array([row["x0"], row["y0"]]), np.array([row["x1"] - row["x0"], row["y1"] - row["y0"]])
    np.testing.assert_allclose(points, corner + MEAN * sides, atol=0.1)
    face = read_metadata((place / "images" / row["file"]).read_bytes())
    assert (face.face_type, face.source_filename) == ("whole_face", f"{row['frame']}.png")
    assert face.source_rect == (row["x0"], row["y0"], row["x1"], row["y1"])
    np.testing.assert_array_equal(face.source_landmarks, points)
    np.testing.assert_array_equal(face.landmarks, transform(points, face.image_to_face_mat))
    # The turned face is described in the frame as it is.
    turned = read_table(place / "faces.parquet", Faces).filter(turned=90).to_dicts()[0]
    chin = np.reshape(turned["landmarks"], (68, 2))[8]
    assert chin[0] < (turned["x0"] + turned["x1"]) / 2 - 20


@pytest.mark.parametrize(
    ("landmarks", "reason"),
    [
        (np.full((68, 2), np.nan), "landmarks not finite"),
        (np.full((68, 2), 0.5), "landmarks at one point"),
        (MEAN + 1000, "landmarks outside the picture"),
    ],
)
def test_landmarks_that_cannot_be_used_are_rows(shard: Path, landmarks: np.ndarray, reason: str) -> None:
    place = run(shard, landmarks=landmarks)
    found = outcomes(place)
    assert {found[f"film-000000{number}-face-0"] for number in (0, 2)} == {("dropped", reason)}
    assert read_table(place / "faces.parquet", Faces).is_empty() and not list((place / "images").iterdir())


def test_landmarks_of_the_detector_that_cannot_be_used_are_rows(shard: Path) -> None:
    write_centerface(shard / "faces.onnx", points=[(np.nan, np.nan)] * 5)
    assert outcomes(run(shard))["film-0000000-face-0"] == ("dropped", "landmarks not finite")


def test_a_detector_without_landmarks_needs_a_model_of_them(shard: Path) -> None:
    write_s3fd(shard / "faces.onnx", softmax=True, side=0)
    for number in range(4):
        write_image(shard / "frames" / f"film-{number:07d}.png", np.full((SIDE, SIDE - 2 * (number == 2), 3), 230, np.uint8))
    with pytest.raises(TesseraError, match=r"finds no landmarks; declare a model that does in `landmarks\.weights`"):
        run(shard, find={"min_side": 8})
    assert outcomes(run(shard, "again", landmarks=MEAN, find={"min_side": 8}))["film-0000000-face-0"] == ("ok", "")


def test_no_face_in_any_frame_is_an_empty_table(shard: Path) -> None:
    for path in (shard / "frames").iterdir():
        write_image(path, frame()[:, : read_image(path).shape[1]])
    place = run(shard)
    assert set(outcomes(place).values()) == {("dropped", "no face in it")} and len(outcomes(place)) == 4
    assert read_table(place / "faces.parquet", Faces).is_empty()


def test_a_frame_that_cannot_be_read_is_a_row_and_the_source_is_made_again(shard: Path) -> None:
    whole = (shard / "frames" / "film-0000002.png").read_bytes()
    (shard / "frames" / "film-0000002.png").write_bytes(whole[:1000])
    assert outcomes(run(shard))["film-0000002"][0] == "failed"
    (shard / "frames" / "film-0000002.png").write_bytes(whole)
    assert outcomes(run(shard, "again"))["film-0000002-face-0"] == ("ok", "")


@pytest.mark.parametrize("changed", [{"revoked": "yes"}, {"expires": "2020-01-01"}, {"scope": ()}])
def test_no_face_is_read_without_a_valid_consent(shard: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(TesseraError, match="no faces of 'Ada' are collected"):
        run(shard, subject=ADA.model_copy(update=changed))
    assert not (shard / "kept").exists() and not (shard / "out" / "images").exists()


def test_a_source_that_is_not_general_or_not_named_gives_no_face(shard: Path) -> None:
    sources = read_table(shard / "sources.parquet", Sources)
    write_table(sources.with_columns(content=pl.lit("adult")), Sources, shard / "sources.parquet")
    place = run(shard)
    assert outcomes(place) == {"film": ("dropped", "adult source")}
    frames = read_table(shard / "frames.parquet", Frames)
    write_table(frames.with_columns(source=pl.lit("other")), Frames, shard / "frames.parquet")
    assert outcomes(run(shard, "again")) == {}


def place(path: Path, *faces: tuple[str, np.ndarray]) -> Path:
    """Write a table of landmarks in the frames of these keys."""
    rows = [(frame, number, *point) for frame, points in faces for number, point in enumerate(points.tolist())]
    write_sheet(path, ("frame", "point", "x", "y"), rows)
    return path


def test_landmarks_by_hand_replace_what_is_found_in_their_frames_and_nothing_else(shard: Path) -> None:
    before = run(shard)
    stored = {path.name for path in (shard / "kept").iterdir()}
    corner, side = np.array([100, 120]), 100
    points = corner + MEAN * side
    table = place(shard / "hand.tsv", ("film-0000000", points), ("film-0000001", points))
    # The models are not loaded: what they found is stored.
    after = run(shard, "after", by_hand=table, detector=shard / "nowhere.onnx")
    assert outcomes(after) == {
        "film-0000000-face-0": ("ok", ""),
        "film-0000001-face-0": ("ok", ""),
        "film-0000002-face-0": ("ok", ""),
        "film-0000003-face-0": ("dropped", "face too small"),
    }
    rows = {row["key"]: row for row in read_table(after / "faces.parquet", Faces).to_dicts()}
    assert list(rows) == sorted(rows) == sorted(path.stem for path in (after / "images").iterdir())
    assert {key: row["placed_by"] for key, row in rows.items()} == {
        "film-0000000-face-0": "hand",
        "film-0000001-face-0": "hand",
        "film-0000002-face-0": "detector",
    }
    row = rows["film-0000001-face-0"]
    assert row["landmarks"] == points.ravel().tolist() and row["confidence"] == 1 and row["yaw"] is not None
    assert (row["detector"], row["landmark_model"]) == (None, None)
    assert [row["x0"], row["y0"], row["x1"], row["y1"]] == pytest.approx([*points.min(axis=0), *points.max(axis=0)], abs=0.01)
    face = read_metadata((after / "images" / row["file"]).read_bytes())
    np.testing.assert_array_equal(face.source_landmarks, points)
    of_film = {row["key"]: row for row in read_table(before / "faces.parquet", Faces).to_dicts()}
    assert rows["film-0000002-face-0"] == of_film["film-0000002-face-0"]
    assert stored < {path.name for path in (shard / "kept").iterdir()}
    # Another place in one frame cuts out no other face.
    moved = place(shard / "hand.tsv", ("film-0000000", points), ("film-0000001", points + 5))
    again = run(shard, "again", by_hand=moved, detector=shard / "nowhere.onnx")
    changed = {row["key"] for row in read_table(again / "faces.parquet", Faces).to_dicts() if row != rows[row["key"]]}
    assert changed == {"film-0000001-face-0"}
    assert content(run(shard, "removed", detector=shard / "nowhere.onnx")) == content(before)


def test_a_source_with_landmarks_by_hand_in_each_frame_needs_no_model(shard: Path) -> None:
    points = 100 + MEAN * 30
    table = place(shard / "hand.tsv", *((f"film-{number:07d}", points) for number in range(4)))
    (shard / "faces.onnx").write_bytes(b"no model")
    faces = read_table(run(shard, by_hand=table) / "faces.parquet", Faces)
    assert faces["placed_by"].to_list() == ["hand"] * 4, "a face that a person placed is never too small"


def test_a_head_that_stands_upside_down_is_aligned_by_landmarks_by_hand(shard: Path) -> None:
    points = 200 - POINTS * 80
    place(shard / "hand.tsv", ("film-0000001", points))
    row = read_table(run(shard, by_hand=shard / "hand.tsv") / "faces.parquet", Faces).filter(placed_by="hand").to_dicts()[0]
    aligned = transform(points, np.reshape(row["matrix"], (2, 3)))
    assert aligned[:2, 1].max() < aligned[3:, 1].min(), "the eyes are above the mouth"
    # Five points span a part of the face: the rectangle is that of the square of the mean face.
    assert row["x1"] - row["x0"] == pytest.approx(64, abs=0.1)


@pytest.mark.parametrize(
    ("points", "reason", "detail"),
    [
        (MEAN * 100 + 1000, "landmarks outside the picture", "point 0 is ("),
        (np.full((68, 2), 50.0), "landmarks at one point", "all 68 lie within a pixel of (50, 50)"),
    ],
)
def test_landmarks_by_hand_that_cannot_be_used_are_rows_with_their_line(
    shard: Path, points: np.ndarray, reason: str, detail: str
) -> None:
    table = place(shard / "hand.tsv", ("film-0000001", MEAN * 100 + 50), ("film-0000002", points))
    rows = {row["key"]: row for row in read_ledger(run(shard, by_hand=table) / "ledger.jsonl")}
    assert len(rows) == len({row["key"] for row in rows.values()}) and rows["film-0000001-face-0"]["status"] == "ok"
    row = rows["film-0000002-face-0"]
    assert (row["status"], row["reason"]) == ("dropped", reason)
    assert row["detail"].startswith(f"{table}, line 70: {detail}") and row["detail"].endswith("place the landmarks again")


def test_a_frame_with_unusable_landmarks_by_hand_has_no_face_and_the_next_run_reads_them_again(shard: Path) -> None:
    (shard / "hand").mkdir()
    (shard / "hand" / "film-0000000.json").write_text("{")
    found = outcomes(run(shard, by_hand=shard / "hand"))
    assert found["film-0000000"] == ("failed", "broken JSON") and "film-0000000-face-0" not in found
    assert found["film-0000002-face-0"] == ("ok", "")
    place(shard / "hand" / "ada.tsv", ("film-0000000", MEAN * 100 + 50))
    found = outcomes(run(shard, "twice", by_hand=shard / "hand"))
    assert found["film-0000000"] == ("failed", "landmarks placed twice")
    (shard / "hand" / "film-0000000.json").unlink()
    assert outcomes(run(shard, "again", by_hand=shard / "hand"))["film-0000000-face-0"] == ("ok", "")
