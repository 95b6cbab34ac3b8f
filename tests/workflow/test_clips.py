"""Clips in a real run: what a change cuts again, and what it takes over."""

from pathlib import Path

import pytest
from projects import REPOSITORY, Project

from clip_room import Room, ellipse, film, moving, pictures
from tessera.imaging.masks import encode_rle

pytestmark = pytest.mark.workflow
# Up to the clips, the scenes being given.
SNAKEFILE = f"""
configfile: "config/config.yaml"

pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks",

include: "{REPOSITORY}/workflow/rules/common.smk"
include: "{REPOSITORY}/workflow/rules/sources.smk"

def scene_weights(wildcards):
    return "a.pt"

include: "{REPOSITORY}/workflow/rules/clips.smk"

rule all:
    default_target: True
    input:
        expand("<results>/clips/{{shard}}/clips.parquet", shard=SHARDS),
"""


def begin(project: Project) -> tuple[Path, Room]:
    """Make a project with a video of two scenes, and return its Snakefile and the tables of the scenes."""
    film(project.folder / "a.mp4", pictures(30, 96, 128))
    project.write_manifest([{"source": "a", "path": "a.mp4"}])
    (project.folder / "a.pt").write_bytes(b"weights that nobody loads")
    folder = project.results / "scenes" / "a"
    folder.mkdir(parents=True)
    room = Room(folder)
    room.source("a", project.folder / "a.mp4")
    for track in range(2):
        room.scene("a", 12 * track, moving(96, 128, 12), track)
    room.write()
    (folder / "sources.parquet").unlink()
    path = project.folder / "Snakefile"
    path.write_text(SNAKEFILE)
    return path, room


def clips(project: Project) -> dict[str, tuple[int, int]]:
    """Return the files of the clips, the numbers under which the disk knows them, and when they were written.

    A number alone says little: what is removed leaves its own to what is made next.
    """
    found = {path: path.stat() for path in project.results.glob("clips/a/*/a-*")}
    return {f"{path.parent.name}/{path.name}": (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


def test_a_change_cuts_again_what_it_touches(project: Project) -> None:
    snakefile, room = begin(project)
    run = project.run(snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert "cut_clips a" in run.jobs
    before = clips(project)
    assert sorted(before) == [
        *(f"images/a-{12 * track:07d}-{track}.mp4" for track in range(2)),
        *(f"masks/a-{12 * track:07d}-{track}.mkv" for track in range(2)),
    ]
    assert project.run(snakefile=snakefile).jobs == []

    row = next(row for row in room.frames if row["key"] == room.scenes[1]["key"])
    row["rle"] = encode_rle(ellipse(96, 128, (60, 50), (9, 9)))
    room.write()
    (room.folder / "sources.parquet").unlink()
    assert project.run(snakefile=snakefile).jobs == ["cut_clips a"]
    taken_over = clips(project).items() & before.items()
    assert {name for name, _ in taken_over} == {"images/a-0000000-0.mp4", "masks/a-0000000-0.mkv"}

    project.settings["clips"] = {"crf": 20}
    assert project.run(snakefile=snakefile).jobs == ["cut_clips a"]
    assert not clips(project).items() & (before.items() | taken_over)
