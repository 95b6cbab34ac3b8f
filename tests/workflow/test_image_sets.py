"""Image sets in a real run: frames become a set in several layouts, one of each series, and other captions write no picture."""

import json

import numpy as np
import pytest
from PIL import Image
from portraits import write_tagger
from projects import Project

from image_set_readers import READERS
from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow


def add_stills(project: Project, source: str, seed: int, series: str) -> dict[str, str]:
    """Write a source of two stills; return its row for the manifest."""
    (project.folder / source).mkdir()
    for number in range(2):
        levels = np.random.default_rng([seed, number]).integers(0, 256, (6, 8, 3), np.uint8)
        write_image(project.folder / source / f"{number}.png", levels.repeat(10, 0).repeat(10, 1))
    return {"source": source, "path": source, "series": series, "split": "train"}


def test_frames_become_a_set_of_each_series_and_one_of_all_in_several_layouts(project: Project) -> None:
    rows = [add_stills(project, "one", 1, "Dr. Ä"), add_stills(project, "two.b", 2, "other")]
    rows.append({**add_stills(project, "elsewhere", 3, "other"), "use": "mosaic_detection"})
    project.write_manifest(rows)
    captions = {"text": "a mosaic of squares", "parts": {"image_type": 0.0}}
    settings = {"select": {"minimum": 32}, "pictures": {"shorter": 40}, "captions": captions}
    project.settings = {
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
        "image_sets": {
            "all_of_it": {**settings, "arrangement": {"folders": ["series"]}, "layouts": {layout: {} for layout in READERS}},
            "parts": {**settings, "each_series": True, "layouts": {"webdataset": {}}},
        },
    }
    page = project.results / "reports" / "datasets" / "all_of_it" / "pictures.html"
    # A set is a target of its own name.
    run = project.run("all_of_it", "parts", f"results/{page.relative_to(project.results)}")
    assert run.returncode == 0, run.output
    assert page.read_text(encoding="utf-8").count("caption: a mosaic of squares") == 4
    made = project.results / "datasets"
    assert sorted(path.name for path in made.iterdir() if path.is_dir()) == ["all_of_it", "parts-Dr.%20%C3%84", "parts-other"]
    train = made / "all_of_it" / "plain" / "train"
    pictures = sorted(train.rglob("*.webp"))
    assert [path.stem.partition("~")[0] for path in pictures] == [
        f"{source}-{number}.png" for source in ("one", "two.b") for number in range(2)
    ]
    assert {Image.open(path).size for path in pictures} == {(53, 40)}
    assert {path.with_suffix(".txt").read_text() for path in train.rglob("*.webp")} == {"a mosaic of squares\n"}
    found = {layout: sorted(reader(made / "all_of_it" / layout, "train")) for layout, reader in READERS.items()}
    assert [each.key for each in found["plain"]] == [path.stem for path in pictures]
    assert {each.repeats for each in found["plain"]} == {1.0}
    assert all(each == found["plain"] for each in found.values())
    assert (made / "parts-other" / "webdataset" / "train-000000.tar").exists()
    sheet = json.loads((made / "parts-other" / "datasheet.json").read_text())
    assert {origin["source"] for origin in sheet["origins"]} == {"two.b"}
    listed = (made / "all_of_it" / "SHA256SUMS").read_text()
    assert f"plain/{pictures[0].relative_to(train.parent)}" in listed and "kohya/train.toml" in listed

    def encoded() -> dict[str, tuple[int, int]]:
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in train.rglob("*.webp")}

    before = encoded()
    captions["text"] = "squares"
    run = project.run("results/datasets/all_of_it/SHA256SUMS")
    assert run.returncode == 0, run.output
    assert {job.split()[0] for job in run.jobs} == {"caption_set", "write_set", "write_plain_datasheet", "checksum_dataset"}
    assert {path.read_text() for path in train.rglob("*.txt")} == {"squares\n"}
    assert encoded() == before

    settings = project.settings["image_sets"]["all_of_it"]
    for part, key in (("captions", "table"), ("arrangement", "weights")):
        settings[part], given = {**settings[part], key: "gone.tsv"}, settings[part]
        run = project.run("datasets", "--dry-run")
        assert run.returncode == 1
        assert f"image_sets.all_of_it.{part}.{key}: 'gone.tsv' is not there; fix the path" in run.output
        settings[part] = given


def test_tags_that_the_tagger_does_not_have_are_named_before_the_jobs_start(project: Project) -> None:
    project.write_manifest([add_stills(project, "one", 1, "")])
    select = {"minimum": 32, "tags": {"none": ["geen", "blue"]}}
    captions = {"tags": {"blacklist": ["red", "something else"]}}
    project.settings = {
        "tagger": write_tagger(project.folder, 8),
        "image_sets": {"stills": {"select": select, "captions": captions}},
    }
    run = project.run("datasets", "--dry-run")
    assert run.returncode == 0, run.output
    said = "`image_sets.stills.select.tags.none`: the tagger has no tag 'geen'; did you mean 'green'?"
    assert run.output.count(said) == 1 and run.output.count("the tagger has no tag") == 2
    assert (
        "`image_sets.stills.captions.tags.blacklist`: the tagger has no tag 'something else'; correct or remove it"
        in run.output
    )


def test_captions_beside_pictures_are_used_and_followed(project: Project) -> None:
    project.write_manifest([add_stills(project, "one", 1, "")])
    (project.folder / "one" / "0.txt").write_text("a caption")
    (project.folder / "one" / "metadata.jsonl").write_text('{"file_name": "1.png", "text": "another"}\nbroken\n')
    captions = {"files": "beside", "text": "template"}
    project.settings = {"image_sets": {"stills": {"select": {"minimum": 32}, "captions": captions}}}

    def written() -> set[str]:
        run = project.run("results/datasets/stills/plain")
        assert run.returncode == 0, run.output
        return {path.read_text() for path in (project.results / "datasets" / "stills" / "plain").rglob("*.txt")}

    assert written() == {"a caption\n", "another\n"}
    ledger = (project.results / "image_sets" / "stills" / "captions.jsonl").read_text()
    assert "metadata.jsonl', line 2: no JSON; correct it" in ledger
    (project.folder / "one" / "0.txt").write_text("a new caption")
    assert written() == {"a new caption\n", "another\n"}
    project.settings["image_sets"]["stills"]["captions"]["files"] = "gone"
    run = project.run("datasets", "--dry-run")
    assert "image_sets.stills.captions.files: 'gone' is not" in run.output, run.output


def test_a_set_without_pictures_says_why(project: Project) -> None:
    project.write_manifest([add_stills(project, "one", 1, "")])
    project.settings = {"image_sets": {"large": {"select": {"minimum": 600}}}}
    run = project.run("results/selections/large/pictures.parquet")
    assert run.returncode == 1
    assert "the image set 'large' has no pictures (too small (2)); change `image_sets.large.select`" in run.output
