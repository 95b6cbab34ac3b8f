"""The workflow on a Slurm cluster, which the test starts on this machine: `make test-cluster`."""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import small_pipeline
from projects import Project
from slurm import cluster, missing_programs

from tessera.core.provenance import sha256_file

TARGETS = [f"results/datasets/{dataset}/SHA256SUMS" for dataset in ("nsfw_detection", "mosaic_restoration")]
PARTITIONS = "partitions: {cpu: {max_gpu: 0}, gpu: {max_gpu: 2}}\n"
SECONDS = 900  # that the run on the cluster may take


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The variables with which Slurm's commands find the cluster of these tests."""
    if missing := missing_programs():
        pytest.fail(f"not installed: {', '.join(missing)}; on Debian, `apt-get install slurm-wlm munge`")
    # The path of a folder of pytest is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, cluster(Path(folder) / "cluster") as variables:
        yield variables


def prepare(folder: Path, weights: Path) -> Project:
    """Return a project whose clips need no training."""
    project = Project.create(folder)
    small_pipeline.begin(project)
    shutil.copy(weights, project.folder / "weights.pt")
    project.settings["shards"] = "per_source"
    declared = {"source": "weights.pt", "sha256": sha256_file(weights)}
    detector = {"weights": declared, "confidence": 0.05, "image_size": 64, "max_regions": 4}
    project.settings["scenes"]["detect"] = {**detector, "every_frames": 3}
    project.settings["scores"]["detectors"] = {"watermark": {**detector, "image_size": 32, "confidence": 0.9}}
    return project


def datasets(project: Project) -> dict[str, str]:
    """Return the sha256 of every file of the datasets."""
    folder = project.results / "datasets"
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def job_of(rule: str, shard: str, folder: Path) -> psutil.Process:
    """Wait until the script of `rule` runs for `shard` in `folder`, and return its process."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_of_rule = process.cmdline()[-1:] and process.cmdline()[-1].endswith(f".{rule}.py")
                if is_of_rule and Path(process.cwd()) == folder and f"{rule}:shard={shard}" in process.parent().cmdline():
                    return process
        time.sleep(0.05)
    raise TimeoutError(f"no job of {rule}")


def slurm_jobs(environment: dict[str, str]) -> list[dict[str, str]]:
    """Return what Slurm knows of each job, in the order of submission."""
    command = ["scontrol", "-o", "show", "jobs"]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    jobs = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
    return sorted(jobs, key=lambda job: int(job["JobId"]))


def megabytes(size: str) -> float:
    """Return a `size` that Slurm prints, such as 32000M or 62.50G, in units of M."""
    return float(size[:-1]) * {"M": 1, "G": 1024}[size[-1]]


@pytest.mark.workflow
def test_jobs_that_are_killed_or_exceed_time_or_memory_run_again_and_give_the_same_bytes(
    environment: dict[str, str], weights: Path, tmp_path: Path
) -> None:
    local = prepare(tmp_path / "local", weights)
    assert (run := local.run(*TARGETS)).returncode == 0, run.output

    project = prepare(tmp_path / "cluster", weights)
    (tmp_path / "partitions.yaml").write_text(PARTITIONS)
    # This cluster keeps no accounts, and its jobs take seconds.
    here = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
    here += ["--slurm-partition-config", str(tmp_path / "partitions.yaml")]
    too_little = [
        "make_clips:runtime=1 if attempt == 1 else 10",
        *(f"{rule}:mem_mb=50 if attempt == 1 else 4000" for rule in ("find_duplicates", "divide_sources")),
    ]
    options, variables = project.command(*TARGETS, *here, "--set-resources", *too_little, profile="slurm")

    def kill_first_job() -> None:
        job_of("make_clips", "amber", project.folder).kill()

    def stop_first_job() -> None:
        # It then takes longer than its minute.
        job_of("make_clips", "clay", project.folder).suspend()

    for disturb in (kill_first_job, stop_first_job):
        threading.Thread(target=disturb, daemon=True).start()
    # Snakemake ends when this process is killed, as the cluster does.
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "snakemake", *options]
    printed = tmp_path / "snakemake.log"
    with printed.open("wb") as file:
        status = subprocess.run(
            command, cwd=project.folder, env={**variables, **environment}, stdout=file, stderr=file, timeout=SECONDS
        ).returncode
    jobs = slurm_jobs(environment)
    listed = "\n".join(f"{job['JobId']} {job['JobState']} {job['Comment']} {job['TRES']} {job['RunTime']}" for job in jobs)
    assert status == 0, f"{printed.read_text()}\n{listed}"
    assert datasets(project) == datasets(local), listed
    assert not list(project.results.rglob(".*.partial.*"))

    def states(comment: str) -> list[str]:
        return sorted(job["JobState"] for job in jobs if job["Comment"].startswith(comment))

    # The steps of a shard, and of a dataset, are one job.
    assert states("rule_footage") == states("rule_dataset") == ["COMPLETED", "COMPLETED"], listed
    # What Slurm calls a job that was killed for its memory depends on the version.
    assert states("rule_splits") in (["COMPLETED", "FAILED"], ["COMPLETED", "OUT_OF_MEMORY"]), listed
    killed, stopped = (
        [job for job in jobs if job["Comment"] == f"rule_make_clips_wildcards_{shard}"] for shard in ("amber", "clay")
    )
    assert [job["JobState"] for job in killed] == ["FAILED", "COMPLETED"], listed
    assert [job["JobState"] for job in stopped] == ["TIMEOUT", "COMPLETED"], listed
    assert len(jobs) == 10, listed
    # Jobs with a GPU run at the same time, and no other job has one.
    assert killed[0]["StartTime"] < stopped[0]["EndTime"], listed
    for job in jobs:
        needs_gpu = job in [*killed, *stopped]
        assert (job.get("TresPerJob") == "gres:gpu:1", job["Partition"]) == (needs_gpu, "gpu" if needs_gpu else "cpu"), job
    # The profile gives 4,000 MB for each of eight threads, and as much again for the second attempt.
    assert [megabytes(job["MinMemoryNode"]) for job in killed] == [32_000, 64_000]
