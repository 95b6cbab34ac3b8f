"""The projects in examples/ that docs/from_*.md show: planned as they are, and run whole on their footage, made small."""

import json
import pickle
import shutil
import struct
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import polars as pl
import pytest
import small_pipeline
import yaml
from portraits import write_tagger
from projects import REPOSITORY, Project

from image_set_readers import read_everydream2
from tessera.demo.faces import BACKDROPS, SOURCE, render_faces
from tessera.demo.footage import CLIPS, MARKS, STILLS
from tessera.demo.render import render_demo_footage, render_logos, render_references, render_watermark_set
from tessera.extras.face_sets.sorts import SORTS
from tessera.imaging.watermark.drawing import draw_marks, load_materials
from tessera.imaging.watermark.settings import DrawSettings

pytestmark = pytest.mark.workflow
EXAMPLES = REPOSITORY / "examples"
NAMES = sorted(path.parent.parent.name for path in EXAMPLES.glob("*/config/quick.yaml"))
QUICK = ("--configfile", "config/quick.yaml")


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `demo_footage` makes, with videos of one second, 96 by 64 pixels."""
    folder = tmp_path_factory.mktemp("footage") / "demo"
    clips = [
        replace(clip, width=96, height=64, scenes=tuple(replace(scene, seconds=1) for scene in clip.scenes[:1]))
        for clip in CLIPS
    ]
    render_demo_footage(folder, 0, clips=clips, stills=STILLS)
    render_faces(folder, 0)
    render_references(folder / "references", 0)
    render_logos(folder / "logos")
    settings = DrawSettings(**MARKS, logos=folder / "logos")
    draw = partial(draw_marks, materials=load_materials(settings), settings=settings)
    render_watermark_set(folder / "watermarks" / "set.zip", 0, draw)
    return folder


def project_of(name: str, folder: Path, footage: Path) -> Project:
    """Return the example `name` as a project in `folder`, with `footage`."""
    shutil.copytree(EXAMPLES / name / "config", folder / "config")
    (folder / "resources").mkdir()
    (folder / "resources" / "demo").symlink_to(footage)
    settings = yaml.safe_load((folder / "config" / "config.yaml").read_text(encoding="utf-8"))
    return Project(folder, {"shards": "auto", **settings})


def run(project: Project, settings: dict[str, Any], *targets: str) -> None:
    """Make `targets` with the quick settings of the example, over which those that take seconds are laid."""
    (project.folder / "config" / "small.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    made = project.run(*targets, *QUICK, "config/small.yaml")
    assert made.returncode == 0, made.output


def test_there_are_five() -> None:
    assert NAMES == ["anime_screenshot_pipeline", "city_classifiers", "deepfacelab", "lada", "watermark_detection"]


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_planned_with_their_values_and_with_quick_ones(name: str, tmp_path: Path, footage: Path) -> None:
    project = project_of(name, tmp_path / "project", footage)
    for options in ((), QUICK):
        plan = project.run("--dry-run", *options)
        assert plan.returncode == 0, plan.output
        # A try begins without advice on what to change.
        assert "cannot be used" not in plan.output


def test_lada_has_clips_as_its_training_reads_them_and_weights_as_its_application_lists_them(
    tmp_path: Path, footage: Path
) -> None:
    project = project_of("lada", tmp_path / "project", footage)
    run(project, small_pipeline.models(), "mosaic_restoration")
    dataset = project.results / "datasets" / "mosaic_restoration"
    described = sorted(dataset.glob("*/crop_unscaled_meta/*.json"))
    assert {path.parent.parent.name for path in described} >= {"train", "val"}
    for path in described:
        stated = json.loads(path.read_text(encoding="utf-8"))
        video, mask = (path.parent / stated[f"relative_{kind}_video_path"] for kind in ("nsfw", "mask"))
        with av.open(video) as pictures, av.open(mask) as masks:
            sizes = [(frame.height, frame.width) for frame in pictures.decode(video=0)]
            assert len(list(masks.decode(video=0))) == len(sizes) == stated["frames_count"] == len(stated["pad"])
        assert set(sizes) == {tuple(stated["scene_shape"])}
        # What x264 states of itself.
        assert b"crf=15.0" in video.read_bytes()
    published = project.results / "weights" / "mosaic_restoration"
    assert [path.suffix for path in published.glob("lada_mosaic_restoration_model_*")] == [".pth"]


def test_anime_screenshot_pipeline_has_folders_of_characters_with_captions_and_repeats(tmp_path: Path, footage: Path) -> None:
    project = project_of("anime_screenshot_pipeline", tmp_path / "project", footage)
    small = {
        "models": {"nsfw_detection": {"training": {"epochs": 1, "imgsz": 64}}},
        "tagger": {**write_tagger(project.folder, 16), "of": ["frames", "person"]},
        # What a detector that has learned nothing tells apart.
        "identities": {"references": {"similarity": 0.001, "certainty": 0.0}},
        "image_sets": {"show": {"select": {"minimum": 16}}},
    }
    run(project, small, "show")
    found = read_everydream2(project.results / "datasets" / "show" / "everydream2", "train")
    shown = {"cat", "cup", "helmet", "planet"}
    folders = {f"1_character/{name}" for name in shown} | {"2_characters/cat+cup", "2_characters/helmet+planet"}
    assert {picture.folder for picture in found} == {"0_characters/no_character", *folders}
    for picture in found:
        (caption,) = picture.captions
        names = {part.removesuffix(" mirrored") for part in caption.split(", ")} & shown
        assert "+".join(sorted(names)) == picture.folder.partition("/")[2].replace("no_character", "")
        assert ("person crop" in caption) == ("-person-" in picture.key) and caption.endswith(", aniscreen")
    assert any("green, blue" in picture.captions[0] for picture in found)

    def drawn(pattern: str) -> float:
        return sum(picture.repeats for picture in found if fnmatch(picture.folder, pattern))

    # By weights.csv: 3 of 5 among the numbers of characters, and 2 of 5 among the four alone.
    assert drawn("1_character/*") / drawn("*") == pytest.approx(3 / 5, rel=0.02)
    assert drawn("1_character/cat") / drawn("1_character/*") == pytest.approx(2 / 5, rel=0.02)


def test_city_classifiers_has_a_pair_of_files_that_its_programs_load_and_folders_by_score(
    tmp_path: Path, footage: Path
) -> None:
    from city_predictor import load_predictor

    project = project_of("city_classifiers", tmp_path / "project", footage)
    # The heads of config.yaml, which quick.yaml replaces.
    head = {"architecture": "head", "embedding": "vectors", "hidden": 16, "export": {"city": True}, "training": {"epochs": 1}}
    small = {
        "models": {"watermark_detection": {"training": {"epochs": 1, "imgsz": 64}, "export": {"image_size": 64}}},
        "embeddings": project.settings["embeddings"],
        "classifiers": {"compression": head, "quality": head},
    }
    run(project, small, "compression", "quality")
    run(project, small, "score")
    weights = project.results / "weights"
    for name, outputs in (("compression", 3), ("quality", 1)):
        assert load_predictor(weights / name / f"{name}-city.safetensors").down[-1].out_features == outputs
    config = json.loads((weights / "compression" / "compression-city.config.json").read_text(encoding="utf-8"))
    assert config["labels"] == {"0": "Pass", "1": "JPEG", "2": "WEBP"}
    # Each picture of the folder is copied to the bracket of its score.
    scores = project.results / "scores" / "folder"
    scored = {row["path"]: row["score"] for row in pl.read_csv(scores / "scores.tsv", separator="\t").iter_rows(named=True)}
    folder = project.folder / project.settings["score"]["folder"]
    originals = {path.name: path for path in folder.iterdir()}
    assert scored.keys() == originals.keys() and originals
    edges = project.settings["score"]["brackets"]
    for path, score in scored.items():
        (low, high) = next((low, high) for low, high in pairwise(edges) if low <= score < high or high == edges[-1])
        placed = scores / "brackets" / f"{low:g}-{high:g}" / path
        assert placed.read_bytes() == originals[path].read_bytes() and not placed.is_symlink()


def test_watermark_detection_has_probabilities_of_a_folder_label_errors_and_a_search(tmp_path: Path, footage: Path) -> None:
    project = project_of("watermark_detection", tmp_path / "project", footage)
    small = {
        "frames": {"interval_seconds": 0.25},
        "classifiers": {"marked": {"image_size": 32, "training": {"epochs": 1}}},
        "search": {"rate": {"space": {"training.epochs": [1]}}},
    }
    run(project, small, "marked", "label_errors", "search")
    run(project, small, "score")
    labels = pl.read_parquet(project.results / "datasets" / "marked" / "pictures.parquet")["label"].to_list()
    # As many with a watermark as without.
    assert labels.count("watermark") == pytest.approx(len(labels) / 2, rel=0.3) and set(labels) == {"watermark", "no_watermark"}
    # Each picture is predicted by a classifier that has not seen it.
    assert len(pl.read_parquet(project.results / "evaluation" / "marked" / "out_of_fold.parquet")) == len(labels)
    trials = pl.read_parquet(project.results / "search" / "marked" / "rate" / "trials.parquet")
    tried = [json.loads(parameters) for parameters in trials["parameters"]]
    assert len(tried) == 2 and all(1e-5 <= each["training.learning_rate"] <= 1e-3 for each in tried)
    scored = pl.read_csv(project.results / "scores" / "folder" / "scores.tsv", separator="\t")
    folder = project.folder / project.settings["score"]["folder"]
    assert sorted(scored["path"]) == sorted(path.name for path in folder.iterdir())
    assert scored["probability of watermark"].is_between(0, 1).all()


def test_deepfacelab_has_a_pack_as_its_programs_load_it(tmp_path: Path, footage: Path) -> None:
    project = project_of("deepfacelab", tmp_path / "project", footage)
    run(project, {}, "data_src")
    made = project.results / "datasets" / "data_src"
    content = (made / "faceset.pak").read_bytes()
    version, length = struct.unpack("<QQ", content[:16])
    entries = pickle.loads(content[16 : 16 + length])  # noqa: S301
    begin = 16 + length + 8 * (len(entries) + 1)
    starts = struct.unpack(f"<{len(entries) + 1}Q", content[16 + length : begin])
    assert version == 1 and len(entries) == len(BACKDROPS) and starts[-1] == len(content)
    for entry, start, end in zip(entries, starts, (*starts[1:-1], len(content) - begin), strict=False):
        assert content[begin + start : begin + end] == (made / "aligned" / entry["filename"]).read_bytes()
        assert (entry["shape"], entry["face_type"]) == ((256, 256, 3), 4), "a whole face"


def test_the_demo_makes_a_face_set_of_the_person_who_agreed_and_removes_it(tmp_path: Path, footage: Path) -> None:
    project = project_of("demo", tmp_path / "demo", footage)
    run = project.run("visitor")
    assert run.returncode == 0, run.output
    assert "face_sets.stranger: refused: no consent" in run.output
    assert not [job for job in run.jobs if job.startswith("fetch_weights")]
    made = project.results / "datasets" / "visitor"
    faces = pl.read_parquet(made / "faces.parquet")
    assert set(faces["source"]) == {SOURCE} and faces.height == len(BACKDROPS)
    assert faces["placed_by"].unique().to_list() == ["hand"] and faces["detector"].null_count() == faces.height
    assert len(list((made / "masks").glob("*.png"))) == faces.height
    assert {path.stem for path in (project.results / "face_sets" / "visitor" / "sheets").glob("*.jpg")} == set(SORTS)

    # Unpacked, the pack is the set again.
    shutil.copy(made / "faceset.pak", project.folder / "faceset.pak")
    pack = {"path": "faceset.pak", "subject": "Visitor", "content": "general", "rights": "public domain"}
    project.settings["face_packs"] = {"again": pack}
    run = project.run("unpack")
    assert run.returncode == 0, run.output
    unpacked = project.results / "unpacked" / "again"
    assert {path.name: path.read_bytes() for path in (unpacked / "aligned").glob("*.jpg")} == {
        path.name: path.read_bytes() for path in (made / "aligned").glob("*.jpg")
    }
    same = pl.read_parquet(unpacked / "faces.parquet").join(faces, on="file", suffix="_of_set")
    assert same.height == faces.height
    assert same["source_landmarks"].to_list() == same["landmarks_of_set"].to_list()
    assert same["matrix"].to_list() == same["matrix_of_set"].to_list()

    run = project.run("stranger")
    assert run.returncode == 1 and "`face_sets.stranger` is refused: no consent" in run.output
    subjects = project.folder / "config" / "subjects.tsv"
    lines = [f"{line.rstrip()}\t\tyes" if line.startswith("Visitor") else line for line in subjects.read_text().splitlines()]
    subjects.write_text("\n".join(lines) + "\n")
    run = project.run("frames")
    assert run.returncode == 0 and "face_sets.visitor: refused: consent revoked" in run.output, run.output
    left = [path.relative_to(project.results) for path in project.results.rglob("*")]
    assert not [path for path in left if {"visitor", "again"} & {*path.parts} and path.parts[0] not in {"logs", "benchmarks"}]
