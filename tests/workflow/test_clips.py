"""From footage to scored clips in a real run: what a change makes again, and what is reused."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.imaging.encode import write_video
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.mosaics import Mosaics
from tessera.records.tables.scenes import Scenes, VideoDetections, VideoFrames
from tessera.records.tables.table import read_table

pytestmark = pytest.mark.workflow
RULES = ("common", "weights", "sources", "clips")
TARGETS = [f"results/clips/{shard}/scores.parquet" for shard in ("dog", "empty", "other")]
DOG = TARGETS[:1]


def film(path: Path, frames: int) -> None:
    write_video(path, np.random.default_rng(0).integers(0, 256, (frames, 96, 128, 3), dtype=np.uint8), 10)


@pytest.fixture
def snakefile(project: Project, weights: Path) -> Path:
    """A workflow with declared weights: a video, a file that is not a video, and a video for another dataset."""
    film(project.folder / "dog.mp4", 12)
    film(project.folder / "other.mp4", 5)
    (project.folder / "empty.mp4").write_bytes(b"nothing")
    project.write_manifest(
        [
            {"source": "dog", "path": "dog.mp4"},
            {"source": "empty", "path": "empty.mp4"},
            {"source": "other", "path": "other.mp4", "use": "nsfw_detection"},
        ]
    )
    shutil.copy(weights, project.folder / "nsfw.pt")
    declared = {"source": "nsfw.pt", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    detector = {"weights": declared, "image_size": 64, "confidence": 0.05, "max_regions": 1}
    project.settings = {
        "scenes": {
            "detect": detector,
            # Detections in noise jump, so the tracker must link over any distance.
            "track": {"high": 0, "low": 0, "new": 0, "match": 1, "speed": 1000, "cut": 255},
            "choose": {"confidence": 0, "min_seconds": 0.3, "max_seconds": 0.6},
        },
        "scores": {"samples": 2, "detectors": {"watermark": dict(detector)}},
    }
    return project.write_snakefile(RULES)


def cut(project: Project, snakefile: Path, *targets: str, cores: int = 2) -> list[str]:
    """Return the shards whose clips were made again."""
    run = project.run(*(targets or DOG), snakefile=snakefile, cores=cores)
    assert run.returncode == 0, run.output
    return [job.partition(" ")[2] for job in run.jobs if job.startswith("make_clips")]


def files(project: Project, pattern: str) -> set[tuple[str, int, int]]:
    """Return the files of the video with their inodes and times.

    An inode alone is not enough, because a new file can get that of a removed one.
    """
    statuses = {path: path.stat() for path in project.results.glob(pattern)}
    return {(path.name, status.st_ino, status.st_mtime_ns) for path, status in statuses.items()}


def clips(project: Project) -> set[tuple[str, int, int]]:
    return files(project, "clips/dog/*/dog-*")


def looks(project: Project) -> set[tuple[str, int, int]]:
    return files(project, "scenes/dog/kept/*/*")


def indexes_looked_at(project: Project) -> list[int]:
    table = read_table(project.results / "scenes" / "dog" / "video_frames.parquet", VideoFrames)
    return table.filter("looked")["index"].to_list()


def test_a_change_detects_and_cuts_only_what_it_concerns(project: Project, snakefile: Path) -> None:
    assert cut(project, snakefile, *TARGETS) == ["dog", "empty", "other"]
    folder = project.results / "scenes"
    rows = [row for shard in ("dog", "empty", "other") for row in read_ledger(folder / shard / "detections.jsonl")]
    assert [(row["key"], row["status"], row["reason"], row["detail"]) for row in rows[::2]] == [
        ("dog", "ok", "", "12 frames, 12 looked at"),
        ("other", "dropped", "source not for mosaic_restoration", ""),
    ]
    assert (rows[1]["status"], rows[1]["reason"]) == ("dropped", "source refused")
    assert not read_table(folder / "dog" / "detections.parquet", VideoDetections).is_empty()
    keys = read_table(folder / "dog" / "scenes.parquet", Scenes)["key"].to_list()
    assert len(keys) == 2
    assert read_table(project.results / "clips" / "dog" / "clips.parquet", Clips)["key"].to_list() == keys
    scores = read_table(project.results / "clips" / "dog" / "scores.parquet", Scores)
    assert scores["key"].to_list() == keys
    assert scores["watermark"].null_count() == 0
    assert read_table(project.results / "clips" / "empty" / "scores.parquet", Scores).is_empty()
    assert cut(project, snakefile, *TARGETS) == []
    before, looked = clips(project), looks(project)
    assert len(before) == 4 and looked
    bytes_before = {path.name: path.read_bytes() for path in project.results.glob("clips/dog/*/dog-*")}

    # Nothing is detected, and nothing encoded again.
    project.settings["scores"]["samples"] = 3
    assert cut(project, snakefile) == ["dog"]
    assert set(read_table(project.results / "clips" / "dog" / "scores.parquet", Scores)["looked"]) == {3}
    assert (clips(project), looks(project)) == (before, looked)
    # Nothing is detected again, and only changed clips are cut.
    project.settings["scenes"]["choose"]["max_seconds"] = 0.5
    assert cut(project, snakefile) == ["dog"]
    assert looks(project) == looked
    others = clips(project)
    assert others and not others & before
    project.settings["clips"] = {"crf": 20}
    assert cut(project, snakefile) == ["dog"]
    assert looks(project) == looked
    assert not clips(project) & others
    # A setting that clips do not depend on.
    project.settings["frames"] = {"interval_seconds": 3}
    assert cut(project, snakefile) == []
    # The video is detected again.
    project.settings["scenes"]["detect"]["every_frames"] = 3
    assert cut(project, snakefile) == ["dog"]
    assert indexes_looked_at(project) == [0, 3, 6, 9, 11]
    film(project.folder / "dog.mp4", 9)
    assert cut(project, snakefile) == ["dog"]
    assert indexes_looked_at(project) == [0, 3, 6, 8]
    # The first footage and the first settings give the first bytes, on another number of cores.
    film(project.folder / "dog.mp4", 12)
    del project.settings["scenes"]["detect"]["every_frames"], project.settings["clips"]
    project.settings["scenes"]["choose"]["max_seconds"] = 0.6
    assert cut(project, snakefile, cores=1) == ["dog"]
    assert {path.name: path.read_bytes() for path in project.results.glob("clips/dog/*/dog-*")} == bytes_before


def test_weights_that_are_not_a_quality_model_are_reported(project: Project, snakefile: Path) -> None:
    (project.folder / "dover.onnx").write_text("no model")
    digest = hashlib.sha256(b"no model").hexdigest()
    project.settings["scores"] = {
        "detectors": {"watermark": {"weights": None}},
        "quality": {"source": "dover.onnx", "sha256": digest},
    }
    run = project.run(*DOG, snakefile=snakefile)
    assert run.returncode != 0
    assert "the weights dover.onnx are no model (it is no ONNX, or cut short)" in run.output


def test_regions_anywhere_need_no_detector_and_no_gpu(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    film(project.folder / "dog.mp4", 12)
    project.write_manifest([{"source": "dog", "path": "dog.mp4"}])
    project.settings = {
        "models": {"nsfw_detection": None, "watermark_detection": None},
        "frames": {"mode": "every", "every_frames": 1},
        "regions": {"detectors": {"nsfw": {"weights": "anywhere"}, "watermark": {"weights": None}}},
        "scenes": {"detect": {"weights": "anywhere"}, "choose": {"min_seconds": 0.3}},
        "scores": {"samples": 2, "detectors": {"watermark": {"weights": None}}},
    }
    made = ["results/clips/dog/clips.parquet", "results/mosaics/dog/mosaics.parquet"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    run = project.run(*made, "--resources", "gpu=0")
    assert run.returncode == 0, run.output
    assert not [job for job in run.jobs if job.startswith("train")]
    assert "computing on the CPU" not in run.output, "which each job says that asks for the GPU"
    assert read_table(project.results / "clips" / "dog" / "clips.parquet", Clips).height
    mosaics = read_table(project.results / "mosaics" / "dog" / "mosaics.parquet", Mosaics)
    assert set(mosaics["label"]) == {"nsfw"}
    # Another seed draws other regions, in frames and in videos.
    before = mosaics.select("x0", "y0", "x1", "y1")
    project.settings["seed"] = 1
    run = project.run(*made)
    assert run.returncode == 0, run.output
    after = read_table(project.results / "mosaics" / "dog" / "mosaics.parquet", Mosaics).select("x0", "y0", "x1", "y1")
    assert not before.equals(after)
