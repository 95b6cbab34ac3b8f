"""Faces of other people that were planted in a face set, with SFace: how many are left out, and how many right ones with them.

Of the person there are three photographs and two halves of one, which the sdist of face_recognition 1.3.0 (MIT licence) has for
its tests; the photographs are works of the government of the United States. Seven other people are shown there, and in
pictures that matplotlib, scikit-image and ultralytics ship. Each picture is one of these, changed as a film may show it. pip
fetches the models and the sdist.
"""

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import polars as pl
import pytest
import ultralytics
from PIL import Image

from frame_shards import write_shard
from tessera.core.ledger import read_ledger
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.extract import extract_faces
from tessera.extras.face_sets.find import FaceFinder, FoundFace
from tessera.extras.face_sets.identity import compare_faces, embed_faces
from tessera.extras.face_sets.select import select_faces
from tessera.extras.face_sets.settings import FaceFilterSettings, FaceSetSettings
from tessera.imaging.images import write_image
from tessera.learning.detection.detector import Detector
from tessera.learning.weights.fetch import fetch_weights
from tessera.records.subjects import Subject
from tessera.records.tables.faces import FaceDistances, FaceEmbeddings, FaceOrders, Faces
from tessera.records.tables.table import read_table, types, write_table

SDIST = "face_recognition==1.3.0 --hash=sha256:5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec"
OF_PERSON = ("obama.jpg", "obama2.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg")
SIDE = 400  # pixels of the pictures
RIGHT, OTHERS = 450, 50
LEAST_REMOVED, MOST_LOST = 0.9, 0.02
SUBJECT = Subject.model_validate(
    {"name": "Ada", "consent": "none: a measurement", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
)
KEEP_ALL = {name: None for name in FaceFilterSettings.model_fields if name.startswith(("max_", "min_"))}
LIMIT = FaceFilterSettings().max_distance
Portrait = tuple[np.ndarray, FoundFace]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> FaceSetSettings:
    """The settings of a face set, with the files of the models."""
    folder = tmp_path_factory.mktemp("models")
    models = {}
    for name in ("centerface", "sface"):
        declared = FaceSetSettings(subject="Ada", sources=("film",), identity={"weights": name}).identity.weights
        assert declared is not None
        path = folder / f"{name}.onnx"
        fetch_weights(declared, path)
        models[name] = {"source": str(path), "sha256": declared.sha256}
    return FaceSetSettings(
        subject="Ada",
        sources=("film",),
        detector={"weights": models["centerface"]},
        identity={"weights": models["sface"]},
        squares={"size": 256},
    )


def photographs(folder: Path) -> dict[str, np.ndarray]:
    """Return the pictures of packages by their names."""
    (folder / "requirements.txt").write_text(SDIST)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=:all:", "-q", "-d", str(folder)]
    subprocess.run([*pip, "-r", str(folder / "requirements.txt")], check=True)
    found = {"astronaut": photograph("astronaut")}
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        for member in archive:
            if "/test_images/" in member.name and (stream := archive.extractfile(member)):
                found[Path(member.name).name] = np.array(Image.open(io.BytesIO(stream.read())).convert("RGB"))
    assets = Path(ultralytics.__file__).parent / "assets"
    for path in (
        Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
        assets / "zidane.jpg",
        assets / "bus.jpg",
    ):
        found[path.name] = np.array(Image.open(path).convert("RGB"))
    return found


def shown(portrait: Portrait, draw: np.random.Generator) -> np.ndarray:
    """Return a picture of a face as a film may show it: of another size, turned, blurred, dark, covered, compressed."""
    image, face = portrait
    x0, y0, x1, y1 = face.box
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    scale = np.exp(draw.uniform(np.log(60), np.log(260))) / (y1 - y0)
    if draw.random() < 0.5:
        image, centre[0] = image[:, ::-1], image.shape[1] - centre[0]
    matrix = cv2.getRotationMatrix2D(centre.tolist(), draw.uniform(-30, 30), scale)
    matrix[:, :2] = np.array([[draw.uniform(0.8, 1.1), draw.uniform(-0.1, 0.1)], [0, 1]]) @ matrix[:, :2]  # as if it turned
    matrix[:, 2] = SIDE / 2 + draw.uniform(-20, 20, 2) - matrix[:, :2] @ centre
    picture = cv2.warpAffine(np.ascontiguousarray(image), matrix, (SIDE, SIDE), flags=cv2.INTER_AREA)
    if draw.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), draw.uniform(0.3, 2.5))
    if draw.random() < 0.2:  # a bar over the mouth, or elsewhere
        top = SIDE / 2 + draw.uniform(-0.4, 0.4) * scale * (y1 - y0)
        picture[int(top) : int(top + 0.15 * scale * (y1 - y0))] = draw.integers(0, 256, 3)
    lit = (picture / 255.0) ** draw.uniform(0.6, 1.8) * draw.uniform(0.5, 1.1) * draw.uniform(0.85, 1.15, 3)
    noisy = lit * 255 + draw.normal(0, draw.uniform(0, 12), picture.shape)
    coded = cv2.imencode(
        ".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(draw.integers(30, 95))]
    )[1]
    decoded: np.ndarray = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return decoded


@pytest.fixture(scope="module")
def portraits(settings: FaceSetSettings, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Portrait], list[Portrait]]:
    """The faces of the person, and one of each other."""
    weights = settings.detector.weights
    finder = FaceFinder(Detector(Path(weights.source), weights.sha256, settings.detector), None, settings.detector)
    pictures = photographs(tmp_path_factory.mktemp("pictures"))
    faces = {name: [face for face in finder.find([image])[0] if face.shorter_side > 35] for name, image in pictures.items()}
    right = [(pictures[name], faces[name][0]) for name in OF_PERSON]
    alike = {*OF_PERSON, "32bit.png"}
    others = [(pictures[name], face) for name in pictures if name not in alike for face in faces[name]]
    assert len(others) == 7
    return right, others


@pytest.fixture(scope="module")
def embedded(
    settings: FaceSetSettings, portraits: tuple[list[Portrait], list[Portrait]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, pl.DataFrame]:
    """A folder with the faces of `RIGHT` pictures of the person and `OTHERS` of each other, and their keys and persons.

    The person is 0. Of each picture, the largest face counts, if one was found.
    """
    right, others = portraits
    draw = np.random.default_rng(0)
    persons = draw.permutation(np.repeat(np.arange(len(others) + 1), [RIGHT, *[OTHERS] * len(others)]))
    folder = tmp_path_factory.mktemp("set") / "shard"
    write_shard(folder, {"film": []}, len(persons), (SIDE, SIDE))
    for index, person in enumerate(persons):
        portrait = others[person - 1] if person else right[draw.integers(len(right))]
        write_image(folder / "frames" / f"film-{index:07d}.png", shown(portrait, draw))
    common: dict[str, Any] = {"frames": folder / "frames.parquet", "images": folder / "frames", "code": "", "threads": 2}
    extract_faces(
        **common,
        sources=folder / "sources.parquet",
        subject=SUBJECT,
        detector=Path(settings.detector.weights.source),
        landmarks=None,
        settings=settings,
        cache=folder / "kept",
        table=folder / "faces.parquet",
        pictures=folder / "squares",
        ledger=folder / "extracted.jsonl",
    )
    assert settings.identity.weights is not None
    embed_faces(
        folder / "faces.parquet",
        **common,
        subject=SUBJECT,
        weights=Path(settings.identity.weights.source),
        settings=settings.identity,
        cache_folder=folder / "embedded",
        table=folder / "embeddings.parquet",
        ledger=folder / "embeddings.jsonl",
    )
    faces = read_table(folder / "faces.parquet", Faces).filter(pl.col("key").str.ends_with("-face-0"))
    return folder, faces.select("key", person=pl.Series(persons[faces["index"].to_numpy()]))


@pytest.mark.parametrize("planted", [(1, 2, 3, 4, 5, 6, 7), (1,), (2,), (3,), (4,), (5,), (6,), (7,)])
def test_most_planted_faces_are_left_out_and_few_right_ones(
    planted: tuple[int, ...], embedded: tuple[Path, pl.DataFrame], tmp_path: Path
) -> None:
    folder, persons = embedded
    others = persons.filter(pl.col("person").is_in(planted)).sample(fraction=1 / len(planted), seed=0)
    chosen = pl.concat([persons.filter(person=0), others])
    for name, schema in (("faces", Faces), ("embeddings", FaceEmbeddings)):
        table = read_table(folder / f"{name}.parquet", schema)
        write_table(table.filter(pl.col("key").is_in(chosen["key"].to_list())), schema, tmp_path / f"{name}.parquet")
    tables, squares, distances = [tmp_path / "faces.parquet"], [folder / "squares"], tmp_path / "distances.parquet"
    compare_faces(
        [tmp_path / "embeddings.parquet"], tables, squares, [], [], distances=distances, sheet=tmp_path / "distances.jpg"
    )
    write_table(pl.DataFrame(schema=types(FaceOrders)), FaceOrders, tmp_path / "orders.parquet")
    filters = FaceFilterSettings(**{**KEEP_ALL, "max_distance": LIMIT})
    out = {
        "selected": tmp_path / "selected.parquet",
        "ledger": tmp_path / "ledger.jsonl",
        "matched": tmp_path / "matched.jsonl",
    }
    select_faces(tables, squares, tmp_path / "orders.parquet", distances, [], filters, [], **out)
    rows = [(row["key"], row["reason"] == "another person") for row in read_ledger(out["ledger"])]
    outcomes = chosen.join(pl.DataFrame(rows, schema=["key", "is_out"], orient="row"), on="key")
    outcomes = outcomes.join(read_table(distances, FaceDistances), on="key", how="left")
    assert outcomes.height == chosen.height
    right, other = outcomes.filter(person=0), outcomes.filter(pl.col("person") != 0)
    removed, lost = (float(np.mean(part["is_out"].to_numpy())) for part in (other, right))
    print(
        f"persons {planted}: {removed:.1%} of {other.height} others removed, {lost:.1%} of {right.height} right ones lost;"
        f" nearest other {other['distance'].min():.3f}; of the right ones, half within {right['distance'].median():.3f},"
        f" 98 % within {right['distance'].quantile(0.98):.3f}"
    )
    assert removed >= LEAST_REMOVED and lost <= MOST_LOST
