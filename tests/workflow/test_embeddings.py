"""Embeddings in a real run: near-duplicates that hashes miss are found, keep their sources together, and are shown."""

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from projects import Project
from small_pipeline import label, pictures

from tessera.core.provenance import sha256_file
from tessera.imaging.images import write_image
from tessera.records.frame_keys import picture_key
from tessera.records.tables.splits import split_of_sources
from tessera.stages.datasets.splits import SplitSettings, split_sources

pytestmark = pytest.mark.workflow
NEAR = "results/near_duplicates/look/near_duplicates.parquet"
SPLITS = "results/datasets/splits.parquet"


def scene(seed: int) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, 200, (10, 14, 3), np.uint8)
    return cv2.resize(levels, (200, 140), interpolation=cv2.INTER_CUBIC)


def test_cropped_copies_are_found_on_any_shards_and_their_sources_have_one_split(project: Project, weights: Path) -> None:
    draws = split_sources([f"s{number}" for number in range(40)], {}, [], SplitSettings())
    film, other = [source for source, split in draws.items() if split == "train"][:2]
    copy = next(source for source, split in draws.items() if split == "val")
    for source, seed in ((film, 1), (copy, 1), (other, 2)):
        (project.folder / source).mkdir()
        for number in range(2):
            picture = scene(10 * seed + number)
            if source == copy:
                picture = np.ascontiguousarray((picture[4:-4, 6:-6] * 1.2).astype(np.uint8))
            write_image(project.folder / source / f"{number}.png", picture)
    project.write_manifest([{"source": source, "path": source} for source in (film, copy, other)])
    (project.folder / "mine").mkdir()
    write_image(project.folder / "mine" / "still.png", pictures("slate")[4])
    (project.folder / "mine" / "still.json").write_text(json.dumps({**label(4), "imagePath": "still.png"}))
    look = {"kind": "detector", "weights": {"source": str(weights), "sha256": sha256_file(weights)}, "output": "layout"}
    project.settings = {
        "embeddings": {"look": {**look, "near_duplicates": {"within": 0.9, "across": 0.9}}},
        "annotations": {"labels": [{"name": "mine", "path": "mine", "content": "general", "rights": "CC0"}]},
        "duplicates": {"distance": 0, "embeddings": ["look"]},
        # An untrained detector sees anything anywhere.
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
    }
    run = project.run("embeddings", SPLITS)
    assert run.returncode == 0, run.output
    near = pl.read_parquet(project.folder / NEAR)
    assert {frozenset({row["key"], row["duplicate_of"]}) for row in near.to_dicts()} == {
        frozenset(picture_key(source, name, sha256_file(project.folder / source / name)) for source in (film, copy))
        for name in ("0.png", "1.png")
    }
    splits = split_of_sources(project.folder / SPLITS)
    assert splits[film] == splits[copy] == "train"
    assert "embedding pictures: 7 of 7 pictures passed" in run.output
    assert {path.name for path in (project.results / "reports/near_duplicates/look").glob("*.html")} == {
        "strongest.html",
        "weakest.html",
    }
    before = (project.folder / NEAR).read_bytes()

    project.settings["shards"] = 1
    run = project.run("embeddings", cores=1)
    assert run.returncode == 0, run.output
    assert (project.folder / NEAR).read_bytes() == before
    project.settings["embeddings"]["look"]["near_duplicates"]["across"] = 0.99
    run = project.run("embeddings")
    assert run.returncode == 0, run.output
    assert sorted(job for job in run.jobs if job != "embeddings") == ["find_near_duplicates look", "show_near_duplicates look"]


def test_without_an_embedding_the_target_says_how_to_declare_one(project: Project) -> None:
    project.write_manifest([{"source": "one", "path": "one.mp4"}])
    run = project.run("embeddings", "--dry-run")
    assert run.returncode == 1
    assert "no embedding is declared: add one to `embeddings`" in run.output
