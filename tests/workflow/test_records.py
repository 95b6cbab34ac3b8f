"""What is made again follows from the contents that results were made of, without Snakemake's notes and the times of files."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from projects import REPOSITORY, Project

from tessera.core.provenance import sha256_file

pytestmark = pytest.mark.workflow
FUTURE, PAST = 2_051_222_400, 315_532_800  # 2035 and 1980, as seconds since 1970
ROWS = [{"source": name, "path": f"footage/{name}.bmp", "use": "nsfw_detection,watermark_detection"} for name in ("one", "two")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of two pictures of equal size, whose frames are made."""
    project = Project.create(tmp_path_factory.mktemp("made") / "project")
    (project.folder / "footage").mkdir()
    for seed, row in enumerate(ROWS):
        pixels = np.random.default_rng(seed).integers(0, 256, (200, 300, 3), np.uint8)
        Image.fromarray(pixels).save(project.folder / row["path"])
    project.write_manifest(ROWS)
    run = project.run("--", "frames")
    assert run.returncode == 0, run.output
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    shutil.copytree(made.folder, tmp_path / "project", copy_function=shutil.copyfile)
    return Project(tmp_path / "project", dict(made.settings))


def run(project: Project, *options: str) -> list[str]:
    """Make the frames; return the jobs."""
    done = project.run(*options, "--", "frames")
    assert done.returncode == 0, done.output
    return done.jobs


def picture(project: Project, source: str) -> np.ndarray:
    folder = project.results / "frames" / source
    (frame,) = pl.read_parquet(folder / "frames.parquet").iter_rows(named=True)
    return np.asarray(Image.open(folder / "images" / frame["file"]).convert("RGB")).astype(int)


def without_notes(project: Project) -> None:
    shutil.rmtree(project.folder / ".snakemake")


def touch_all(seconds: int) -> Callable[[Project], None]:
    def touch(project: Project) -> None:
        for path in project.folder.rglob("*"):
            os.utime(path, (seconds, seconds))

    return touch


def write_manifest_otherwise(project: Project) -> None:
    manifest = project.folder / "config" / "sources.tsv"
    rows = [{**row, "use": "watermark_detection, nsfw_detection"} for row in reversed(ROWS)]
    project.write_manifest([dict(reversed(row.items())) for row in rows])
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes().replace(b"\n", b"\r\n"))


def name_settings_in_another_order(project: Project) -> None:
    project.settings = {"gates": {"frames": 0.5, "default": 0.5}, "frames": {"quality": 95, "mode": "interval"}}


@pytest.mark.parametrize(
    "options", [[], ["--rerun-triggers", "mtime"], ["--rerun-triggers", "mtime", "code", "input", "params"]]
)
@pytest.mark.parametrize("change", [without_notes, touch_all(FUTURE), touch_all(PAST), write_manifest_otherwise])
def test_copies_times_notes_and_layout_make_nothing_again(
    project: Project, change: Callable[[Project], None], options: list[str]
) -> None:
    change(project)
    assert run(project, *options) == []


def test_the_order_of_settings_makes_nothing_again(project: Project) -> None:
    project.settings = {"frames": {"mode": "interval", "quality": 90}, "gates": {"default": 0.5, "frames": 0.5}}
    assert run(project)
    project.settings = {"gates": {"frames": 0.5, "default": 0.5}, "frames": {"quality": 90, "mode": "interval"}}
    assert run(project) == []


@pytest.mark.parametrize("notes", [True, False], ids=["with notes", "without notes"])
@pytest.mark.parametrize("options", [[], ["--rerun-triggers", "mtime"]])
def test_a_setting_is_named_with_its_old_and_new_value(project: Project, options: list[str], notes: bool) -> None:
    project.settings = {"frames": {"quality": 80}}
    if not notes:
        without_notes(project)
    planned = project.run(*options, "--dry-run", "--", "frames").output
    assert "sample_frames: settings.quality: 95 → 80 (2 jobs)" in planned
    done = project.run(*options, "--", "frames")
    assert "sample_frames: settings.quality: 95 → 80 (2 jobs)" in done.output
    assert {"sample_frames one", "sample_frames two"} <= set(done.jobs)
    assert run(project) == []


def test_a_job_that_did_not_end_runs_again_although_what_follows_from_it_is_there(project: Project) -> None:
    before = picture(project, "one")
    project.settings = {"frames": {"quality": 80}}
    # What a run leaves that was killed when it had begun this job: Snakemake has removed the outputs, and the record is empty.
    (record,) = (path for path in project.results.glob("records/sample_frames/*.json") if "/one/" in path.read_text())
    record.write_bytes(b"")
    shutil.rmtree(project.results / "frames" / "one")
    without_notes(project)
    project.settings = {}
    planned = project.run("--dry-run", "--", "frames").output
    assert "sample_frames: its last run has not ended" in planned
    assert "sample_frames one" in run(project)
    assert (picture(project, "one") == before).all()
    assert run(project) == []


def test_touching_accepts_results_as_they_are(project: Project) -> None:
    project.settings = {"frames": {"quality": 80}}
    before = picture(project, "one")
    run(project, "--touch")
    assert (picture(project, "one") == before).all()
    without_notes(project)
    assert run(project) == []


def test_footage_of_equal_size_and_time_that_is_swapped_is_sampled_again(project: Project) -> None:
    one, two = (project.folder / row["path"] for row in ROWS)
    before = [picture(project, row["source"]) for row in ROWS]
    for path in (one, two):
        os.utime(path, (PAST, PAST))
    assert run(project) == []
    one.rename(project.folder / "third")
    two.rename(one)
    (project.folder / "third").rename(two)
    assert {"sample_frames one", "sample_frames two"} <= set(run(project))
    after = [picture(project, row["source"]) for row in ROWS]
    assert np.abs(after[0] - before[1]).mean() < 1 and np.abs(after[1] - before[0]).mean() < 1


def test_footage_from_the_future_is_sampled_like_any_other(project: Project) -> None:
    path = project.folder / ROWS[0]["path"]
    Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(path)
    os.utime(path, (FUTURE, FUTURE))
    assert "sample_frames one" in run(project) and picture(project, "one").max() < 5
    assert run(project) == []


@pytest.mark.parametrize("seconds", [FUTURE, PAST])
def test_the_blocklist_counts_whatever_its_time_is(project: Project, seconds: int) -> None:
    blocklist = project.folder / "config" / "blocklist.tsv"
    with blocklist.open("a") as file:
        file.write(f"{sha256_file(project.folder / ROWS[1]['path'])}\t\tmust not be processed\n")
    os.utime(blocklist, (seconds, seconds))
    assert "admit_sources two" in run(project)
    assert pl.read_parquet(project.results / "sources" / "admitted.parquet")["source"].to_list() == ["one"]


def test_a_blocklist_that_is_edited_while_sources_are_admitted_counts_in_the_next_run(project: Project) -> None:
    shutil.rmtree(project.results)
    process = project.start("--", "frames")
    while not list(project.results.glob("logs/admit_sources/*.log")):
        assert process.poll() is None
        time.sleep(0.001)
    with (project.folder / "config" / "blocklist.tsv").open("a") as file:
        file.write(f"{sha256_file(project.folder / ROWS[1]['path'])}\t\tmust not be processed\n")
    assert process.wait() == 0
    run(project)
    assert pl.read_parquet(project.results / "sources" / "admitted.parquet")["source"].to_list() == ["one"]
    assert run(project) == []


def test_results_without_a_record_are_made_again(project: Project) -> None:
    without_notes(project)
    (record,) = (
        file for file in (project.results / "records" / "sample_frames").iterdir() if '"results/frames/two/' in file.read_text()
    )
    record.unlink()
    done = project.run("--", "frames")
    assert "sample_frames: there is no record of what its outputs were made of" in done.output
    assert "sample_frames two" in done.jobs and "sample_frames one" not in done.jobs


def test_an_intermediate_result_that_was_removed_is_not_made_again_before_something_needs_it(project: Project) -> None:
    shutil.rmtree(project.results / "sources" / "shards" / "two")
    assert run(project) == []
    # The end of a run removes the records of what is gone.
    assert run(project, "--forcerun", "withdraw_proposals") == ["withdraw_proposals"]
    assert run(project) == []
    project.settings = {"frames": {"quality": 80}}
    assert {"admit_sources two", "sample_frames one", "sample_frames two"} <= set(run(project))


def test_results_that_another_version_has_written_since_are_made_again(project: Project) -> None:
    listed = project.results / "logs" / "sample_frames" / "one.json"
    # As every version does after it has written outputs.
    listed.write_text(re.sub('"[0-9a-f]{64}"', f'"{64 * "0"}"', listed.read_text()))
    done = project.run("--", "frames")
    assert "sample_frames: its outputs were written by another version since" in done.output
    assert "sample_frames one" in done.jobs and "sample_frames two" not in done.jobs
    shutil.rmtree(project.results / "logs")
    assert run(project) == []


@pytest.mark.parametrize("content", ["", "{}", "{}\n[]\n", "\0\n\0\n", '{"inputs": 1}\n{}\n'])
def test_a_damaged_record_counts_as_none(project: Project, content: str) -> None:
    for record in (project.results / "records" / "sample_frames").iterdir():
        record.write_text(content)
    assert {"sample_frames one", "sample_frames two"} <= set(run(project))


def test_results_of_an_earlier_version_are_adopted_where_snakemake_finds_them_up_to_date(
    project: Project, made: Project
) -> None:
    shutil.rmtree(project.folder)
    shutil.copytree(made.folder, project.folder, copy_function=shutil.copy2)
    shutil.rmtree(project.results / "records")
    assert run(project, "--dry-run") == [] and not (project.results / "records").exists()
    assert run(project) == []
    without_notes(project)
    assert run(project) == []
    shutil.rmtree(project.results / "records")
    assert {"sample_frames one", "sample_frames two"} <= set(run(project))


def test_records_name_no_source_that_was_withdrawn(project: Project) -> None:
    project.write_manifest(ROWS[:1])
    run(project)
    texts = [file.read_text() for file in (project.results / "records").rglob("*.json")]
    assert texts and not [text for text in texts if "two.bmp" in text]


def test_a_touched_script_makes_nothing_again_and_a_changed_one_does(tmp_path: Path, project: Project) -> None:
    copy = tmp_path / "code"
    for name in ("workflow", "src", "profiles", "config", "Snakefile", "resources"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, copy / name)
    project.snakefile = copy / "Snakefile"
    script = copy / "workflow" / "scripts" / "gate_sources.py"
    os.utime(script, (FUTURE, FUTURE))
    assert run(project) == []
    text = script.read_text()
    script.write_text(f"# In other words.\n{text}")
    assert run(project) == []
    script.write_text(f"{text}\nassert True\n")
    os.utime(script, (PAST, PAST))
    done = project.run("--", "frames")
    assert "gate_sources" in done.jobs and "gate_sources: its script has changed" in done.output
    assert json.loads((project.results / "gates" / "sources.json").read_text())
