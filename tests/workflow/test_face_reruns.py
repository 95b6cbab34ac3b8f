"""Each row on face sets in docs/reruns.md is tried on a finished project; other machines and killed runs give its bytes."""

import shutil
import signal
import time
from contextlib import ExitStack, suppress
from os import killpg
from pathlib import Path

import faces_of_ada
import pytest
from baseline import Baseline, Change, edit, rerun_jobs, setting, table_of_reruns
from faces_of_ada import ADA, BOB, FACE, MEAN, made, write_subjects
from projects import Project, Run

from tessera.core.tsv import write_sheet
from tessera.records.decision_log import append_row
from tessera.records.decisions import Decision

pytestmark = pytest.mark.workflow
TABLE = table_of_reruns("change of face sets")


def begin(project: Project) -> None:
    """Fill `project` with the faces of Ada, of which one is placed by hand."""
    faces_of_ada.begin(project)
    points = enumerate((MEAN * FACE + (40, 60)).tolist())
    rows = [("film", "0.png", number, round(x, 2), round(y, 2)) for number, (x, y) in points]
    write_sheet(project.folder / "landmarks.tsv", ("source", "frame", "point", "x", "y"), rows)
    project.settings["face_sets"]["ada"]["landmarks_by_hand"] = "landmarks.tsv"


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    project = Project.create(tmp_path_factory.mktemp("face_reruns") / "project")
    begin(project)
    return Baseline(project, [], project.snakefile, ("ada",))


def another_consent(baseline: Baseline, stack: ExitStack) -> None:
    table = baseline.project.folder / "config" / "subjects.tsv"
    stack.callback(table.write_bytes, table.read_bytes())
    write_subjects(baseline.project, ADA | {"consent": "release 9", "expires": "2999-12-31", "evidence": "b" * 64}, BOB)


def masks_by_hand(baseline: Baseline, stack: ExitStack) -> None:
    folder = baseline.project.folder / "masks"
    folder.mkdir()
    stack.callback(folder.rmdir)
    setting("face_sets.ada.masks_by_hand", "masks")(baseline, stack)


def decision(baseline: Baseline, stack: ExitStack) -> None:
    table = baseline.project.folder / "config" / "decisions.tsv"
    stack.callback(table.unlink)
    row = {"key": "film-0000000-face-0", "decision": "drop", "who": "Bo", "when": "2026-01-31", "classifier": "ada"}
    append_row(table, row, list(Decision.model_fields))


CHANGES: dict[str, Change] = {
    "nothing": lambda baseline, stack: None,
    "a setting of the detector": setting("face_sets.ada.detector.min_side", 41),
    "a setting of the landmarks": setting("face_sets.ada.landmarks.factor", 1.1),
    "a landmark that is placed by hand": edit("landmarks.tsv", "film\t0.png\t0\t", "film\t0.png\t0\t1"),
    "the size of the squares": setting("face_sets.ada.squares.size", 96),
    "a setting of the masks": setting("face_sets.ada.masks.threshold", 0.6),
    "a folder with masks by hand": masks_by_hand,
    "a setting of the model that tells people apart": setting("face_sets.ada.identity.alignment", "full"),
    "which sources show the person alone": setting("face_sets.ada.identity.references", ["film"]),
    "a decision on a face": decision,
    "a threshold of the filter": setting("face_sets.ada.filter.max_cut_off", 0.4),
    "how many of the best are selected": setting("face_sets.ada.filter.best", 4),
    "whether the set is packed": setting("face_sets.ada.pack", False),
    "the consent is renewed": another_consent,
    "a source of the set less": setting("face_sets.ada.sources", ["film"]),
    "a source of the set is adult": edit(
        "config/sources.tsv", "talk\ttalk\tgeneral\tCC0\t\t", "talk\ttalk\tadult\tCC0\tr\tyes"
    ),
    "a source of the set is withdrawn": edit("config/sources.tsv", "talk\ttalk\tgeneral\tCC0\t\t\n", ""),
    "the settings of another set": setting("face_sets.bob.squares.size", 96),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_exactly_what_the_documentation_says(change: str, baseline: Baseline, finished: Run) -> None:
    assert baseline.planned_after(CHANGES[change]) == rerun_jobs(TABLE[change], finished)


def test_every_row_of_the_documentation_is_tried() -> None:
    assert set(CHANGES) == set(TABLE)


def test_other_cores_shards_and_folders_give_the_same_bytes(baseline: Baseline, finished: Run, tmp_path: Path) -> None:
    other = Project.create(tmp_path / "мой проект's")
    begin(other)
    other.settings["shards"] = 1
    run = other.run("ada", cores=1)
    assert run.returncode == 0, run.output
    assert made(other) == made(baseline.project)


@pytest.mark.parametrize("rule", ["extract_faces/film", "embed_faces/film", "sort_faces", "pack_faces"])
def test_a_killed_run_gives_the_bytes_of_one_that_was_not(rule: str, baseline: Baseline, finished: Run, tmp_path: Path) -> None:
    shutil.copytree(baseline.project.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project", baseline.project.settings)
    for part in ("logs", "faces", "face_sets", "selections", "datasets"):
        shutil.rmtree(project.results / part)
    process = project.start("ada")
    deadline = time.monotonic() + 300
    while not (project.results / "logs" / rule / "ada.log").exists() and time.monotonic() < deadline:
        assert process.poll() is None, "it was killed while it ran"
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (project.results / "datasets" / "ada" / "SHA256SUMS").exists()
    assert project.run("--unlock").returncode == 0
    run = project.run("ada", "--rerun-incomplete")
    assert run.returncode == 0, run.output
    assert made(project) == made(baseline.project)
