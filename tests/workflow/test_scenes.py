"""From what a detector saw to scenes: what is made, and what a change reruns. Nothing is looked at again for it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.imaging.masks import Patch, encode_patch
from tessera.records.tables.scenes import SceneFrames, Scenes, VideoDetections, VideoFrames
from tessera.records.tables.table import read_table, types, write_table

COUNT, RATE, CUT = 120, 25, 70
OUTPUTS = ("scenes.parquet", "scene_frames.parquet", "scenes.jsonl")
MASK = np.full((40, 30), 255, np.uint8)


@pytest.fixture
def seen(project: Project) -> Path:
    """A project in which a video was looked at: something moves across it, and there is a cut."""
    project.write_manifest([{"source": "dog", "path": "dog.mp4"}])
    folder = project.results / "scenes" / "dog"
    folder.mkdir(parents=True)
    index = range(COUNT)
    frames = {
        "source": ["dog"] * COUNT,
        "index": index,
        "pts": index,
        "time": [i / RATE for i in index],
        "width": [320] * COUNT,
        "height": [240] * COUNT,
        "change": [60.0 if i == CUT else 1.0 for i in index],
        "looked": [i % 2 == 0 for i in index],
    }
    rows = [
        ("dog", i, 0, "nsfw", 0.8, encode_patch(Patch(MASK, 20 + 2 * i, 90), 240, 320), 20 + 2 * i, 90, 50 + 2 * i, 130)
        for i in range(0, COUNT, 2)
    ]
    write_table(pl.DataFrame(frames, schema=types(VideoFrames)), VideoFrames, folder / "frames.parquet")
    detections = pl.DataFrame(rows, schema=types(VideoDetections), orient="row", strict=False)
    write_table(detections, VideoDetections, folder / "detections.parquet")
    return folder


def find(project: Project, cores: int = 2) -> list[str]:
    """Find scenes in what was seen, as if it were given, and return the jobs that ran."""
    snakefile = project.write_snakefile(["common", "detectors", "scenes"])
    target = "results/scenes/dog/scenes.jsonl"
    run = project.run(target, "--allowed-rules", "find_scenes", snakefile=snakefile, cores=cores)
    assert run.returncode == 0, run.output
    return run.jobs


@pytest.mark.workflow
def test_scenes_are_found_and_a_change_reruns_what_depends_on_it(project: Project, seen: Path) -> None:
    assert find(project) == ["find_scenes dog"]
    scenes = read_table(seen / "scenes.parquet", Scenes)
    assert scenes.select("key", "first", "frames", "detected").rows() == [("dog-0000000-000", 0, CUT - 1, CUT // 2)]
    assert read_table(seen / "scene_frames.parquet", SceneFrames)["index"].to_list() == list(range(CUT - 1))
    rows = [(row["key"], row["status"], row["reason"]) for row in read_ledger(seen / "scenes.jsonl")]
    assert rows == [("dog-0000000-000", "ok", ""), ("dog-0000070-001", "dropped", "shorter than the minimum")]
    assert find(project) == []
    made = {name: (seen / name).read_bytes() for name in OUTPUTS[:2]}

    project.settings = {"scenes": {"choose": {"minimum": 1.0}}}
    assert find(project) == ["find_scenes dog"]
    assert read_table(seen / "scenes.parquet", Scenes)["first"].to_list() == [0, CUT]
    project.settings = {"scenes": {"track": {"cut": 255.0}}}
    assert find(project) == ["find_scenes dog"]
    assert read_table(seen / "scenes.parquet", Scenes)["frames"].to_list() == [COUNT - 1]

    # What has nothing to do with it.
    project.settings = {"scenes": {"detect": {"batch": 2}, "track": {"cut": 255.0}}, "frames": {"interval": 3}}
    assert find(project) == []
    # The first settings give the first bytes, on another number of cores.
    project.settings = {}
    assert find(project, cores=1) == ["find_scenes dog"]
    assert {name: (seen / name).read_bytes() for name in OUTPUTS[:2]} == made
