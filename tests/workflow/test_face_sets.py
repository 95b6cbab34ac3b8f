"""Face sets in a real run: made of a consenting person alone, and gone when the consent ends."""

import csv
import json
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from os import killpg
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from portraits import NO_MODELS
from projects import Project

from decoded_models import write_centerface, write_embedder, write_landmark_model
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file, verify_checksums
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.landmarks import HEAD, MEAN_FACE, MEAN_FIVE
from tessera.extras.face_sets.packs import read_index, unpack
from tessera.extras.face_sets.sorts import SORTS
from tessera.imaging.images import read_image, write_image

pytestmark = pytest.mark.workflow
SIDE, FACE = 320, 128  # pixels of the pictures, and of the face in them
LEVEL = round(32 * np.log(FACE / 4))
MEAN = np.concatenate([HEAD[:17, :2] / 125 + (0.49, 0.47), MEAN_FACE]) * 0.8 + 0.1
ADA = {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
BOB = {"name": "Bob"}
ADULT = {"content": "adult", "consent": "release 2", "adults_verified": "yes"}


def write_subjects(project: Project, *subjects: Mapping[str, str]) -> None:
    with (project.folder / "config" / "subjects.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*ADA, "expires", "revoked"], delimiter="\t", lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(subjects)


def add_pictures(project: Project, source: str, background: str, count: int) -> dict[str, str]:
    """Write a folder of photographs through which a face moves, and return its row in the manifest.

    The detector sees a red cell in the middle of the face, and nothing else is as red.
    """
    (project.folder / source).mkdir()
    face = cv2.resize(photograph("astronaut")[40:190, 150:300], (FACE, FACE))
    for number in range(count):
        picture = cv2.resize(photograph(background), (SIDE, SIDE))
        x, y = 40 + 24 * number, 60 + 8 * number
        picture[y : y + FACE, x : x + FACE] = face
        picture = (picture * 0.8).astype(np.uint8)
        picture[y + 64 : y + 68, x + 64 : x + 68] = (255, LEVEL, LEVEL)
        write_image(project.folder / source / f"{number}.png", picture)
    return {"source": source, "path": source}


def begin(project: Project) -> None:
    """Fill `project` with two sources of a person who consented, one of adult content, and one of a person who did not."""
    rows = [add_pictures(project, name, background, 3) for name, background in (("film", "coffee"), ("talk", "chelsea"))]
    rows += [add_pictures(project, "adult", "rocket", 1) | ADULT, add_pictures(project, "street", "coins", 2)]
    project.write_manifest(rows)
    write_subjects(project, ADA | {"expires": datetime.now(UTC).date().isoformat()}, BOB)
    detector = write_centerface(project.folder / "faces.onnx", points=[(x, y) for x, y in MEAN_FIVE * 0.8 + 0.1])
    model = write_landmark_model(project.folder / "landmarks.onnx", MEAN)
    common = {
        "detector": {
            "weights": {"source": detector.name, "sha256": sha256_file(detector)},
            "confidence": 0.9,
            "image_size": SIDE,
        },
        "landmarks": {
            "weights": {"source": model.name, "sha256": sha256_file(model)},
            "crop": "square",
            "factor": 1.0,
        },
        "squares": {"size": 64},
        "filter": {"max_cut_off": 0.5},
        "pack": True,
    }
    project.settings = {
        "frames": {"format": "png"},
        "face_sets": {
            "ada": {"subject": "Ada", "sources": ["film", "talk", "adult"], **common},
            "bob": {"subject": "Bob", "sources": ["street"], **common},
        },
        **NO_MODELS,
    }


def made(project: Project) -> dict[str, bytes]:
    """Return the files of the face set `ada`."""
    folder = project.results / "datasets" / "ada"
    kinds = {".jpg", ".png", ".pak", ".parquet", ".jsonl"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in kinds}


def of_set(project: Project, name: str) -> list[Path]:
    """Return what there is of the face set `name`, besides logs and measurements."""
    paths = (path.relative_to(project.results) for path in project.results.rglob("*"))
    return sorted(path for path in paths if name in path.parts and path.parts[0] not in {"logs", "benchmarks"})


def test_a_set_is_made_of_a_consenting_person_and_removed_when_the_consent_is_revoked(project: Project, tmp_path: Path) -> None:
    begin(project)
    run = project.run("ada")
    assert run.returncode == 0, run.output
    assert "face_sets.bob: refused: no consent; outside the consent; not attested to be an adult; no evidence" in run.output
    assert "face_sets.ada: refused: source 'adult': adult source" in run.output
    assert "faces of ada: 6 of 6 faces passed" in run.output
    folder = project.results / "datasets" / "ada"
    faces = pl.read_parquet(folder / "faces.parquet")
    assert sorted(set(faces["source"])) == ["film", "talk"] and faces.height == 6
    assert verify_checksums(folder / "SHA256SUMS") == []
    for row in faces.to_dicts():
        assert sha256_file(folder / "aligned" / row["file"]) == row["sha256"]
        assert read_image(folder / "masks" / f"{row['key']}.png")[32, 32, 0] == 255
    assert len(read_index(folder / "faceset.pak")) == 6
    unpack(folder / "faceset.pak", tmp_path / "unpacked")
    assert {path.name: path.read_bytes() for path in (tmp_path / "unpacked").iterdir()} == {
        path.name: path.read_bytes() for path in (folder / "aligned").glob("*.jpg")
    }
    sheets = project.results / "face_sets" / "ada" / "sheets"
    assert sorted(path.stem for path in sheets.glob("*.jpg")) == sorted(SORTS)
    outcomes = {row["key"]: row["reason"] for row in read_ledger(project.results / "face_sets" / "ledger.jsonl")}
    assert outcomes.keys() == {"ada", "ada/film", "ada/talk", "ada/adult", "bob"}
    assert (outcomes["ada"], outcomes["ada/film"], outcomes["ada/adult"]) == ("", "", "adult source")
    # Nothing that was recorded of the set descends from adult footage.
    origins = {row["source"] for row in json.loads((folder / "datasheet.json").read_text())["origins"]}
    splits = pl.read_parquet(folder / "splits.parquet")
    assert origins == set(splits["source"]) == {"film", "talk"}
    assert not of_set(project, "bob")

    run = project.run("ada")
    assert (run.returncode, run.jobs) == (0, []), run.output
    project.settings["face_sets"]["ada"]["filter"]["max_cut_off"] = 0.4
    run = project.run("ada")
    assert run.returncode == 0 and "select_faces ada" in run.jobs, run.output
    assert not [job for job in run.jobs if job.startswith(("extract_faces", "sort_faces"))]

    run = project.run("bob")
    assert run.returncode == 1
    assert "`face_sets.bob` is refused: no consent" in run.output

    write_subjects(project, ADA | {"revoked": "2026-11-26"}, BOB)
    run = project.run("frames")
    assert run.returncode == 0, run.output
    assert "face_sets.ada: refused: consent revoked" in run.output
    assert not of_set(project, "ada")
    removed = (project.results / "sources" / "withdrawn.tsv").read_text()
    assert "results/datasets/ada\tremoved" in removed and "results/faces/film/ada\tremoved" in removed
    run = project.run("ada")
    assert run.returncode == 1 and "`face_sets.ada` is refused: consent revoked" in run.output


def test_what_is_made_of_a_source_or_a_set_goes_when_it_may_not_be_used(project: Project) -> None:
    begin(project)
    project.settings["face_sets"] = {"ada": project.settings["face_sets"]["ada"]}
    assert project.run("ada").returncode == 0
    rows = [{"source": "film", "path": "film", **ADULT}, {"source": "talk", "path": "talk"}]
    project.write_manifest(rows)
    run = project.run("ada")
    assert run.returncode == 0, run.output
    assert "'film': adult source" in run.output and "'adult': source not in the manifest" in run.output
    assert not (project.results / "faces" / "film" / "ada").exists()
    assert set(pl.read_parquet(project.results / "datasets" / "ada" / "faces.parquet")["source"]) == {"talk"}
    # The last day of the consent has passed; and again, after it was made again by a target that removes nothing.
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    for target in ("ada", "results/datasets/ada/SHA256SUMS"):
        write_subjects(project, ADA)
        assert project.run(target).returncode == 0 and of_set(project, "ada")
        write_subjects(project, ADA | {"expires": yesterday.isoformat()})
        run = project.run("frames")
        assert run.returncode == 0 and not of_set(project, "ada"), run.output
    # A set that the settings name no longer goes too.
    write_subjects(project, ADA)
    assert project.run("ada").returncode == 0
    project.settings["face_sets"] = {}
    run = project.run("frames")
    assert run.returncode == 0 and not of_set(project, "ada"), run.output


def test_other_people_are_left_out_and_only_new_faces_are_embedded(project: Project) -> None:
    begin(project)
    picture = read_image(project.folder / "talk" / "1.png")
    face = picture[68 : 68 + FACE, 64 : 64 + FACE]
    is_cell = face[..., 0] == 255
    face[~is_cell] = 204 - face[~is_cell]  # another person, with whom the mean of each channel is on the other side of 102
    write_image(project.folder / "talk" / "1.png", picture)
    model = write_embedder(project.folder / "means.onnx")
    ada = project.settings["face_sets"]["ada"]
    ada["identity"] = {"weights": {"source": model.name, "sha256": sha256_file(model)}, "size": 32, "mean": [0.4, 0.4, 0.4]}
    project.settings["face_sets"] = {"ada": ada}

    def left_out() -> dict[str, str]:
        rows = read_ledger(project.results / "selections" / "ada" / "ledger.jsonl")
        return {row["key"].partition("~")[0]: row["reason"] for row in rows if row["status"] != "ok"}

    run = project.run("ada")
    assert run.returncode == 0 and "embedding faces of ada: 6 of 6 faces passed" in run.output, run.output
    assert left_out() == {"talk-1%2Epng": "another person"}
    assert (project.results / "face_sets" / "ada" / "distances.jpg").exists()
    ada["filter"]["max_distance"] = 2
    run = project.run("ada")
    assert run.returncode == 0 and "select_faces ada" in run.jobs and left_out() == {}, run.output
    assert not [job for job in run.jobs if job.startswith(("extract_faces", "embed_faces", "compare_faces"))]
    rows = [{"source": name, "path": name} for name in ("film", "talk")] + [add_pictures(project, "walk", "rocket", 2)]
    project.write_manifest(rows)
    ada["sources"] = ["film", "talk", "walk"]
    run = project.run("ada")
    assert run.returncode == 0, run.output
    assert [job for job in run.jobs if job.startswith(("embed_faces", "compare_faces"))] == [
        "compare_faces ada",
        "embed_faces walk ada",
    ]
    assert {path.parent.parent.name for path in project.results.glob("faces/*/ada/embedded")} == {"film", "talk", "walk"}
    ada["identity"] = {}
    run = project.run("ada")
    assert run.returncode == 0 and "select_faces ada" in run.jobs, run.output
    assert not [path for path in project.results.glob("fac*/**/*") if path.name.startswith(("embedd", "distances"))]
    write_subjects(project, ADA | {"revoked": "yes"})
    run = project.run("frames")
    assert run.returncode == 0 and not of_set(project, "ada"), run.output


def test_a_killed_run_gives_the_bytes_of_one_that_was_not(project: Project, tmp_path: Path) -> None:
    begin(project)
    process = project.start("ada")
    deadline = time.monotonic() + 300
    while not list(project.results.glob("logs/extract_faces/*/ada.log")) and time.monotonic() < deadline:
        assert process.poll() is None, "it was killed while it ran"
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert project.run("--unlock").returncode == 0
    run = project.run("ada", "--rerun-incomplete")
    assert run.returncode == 0, run.output
    whole = Project.create(tmp_path / "whole")
    begin(whole)
    assert whole.run("ada").returncode == 0
    assert made(project) == made(whole)
