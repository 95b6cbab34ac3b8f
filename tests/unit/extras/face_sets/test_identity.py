"""Other people are told from the person of a face set: by what most faces have in common, in any order, and only once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import polars as pl
import pytest
from pydantic import ValidationError

from decoded_models import without_memory, write_embedder
from frame_shards import write_shard
from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.extras.face_sets.alignment import align, transform
from tessera.extras.face_sets.identity import ARCFACE, centre, compare_faces, embed_faces, input_matrix
from tessera.extras.face_sets.landmarks import HEAD, MEAN_FACE, MEAN_FIVE
from tessera.extras.face_sets.settings import FaceSetSettings, IdentitySettings
from tessera.imaging.images import read_image, write_image
from tessera.learning.embedding.representatives import all_cosines, l2_normalise
from tessera.records.decisions import Decision
from tessera.records.subjects import Subject
from tessera.records.tables.faces import FaceDistances, FaceEmbeddings, Faces
from tessera.records.tables.table import read_table, types, write_table

SIDE, FACE = 96, 64  # pixels of a frame, and of the mean face in it
POINTS = MEAN_FIVE * FACE + 16
ADA = Subject.model_validate(
    {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
)
SET: dict[str, Any] = {"subject": "Ada", "sources": ["film", "talk"]}


def people(counts: dict[int, int], spread: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of so many faces of each person, and their persons, in any order."""
    draw = np.random.default_rng(seed)
    persons = draw.permutation(np.repeat(list(counts), list(counts.values())))
    directions = l2_normalise(draw.normal(size=(max(counts) + 1, 64))).astype(np.float64)
    return l2_normalise(directions[persons] + draw.normal(0, spread, (len(persons), 64))), persons


def distances(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 - all_cosines(vectors, centre(vectors)[None])[:, 0]
    return found


@pytest.mark.parametrize(
    "counts",
    [
        {0: 90, **dict.fromkeys(range(1, 11), 1)},  # a face of each of ten others
        {0: 90, 1: 10},
        {0: 55, 1: 45},  # one other, whom nearly as many faces show
        {0: 55, 1: 15, 2: 15, 3: 15},
        {0: 2, 1: 1},
    ],
)
def test_faces_of_others_are_farther_than_those_of_the_person(counts: dict[int, int]) -> None:
    for seed in range(5):
        vectors, persons = people(counts, seed=seed)
        found = distances(vectors)
        assert found[persons == 0].max() < 0.5 < found[persons != 0].min(), seed


def test_the_order_of_faces_changes_no_bit() -> None:
    draw = np.random.default_rng(1)
    for seed in range(20):
        # Some are the same, as the faces of a still scene are.
        vectors, _ = people({0: 3000, 1: 2000, 2: 500}, draw.uniform(0, 0.5), seed)
        vectors = vectors[draw.integers(0, len(vectors), draw.integers(1, 5000))]
        order = draw.permutation(len(vectors))
        assert np.array_equal(distances(vectors[order]), distances(vectors)[order])


def test_the_centre_is_the_mean_of_the_half_that_is_nearest_to_it() -> None:
    vectors, _ = people({0: 31, 1: 20}, 0.4)
    found = centre(vectors)
    nearest = sorted(range(51), key=lambda number: -float(vectors[number].astype(float) @ found.astype(float)))[:26]
    mean = np.mean([vectors[number].astype(float) for number in nearest], axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-3)
    for single in (vectors[:1], np.repeat(vectors[:1], 7, axis=0)):
        np.testing.assert_allclose(centre(single), vectors[0], atol=1e-3)


def test_the_input_of_the_model_is_that_of_opencv_for_sface(tmp_path: Path) -> None:
    recogniser = cv2.FaceRecognizerSF.create(str(write_embedder(tmp_path / "any.onnx")), "")
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (480, 640, 3), np.uint8)
    turn = np.array([[1.5, 0.6], [-0.6, 1.5]])
    points = MEAN_FIVE * 130 @ turn.T + (200, 180) + draw.normal(0, 4, (5, 2))
    settings = IdentitySettings()
    ours = cv2.warpAffine(image, input_matrix(points, 480, 640, settings), (112, 112))
    theirs = recogniser.alignCrop(image, np.concatenate([[0, 0, 1, 1], points.ravel(), [1]]).astype(np.float32))
    assert np.abs(ours.astype(int) - theirs).mean() < 2


def test_five_of_68_points_are_moved_to_their_places_at_any_size_of_the_input() -> None:
    landmarks = np.concatenate([HEAD[:17, :2] / 125 + (0.49, 0.47), MEAN_FACE]) * FACE + 16
    small = input_matrix(landmarks, SIDE, SIDE, IdentitySettings())
    np.testing.assert_allclose(small, input_matrix(POINTS, SIDE, SIDE, IdentitySettings()))
    assert np.abs(transform(POINTS, small) - ARCFACE).max() < 8, "the mean face is not quite that of ArcFace"
    np.testing.assert_allclose(input_matrix(POINTS, SIDE, SIDE, IdentitySettings(size=224)), small * 2)
    square = input_matrix(landmarks, SIDE, SIDE, IdentitySettings(alignment="head", size=160))
    np.testing.assert_array_equal(square, align(landmarks, SIDE, SIDE, "head", 160))
    for wrong in (np.full((5, 2), np.nan), POINTS[:4], POINTS + 1000):
        with pytest.raises(Failed):
            input_matrix(wrong, SIDE, SIDE, IdentitySettings())


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard: the source `film` has three reddish faces and a bluish one, and the source `talk` two bluish ones."""
    write_shard(tmp_path, {"film": [], "talk": []}, 4, (SIDE, SIDE))
    (tmp_path / "squares").mkdir()
    draw = np.random.default_rng(0)
    rows = []
    for source, colours in (("film", ("red", "red", "blue", "red")), ("talk", ("blue", "blue"))):
        for index, colour in enumerate(colours):
            picture = draw.integers(0, 60, (SIDE, SIDE, 3), np.uint8)
            picture[:, :, 0 if colour == "red" else 2] += 190
            frame = f"{source}-{index:07d}"
            write_image(tmp_path / "frames" / f"{frame}.png", picture)
            write_image(tmp_path / "squares" / f"{frame}-face-0.jpg", picture)
            rows.append(
                {
                    **dict.fromkeys(types(Faces)),
                    **dict.fromkeys(("x0", "y0", "cut_off", "misfit", "dark", "bright", "contrast"), 0.0),
                    **{"key": f"{frame}-face-0", "source": source, "frame": frame, "index": index, "turned": 0},
                    **{"x1": 90.0, "y1": 90.0, "confidence": 1.0, "landmarks": POINTS.ravel().tolist(), "face_type": "whole"},
                    **{"size": SIDE, "matrix": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "detector": "d", "placed_by": "detector"},
                    "file": f"{frame}-face-0.jpg",
                    "sha256": "s",
                }
            )
    write_table(pl.DataFrame(rows, schema=types(Faces)), Faces, tmp_path / "faces.parquet")
    write_embedder(tmp_path / "means.onnx")
    return tmp_path


def embed(shard: Path, out: str = "out", **given: Any) -> Path:
    place = shard / out
    place.mkdir()
    model = shard / "means.onnx"
    weights = {"source": str(model), "sha256": sha256_file(model)}
    embed_faces(
        **{
            "faces": shard / "faces.parquet",
            "frames": shard / "frames.parquet",
            "images": shard / "frames",
            "subject": ADA,
            "weights": model,
            "settings": IdentitySettings(weights=weights, size=32, mean=(0.5,) * 3, **given.pop("identity", {})),
            "cache_folder": shard / "embedded",
            "code": "1",
            "threads": 2,
            "table": place / "embeddings.parquet",
            "ledger": place / "embeddings.jsonl",
            **given,
        }
    )
    return place


def vectors_of(place: Path) -> dict[str, np.ndarray]:
    table = read_table(place / "embeddings.parquet", FaceEmbeddings)
    return {key: np.array(vector) for key, vector in table.select("key", "vector").iter_rows()}


def test_the_model_sees_each_face_once_whatever_the_threads(shard: Path) -> None:
    place = embed(shard)
    found = vectors_of(place)
    assert [row["status"] for row in read_ledger(place / "embeddings.jsonl")] == ["ok"] * 6
    for key, vector in found.items():
        np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-2)
        assert (vector[2] > 0) == (key.startswith("talk") or key == "film-0000002-face-0") == (vector[0] < 0)
    expected = (place / "embeddings.parquet").read_bytes()
    for threads in (1, 5):
        other = embed(shard, f"threads{threads}", threads=threads, cache_folder=shard / f"cache{threads}")
        assert (other / "embeddings.parquet").read_bytes() == expected
    # What is stored needs no model: neither for the same faces, nor for fewer.
    gone = shard / "gone.onnx"
    assert (embed(shard, "again", weights=gone) / "embeddings.parquet").read_bytes() == expected
    table = read_table(shard / "faces.parquet", Faces)
    write_table(table.filter(source="film"), Faces, shard / "faces.parquet")
    assert vectors_of(embed(shard, "fewer", weights=gone)).keys() == {key for key in found if key.startswith("film")}
    # Another frame or setting of the model is embedded anew; references are none of its settings.
    embed(shard, "references", weights=gone, identity={"references": ["film"]})
    for name, change in (("size", {"identity": {"alignment": "full"}}), ("code", {"code": "2"})):
        with pytest.raises((TesseraError, FileNotFoundError), match="gone"):
            embed(shard, name, weights=gone, **change)


def test_no_face_is_embedded_when_the_consent_has_ended(shard: Path) -> None:
    embed(shard)
    with pytest.raises(TesseraError, match=r"no faces of 'Ada' are collected \(consent revoked"):
        embed(shard, "revoked", subject=ADA.model_copy(update={"revoked": "yes"}))


def test_channels_are_in_the_order_that_the_model_wants(shard: Path) -> None:
    stated = {"mean": (0.2, 0.5, 0.7), "std": (0.5, 0.25, 0.2)}
    model = {"weights": {"source": "means.onnx", "sha256": sha256_file(shard / "means.onnx")}, "size": 32}
    rgb = vectors_of(embed(shard, "rgb", settings=IdentitySettings(**model, **stated)))
    bgr = vectors_of(embed(shard, "bgr", settings=IdentitySettings(**model, **stated, channels="BGR")))
    for key, vector in rgb.items():
        np.testing.assert_allclose(bgr[key], vector[::-1], atol=2e-3)


def test_a_face_that_cannot_be_embedded_is_a_row(shard: Path) -> None:
    (shard / "frames" / "film-0000001.png").write_bytes(b"no picture")
    write_image(shard / "frames" / "film-0000003.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    table = read_table(shard / "faces.parquet", Faces).to_dicts()
    table[0]["landmarks"] = [50.0] * 10
    write_table(pl.DataFrame(table, schema=types(Faces)), Faces, shard / "faces.parquet")
    weights = {"source": "means.onnx", "sha256": sha256_file(shard / "means.onnx")}
    place = embed(shard, settings=IdentitySettings(weights=weights))
    reasons = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(place / "embeddings.jsonl")}
    assert reasons["film-0000000-face-0"] == ("failed", "landmarks at one point")
    assert reasons["film-0000001-face-0"][0] == "failed"
    assert reasons["film-0000003-face-0"] == ("failed", "no usable vector")
    assert vectors_of(place).keys() == {key for key, (status, _) in reasons.items() if status == "ok"} and len(reasons) == 6


def test_a_model_that_does_not_fit_is_refused_with_the_setting_that_a_user_wrote(shard: Path) -> None:
    model = onnx.load(shard / "means.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 24
    onnx.save(model, shard / "means.onnx")
    with pytest.raises(TesseraError, match=r"\(pictures, 3, 32, 32\); set `identity\.size`"):
        embed(shard)


def test_a_lack_of_memory_is_no_other_fault_of_the_model(shard: Path) -> None:
    without_memory(shard / "means.onnx")
    with pytest.raises(TesseraError, match=r"Failed to allocate memory.*; free the GPU, or run with `--resources gpu=0`$"):
        embed(shard)


def compare(shard: Path, place: Path, *references: str, rejected: Sequence[str] = ()) -> dict[str, float]:
    table = read_table(place / "embeddings.parquet", FaceEmbeddings)
    for number in (0, 1):
        of_shard = table.filter(pl.int_range(pl.len()) % 2 == number)
        write_table(of_shard, FaceEmbeddings, place / f"shard{number}.parquet")
    compare_faces(
        [place / "shard1.parquet", place / "shard0.parquet"],
        [shard / "faces.parquet"],
        [shard / "squares"],
        references,
        [Decision(key=key, decision="drop", who="Bo", when="2026-01-31", classifier="ada") for key in rejected],
        distances=place / "distances.parquet",
        sheet=place / "distances.jpg",
    )
    return dict(read_table(place / "distances.parquet", FaceDistances).iter_rows())


def test_the_person_is_whom_most_faces_show_or_the_references(shard: Path) -> None:
    place = embed(shard)
    write_table(
        read_table(place / "embeddings.parquet", FaceEmbeddings).filter(pl.col("key") != "talk-0000001-face-0"),
        FaceEmbeddings,
        place / "embeddings.parquet",
    )
    red = {f"film-000000{number}-face-0" for number in (0, 1, 3)}
    found = compare(shard, place)
    assert list(found) == sorted(found) and len(found) == 5
    assert {key for key, distance in found.items() if distance < 0.5} == red
    sheet = read_image(place / "distances.jpg")
    assert sheet.shape[1] > 8 * 128 / 2
    assert {key for key, distance in compare(shard, place, "talk").items() if distance > 0.5} == red
    with pytest.raises(TesseraError, match=r"no face in the sources party of `identity.references` was embedded"):
        compare(shard, place, "party")


def test_rejected_faces_do_not_count_for_the_person(shard: Path) -> None:
    place = embed(shard)
    others = ["film-0000002-face-0", "talk-0000000-face-0", "talk-0000001-face-0"]
    reds = [f"film-000000{number}-face-0" for number in (0, 1, 3)]
    for rejected, person in ((reds[:2], others), (others[:2], reds), ([f"{reds[0]}+0-0-90-90", reds[1]], others)):
        found = compare(shard, place, rejected=rejected)
        assert {key for key, distance in found.items() if distance < 0.5} == set(person) and len(found) == 6
    with pytest.raises(TesseraError, match=r"no face in the sources talk of .* people rejected all"):
        compare(shard, place, "talk", rejected=others)
    assert compare(shard, place, rejected=[*reds, *others]) == {}


def test_no_face_at_all_gives_an_empty_table(shard: Path) -> None:
    write_table(pl.DataFrame(schema=types(Faces)), Faces, shard / "faces.parquet")
    assert compare(shard, embed(shard)) == {}


def test_settings_that_do_not_fit_are_refused() -> None:
    assert FaceSetSettings(**SET).identity.weights is None
    known = FaceSetSettings(**SET, identity={"weights": "sface", "references": ["talk"]}).identity
    assert known.weights and known.weights.source.endswith("face_recognition_sface_2021dec.onnx")
    for identity, said in (
        ({"references": ["talk"]}, "`identity.references` needs a model"),
        ({"weights": "sface", "references": ["party"]}, "names 'party', which is not in `sources`"),
        ({"weights": "open_nsfw_"}, "did you mean 'open_nsfw'"),
        ({"weights": "efficientnet_lite0"}, r"should be a file .onnx"),
        ({"weights": "sface", "alignment": "eyes"}, "alignment"),
    ):
        with pytest.raises(ValidationError, match=said):
            FaceSetSettings(**SET, identity=identity)
