"""Labels in a real run: only what changed is imported again, any name works, and a bad file is a row."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from projects import REPOSITORY, Project

from tessera.core.files import file_name
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.records.annotation.annotation_tables import read_annotations

pytestmark = pytest.mark.workflow
WIDTH, HEIGHT = 40, 30


@pytest.fixture
def project(project: Project) -> Project:
    """An empty project with these rules alone, because every run reads all the rules of its workflow."""
    project.snakefile = project.write_snakefile(["common", "sources", "frames", "labels"])
    return project


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(path)


def write_label(path: Path, image: str = "", right: float = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"label": "nsfw", "points": [[2, 3], [right, 18]], "shape_type": "rectangle", "group_id": None}
    path.write_text(json.dumps({"shapes": [shape], "imagePath": image or f"{path.stem}.png"}))


def statuses(ledger: Path) -> dict[str, str]:
    return {row["key"]: row["reason"] or row["status"] for row in read_ledger(ledger)}


@pytest.fixture
def labelled(project: Project) -> Project:
    """Two folders of labels, and two sources with a labelled frame each."""
    rows = []
    for number, source in enumerate(("film 1", "film/2")):
        write_image(project.folder / "footage" / str(number) / "a.png", 10 + number)
        rows.append({"source": source, "path": f"footage/{number}", "rights": f"contract {number}", "split": "val"})
        write_label(project.folder / "frame labels" / file_name(source) / f"{file_name(source)}-a.png.json")
    project.write_manifest(rows)
    sets = []
    for number, name in enumerate(("studio", "-a {b}* c")):
        folder = Path("labels") / name
        write_image(project.folder / folder / "one.png", 20 + number)
        write_label(project.folder / folder / "one.json")
        sets.append({"name": name, "path": str(folder), "content": "general", "rights": "CC0"})
    project.settings["annotations"] = {"labels": sets, "frame_labels": "frame labels"}
    return project


def targets(project: Project) -> list[str]:
    labels = [f"results/labels/sets/{file_name(one['name'])}" for one in project.settings["annotations"]["labels"]]
    frames = [f"results/labels/frames/{file_name(source)}" for source in ("film 1", "film/2")]
    return [f"{folder}/images.parquet" for folder in labels + frames]


def imported(project: Project) -> list[str]:
    run = project.run(*targets(project))
    assert run.returncode == 0, run.output
    return [job for job in run.jobs if job.startswith("import")]


def test_one_changed_label_file_imports_only_its_set_or_shard_again(labelled: Project) -> None:
    studio, odd = "import_labels studio", "import_labels %2Da%20%7Bb%7D%2A%20c"
    first, second = "import_frame_labels film%201", "import_frame_labels film%2F2"
    assert set(imported(labelled)) == {studio, odd, first, second}

    write_label(labelled.folder / "labels" / "studio" / "one.json", right=30)
    assert imported(labelled) == [studio]
    write_label(labelled.folder / "frame labels" / "film%2F2" / "film%2F2-a.png.json", right=30)
    labelled.settings["annotations"]["labels"][1]["rights"] = "CC-BY-4.0"
    assert set(imported(labelled)) == {second, odd}
    write_image(labelled.folder / "labels" / "studio" / "{new}* two.png", 5)
    write_label(labelled.folder / "labels" / "studio" / "{new}* two.json")
    (labelled.folder / "frame labels" / "film%201" / "film%201-a.png.json").unlink()
    assert set(imported(labelled)) == {studio, first}
    assert imported(labelled) == []

    folder = labelled.results / "labels" / "sets" / "studio"
    images = list(read_annotations(folder / "annotations.parquet", folder / "images.parquet"))
    assert {image.key: image.annotations[0].box for image in images} == {
        "studio+one": (2, 3, 30, 18),
        "studio+%7Bnew%7D%2A%20two": (2, 3, 20, 18),
    }
    assert pl.read_parquet(labelled.results / "labels/frames/film%201/images.parquet").is_empty()


def test_labels_of_frames_have_the_rights_and_the_split_of_their_source_and_every_file_is_a_row(labelled: Project) -> None:
    folder = labelled.folder / "frame labels" / "film%201"
    write_label(folder / "film%201-0000007.json")
    (folder / "broken.json").write_text("{")
    (folder / "film%201-a.png.txt").write_text("no label")
    write_label(folder / "twice" / "film%201-a.png.json")
    target = labelled.results / "labels" / "frames" / "film%201"
    run = labelled.run("results/labels/frames/film%201/images.parquet")
    assert run.returncode == 0, run.output
    rows = [(row["key"], row["status"], row["reason"]) for row in read_ledger(target / "ledger.jsonl")]
    assert rows == [
        ("broken", "dropped", "no such frame"),
        ("film%201-0000007", "dropped", "no such frame"),
        ("film%201-a.png", "ok", ""),
        ("film%201-a.png", "failed", "frame is labelled twice"),
    ]
    (image,) = pl.read_parquet(target / "images.parquet").iter_rows(named=True)
    assert (image["key"], image["source"], image["rights"], image["split"]) == (
        f"film%201-a.png~{sha256_file(labelled.folder / 'footage/0/a.png')[:12]}",
        "film 1",
        "contract 0",
        "val",
    )
    assert image["path"].startswith("results/frames/film%201/images/")
    assert (labelled.folder / image["path"]).exists()


def test_braces_in_settings_are_not_expanded(labelled: Project) -> None:
    (labelled.folder / "frame labels").rename(labelled.folder / "frame {labels}")
    label = labelled.folder / "frame {labels}" / "film%201" / "film%201-a.png.json"
    label.write_text(label.read_text().replace("nsfw", "{x}"))
    labelled.settings["annotations"].update(frame_labels="frame {labels}", classes=["nsfw", "{x}"])
    run = labelled.run("results/labels/frames/film%201/images.parquet")
    assert run.returncode == 0, run.output
    annotations = pl.read_parquet(labelled.results / "labels" / "frames" / "film%201" / "annotations.parquet")
    assert annotations["label"].to_list() == ["{x}"]


def test_a_bad_label_is_a_row_and_too_many_stop_the_run(labelled: Project) -> None:
    folder = labelled.folder / "labels" / "studio"
    (folder / "bad.json").write_text("{")
    write_label(folder / "escape.json", image="../../config/sources.tsv")
    gate = "results/gates/labels.json"
    labelled.snakefile = REPOSITORY / "Snakefile"  # the gates of all rooms are those of the datasets
    run = labelled.run(gate)
    assert run.returncode != 0 and not (labelled.folder / gate).exists()
    assert run.output.count("labels: 2 of") == 1 and "broken JSON" in run.output and "gates.labels" in run.output
    assert "Traceback" not in run.output, "it belongs in the log"
    ledger = labelled.results / "labels" / "sets" / "studio" / "ledger.jsonl"
    assert statuses(ledger) == {
        "studio+bad": "broken JSON",
        "studio+escape": "image path leaves its folder",
        "studio+one": "ok",
    }
    labelled.settings["gates"] = {"labels": 0.5}
    run = labelled.run(gate)
    assert run.returncode == 0, run.output
    passed = "labels in sets: 2 of 4 images passed"
    assert f"{passed}; 2 failed: broken JSON (1), image path leaves its folder (1)\n" in run.output

    labelled.settings["annotations"]["frame_labels"] = "labels/nowhere"
    run = labelled.run(gate)
    assert run.returncode != 0 and run.jobs == []
    assert "\nannotations.frame_labels: 'labels/nowhere' is not a folder; fix the path\n" in run.output


def test_a_missing_folder_of_labels_is_named_before_any_job(labelled: Project) -> None:
    labelled.settings["annotations"]["labels"][0]["path"] = "labels/studioo"
    run = labelled.run("--dry-run", *targets(labelled))
    assert run.returncode != 0
    assert "annotations.labels: 'studio': 'labels/studioo' is not there" in run.output
    labelled.settings["annotations"] = {"labels": [], "frame_labels": "labels/nowhere"}
    run = labelled.run("--dry-run", *targets(labelled))
    assert run.returncode == 0, "nothing was labelled before, so that nothing can be lost"
    assert "annotations.frame_labels: 'labels/nowhere' is not there yet, so that no sampled frame is labelled" in run.output


def test_labels_of_no_source_are_named_when_a_run_begins(labelled: Project) -> None:
    write_label(labelled.folder / "frame labels" / "film 3" / "film%203-a.png.json")
    run = labelled.run("--dry-run", *targets(labelled))
    assert run.returncode == 0, run.output
    (line,) = [line for line in run.output.splitlines() if "label file" in line]
    assert (
        "annotations.frame_labels: 1 label file in 'frame labels/film 3' cannot be used, because they belong to no source in"
        " the manifest: film 3/film%203-a.png.json" in line
    )


def test_labels_in_the_wrong_folder_are_named_with_the_right_one(labelled: Project) -> None:
    write_label(labelled.folder / "frame labels" / "film-0000000.json")
    run = labelled.run("--dry-run", *targets(labelled))
    assert (
        "annotations.frame_labels: 1 label file cannot be used, because they lie in 'frame labels' itself: film-0000000.json;"
        " move them into a folder in it, of the same name as that of their images in results/frames" in run.output
    )
    labelled.settings["annotations"]["frame_labels"] = "labels/frames"
    write_label(labelled.results / "frames" / "film" / "images" / "film-0000000.json")
    run = labelled.run("--dry-run", *targets(labelled))
    assert "; move the label files in 'results/frames/film/images' to 'labels/frames/film': they are not read" in run.output


def test_labels_of_whole_images_are_imported_and_judged_by_their_target(labelled: Project) -> None:
    labelled.snakefile = labelled.write_snakefile(["common", "sources", "frames", "labels", "datasets"])
    for number, name in enumerate(("sharp", "soft {x}")):
        write_image(labelled.folder / "whole" / name / "a.png", 30 + number)
    given = {"name": "blur {x}", "path": "whole", "content": "general", "rights": "CC0"}
    labelled.settings["annotations"]["image_labels"] = [given]
    (labelled.folder / "whole" / "sharp" / "page.png").write_text("<html>")
    run = labelled.run("image_labels")
    assert run.returncode != 0
    assert "image_labels: 1 of 3 items failed: image is HTML (1)" in run.output and "raise gates.image_labels" in run.output
    table = labelled.results / "labels" / "images" / file_name("blur {x}") / "labels.parquet"
    assert sorted(pl.read_parquet(table)["label"]) == ["sharp", "soft {x}"]
    given["path"] = "nowhere"
    run = labelled.run("--dry-run", "image_labels")
    assert run.returncode != 0 and "annotations.image_labels: 'blur {x}': 'nowhere' is not there" in run.output


def test_adult_labels_without_consent_stop_the_run_before_any_job(labelled: Project) -> None:
    labelled.settings["annotations"]["labels"][0]["content"] = "adult"
    run = labelled.run(*targets(labelled))
    assert run.returncode != 0 and run.jobs == []
    assert "annotations.labels.0" in run.output and "adults_verified" in run.output


def test_labelled_images_are_enough_without_a_source_and_nothing_at_all_is_an_error(labelled: Project) -> None:
    labelled.snakefile = REPOSITORY / "Snakefile"
    labelled.write_manifest([])
    one, two = labelled.settings["annotations"]["labels"]
    labelled.settings["annotations"]["labels"] = [{**one, "split": "train"}, {**two, "split": "val"}]
    splits = "results/datasets/splits.parquet"
    run = labelled.run(splits)
    assert run.returncode == 0, run.output
    left_out = "left out: watermark_detection, mosaic_detection, mosaic_restoration\n"
    assert f"config/sources.tsv lists no source: only nsfw_detection is made; {left_out}" in run.output
    assert set(pl.read_parquet(labelled.folder / splits)["split"]) == {"train", "val"}
    run = labelled.run("--dry-run", "mosaic_detection")
    assert run.returncode != 0 and "config/sources.tsv lists no source: add a row for each video" in run.output
    labelled.settings["annotations"]["labels"] = []
    run = labelled.run("--dry-run")
    assert run.returncode != 0 and "or train a model on images of your own, in annotations.labels or" in run.output


def test_when_the_last_source_is_withdrawn_its_results_are_removed(labelled: Project) -> None:
    labelled.snakefile = REPOSITORY / "Snakefile"
    labelled.settings["annotations"] = {}
    labelled.write_manifest([])
    frames = [labelled.results / folder / "film" for folder in ("sources/shards", "frames")]
    for folder in frames:
        folder.mkdir(parents=True)
    run = labelled.run()
    assert run.returncode == 0 and run.jobs == ["remove_withdrawn", "withdraw_proposals"], run.output
    assert "config/sources.tsv lists no source: only the results of earlier sources are removed" in run.output
    assert not any(folder.exists() for folder in frames)
