"""From a dataset to weights in a real run: kills, changes, and errors that stop a training."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from projects import REPOSITORY, Project

from fixed_detector import write_detector
from tessera.core.provenance import sha256_file, verify_checksums
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table
from yolo_dataset import checksum, make_dataset

TARGET = "results/weights/nsfw_detection/SHA256SUMS"
TRAINING = {"epochs": 5, "imgsz": 32, "batch": 4}


@pytest.fixture
def snakefile(project: Project) -> Path:
    """A workflow with a finished dataset, because a detector depends on nothing else."""
    project.write_manifest([{"source": "discs", "path": "discs.mp4"}])
    detector = {"architecture": "yolo11n-seg.yaml", "training": dict(TRAINING), "export": {"lada": True}}
    project.settings = {"models": {"nsfw_detection": detector}}
    dataset = make_dataset(project.results / "datasets" / "nsfw_detection")
    origins = [{"source": "discs", "split": "train", "images": 12, "content": "general", "rights": "CC0", "consent": ""}]
    (dataset / "datasheet.json").write_text(json.dumps({"dataset": "nsfw_detection", "origins": origins}))
    images = sorted(dataset.glob("images/*/*.png"))
    rows = [{"key": path.stem, "source": "discs", "split": path.parent.name} for path in images]
    write_table(pl.DataFrame(rows, schema=types(Splits)), Splits, dataset / "splits.parquet")
    checksum(dataset)
    return project.write_snakefile(["common", "weights", "detectors", "models", "verify"])


def kill_after_epoch(project: Project, snakefile: Path, epoch: int) -> None:
    """Run the workflow, and kill all its processes when the training is past `epoch`. Then unlock the folder."""
    (project.folder / "config" / "config.yaml").write_text(yaml.safe_dump(project.settings))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(project.folder)]
    command += ["--profile", str(REPOSITORY / "profiles" / "default"), "--cores", "1", TARGET]
    log = project.results / "logs" / "train_detector" / "nsfw_detection.log"
    log.unlink(missing_ok=True)
    epochs = project.settings["models"]["nsfw_detection"]["training"]["epochs"]
    with (project.folder / "killed.log").open("w") as output:
        process = subprocess.Popen(command, cwd=project.folder, stdout=output, stderr=output, start_new_session=True)
        deadline = time.monotonic() + 120
        while not (log.exists() and f"epoch {epoch}/{epochs}:" in log.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, (project.folder / "killed.log").read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert project.run("--unlock", snakefile=snakefile).returncode == 0


@pytest.mark.workflow
def test_a_killed_training_is_resumed_and_a_change_reruns_what_depends_on_it(project: Project, snakefile: Path) -> None:
    kill_after_epoch(project, snakefile, 2)
    weights = project.results / "weights" / "nsfw_detection"
    assert not weights.exists()
    run = project.run(TARGET, snakefile=snakefile, cores=1)
    assert run.returncode == 0, run.output
    log = (project.results / "logs" / "train_detector" / "nsfw_detection.log").read_text()
    assert f"epoch 1/{TRAINING['epochs']}:" not in log
    assert "resuming after epoch" in log and f"epoch {TRAINING['epochs']}/{TRAINING['epochs']}:" in log
    curves = (project.results / "training" / "nsfw_detection" / "results.csv").read_text().splitlines()
    assert len(curves) == 1 + TRAINING["epochs"]

    assert verify_checksums(weights / "SHA256SUMS") == []
    names = {"card.json", "card.md", "nsfw_detection.onnx", "nsfw_detection.pt", "lada_nsfw_detection_model_tessera.pt"}
    assert {path.name for path in weights.iterdir()} == {*names, "SHA256SUMS"}
    last = [line for line in run.output.splitlines() if "nsfw_detection:" in line][-1]
    assert "nsfw_detection finds almost nothing (" in last, run.output
    card = json.loads((weights / "card.json").read_text())
    assert card["dataset"]["datasheet"]["origins"][0]["rights"] == "CC0"
    assert card["training"]["arguments"]["epochs"] == TRAINING["epochs"]
    assert card["training"]["made_with"][0]["torch"] in (weights / "card.md").read_text()
    for path in [*weights.glob("card.*"), *(project.results / "metrics").iterdir()]:
        assert str(project.folder) not in path.read_text()
    assert list((project.results / "training" / "nsfw_detection" / "runs").glob("*/events.out.tfevents.*"))

    assert project.run(TARGET, snakefile=snakefile).jobs == []
    # A comparison makes nothing else again.
    free = write_detector(project.folder / "free.onnx", ("nsfw",))
    declared = {"name": "free", "source": "free.onnx", "sha256": sha256_file(free)}
    project.settings["comparisons"] = {"nsfw_detection": [declared]}
    run = project.run("results/metrics/nsfw_detection.comparison.json", TARGET, snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert run.jobs == ["compare_detectors nsfw_detection", f"fetch_weights {declared['sha256']}.onnx"]
    project.settings["models"]["nsfw_detection"]["tolerance"] = {"images": 2}
    run = project.run(TARGET, snakefile=snakefile)
    # The logs and the benchmarks of each job, which the timings of the report show, are named after its rule.
    assert run.jobs == [f"{rule} nsfw_detection" for rule in ("publish_detectors_lada", "verify_export", "write_model_card")]

    published = {path.name: path.read_bytes() for path in weights.iterdir()}
    project.settings["models"]["nsfw_detection"]["training"]["epochs"] = 1
    project.settings["models"]["nsfw_detection"]["tolerance"] = {"output": 1e-15}
    run = project.run(TARGET, snakefile=snakefile)
    assert run.returncode != 0 and "nsfw_detection.onnx differs from nsfw_detection.pt" in run.output, run.output
    assert "train_detector nsfw_detection" in run.jobs
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == published, (
        "another training is published only verified"
    )
    project.settings["models"]["nsfw_detection"]["tolerance"] = {}
    run = project.run(TARGET, snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert verify_checksums(weights / "SHA256SUMS") == []
    assert (weights / "nsfw_detection.pt").read_bytes() != published["nsfw_detection.pt"]


@pytest.mark.workflow
def test_a_training_is_not_repeated_after_settings_are_changed_and_restored(project: Project, snakefile: Path) -> None:
    folder = project.results / "training" / "nsfw_detection"
    target = str((folder / "best.pt").relative_to(project.folder))
    training = project.settings["models"]["nsfw_detection"]["training"]

    def train(epochs: int, keep: int) -> tuple[str, bytes]:
        training["epochs"] = epochs
        project.settings["trainings"] = {"keep": keep}
        run = project.run(target, snakefile=snakefile)
        assert run.returncode == 0 and "train_detector nsfw_detection" in run.jobs, run.output
        log = project.results / "logs" / "train_detector" / "nsfw_detection.log"
        return log.read_text(), (folder / "best.pt").read_bytes()

    first, made = train(1, keep=3)
    assert "epoch 1/" in first
    # The training with other settings is killed: Snakemake has removed the weights before it.
    training["epochs"] = 3
    kill_after_epoch(project, snakefile, 1)
    assert not (folder / "best.pt").exists()
    restored, again = train(1, keep=3)
    assert "epoch 1/" not in restored and "holds this training, finished" in restored
    assert again == made
    changed, other = train(3, keep=3)
    assert "epoch 1/" not in changed and "epoch 3/3:" in changed
    assert other != made
    restored, again = train(1, keep=1)
    assert "epoch 1/" not in restored and again == made
    assert "removes results/training/nsfw_detection/runs/" in restored and len(list((folder / "runs").iterdir())) == 1
    project.settings["trainings"] = {"keep": None}
    assert project.run(target, snakefile=snakefile).jobs == []

    # Whatever was made is still what was written, until a file is lost.
    assert "all as the jobs wrote them" in project.run("verify", snakefile=snakefile).output
    (folder / "results.csv").write_text("")
    verified = project.run("verify", snakefile=snakefile)
    assert verified.returncode != 0 and "results/training/nsfw_detection/results.csv: it was changed" in verified.output


@pytest.mark.workflow
def test_a_label_that_was_deleted_stops_a_training(project: Project, snakefile: Path) -> None:
    target = "results/training/nsfw_detection/dataset.json"
    assert project.run(target, snakefile=snakefile).returncode == 0
    (project.results / "datasets" / "nsfw_detection" / "labels" / "train" / "disc-train-0000001.txt").unlink()
    # Here, the dataset has no rule of its own, so that it would be checked again.
    assert project.run("--touch", target, snakefile=snakefile).returncode == 0
    run = project.run(TARGET, snakefile=snakefile)
    assert run.returncode != 0 and run.jobs == ["train_detector nsfw_detection"]
    assert "the dataset results/datasets/nsfw_detection is not what was written" in run.output
    assert "'labels/train/disc-train-0000001.txt' is missing" in run.output


@pytest.mark.workflow
def test_an_invalid_label_stops_the_run_before_the_first_epoch(project: Project, snakefile: Path) -> None:
    dataset = project.results / "datasets" / "nsfw_detection"
    label = dataset / "labels" / "val" / "disc-val-0000000.txt"
    label.write_text("0 0.5 0.5 2.0 0.5 0.5 0.9\n")
    checksum(dataset)
    run = project.run(TARGET, snakefile=snakefile)
    assert run.returncode != 0
    assert f"{label.relative_to(project.folder)}:1: 2 is outside the image" in run.output
    assert run.jobs == ["check_dataset nsfw_detection"]


@pytest.mark.workflow
def test_declared_weights_with_another_sha256_are_refused_before_any_job(project: Project, snakefile: Path) -> None:
    (project.folder / "mine.pt").write_bytes(b"weights")
    sha256 = hashlib.sha256(b"other weights").hexdigest()
    project.settings["models"]["nsfw_detection"]["weights"] = {"source": "mine.pt", "sha256": sha256}
    run = project.run("--dry-run", TARGET, snakefile=snakefile)
    assert run.returncode != 0
    assert "models.nsfw_detection.weights: the weights mine.pt have the sha256 " in run.output
    assert f"declared is {sha256}" in run.output


@pytest.mark.workflow
def test_a_wrong_argument_stops_the_run_before_any_job(project: Project, snakefile: Path) -> None:
    project.settings["models"]["nsfw_detection"]["training"]["epoch"] = 3
    run = project.run(TARGET, snakefile=snakefile)
    assert run.returncode != 0
    assert "did you mean 'epochs'?" in run.output
    assert run.jobs == []
