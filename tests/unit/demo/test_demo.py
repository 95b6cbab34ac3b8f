import hashlib
import io
import json
import zipfile
from collections import Counter
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from pycocotools import mask as run_lengths

from tessera.catalogue import DATASETS, MODELS
from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.demo.faces import BACKDROPS, LANDMARKS, SOURCE, render_faces
from tessera.demo.footage import (
    ANGLES,
    CLIPS,
    CUTS,
    LABEL,
    LABEL_EVERY,
    MARKED,
    MARKS,
    REFERENCES,
    STILLS,
    Clip,
    Scene,
    Still,
)
from tessera.demo.labels import outlines
from tessera.demo.photographs import photograph
from tessera.demo.render import (
    render_demo_footage,
    render_logos,
    render_references,
    render_watermark_set,
)
from tessera.extras.face_sets.admit import admit_face_set
from tessera.extras.face_sets.alignment import misfit
from tessera.extras.image_sets.settings import LayoutSettings
from tessera.imaging.watermark.drawing import draw_marks, load_materials
from tessera.imaging.watermark.settings import DrawSettings
from tessera.records.identities import read_references
from tessera.records.manifest import ListedSource, read_manifest
from tessera.records.subjects import read_subjects
from tessera.records.tables.demo import DemoClips, DemoRegions
from tessera.records.tables.table import read_table
from tessera.stages.watermarks.settings import WatermarkSettings

CONFIG = Path(__file__).parents[3] / "examples" / "demo" / "config"
SMALL = (
    Clip("a crowd", (Scene("motorcycle_left", 1.5, 2, pillar="gravel", disc="cup"), Scene("rocket", 0.5, 0)), 160, 120),
    Clip("censored", (Scene("coffee", 0.5),), 160, 120, mosaic=True, watermark="text"),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "footage"
    render_demo_footage(folder, 0, clips=SMALL, stills=STILLS)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def video(folder: Path, source: str) -> list[np.ndarray]:
    with av.open(folder / "videos" / f"{source}.mp4") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def labels(folder: Path, source: str, index: int) -> dict[str, Any]:
    key = f"{file_name(source)}-{index:07d}"
    return json.loads((folder / "labels" / "frames" / file_name(source) / f"{key}.json").read_text(encoding="utf-8"))


def truth(folder: Path, source: str, index: int, kind: str) -> list[np.ndarray]:
    regions = read_table(folder / "truth" / "regions.parquet", DemoRegions)
    clip = next(clip for clip in SMALL if clip.source == source)
    rows = regions.filter(source=source, index=index, kind=kind)
    sizes = {"size": [clip.height, clip.width]}
    return [run_lengths.decode({**sizes, "counts": rle}).astype(bool) for rle in rows["rle"]]


def filled(document: dict[str, Any]) -> list[np.ndarray]:
    """Return one mask per instance: rings with one group_id fill by the even-odd rule."""
    groups: dict[Any, list[np.ndarray]] = {}
    for number, shape in enumerate(document["shapes"]):
        group = ("alone", number) if shape["group_id"] is None else ("group", shape["group_id"])
        groups.setdefault(group, []).append(np.array(shape["points"]))
    size = (document["imageHeight"] * 8, document["imageWidth"] * 8)
    masks = []
    for rings in groups.values():
        fine = cv2.fillPoly(np.zeros(size, np.uint8), [np.rint(ring * 8 - 0.5).astype(np.int32) for ring in rings], 255)
        masks.append(fine.reshape(size[0] // 8, 8, -1, 8).mean(axis=(1, 3)) >= 127.5)
    return masks


@pytest.mark.slow
def test_equal_seeds_give_equal_bytes_on_any_number_of_threads(small: Path, tmp_path: Path) -> None:
    render_demo_footage(tmp_path / "again", 0, clips=SMALL, stills=STILLS, threads=2)
    render_demo_footage(tmp_path / "other", 1, clips=SMALL, stills=())
    assert digests(tmp_path / "again") == digests(small)
    assert digests(tmp_path / "other")["videos/a crowd.mp4"] != digests(small)["videos/a crowd.mp4"]


def test_labels_are_those_of_the_visible_subject(small: Path) -> None:
    for index in range(0, 48, LABEL_EVERY):
        document = labels(small, "a crowd", index)
        drawn, seen = filled(document), truth(small, "a crowd", index, "subject")
        assert document["flags"] == {"sfw": index >= 36}
        assert (document["imageWidth"], document["imageHeight"]) == (160, 120)
        assert len(drawn) == sum(mask.sum() >= 20 for mask in seen)
        for mask in drawn:
            assert max((mask & other).sum() / (mask | other).sum() for other in seen) > 0.9
        for shape in document["shapes"]:
            assert shape["label"] == LABEL
            assert 8 <= len(shape["points"]) <= 80
    assert len(list((small / "labels" / "frames" / "a%20crowd").iterdir())) == 48 // LABEL_EVERY


def test_cuts_are_at_the_changes_of_the_picture(small: Path) -> None:
    clips = read_table(small / "truth" / "clips.parquet", DemoClips).rows_by_key("source", named=True, unique=True)
    frames = video(small, "a crowd")
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
    assert len(frames) == clips["a crowd"]["frames"]
    assert clips["a crowd"]["cuts"] == [1 + int(np.argmax(steps))]
    assert clips["censored"]["cuts"] == []


def test_a_mosaic_hides_the_subject_and_is_flat(small: Path) -> None:
    frames = video(small, "censored")
    (mosaic,) = truth(small, "censored", 4, "mosaic")
    (mark,) = truth(small, "censored", 4, "watermark")
    assert truth(small, "censored", 4, "subject") == []
    assert labels(small, "censored", 0)["flags"] == {"sfw": True}
    blocks = [
        frames[4][y : y + 10, x : x + 10]
        for y in range(0, 120, 10)
        for x in range(0, 160, 10)
        if mosaic[y, x] and not mark[y : y + 10, x : x + 10].any()
    ]
    assert len(blocks) > 4
    assert np.median([block[2:8, 2:8].std(axis=(0, 1)).max() for block in blocks]) < 3


def test_a_watermark_is_at_its_labelled_place(small: Path, tmp_path: Path) -> None:
    plain = (Clip("censored", SMALL[1].scenes, 160, 120, mosaic=True),)
    render_demo_footage(tmp_path / "plain", 0, clips=plain, stills=())
    changed = np.abs(video(small, "censored")[0].astype(int) - video(tmp_path / "plain", "censored")[0]).max(axis=2) > 60
    (mark,) = truth(small, "censored", 0, "watermark")
    assert changed.sum() > 50
    assert (changed & ~cv2.dilate(mark.astype(np.uint8), np.ones((3, 3))).astype(bool)).sum() == 0


def test_stills_show_every_shape_that_labelme_draws(small: Path) -> None:
    folder = small / "labels" / "stills"
    documents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    kinds = {stem: [shape["shape_type"] for shape in document["shapes"]] for stem, document in documents.items()}
    assert kinds["polygon"] == ["polygon"]
    assert kinds["circle"] == ["circle"]
    assert kinds["rectangle"] == ["rectangle"]
    assert documents["nobody"]["flags"] == {"sfw": True}
    for stem in ("parts", "hole", "hole and parts"):
        assert len(kinds[stem]) > 1
        assert len({shape["group_id"] for shape in documents[stem]["shapes"]} - {None}) == 1
    outer, inner = sorted((np.array(shape["points"]) for shape in documents["hole"]["shapes"]), key=np.ptp, reverse=True)
    assert all(cv2.pointPolygonTest(outer.astype(np.float32), tuple(map(float, point)), False) > 0 for point in inner)
    for document in documents.values():
        with Image.open(folder / document["imagePath"]) as image:
            assert image.size == (document["imageWidth"], document["imageHeight"])


def test_copies_show_the_same_picture(small: Path) -> None:
    names = ("mug.png", "mug web.jpg", "mug small.jpg")
    pictures = [Image.open(small / "images" / name).convert("L").resize((80, 60)) for name in names]
    for picture in pictures[1:]:
        assert np.abs(np.asarray(picture, int) - np.asarray(pictures[0], int)).mean() < 5
    assert len({(small / "images" / name).stat().st_size for name in names}) == 3
    points, smaller = (labels(small, source, 0)["shapes"][0]["points"] for source in ("mug", "mug small"))
    assert np.allclose(np.array(points) * 200 / 320, smaller, atol=0.02)


def test_a_truncated_file_cannot_be_opened(tmp_path: Path) -> None:
    render_demo_footage(
        tmp_path / "broken", 0, clips=[Clip("broken", (Scene("grass", 0.5),), 64, 64, truncated=True)], stills=()
    )
    with pytest.raises(av.error.InvalidDataError):
        av.open(tmp_path / "broken" / "videos" / "broken.mp4")


def test_outlines_go_around_holes_and_leave_specks_out() -> None:
    mask = np.zeros((400, 400), dtype=bool)
    mask[40:360, 40:360] = True
    mask[160:240, 160:240] = False
    mask[380:390, 380:390] = True
    rings = sorted(outlines(mask), key=np.ptp)
    assert [ring.shape for ring in rings][1] == (4, 2)
    assert len(rings) == 2
    assert np.abs(rings[1].min(axis=0) - 10).max() <= 0.25
    assert np.abs(rings[1].max(axis=0) - 90).max() <= 0.25
    assert np.abs(rings[0].min(axis=0) - 40).max() <= 0.3


def test_a_missing_photograph_is_an_error_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"eagle\.png: the photograph is missing; install the version of scikit-image"):
        render_demo_footage(tmp_path / "demo", 0, clips=(), stills=[Still("images/a.png", Scene("eagle"))])


@pytest.fixture(scope="module")
def manifest() -> dict[str, ListedSource]:
    settings = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    datasets, findable = (
        [*(dataset.name for dataset in DATASETS), *settings["image_sets"], *settings["face_sets"]],
        [model.finds for model in MODELS if model.finds],
    )
    return {source.source: source for source in read_manifest(CONFIG / "sources.tsv", datasets, findable)}


def test_the_manifest_names_the_rendered_files(manifest: dict[str, ListedSource]) -> None:
    rendered = {clip.source: f"videos/{clip.source}.mp4" for clip in CLIPS} | {SOURCE: f"images/{SOURCE}"}
    for still in STILLS:
        if still.source:
            is_alone = sum(other.source == still.source for other in STILLS) == 1
            rendered[still.source] = still.file if is_alone else str(Path(still.file).parent)
    assert {source.source: source.path for source in manifest.values()} == {
        source: f"resources/demo/{path}" for source, path in rendered.items()
    }


def test_the_manifest_exercises_admission_and_splits(manifest: dict[str, ListedSource]) -> None:
    assert [source.source for source in manifest.values() if not source.rights] == ["found footage"]
    adult = {source.source: source for source in manifest.values() if source.content == "adult"}
    assert sorted(name for name, source in adult.items() if source.adults_verified != "yes" or not source.consent) == [
        "unverified"
    ]
    assert len(adult) > 1
    assert {source.split for source in manifest.values()} == {"train", "val", "test", ""}


def test_no_detector_learns_from_sources_with_other_subjects_than_the_cat(manifest: dict[str, ListedSource]) -> None:
    scenes = [(one.source, scene) for one in CLIPS for scene in one.scenes] + [(one.source, one.scene) for one in STILLS]
    others = {source for source, scene in scenes if set(scene.players) != {"cat"}}
    image_sets = set(yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))["image_sets"])
    assert others and all(set(manifest[source].use) == image_sets for source in others)


def test_each_subject_has_reference_pictures_that_look_alike(tmp_path: Path) -> None:
    render_references(tmp_path / "references", 0)
    pictures = read_references(tmp_path / "references")
    counts = Counter(each.identity for each in pictures)
    assert set(counts) == {player for still in STILLS for player in still.scene.players}
    assert set(counts.values()) == {2 * len(REFERENCES) * len(ANGLES)}
    middles = [np.asarray(Image.open(each.path).resize((32, 32)), float)[8:24, 8:24].mean(axis=(0, 1)) for each in pictures]
    for number, middle in enumerate(middles):
        apart = [np.abs(middle - other).max() if place != number else np.inf for place, other in enumerate(middles)]
        assert pictures[int(np.argmin(apart))].identity == pictures[number].identity


def test_what_a_source_is_free_of_is_true(manifest: dict[str, ListedSource]) -> None:
    shown = {
        clip.source: {
            "nsfw": any(scene.subjects for scene in clip.scenes),
            "watermark": bool(clip.watermark),
            "mosaic": clip.mosaic,
        }
        for clip in CLIPS
    }
    stated = {source.source: source.free_of for source in manifest.values() if source.free_of}
    assert any(manifest[name].split == "val" for name in stated)
    assert not [(name, what) for name, free_of in stated.items() for what in free_of if shown[name][what]]


def test_frames_are_sampled_where_they_are_labelled() -> None:
    settings = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    assert settings["frames"] == {"mode": "every", "every_frames": LABEL_EVERY}
    assert settings["annotations"]["frame_labels"] == "resources/demo/labels/frames"
    assert settings["annotations"]["labels"][0]["path"] == "resources/demo/labels/stills"
    assert settings["annotations"].get("classes", [LABEL]) == [LABEL]


def test_the_watermark_set_is_a_yolo_dataset_of_texts_and_logos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in CUTS:
        monkeypatch.setitem(CUTS, split, 4)
    render_logos(tmp_path / "logos")
    settings = DrawSettings(**MARKS, logos=tmp_path / "logos")
    draw = partial(draw_marks, materials=load_materials(settings), settings=settings)
    for name in ("first", "second"):
        render_watermark_set(tmp_path / name / "set.zip", 0, draw)
    assert (tmp_path / "first" / "set.zip").read_bytes() == (tmp_path / "second" / "set.zip").read_bytes()
    classes: set[int] = set()
    clean = 0
    with zipfile.ZipFile(tmp_path / "first" / "set.zip") as archive:
        assert yaml.safe_load(archive.read("data.yaml"))["names"] == ["text", "logo"]
        images = [name for name in archive.namelist() if name.endswith(".jpg")]
        for name in images:
            with Image.open(io.BytesIO(archive.read(name))) as image:
                assert image.size == (320, 240)
            lines = archive.read(name.replace("/images/", "/labels/").replace(".jpg", ".txt")).decode().splitlines()
            numbers = np.array([line.split() for line in lines], dtype=float).reshape(-1, 5)
            assert ((numbers[:, 3:] > 0) & (numbers[:, 3:] <= 1)).all()
            classes |= set(numbers[:, 0].astype(int).tolist())
            clean += not lines
    counts = {split: sum(name.startswith(f"{split}/images/") for name in images) for split in MARKED}
    assert counts == {split: 4 * len(photographs) for split, photographs in MARKED.items()}
    assert not set(MARKED["train"]) & set(MARKED["val"])
    assert classes == {0, 1} and 0.05 < clean / len(images) < 0.5


def test_marks_are_not_drawn_over_footage_that_carries_some(manifest: dict[str, ListedSource]) -> None:
    carrying = {clip.source for clip in CLIPS if clip.watermark}
    assert carrying == {"meadow", "coin fair"}
    assert all(manifest[source].use and "watermark_detection" not in manifest[source].use for source in carrying)


def test_the_demo_settings_name_the_watermark_set_and_the_logos() -> None:
    settings = WatermarkSettings(**yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))["watermarks"])
    assert [str(one.path) for one in settings.sets] == ["resources/demo/watermarks/set.zip"]
    assert settings.draw.logos == Path("resources/demo/logos")
    assert {name: getattr(settings.draw, name) for name in MARKS} == MARKS


def test_the_demo_writes_its_image_set_in_every_layout_from_identified_crops() -> None:
    settings = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    (image_set,) = settings["image_sets"].values()
    assert set(image_set["layouts"]) == set(LayoutSettings.model_fields)
    assert image_set["select"]["identities"] == "any" and settings["identities"]["step"] in image_set["select"]["of"]
    assert settings["identities"]["references"]["folder"] == "resources/demo/references"


def test_the_landmarks_of_the_demo_lie_where_her_face_is(tmp_path: Path) -> None:
    render_faces(tmp_path / "demo", 0)
    table = pl.read_csv(tmp_path / "demo" / "landmarks" / f"{SOURCE}.tsv", separator="\t")
    placed = {str(frame): rows for (frame,), rows in table.group_by("frame", maintain_order=True)}
    assert list(placed) == [f"{number:02}.jpg" for number in range(1, len(BACKDROPS) + 1)]
    assert table["source"].unique().to_list() == [SOURCE]
    turns = set()
    original = photograph("astronaut")
    for frame, rows in placed.items():
        assert rows["point"].to_list() == list(range(68))
        points = rows.select("x", "y").to_numpy()
        picture = np.asarray(Image.open(tmp_path / "demo" / "images" / SOURCE / frame))
        matrix, _ = cv2.estimateAffinePartial2D(points, LANDMARKS)
        turns.add(round(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))))
        # Back in its place, the face has the pixels of the photograph.
        back = cv2.warpAffine(picture, matrix, original.shape[1::-1]).astype(float)
        x0, y0, x1, y1 = (round(value) for value in (*LANDMARKS[17:].min(0), *LANDMARKS[17:].max(0)))
        assert np.abs(back - original)[y0:y1, x0:x1].mean() < 5
        assert misfit(points) < 0.05
    assert max(turns) - min(turns) > 20
    render_faces(tmp_path / "again", 0)
    assert digests(tmp_path / "again") == digests(tmp_path / "demo")


def test_the_demo_makes_a_set_of_the_person_who_agreed_alone(manifest: dict[str, ListedSource]) -> None:
    sets = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))["face_sets"]
    subjects, today = read_subjects(CONFIG / "subjects.tsv"), date(2026, 1, 31)
    admitted = {
        name: admit_face_set(name, each["subject"], each["sources"], subjects, manifest, today) for name, each in sets.items()
    }
    assert {name: each.sources for name, each in admitted.items()} == {"visitor": (SOURCE,), "stranger": ()}
    assert "no consent" in str(admitted["stranger"].refusal)
    assert manifest[SOURCE].use == ("visitor",), "no model learns from it"
