"""Frames in a real run: any name works, a broken image is a row, and shards and cores do not matter."""

import re

import numpy as np
import polars as pl
import pytest
from projects import Project

from tessera.imaging.encode import write_video
from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow
TARGET = "results/duplicates/duplicates.parquet"


def pictures(seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (12, 6, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2))


def begin(project: Project) -> None:
    """Set up two videos with a picture in common, and a folder of images, one of them broken."""
    first, second = pictures(1), pictures(2)
    write_video(project.folder / "-a 'b\".mp4", first, 24)
    write_video(project.folder / "b.mp4", [*second[:11], first[0]], 24)
    (project.folder / "stills").mkdir()
    write_image(project.folder / "stills" / "1.png", pictures(3)[0])
    (project.folder / "stills" / "2.png").write_text("no image")
    project.settings = {"frames": {"mode": "all"}, "gates": {"sources": 1.0}}
    project.write_manifest(
        [
            {"source": "-a 'b\"", "path": "-a 'b\".mp4"},
            {"source": "b", "path": "b.mp4"},
            {"source": "stills", "path": "stills"},
        ]
    )


def test_frames_and_duplicates_are_the_same_on_any_number_of_shards(project: Project) -> None:
    begin(project)
    run = project.run(TARGET)
    assert run.returncode == 0, run.output
    duplicates = project.folder / TARGET
    assert pl.read_parquet(duplicates).select("key", "duplicate_of").rows() == [("b-0000011", "%2Da%20%27b%22-0000000")]
    images = {path.name: path.read_bytes() for path in project.results.glob("frames/*/images/[!.]*")}
    frames = pl.concat([pl.read_parquet(table) for table in sorted(project.results.glob("frames/*/frames.parquet"))])
    assert sorted(images) == sorted(frames["file"])
    assert frames.group_by("source").len().sort("source").rows() == [("-a 'b\"", 12), ("b", 12), ("stills", 1)]
    before = duplicates.read_bytes()

    project.settings["shards"] = 2
    run = project.run(TARGET, cores=1)
    assert run.returncode == 0, run.output
    assert {path.name: path.read_bytes() for path in project.results.glob("frames/shard-*/images/[!.]*")} == images
    assert duplicates.read_bytes() == before


def test_the_target_frames_lists_refused_sources_and_removes_withdrawn_ones(project: Project) -> None:
    rows = two_images(project)
    project.write_manifest([*rows, {"source": "c", "path": "a.png", "rights": ""}])
    run = project.run("frames")
    assert run.returncode == 0, run.output
    assert "2 of 3 sources admitted; 1 left out: no rights (1)" in run.output
    assert (project.results / "sources" / "refused.tsv").read_text().startswith("source\treason\tdetail\nc\tno rights\t")

    project.write_manifest(rows[:1])
    run = project.run("frames")
    assert run.returncode == 0, run.output
    assert not (project.results / "frames" / "b").exists()


def test_withdrawing_a_source_after_the_gate_of_frames_reruns_everything(project: Project) -> None:
    rows = two_images(project)
    run = project.run("results/gates/frames.json")
    assert run.returncode == 0, run.output
    project.write_manifest(rows[:1])
    run = project.run("--dry-run", "all")
    planned = re.findall(r"^ (\w[\w ]*?) +\d+ *$", run.output.partition("Job stats")[2], re.MULTILINE)
    assert {"remove withdrawn", "select samples", "report"} <= {rule.replace("_", " ") for rule in planned}, run.output


def two_images(project: Project) -> list[dict[str, str]]:
    """List two images in the manifest of `project`; return its rows."""
    for name in ("a", "b"):
        write_image(project.folder / f"{name}.png", pictures(ord(name))[0])
    rows = [{"source": name, "path": f"{name}.png"} for name in ("a", "b")]
    project.write_manifest(rows)
    return rows
