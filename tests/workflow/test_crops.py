"""Crops and tags in a real run: what is unchanged is used again, and no vector is made of crops of adult sources."""

import re

import numpy as np
import polars as pl
import pytest
from portraits import ANNOTATIONS, CROPS, NO_MODELS, write_means, write_persons, write_tagger
from projects import Project

from tessera.imaging.images import write_image
from tessera.records.tables.crops import Crops
from tessera.records.tables.table import read_table

pytestmark = pytest.mark.workflow
SIDE = 16
ADULT = {"content": "adult", "consent": "release 1", "adults_verified": "yes"}


def add_source(project: Project, name: str, blue: int) -> dict[str, str]:
    """Write a folder of one picture with two drawn persons, and return its row in the manifest."""
    (project.folder / name).mkdir()
    picture = np.full((100, 160, 3), (40, 100, blue), np.uint8)
    write_image(project.folder / name / "0.png", picture)
    write_persons(project, name, [(x, 10, x + 50, 90) for x in (5, 100)], 160, 100)
    return {"source": name, "path": name}


def test_crops_are_cut_embedded_and_tagged_each_source_once(project: Project) -> None:
    rows = [add_source(project, "one", 200), {**add_source(project, "two", 100), **ADULT}]
    project.write_manifest(rows)
    look = write_means(project.folder / "look.onnx", ["batch", 3, SIDE, SIDE], [2, 3])
    project.settings = {
        "frames": {"format": "png"},
        "annotations": ANNOTATIONS,
        "crops": CROPS,
        "embeddings": {"look": {"kind": "onnx", "weights": look, "preprocessing": {"size": SIDE}, "crops": ["person"]}},
        "tagger": {**write_tagger(project.folder, SIDE), "of": ["frames", "person"], "floor": 0.1},
        **NO_MODELS,
    }
    targets = ("crops", "tags", "embeddings")
    run = project.run(*targets)
    assert run.returncode == 0, run.output
    assert "cropping: 4 of 4 regions passed" in run.output
    assert "embedding crops: 2 of 4 crops passed; 2 dropped: adult source" in run.output
    assert "tagging: 6 of 6 pictures passed" in run.output
    crops = {shard: read_table(project.results / "crops" / shard / "crops.parquet", Crops) for shard in ("one", "two")}
    frame = crops["one"]["frame"][0].replace(".", "%2E")  # as in all names of crops
    assert crops["one"]["key"].to_list() == [f"{frame}-person-0", f"{frame}-person-1"]
    assert all((project.results / "crops" / "two" / "images" / name).exists() for name in crops["two"]["file"])
    embedded = {shard: pl.read_parquet(project.results / f"embeddings/crops/{shard}/look.parquet")["key"] for shard in crops}
    assert (embedded["one"].to_list(), embedded["two"].to_list()) == (crops["one"]["key"].to_list(), [])
    assert not (project.results / "embeddings" / "shards").exists()
    # Pictures that are not square get white edges, so that the scores are above the colours.
    tags = pl.read_parquet(project.results / "tags" / "tags.parquet")
    assert tags.filter(key=f"{frame}-person-0")["tag"].to_list() == ["blue", "green"]

    project.settings["tagger"]["thresholds"] = {"character": 0.2}
    rows.append(add_source(project, "three", 0))
    project.write_manifest(rows[:2])
    run = project.run(*targets)
    assert run.returncode == 0, run.output
    assert run.jobs == ["choose_tags"]
    assert "red" in pl.read_parquet(project.results / "tags" / "tags.parquet")["tag"].to_list()

    project.write_manifest(rows)
    run = project.run("--dry-run", *targets)
    assert run.returncode == 0, run.output
    counts = re.findall(r"^ (\w[\w ]*?) +(\d+) *$", run.output.partition("Job stats")[2], re.MULTILINE)
    planned = {rule.replace(" ", "_"): int(count) for rule, count in counts}
    # Of all shards only the new one.
    assert {planned.get(rule) for rule in ("sample_frames", "crop_frames", "embed_crops", "tag_pictures")} == {1}


def test_without_steps_or_a_tagger_the_targets_say_what_to_set(project: Project) -> None:
    project.write_manifest([{"source": "one", "path": "one.mp4"}])
    for target, fix in [("crops", "add one to `crops.steps`"), ("tags", "declare a model and its tag list")]:
        run = project.run(target, "--dry-run")
        assert run.returncode == 1
        assert fix in run.output
