"""From sampled frames to regions: what is made, and what a change reruns."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from projects import Project

from tessera.core.ledger import read_ledger, summarise
from tessera.core.provenance import write_checksums
from tessera.imaging.encode import write_video
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table

RULES = ("common", "sources", "frames", "annotations", "detectors", "regions")
OUTPUTS = ("regions.parquet", "backgrounds.parquet", "ledger.jsonl", "detections.jsonl")
SHARD = "dog"
TARGETS = [f"results/regions/{SHARD}/ledger.jsonl", "results/regions/empty/ledger.jsonl"]


@pytest.fixture
def snakefile(project: Project, weights: Path) -> Path:
    """A workflow that has its weights: regions depend on nothing else of their training. A video, and one that is no video."""
    generator = np.random.default_rng(0)
    write_video(project.folder / "dog.mp4", generator.integers(0, 256, (6, 96, 128, 3), dtype=np.uint8), 10)
    (project.folder / "empty.mp4").write_bytes(b"nothing")
    project.write_manifest([{"source": SHARD, "path": "dog.mp4"}, {"source": "empty", "path": "empty.mp4"}])
    shutil.copytree(weights.parent, project.results / "weights" / "nsfw_detection")
    shutil.copy(weights, project.folder / "marks.pt")
    finder = {"image_size": 64, "confidence": 0.05, "max_regions": 5}
    declared = {"source": "marks.pt", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    project.settings = {
        "frames": {"interval": 0.1},
        "regions": {
            "detectors": {"nsfw": finder, "watermark": {**finder, "weights": declared}},
            "choose": {"confidence": {"nsfw": 0.1, "watermark": 0.999}, "min_side": {"nsfw": 5}},
        },
    }
    return project.write_snakefile(RULES)


@pytest.mark.workflow
def test_regions_are_made_and_a_change_reruns_what_depends_on_it(project: Project, snakefile: Path) -> None:
    run = project.run(*TARGETS, snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert {f"find_regions {SHARD} {detector}" for detector in ("nsfw", "watermark")} <= set(run.jobs)
    folder = project.results / "regions"
    assert {path.name for path in (folder / SHARD).iterdir()} == {
        *OUTPUTS,
        *(f"{detector}.{suffix}" for detector in ("nsfw", "watermark") for suffix in ("parquet", "jsonl")),
    }
    regions = read_table(folder / SHARD / "regions.parquet", Annotations)
    backgrounds = read_table(folder / SHARD / "backgrounds.parquet", Frames)
    summary = summarise(read_ledger(folder / SHARD / "ledger.jsonl"))
    assert set(regions["label"]) == {"nsfw"}
    assert summary["in"] == 6
    assert summary["ok"] == regions["key"].n_unique() + backgrounds.height
    for part in OUTPUTS[:2]:
        assert read_table(folder / "empty" / part, Annotations if part == OUTPUTS[0] else Frames).is_empty()

    assert project.run(*TARGETS, snakefile=snakefile).jobs == []
    made = (folder / SHARD / "regions.parquet").read_bytes()
    choose = f"choose_regions {SHARD}"

    project.settings["regions"]["choose"]["confidence"]["nsfw"] = 0.2
    assert project.run(TARGETS[0], snakefile=snakefile).jobs == [choose]

    # Another model of watermarks: the same weights in another wrapping.
    marks = project.folder / "marks.pt"
    marks.write_bytes(marks.read_bytes() + b"\0")
    sha256 = hashlib.sha256(marks.read_bytes()).hexdigest()
    project.settings["regions"]["detectors"]["watermark"]["weights"]["sha256"] = sha256
    jobs = [choose, f"fetch_weights {sha256}.pt", f"find_regions {SHARD} watermark"]
    assert project.run(TARGETS[0], snakefile=snakefile).jobs == jobs

    trained = project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    trained.write_bytes(trained.read_bytes() + b"\0")
    write_checksums([trained], trained.parent, trained.parent / "SHA256SUMS")
    project.settings["regions"]["choose"]["confidence"]["nsfw"] = 0.1
    assert project.run(TARGETS[0], snakefile=snakefile, cores=1).jobs == [choose, f"find_regions {SHARD} nsfw"]
    assert (folder / SHARD / "regions.parquet").read_bytes() == made


@pytest.mark.workflow
def test_weights_that_are_not_there_are_named_before_any_job_unless_fetched(project: Project, snakefile: Path) -> None:
    (project.folder / "marks.pt").unlink()
    run = project.run("--dry-run", TARGETS[0], snakefile=snakefile)
    assert run.returncode != 0 and "regions.detectors.watermark.weights: 'marks.pt' is not there" in run.output
    declared = project.settings["regions"]["detectors"]["watermark"]["weights"]
    fetched = project.folder / "resources" / "weights" / f"{declared['sha256']}.pt"
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b"fetched")
    run = project.run("--dry-run", TARGETS[0], snakefile=snakefile)
    assert run.returncode == 0, run.output


@pytest.mark.workflow
def test_weights_that_are_not_those_of_the_list_are_not_loaded(project: Project, snakefile: Path) -> None:
    trained = project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    trained.write_bytes(trained.read_bytes() + b"\0")
    run = project.run(TARGETS[0], snakefile=snakefile)
    assert run.returncode != 0
    assert "nsfw_detection.pt: not the file that results/weights/nsfw_detection/SHA256SUMS lists" in run.output
    assert not (project.results / "regions" / SHARD / "nsfw.parquet").exists()
