"""From footage to what a detector sees in it: what is made, and what a change reruns."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.imaging.encode import write_video
from tessera.records.tables.scenes import VideoDetections, VideoFrames
from tessera.records.tables.table import read_table

RULES = ("common", "sources", "detectors", "scenes")
TARGETS = [f"results/scenes/{shard}/detections.jsonl" for shard in ("dog", "empty", "other")]


def film(path: Path, frames: int) -> None:
    write_video(path, np.random.default_rng(0).integers(0, 256, (frames, 96, 128, 3), dtype=np.uint8), 10)


@pytest.fixture
def snakefile(project: Project, weights: Path) -> Path:
    """A workflow with declared weights: a video, one that is none, and one that is for another dataset."""
    film(project.folder / "dog.mp4", 7)
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
    detect = {"weights": declared, "image_size": 64, "confidence": 0.05, "max_regions": 5}
    project.settings = {"scenes": {"detect": detect}, "gates": {"sources": 1}}
    return project.write_snakefile(RULES)


def jobs(project: Project, snakefile: Path, *targets: str) -> Sequence[str]:
    run = project.run(*(targets or TARGETS), snakefile=snakefile)
    assert run.returncode == 0, run.output
    return [job for job in run.jobs if job.startswith("detect_videos")]


@pytest.mark.workflow
def test_videos_are_looked_at_and_a_change_reruns_those_it_touches(project: Project, snakefile: Path) -> None:
    assert jobs(project, snakefile) == ["detect_videos dog", "detect_videos empty", "detect_videos other"]
    scenes = project.results / "scenes"
    rows = [row for target in TARGETS for row in read_ledger(project.folder / target)]
    assert [(row["key"], row["status"], row["reason"], row["detail"]) for row in rows[::2]] == [
        ("dog", "ok", "", "7 frames, 7 looked at"),
        ("other", "dropped", "source not for mosaic_restoration", ""),
    ]
    assert (rows[1]["status"], rows[1]["reason"]) == ("dropped", "source refused")
    assert read_table(scenes / "dog" / "frames.parquet", VideoFrames)["looked"].all()
    assert not read_table(scenes / "dog" / "detections.parquet", VideoDetections).is_empty()
    project.settings["scenes"]["detect"]["stride"] = 3
    jobs(project, snakefile)
    assert read_table(scenes / "dog" / "frames.parquet", VideoFrames).filter("looked")["index"].to_list() == [0, 3, 6]
    film(project.folder / "dog.mp4", 9)
    assert jobs(project, snakefile) == ["detect_videos dog"]
    assert read_table(scenes / "dog" / "frames.parquet", VideoFrames).filter("looked")["index"].to_list() == [0, 3, 6, 8]
