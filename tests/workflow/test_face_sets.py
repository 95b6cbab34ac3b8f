"""Face sets in a real run: made of a consenting person alone, and gone when the consent ends."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from faces_of_ada import ADA, ADULT, BOB, FACE, MEAN, add_pictures, begin, of_set, write_subjects
from portraits import NO_MODELS
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file, verify_checksums
from tessera.core.tsv import write_sheet
from tessera.demo.photographs import photograph
from tessera.extras.face_sets.jpeg_metadata import write_metadata
from tessera.extras.face_sets.metadata import FaceMetadata
from tessera.extras.face_sets.packs import pack, read_index, unpack
from tessera.extras.face_sets.sorts import SORTS
from tessera.imaging.images import read_image, write_image
from tessera.pages.review.queues.faces import DISTANCE
from tessera.records.decision_log import append_row
from tessera.records.decisions import Decision

pytestmark = pytest.mark.workflow


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


def test_landmarks_and_masks_by_hand_rerun_what_they_touch_and_need_no_landmark_model(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(project)
    settings = project.settings["face_sets"] = {"ada": project.settings["face_sets"]["ada"]}
    settings["ada"] |= {"landmarks_by_hand": "landmarks"}
    del settings["ada"]["landmarks"]
    (project.folder / "landmarks").mkdir()

    def place(source: str, shift: float, name: str) -> None:
        """Place landmarks in the first picture of a source."""
        points = enumerate((MEAN * FACE + (40 + shift, 60)).tolist())
        rows = [(source, "0.png", number, *point) for number, point in points]
        write_sheet(project.folder / "landmarks" / name, ("source", "frame", "point", "x", "y"), rows)

    place("film", 0, "film.tsv")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    run = project.run("ada", "--resources", "gpu=0")
    assert run.returncode == 0, run.output
    # Each job that asks for the GPU says that there is none: no model masks faces.
    assert {f"extract_faces {source} ada: computing on the CPU" in run.output for source in ("film", "talk")} == {True}
    assert {f"mask_faces {source} ada: computing on the CPU" in run.output for source in ("film", "talk")} == {False}
    folder = project.results / "datasets" / "ada"
    faces = {(row["source"], row["index"]): row for row in pl.read_parquet(folder / "faces.parquet").to_dicts()}
    assert {key for key, row in faces.items() if row["placed_by"] == "hand"} == {("film", 0)} and len(faces) == 6
    masks = {row["key"]: row for row in pl.read_parquet(folder / "masks.parquet").to_dicts()}
    assert [key for key, row in masks.items() if row["file"]] == [faces["film", 0]["key"]]
    assert {row["reason"].partition(":")[0] for row in masks.values() if not row["file"]} == {"wrong number of landmarks"}
    packed = {row["key"]: row["status"] for row in read_ledger(folder / "packed.jsonl")}
    assert [key for key, status in packed.items() if status == "ok"] == [faces["film", 0]["key"]]

    # The file of the other source is written again, and one is of no source.
    place("talk", 3, "talk.tsv")
    place("film", 0, "film.tsv")
    place("nobody", 0, "nobody.tsv")
    run = project.run("ada")
    assert run.returncode == 0, run.output
    assert [job for job in run.jobs if job.startswith("extract_faces")] == ["extract_faces talk ada"]
    assert "landmarks_by_hand: these name no source in the manifest, and are not used: landmarks/nobody.tsv" in run.output
    after = {(row["source"], row["index"]): row for row in pl.read_parquet(folder / "faces.parquet").to_dicts()}
    assert {key for key, row in after.items() if row != faces[key]} == {("talk", 0)}
    assert "reused" in (project.results / "logs" / "extract_faces" / "talk" / "ada.log").read_text()

    # A mask by hand survives that its face is cut out again.
    settings["ada"] |= {"masks_by_hand": "masks"}
    (project.folder / "masks").mkdir()
    key = faces["film", 1]["key"]

    def draw(key: str, width: int) -> None:
        """Draw the left part of the square of a face."""
        shape = {"label": "include", "shape_type": "polygon", "points": [[0, 0], [width, 0], [width, 64], [0, 64]]}
        document = {"shapes": [shape], "imageWidth": 64, "imageHeight": 64}
        (project.folder / "masks" / f"{key}.json").write_text(json.dumps(document))

    draw(key, 20)
    settings["ada"]["squares"] = {"size": 64, "quality": 80}
    run = project.run("ada")
    assert run.returncode == 0, run.output
    row = pl.read_parquet(folder / "masks.parquet").row(by_predicate=pl.col("key") == key, named=True)
    assert row["origin"] == "hand" and verify_checksums(folder / "SHA256SUMS") == []
    assert np.count_nonzero(read_image(folder / "masks" / row["file"])[32, :, 0]) == pytest.approx(20, abs=1)
    draw(key, 40)
    jobs = project.run("ada").jobs
    assert [job for job in jobs if job.startswith("mask_faces")] == ["mask_faces film ada"], jobs
    assert not [job for job in jobs if job.startswith(("extract_faces", "sort_faces"))]

    # The left part alone leaves out more than half of the only face whose hull is known, and no other face is measured.
    covered = faces["film", 0]["key"]
    draw(covered, 20)
    settings["ada"]["filter"] = {"max_cut_off": 0.5, "max_occlusion": 0.5}
    run = project.run("ada")
    assert run.returncode == 0 and not [job for job in run.jobs if job.startswith(("extract_faces", "sort_faces"))], run.output
    reasons = {row["key"]: row["reason"] for row in read_ledger(project.results / "selections" / "ada" / "ledger.jsonl")}
    assert {name: reason for name, reason in reasons.items() if reason} == {covered: "occluded"}
    assert not (folder / "masks" / f"{covered}.png").exists()

    with (project.folder / "landmarks" / "talk.tsv").open("a") as file:
        file.write("talk\t0.png\t67\t1\t2\n")
    run = project.run("ada")
    assert run.returncode == 1 and "line 70: point 67 of this face is already on line 69" in run.output, run.output
    assert project.run("frames").returncode == 0, "what needs no landmarks is made"


def test_people_accept_and_reject_faces_for_good_and_pages_that_show_them_go_with_the_consent(project: Project) -> None:
    begin(project)
    # No face has so much contrast.
    project.settings["face_sets"]["ada"]["filter"]["min_contrast"] = 200.0
    pages = [project.results / "reports" / "report.html", project.results / "review" / "items.parquet"]
    run = project.run("ada", "report", "gather_review")
    assert run.returncode == 0, run.output
    items = pl.read_parquet(pages[1])
    assert set(items["queue"]) == {"faces"} and set(items["classifier"]) == {"ada"} and items.height == 6
    assert set(items["state"]) == {"dropped"} and all((project.folder / path).is_file() for path in items["picture"])
    assert all(sorts == [*SORTS, DISTANCE] for sorts in items["sorts"].to_list())
    report = pages[0].read_text()
    assert "sorted by yaw" in report and "adult source" in report and "no consent" in report

    decide = {"who": "Bo", "when": "2026-01-31", "classifier": "ada"}
    film, talk = (items.filter(source=source).sort("key")["target"].to_list() for source in ("film", "talk"))
    table = project.folder / "config" / "decisions.tsv"
    for target, decision in ((film[0], "keep"), (talk[0], "keep"), (talk[1], "drop")):
        append_row(table, {"key": target, "decision": decision, **decide}, list(Decision.model_fields))

    run = project.run("ada")
    assert run.returncode == 0 and {"compare_faces ada", "select_faces ada", "write_face_set ada"} <= set(run.jobs), run.output
    assert not [job for job in run.jobs if job.startswith(("extract_faces", "sort_faces", "sample_frames"))]
    faces = pl.read_parquet(project.results / "datasets" / "ada" / "faces.parquet")
    assert sorted(faces["key"]) == sorted(target.partition("+")[0] for target in (film[0], talk[0]))
    reasons = {row["key"]: row["reason"] for row in read_ledger(project.results / "selections" / "ada" / "ledger.jsonl")}
    assert reasons[talk[1].partition("+")[0]] == "rejected by a person"

    # Everything is cut out again, and a source is refused: its accepted face is not brought back, and the decision is reported.
    project.settings["face_sets"]["ada"]["squares"]["size"] = 80
    project.write_manifest([{"source": "film", "path": "film", **ADULT}, {"source": "talk", "path": "talk"}])
    run = project.run("ada")
    assert run.returncode == 0 and "extract_faces talk ada" in run.jobs, run.output
    faces = pl.read_parquet(project.results / "datasets" / "ada" / "faces.parquet")
    assert faces["key"].to_list() == [talk[0].partition("+")[0]] and faces["size"].to_list() == [80]
    matched = {row["key"]: row for row in read_ledger(project.results / "selections" / "ada" / "decisions.jsonl")}
    assert matched[film[0]]["reason"] == "matches nothing" and f"decision on {film[0]!r} counts nowhere" in run.output
    assert not any(path.exists() for path in pages), "they showed faces of the film"

    run = project.run("report", "gather_review")
    assert run.returncode == 0 and all(path.exists() for path in pages), run.output
    assert "and 1 that match nothing" in pages[0].read_text()
    write_subjects(project, ADA | {"revoked": "2026-11-26"}, BOB)
    # Each alone removes the set and both pages, and makes its own again.
    run = project.run("report")
    assert run.returncode == 0 and not of_set(project, "ada") and not pages[1].exists(), run.output
    report = pages[0].read_text()
    assert "sorted by yaw" not in report and "consent revoked" in report
    write_subjects(project, ADA, BOB)
    assert project.run("ada", "report").returncode == 0 and of_set(project, "ada")
    write_subjects(project, ADA | {"revoked": "2026-11-26"}, BOB)
    run = project.run("gather_review")
    assert run.returncode == 0 and not of_set(project, "ada") and not pages[0].exists(), run.output
    assert pl.read_parquet(pages[1]).is_empty()


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
    ada = project.settings["face_sets"]["ada"]
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


def test_a_pack_of_others_is_unpacked_only_for_a_person_who_consented(project: Project) -> None:
    project.write_manifest([])
    write_subjects(project, ADA, BOB)
    others = project.folder / "others"
    others.mkdir()
    landmarks = MEAN * 64
    for number in range(3):
        write_image(others / f"{number}.jpg", cv2.resize(photograph("astronaut"), (64 + number, 64 + number)))
        content = (others / f"{number}.jpg").read_bytes()
        (others / f"{number}.jpg").write_bytes(write_metadata(content, FaceMetadata("whole_face", landmarks, f"{number}.png")))
    pack(sorted(others.glob("*.jpg")), others / "faceset.pak")
    before = (others / "faceset.pak").read_bytes()
    one = {"path": "others/faceset.pak", "subject": "Ada", "content": "general", "rights": "contract 7"}
    project.settings = {**NO_MODELS, "face_packs": {"old": one}}
    run = project.run("unpack")
    assert run.returncode == 0, run.output
    unpacked = project.results / "unpacked" / "old"
    assert {path.name: path.read_bytes() for path in (unpacked / "aligned").glob("*.jpg")} == {
        path.name: path.read_bytes() for path in others.glob("*.jpg")
    }
    table = pl.read_parquet(unpacked / "faces.parquet")
    assert table["source_file"].to_list() == ["0.png", "1.png", "2.png"]
    assert table["landmarks"].to_list() == [landmarks.ravel().tolist()] * 3
    write_subjects(project, ADA | {"consent": "release 9"}, BOB)
    run = project.run("unpack")
    assert (run.returncode, run.jobs) == (0, []), run.output
    (others / "faceset.pak").unlink()
    pack([others / "0.jpg", others / "2.jpg"], others / "faceset.pak")
    before = (others / "faceset.pak").read_bytes()
    run = project.run("unpack")
    assert run.returncode == 0, run.output
    assert {path.name for path in (unpacked / "aligned").glob("*.jpg")} == {"0.jpg", "2.jpg"}

    project.settings["score"] = {"folder": str(unpacked / "aligned")}
    run = project.run("unpack")
    assert run.returncode == 1 and "`score.folder`: " in run.output and "holds faces of a person" in run.output
    del project.settings["score"]
    refused = {"adult source": {"content": "adult"}, "no consent": {"subject": "Bob"}, "no such subject": {"subject": "C"}}
    for reason, change in refused.items():
        project.settings["face_packs"] = {"old": one | change}
        run = project.run("unpack")
        assert run.returncode == 1 and f"`face_packs.old` is refused: {reason}" in run.output, run.output
    # Each removes what was unpacked: the consent is revoked, the content is adult, the settings name the pack no longer.
    for subject, packs in ((ADA | {"revoked": "yes"}, one), (ADA, one | {"content": "adult"}), (ADA, None)):
        write_subjects(project, ADA, BOB)
        project.settings["face_packs"] = {"old": one}
        assert project.run("unpack").returncode == 0 and unpacked.exists()
        write_subjects(project, subject, BOB)
        project.settings["face_packs"] = {"old": packs}
        run = project.run("results/sources/withdrawn.tsv")
        assert run.returncode == 0 and not unpacked.exists(), run.output
    assert (others / "faceset.pak").read_bytes() == before
