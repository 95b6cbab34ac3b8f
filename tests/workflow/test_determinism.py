"""The same settings give the same datasets for any number of cores and shards, and after kills."""

import os
import shutil
import signal
import time
from pathlib import Path

import journey
import pytest
from projects import Project

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
    journey.begin(project)
    # The weights of the detector are given, because the determinism of trainings has its own tests.
    shutil.copy(weights, project.folder / "weights.pt")
    declared = {"source": "weights.pt", "sha256": sha256_file(weights)}
    detector = {"weights": declared, "confidence": 0.05, "image_size": 64, "max_regions": 4}
    project.settings["regions"] = {
        "detectors": {"nsfw": detector, "watermark": {**detector, "image_size": 32}},
        "choose": {"confidence": {"nsfw": 0.1, "watermark": 0.5}, "min_side": {"nsfw": 4, "watermark": 4}},
    }
    project.settings["scenes"]["detect"] = {**detector, "stride": 3}
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
