"""The same settings give the same datasets for any number of cores and shards, any order of sources, and after kills."""

import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import polars as pl
import portraits
import psutil
import pytest
import small_pipeline
from projects import Project, snakemake_server

from tessera.core.provenance import sha256_file
from tessera.core.seeds import generator

KILLS = 2


def datasets(project: Project) -> dict[str, str]:
    """Return the sha256 of every file of the datasets."""
    folder = project.results / "datasets"
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def leftovers(project: Project) -> list[Path]:
    return list(project.results.rglob(".*.partial.*"))


@pytest.mark.workflow
def test_datasets_have_the_same_bytes_for_any_cores_shards_and_kills(project: Project, weights: Path) -> None:
    small_pipeline.begin(project)
    # The weights of the detector are given, because the determinism of trainings has its own tests.
    shutil.copy(weights, project.folder / "weights.pt")
    declared = {"source": "weights.pt", "sha256": sha256_file(weights)}
    detector = {"weights": declared, "confidence": 0.05, "image_size": 64, "max_regions": 4}
    project.settings["regions"] = {
        "detectors": {"nsfw": detector, "watermark": {**detector, "image_size": 32}},
        "choose": {"confidence": {"nsfw": 0.1, "watermark": 0.5}, "min_side": {"nsfw": 4, "watermark": 4}},
    }
    project.settings["scenes"]["detect"] = {**detector, "every_frames": 3}
    project.settings["scores"]["detectors"] = {"watermark": {**detector, "image_size": 32, "confidence": 0.9}}
    start = time.monotonic()
    assert (run := project.run("datasets", cores=2)).returncode == 0, run.output
    length = time.monotonic() - start
    expected = datasets(project)
    made = ("nsfw_detection", "watermark_detection", "mosaic_detection", "mosaic_restoration")
    assert {f"{dataset}/SHA256SUMS" for dataset in made} <= expected.keys()

    shutil.rmtree(project.results)
    project.settings["shards"] = 1
    draws = generator(0, "kills", "datasets")
    for _ in range(KILLS):
        process = project.start("datasets", cores=1)
        time.sleep(draws.uniform(0.2, 0.6) * length)
        # Only Snakemake is killed; its jobs notice and end by themselves.
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert project.run("--unlock").returncode == 0
    assert (run := project.run("datasets", cores=1)).returncode == 0, run.output
    assert datasets(project) == expected
    assert not leftovers(project)


def rows(project: Project, tables: str) -> list[str]:
    """Return the rows of all `tables`, sorted, without the folders of shards in them."""
    read = [pl.read_parquet(path).to_dicts() for path in project.results.glob(tables)]
    return sorted(str({**row, "path": Path(row.get("path", "")).name}) for table in read for row in table)


def made_of_crops(project: Project) -> dict[str, object]:
    """Return everything on the way to image sets that must not depend on how they were made."""
    results = project.results
    # The groups of sources are named after the first of each in the manifest.
    found: dict[str, object] = {name: sha256 for name, sha256 in datasets(project).items() if name != "splits.parquet"}
    for tables in ("crops/*/crops.parquet", "embeddings/crops/*/look.parquet", "selections/*/pictures.parquet"):
        found[tables] = rows(project, tables)
    for files in ("crops/*/images/*", "image_sets/*/images/*"):
        found[files] = {path.name: sha256_file(path) for path in results.glob(files)}
    for file in (
        "tags/tags",
        "identities/found",
        "identities/identities",
        "image_sets/cast/captions",
        "image_sets/cast/resized",
    ):
        found[file] = sha256_file(results / f"{file}.parquet")
    assert all(found.values())
    return found


def kill_at(project: Project, rule: str) -> None:
    """Run with one core, and kill Snakemake and its jobs when a job of `rule` writes its log."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(project.run, "datasets", cores=1)
        while not list((project.results / "logs" / rule).rglob("*.log")):
            assert not running.done(), running.result().output
            time.sleep(0.01)
        for process in psutil.Process(snakemake_server().pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                # Others serve the next runs.
                if process.cwd() == str(project.folder):
                    process.kill()
        assert running.result().returncode == -signal.SIGKILL
    assert project.run("--unlock").returncode == 0


@pytest.mark.workflow
def test_image_sets_have_the_same_bytes_for_any_cores_shards_order_and_kills(project: Project) -> None:
    portraits.begin(project)
    sources = [portraits.add_portraits(project, name, portraits.SHOWN, number) for number, name in enumerate(("b.1", "a"))]
    project.write_manifest([{**row, "split": "train"} for row in sources])
    (project.folder / "tags.csv").write_text("tag_id,name,category\n1,dark_red,0\n2,1girl,0\n3,blue,0\n")
    (project.folder / "weights.tsv").write_text("pattern\tweight\nAda\t3\n*/no_character\t0.5\n")
    project.settings |= {
        "tagger": {
            "weights": portraits.write_means(project.folder / "tagger.onnx", ["batch", 16, 16, 3], [1, 2]),
            "tags": {"source": "tags.csv", "sha256": sha256_file(project.folder / "tags.csv")},
            "of": ["person"],
        },
        "image_sets": {
            "cast": {
                "select": {"of": ["person"], "minimum": 40, "identities": "any", "others": 3, "unique": False},
                "pictures": {"shorter": 48},
                "captions": {"variants": 2, "shuffle": True, "parts": {"npeople": 0.5, "character": 0.5}},
                "arrangement": {
                    "folders": ["n_characters", "character"],
                    "minimum_per_combination": 1,
                    "weights": "weights.tsv",
                },
                "layouts": {name: {} for name in ("plain", "kohya", "webdataset")},
            }
        },
    }
    assert (run := project.run("datasets", cores=2)).returncode == 0, run.output
    expected = made_of_crops(project)

    shutil.rmtree(project.results)
    project.settings["shards"] = 1
    project.write_manifest([{**row, "split": "train"} for row in reversed(sources)])
    for rule in ("crop_frames", "write_set"):
        kill_at(project, rule)
    assert (run := project.run("datasets", cores=1)).returncode == 0, run.output
    assert made_of_crops(project) == expected
    assert not leftovers(project)
