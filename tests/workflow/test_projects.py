"""A project lies anywhere, also beside others that share one checkout, and Tessera can be a module of another workflow."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
import yaml
from projects import REPOSITORY, Project

from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow
MODULE = """\
configfile: "config/config.yaml"


module tessera:
    snakefile:
        "{snakefile}"
    config:
        config


use rule * from tessera as tessera_*


rule count:
    input:
        "results/frames/shard-0/frames.parquet",
    output:
        "count.txt",
    shell:
        "echo own > {{output}}"
"""


def write_project(folder: Path) -> Project:
    """Make a project of the files that come with Tessera and one picture, as the README says."""
    shutil.copytree(REPOSITORY / "config", folder / "config")
    project = Project(folder, yaml.safe_load((folder / "config" / "config.yaml").read_text(encoding="utf-8")))
    write_image(folder / "снимок 1's.png", np.zeros((40, 60, 3), np.uint8))
    project.write_manifest([{"source": "one", "path": "снимок 1's.png"}])
    return project


@pytest.mark.parametrize("name", ["plain", 'it\'s a "new" проект; {x} $HOME'])
def test_a_project_lies_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    project = write_project(tmp_path / name)
    run = project.run("--", "frames")
    assert run.returncode == 0, run.output
    (frame,) = pl.read_parquet(project.results / "frames" / "shard-0" / "frames.parquet").iter_rows(named=True)
    assert (project.results / "frames" / "shard-0" / "images" / frame["file"]).is_file()
    again = project.run("--", "frames")
    assert again.returncode == 0 and "othing to be done" in again.output


@pytest.mark.parametrize("target", ["all", "labelme"])
def test_what_comes_with_tessera_is_found_from_a_project_elsewhere(tmp_path: Path, target: str) -> None:
    project = write_project(tmp_path / "project")
    run = project.run("-n", "--", target)
    assert run.returncode == 0, run.output
    assert ("build environment" if target == "labelme" else "report") in run.output.replace("_", " ")


def test_a_later_settings_file_removes_an_entry_of_an_earlier_one(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    entry = {"stills": {"select": {"of": ["frames"]}, "layouts": {"plain": {}}}}
    for name, entries in (("team", entry), ("own", {"stills": None})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"image_sets": entries}), encoding="utf-8")
    for files, is_made in ((["team"], True), (["team", "own"], False)):
        run = project.run("-n", "datasets", "--configfile", *(str(tmp_path / f"{name}.yaml") for name in files))
        assert run.returncode == 0, run.output
        assert ("write set" in run.output.replace("_", " ")) is is_made


def test_tessera_is_a_module_of_another_workflow(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    project.settings["shards"] = 1
    project.snakefile = project.folder / "Snakefile"
    project.snakefile.write_text(MODULE.format(snakefile=REPOSITORY / "workflow" / "Snakefile"), encoding="utf-8")
    run = project.run("count.txt", "tessera_frames")
    assert run.returncode == 0, run.output
    assert (project.folder / "count.txt").read_text() == "own\n"
    assert pl.read_parquet(project.results / "frames" / "shard-0" / "frames.parquet").height == 1


@pytest.mark.parametrize("change", ['prefix: "sub"', 'replace_prefix: {"results/": "sub/"}'])
def test_a_module_with_other_paths_is_refused_with_the_fix(tmp_path: Path, change: str) -> None:
    project = write_project(tmp_path / "project")
    project.snakefile = project.folder / "Snakefile"
    module = MODULE.format(snakefile=REPOSITORY / "workflow" / "Snakefile")
    project.snakefile.write_text(module.replace("    config:\n", f"    {change}\n    config:\n"), encoding="utf-8")
    run = project.run("tessera_frames", "--dry-run")
    assert run.returncode and "module: leave out `prefix` and `replace_prefix`; the working directory is" in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize("linked", ["results", "results/frames"])
def test_results_and_footage_lie_behind_links_and_a_project_moves_to_another_place(tmp_path: Path, linked: str) -> None:
    project = write_project(tmp_path / "here")
    with TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as other:  # noqa: PTH112
        disk = Path(other)
        for name in ("one", "two"):
            write_image(disk / f"{name}.png", np.random.default_rng(ord(name[0])).integers(0, 256, (40, 60, 3), np.uint8))
        (project.folder / "footage").symlink_to(disk)
        rows = [{"source": name, "path": f"footage/{name}.png", "shard": name} for name in ("one", "two")]
        project.write_manifest(rows)
        (disk / "made").mkdir()
        (project.folder / linked).parent.mkdir(exist_ok=True)
        (project.folder / linked).symlink_to(disk / "made")
        run = project.run("--", "frames")
        assert run.returncode == 0, run.output
        assert "othing to be done" in project.run("--", "frames").output
        texts = [path.read_bytes() for path in [*disk.rglob("*"), *project.results.rglob("*")] if path.is_file()]
        assert len(texts) > 20 and not [text for text in texts if str(tmp_path).encode() in text or other.encode() in text]

        # As a backup does it: links are followed, times stay.
        subprocess.run(["cp", "-aL", project.folder, tmp_path / "there"], check=True)
        moved = Project(tmp_path / "there", project.settings)
        assert "othing to be done" in moved.run("--", "frames").output

        project.write_manifest(rows[:1])
        run = project.run("--", "frames")
        assert run.returncode == 0, run.output
        left = {path.relative_to(disk / "made").parts[0] for path in (disk / "made").rglob("two*")}
        assert left <= {"logs", "benchmarks"} and list((disk / "made").rglob("one*.jpg"))
        assert (project.folder / linked).is_symlink()


@pytest.mark.parametrize("name", ["a b", "it's", "$HOME", 'x"y', "a;b", "a*b"])
def test_a_checkout_in_a_folder_that_snakemake_cannot_run_in_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "envs").mkdir(parents=True)
    for file in ("Makefile", "envs/uv.txt"):
        shutil.copy(REPOSITORY / file, tmp_path / name / file)
    # `false`, so that nothing is installed if the check fails.
    made = subprocess.run(
        ["make", ".venv/uv", "PYTHON=false"], cwd=tmp_path / name, capture_output=True, text=True, check=False
    )
    assert made.returncode and f"Tessera cannot run in {tmp_path / name}: move it" in made.stderr


def test_a_checkout_may_lie_in_a_folder_with_other_letters(tmp_path: Path) -> None:
    (tmp_path / "мой-код_1.2" / "envs").mkdir(parents=True)
    for file in ("Makefile", "envs/uv.txt"):
        shutil.copy(REPOSITORY / file, tmp_path / "мой-код_1.2" / file)
    command = ["make", ".venv/uv", "PYTHON=echo reached"]
    made = subprocess.run(command, cwd=tmp_path / "мой-код_1.2", capture_output=True, text=True, check=False)
    assert "reached" in made.stdout and "cannot run" not in made.stderr


def test_what_tessera_does_not_write_into_the_results_is_named_in_one_line(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    for folder in ("annotations/old", "frames", "logs", "benchmarks", "identities"):  # only the first is of an earlier version
        (project.results / folder).mkdir(parents=True)
    (project.results / "my notes.txt").touch()
    for options in ([], ["--quiet"]):
        run = project.run("frames", "--dry-run", *options)
        (line,) = (line for line in run.output.splitlines() if "left alone" in line)
        assert line == (
            "left alone in results, because this version of Tessera does not write it: annotations, my notes.txt"
        ), run.output
    shutil.rmtree(project.results / "annotations")
    (project.results / "my notes.txt").unlink()
    run = project.run("frames")
    assert run.returncode == 0 and "left alone" not in run.output, run.output
    assert "left alone" not in project.run("--dry-run").output


def test_a_target_or_a_shard_that_there_is_not_is_named_in_one_line(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    for target, line in (
        ("frmes", "there is no target 'frmes'; did you mean 'frames'?"),
        ("xyzzy", "there is no target 'xyzzy'; `snakemake --list-target-rules` lists all targets"),
        ("results/frames", "there is no target 'results/frames'; `snakemake --list-target-rules` lists all targets"),
        (
            f"{project.results}/sources/refused.tsv",
            f"there is no target '{project.results}/sources/refused.tsv'; results are named from the folder of the project:"
            " 'results/sources/refused.tsv'",
        ),
        ("results/frames/shard-7/frames.parquet", "there is no shard 'shard-7'; the shards are shard-0"),
    ):
        run = project.run("--", target)
        assert run.returncode and run.output.splitlines()[-1] == line, run.output


def test_a_wrong_setting_is_named_with_its_line_and_without_those_of_the_rules(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    project.settings["frames"] = {"intervall_seconds": 2}
    run = project.run("--", "frames")
    lines = run.output.splitlines()
    assert run.returncode and lines[-2] == "the configuration has 1 fault:", run.output
    assert re.match(
        r"  config/config\.yaml: line \d+: frames\.intervall_seconds: unknown key; did you mean 'interval_s", lines[-1]
    )


HOLD = """\
include: "{snakefile}"


rule hold:
    output:
        "{{number}}.txt",
    resources:
        gpu=1,
    shell:
        "date +%s.%N > {{output}}; sleep 0.5; date +%s.%N >> {{output}}"
"""


@pytest.mark.parametrize("options", [[], ["--resources", "mem_mb=16000"]])
def test_one_job_at_a_time_has_the_gpu_whatever_else_is_limited(tmp_path: Path, options: list[str]) -> None:
    project = write_project(tmp_path / "project")
    project.snakefile = project.folder / "Snakefile"
    project.snakefile.write_text(HOLD.format(snakefile=REPOSITORY / "workflow" / "Snakefile"), encoding="utf-8")
    run = project.run("1.txt", "2.txt", "3.txt", *options, cores=4)
    assert run.returncode == 0, run.output
    spans = sorted([float(line) for line in (project.folder / f"{number}.txt").read_text().split()] for number in (1, 2, 3))
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_lock_is_explained_while_its_run_goes_on_and_after_it_was_killed(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    project.snakefile = project.folder / "Snakefile"
    slow = HOLD.replace("sleep 0.5", "sleep 60")
    project.snakefile.write_text(slow.format(snakefile=REPOSITORY / "workflow" / "Snakefile"), encoding="utf-8")
    process = project.start("1.txt")
    while not (project.folder / "1.txt").exists():
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.05)
    run = project.run("1.txt")
    assert run.returncode and f"process {process.pid}; wait for its end" in run.output.splitlines()[-1], run.output
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    run = project.run("1.txt")
    assert run.returncode and "was killed, and no process holds its lock any more" in run.output.splitlines()[-1], run.output
    unlock = shlex.split(run.output.strip().splitlines()[-1].partition("try again: ")[2])
    subprocess.run([sys.executable, "-m", *unlock], cwd=project.folder, check=True, capture_output=True)
    assert project.run("1.txt", "-n").returncode == 0


@pytest.mark.parametrize("option", ["--archive=project.tar", "--generate-unit-tests=tests"])
def test_an_option_that_cannot_keep_its_promise_is_refused_before_it_writes(tmp_path: Path, option: str) -> None:
    project = write_project(tmp_path / "project")
    run = project.run(option, "--", "frames")
    assert run.returncode and run.output.splitlines()[-1].startswith(f"{option.partition('=')[0]}: "), run.output
    assert not (project.folder / option.partition("=")[2]).exists()


def test_the_project_of_the_starter_models_is_planned_as_a_whole(project: Project) -> None:
    starter = REPOSITORY / "examples" / "starter" / "config"
    shutil.copytree(starter, project.folder / "config", dirs_exist_ok=True)
    project.settings = yaml.safe_load((starter / "config.yaml").read_text(encoding="utf-8"))
    jobs: dict[str, str] = {}
    # As `make starter` does: footage is made before what reads it is planned.
    for targets in (["starter_restorer", "starter_flow"], ["starter_footage"], ["mosaic_detection"]):
        run = project.run("--dry-run", *targets)
        assert run.returncode == 0, run.output
        jobs |= dict(re.findall(r"^ (\w[\w ]+?) +(\d+) *$", run.output, re.MULTILINE))
    rows = (starter / "sources.tsv").read_text(encoding="utf-8").splitlines()[2:]
    assert (jobs["fetch starter pictures"], jobs["render starter video"]) == ("1", str(len(rows)))
    # Nothing is labelled, and no other detector is trained.
    assert jobs["train detector"] == jobs["train starter restorer"] == jobs["train starter flow"] == "1"
    assert not {"import frame labels", "draw watermarks", "train stage"} & jobs.keys()
