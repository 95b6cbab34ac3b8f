"""A replayed rule gives the same bytes as the workflow, leaves the results alone, and can be debugged."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from projects import REPOSITORY, Project

from tessera.core.errors import TesseraError
from tessera.imaging.images import write_image
from tessera.replay import plan

pytestmark = pytest.mark.workflow
TABLE = "results/frames/{}/frames.parquet"
OPTIONS = ["--snakefile", str(REPOSITORY / "Snakefile"), "--workflow-profile", "none"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two images, the frames of the first already made."""
    project = Project.create(tmp_path_factory.mktemp("replay") / "project")
    for number, name in enumerate(("amber", "basalt")):
        picture = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        write_image(project.folder / f"{name}.png", picture)
    project.write_manifest([{"source": name, "path": f"{name}.png"} for name in ("amber", "basalt")])
    # With these rules alone, because each replay plans all the rules of its workflow.
    project.snakefile = project.write_snakefile(["common", "sources", "frames"])
    run = project.run(TABLE.format("amber"))
    assert run.returncode == 0, run.output
    return project


def replay(project: Project, *arguments: str, debugger: str = "", typed: str = "") -> "subprocess.CompletedProcess[str]":
    """Replay in `project`, under pdb if there are commands of `debugger`."""
    pdb = ["-m", "pdb", *(part for command in debugger.splitlines() for part in ("-c", command))] if debugger else []
    command = [sys.executable, *pdb, "-m", "tessera.replay", *arguments, "--directory", str(project.folder)]
    command += ["--snakefile", str(project.snakefile), "--workflow-profile", "none"]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, input=typed, timeout=300)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in `folder`, except ledgers and stores, which contain times, and files of Snakemake."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    left_out = (path for path in files if path.suffix == ".jsonl" or path.name[0] == "." or "kept" in path.parts)
    return {str(path): files[path].read_bytes() for path in files.keys() - set(left_out)}


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def place_of(path: Path, start: str) -> str:
    """Return the line of `path` that begins with `start`, as pdb wants it."""
    return f"{path}:{[line.startswith(start) for line in path.read_text().splitlines()].index(True) + 1}"


def test_a_replay_gives_the_same_bytes_and_leaves_the_results_alone(project: Project, tmp_path: Path) -> None:
    before = times(project.results)
    ran = replay(project, "sample_frames", "shard=amber", "--into", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    made = contents(tmp_path / "results" / "frames" / "amber")
    assert made == contents(project.results / "frames" / "amber")
    assert any(name.startswith("images/") for name in made)
    assert not list(tmp_path.rglob("*.log")), "the output goes to the terminal"
    assert not list(tmp_path.rglob("*.partial.*"))
    assert times(project.results) == before


def test_the_outputs_go_to_a_folder_that_is_printed(project: Project) -> None:
    ran = replay(project, "sample_frames", "shard=amber")
    folder = Path(re.search(r"^replaying sample_frames\.py; its outputs go to (.+)$", ran.stderr, re.M)[1])
    assert (folder / TABLE.format("amber")).exists()
    assert folder.parent == Path(os.environ.get("TMPDIR", "/tmp"))


def test_a_debugger_stops_in_the_script_and_reads_the_terminal(project: Project) -> None:
    script = REPOSITORY / "workflow" / "scripts" / "sample_frames.py"
    library = REPOSITORY / "src" / "tessera" / "stages" / "footage" / "sampling.py"
    commands = f"break {place_of(script, 'with job(')}\nbreak {place_of(library, '    def chosen(')}"
    typed = "p snakemake.rule, snakemake.wildcards.shard\ncontinue\np source\nquit\n"
    ran = replay(project, "sample_frames", "shard=amber", debugger=f"{commands}\ncontinue", typed=typed)
    assert "('sample_frames', 'amber')" in ran.stdout, ran.stdout + ran.stderr
    assert "(Pdb) 'amber'" in ran.stdout, ran.stdout + ran.stderr


def test_an_error_keeps_its_traceback_for_post_mortem(project: Project, tmp_path: Path) -> None:
    table = project.results / "sources" / "shards" / "amber" / "sources.parquet"
    content = table.read_bytes()
    table.write_bytes(b"no table")
    try:
        ran = replay(
            project, "sample_frames", "shard=amber", "--into", str(tmp_path), debugger="continue", typed="where\nquit\n"
        )
    finally:
        table.write_bytes(content)
    assert "Uncaught exception. Entering post mortem debugging" in ran.stdout, ran.stdout + ran.stderr
    assert "workflow/scripts/sample_frames.py(" in ran.stdout and "src/tessera/stages/footage/sampling.py(" in ran.stdout
    assert not contents(tmp_path), "no incomplete file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the rule"),
        (["sample_frame", "shard=amber"], "there is no rule 'sample_frame'; did you mean sample_frames"),
        (["all"], "the rule all runs no Python script"),
        (["sample_frames", "amber"], "'amber' is not a wildcard: write each as WILDCARD=VALUE"),
        (["sample_frames", "shart=amber"], "the rule sample_frames has no wildcard shart (its wildcards: shard)"),
        (["sample_frames"], "also needs shard=…; it is planned for: shard=amber, shard=basalt"),
        (
            ["sample_frames", "shard=ambre"],
            "has no job sample_frames shard=ambre; it is planned for: shard=amber, shard=basalt",
        ),
        (["make_clips", "shard=ambre"], "has no job make_clips shard=ambre; it is planned for: shard=amber, shard=basalt"),
        (
            ["write_coco_dataset", "dataset=x"],
            "has no job write_coco_dataset dataset=x; it is planned for: dataset=mosaic_detection, dataset=nsfw_detection",
        ),
        (["sample_frames", "shard=amber", "--config", "seed=-1"], "seed: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_request_is_explained(project: Project, arguments: list[str], message: str) -> None:
    with pytest.raises(TesseraError) as error:
        plan([*arguments, "--directory", str(project.folder), *OPTIONS])
    assert message in str(error.value)


def test_a_folder_without_a_workflow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TesseraError, match=r"No Snakefile found, .* Run this in the clone of Tessera, or name its Snakefile"):
        plan(["sample_frames", "shard=amber", "--workflow-profile", "none"])


def test_missing_inputs_are_listed_with_the_command_that_makes_them(project: Project) -> None:
    ran = replay(project, "sample_frames", "shard=basalt", "--config", "seed=7")
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    said, command = ran.stderr.split("make them first:\n")
    assert said.endswith("sample_frames lacks 2 inputs; "), said
    made = "results/sources/shards/basalt"
    assert command.endswith(f" -- {made}/sources.parquet {made}/files.parquet\n") and "--config seed=7" in command
