"""Datasets are complete, do not depend on shards, and are made only if the gates pass."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from projects import REPOSITORY, Project
from pycocotools.coco import COCO

from tessera.catalogue import DATASETS
from tessera.core.ledger import Ledger
from tessera.imaging.polygons import Part, rectangle
from tessera.records.annotation.annotation_tables import Origin, write_annotations
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.manifest import group_by_shard, read_manifest
from tessera.records.tables.footage import Duplicates, Frames, Sources
from tessera.records.tables.table import types, write_table

pytestmark = pytest.mark.workflow

REGION = Annotation.of_parts("nsfw", (Part(rectangle((2, 2, 20, 18))),))
SOURCES = [{"source": f"film {i}", "path": f"film {i}.mp4", "split": "val" if i == 2 else ""} for i in range(5)]
DATASET = "datasets/nsfw_detection"
# Files replace the earlier rooms, which have their own tests.
RULES = ("common", "frames", "image_datasets")
SNAKEFILE = f"""
include: "{REPOSITORY}/workflow/rules/datasets.smk"
rule all:
    default_target: True
    input: "results/{DATASET}/SHA256SUMS"
"""


def begin(project: Project, failed: int = 0, labelled: bool = True) -> Path:
    """Write the files of the earlier rooms: four frames per source, the last one without a region."""
    project.write_manifest(SOURCES)
    project.settings["models"] = {"watermark_detection": None, "mosaic_detection": None}
    project.settings["scenes"] = {"detect": {"weights": None}}
    project.settings["annotations"] = {"frame_labels": "labels"}
    results = project.results
    shards = group_by_shard(
        read_manifest(project.folder / "config" / "sources.tsv", [dataset.name for dataset in DATASETS], []),
        project.settings.get("shards", "per_source"),
    )
    for shard, sources in shards.items():
        pictures = results / "frames" / shard / "images"
        labels = results / "labels" / "frames" / shard
        for folder in (pictures, labels):
            folder.mkdir(parents=True)
        rows = []
        with Ledger(pictures.parent / "ledger.jsonl") as frames, Ledger(labels / "ledger.jsonl") as ledger:
            for source in sources:
                for index in range(4):
                    key = f"{source.source.replace(' ', '%20')}-{index:07d}"
                    shade = np.full((32, 48, 3), 10 * index, dtype=np.uint8)
                    Image.fromarray(shade).save(pictures / f"{key}.png")
                    origin = Origin(
                        source.source, f"results/frames/{shard}/images/{key}.png", index, source.split, source.rights
                    )
                    rows.append((ImageAnnotations(key, 48, 32, (REGION,) * (index < 3)), origin))
                    frames.row(key, "failed" if index < failed else "ok", "cannot be decoded" if index < failed else "")
                    ledger.row(key, "ok")
        write_table(pl.DataFrame(schema=types(Frames)), Frames, pictures.parent / "frames.parquet")
        (labels / "unsampled").mkdir()
        write_annotations(labels / "annotations.parquet", labels / "images.parquet", rows if labelled else [])
    (results / "duplicates").mkdir()
    write_table(pl.DataFrame(schema=types(Duplicates)), Duplicates, results / "duplicates" / "duplicates.parquet")
    known = {
        "shard": "",
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "use": [],
        "series": "",
    }
    known |= {"kind": "video", "sha256": "", "size": 1}
    table = [dict.fromkeys(types(Sources)) | known | source for source in SOURCES]
    (results / "sources").mkdir()
    write_table(pl.DataFrame(table, schema=types(Sources)), Sources, results / "sources" / "admitted.parquet")
    path = project.write_snakefile(RULES)
    path.write_text(path.read_text() + SNAKEFILE)
    # Without this, they would be made again: they have no records.
    accepted = project.run("--touch", "results/duplicates/duplicates.parquet", snakefile=path)
    assert accepted.returncode == 0, accepted.output
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_another_fraction_only_splits_a_dataset_again(project: Project) -> None:
    snakefile = begin(project)
    run = project.run(snakefile=snakefile)
    assert run.returncode == 0, run.output
    folder = project.results / DATASET
    check = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True, text=True
    )
    listed = {line.removesuffix(": OK") for line in check.stdout.splitlines()}
    there = {name for name in contents(folder) if ".snakemake_timestamp" not in name}
    assert listed == there - {"SHA256SUMS"}
    assert len(COCO(folder / "coco.json").imgs) == 20
    assert {
        "coco.json",
        "images/val/film%202-0000003.png",
        "labels/val/film%202-0000003.txt",
        "datasheet.md",
        "splits.parquet",
    } <= listed
    project.settings["splits"] = {"val": 0.4}
    rules = ("checksum_dataset", "assign_samples", "write_coco_dataset", "write_datasheet", "write_yolo_dataset")
    assert project.run(snakefile=snakefile).jobs == sorted(["divide_sources", *(f"{rule} nsfw_detection" for rule in rules)])


def test_any_shards_and_cores_give_the_same_bytes(project: Project) -> None:
    assert project.run(snakefile=begin(project), cores=1).returncode == 0
    one = contents(project.results / DATASET)
    shutil.rmtree(project.results)
    project.settings["shards"] = 3
    assert project.run(snakefile=begin(project), cores=2).returncode == 0
    assert contents(project.results / DATASET) == one


def test_too_many_failures_stop_the_run_with_the_fix(project: Project) -> None:
    snakefile = begin(project, failed=1)
    run = project.run(snakefile=snakefile)
    assert run.returncode != 0
    assert "frames: 5 of 20 items failed: " in run.output
    assert "film%200-0000000: cannot be decoded" in run.output
    assert "raise gates.frames" in run.output
    assert "select_samples nsfw_detection" not in run.jobs
    project.settings["gates"] = {"frames": 0.3}
    run = project.run(snakefile=snakefile)
    assert run.returncode == 0, run.output


def test_no_labels_are_an_error_that_leaves_no_files(project: Project) -> None:
    run = project.run(snakefile=begin(project, labelled=False))
    assert run.returncode != 0
    assert "the dataset 'nsfw_detection' has 0 images and 0 regions" in run.output
    assert not (project.results / DATASET).exists()
    assert not list((project.results / "selections" / "nsfw_detection").rglob("*"))


def test_existing_results_are_kept_if_an_image_is_missing(project: Project) -> None:
    snakefile = begin(project)
    assert project.run(snakefile=snakefile).returncode == 0
    lost = next(project.results.glob("frames/*/images/film%203-0000001.png"))
    (project.results / DATASET / "dataset.yaml").unlink()
    lost.unlink()
    run = project.run(snakefile=snakefile)
    assert run.returncode != 0
    assert f"{lost.relative_to(project.folder)}: the image" in run.output
    assert (project.results / DATASET / "splits.parquet").exists()
