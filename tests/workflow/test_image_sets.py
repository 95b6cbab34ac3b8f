"""Image sets in a real run: frames become a set in several layouts, one of each series, and other captions write no picture."""

import json
import tomllib

import numpy as np
import pytest
from PIL import Image
from projects import Project

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
    settings = {"select": {"minimum": 32}, "pictures": {"shorter": 40}}
    project.settings = {
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
        "image_sets": {
            "all_of_it": {**settings, "layouts": {"plain": {}, "kohya": {}}},
            "parts": {**settings, "each_series": True, "layouts": {"webdataset": {}}},
        },
    }
    run = project.run("datasets")
    assert run.returncode == 0, run.output
    made = project.results / "datasets"
    assert sorted(path.name for path in made.iterdir() if path.is_dir()) == ["all_of_it", "parts-Dr.%20%C3%84", "parts-other"]
    train = made / "all_of_it" / "plain" / "train"
    pictures = sorted(train.glob("*.webp"))
    assert [path.stem for path in pictures] == [
        f"{source}-000000{number}" for source in ("one", "two.b") for number in range(2)
    ]
    assert {Image.open(path).size for path in pictures} == {(53, 40)}
    (dataset,) = tomllib.loads((made / "all_of_it" / "kohya" / "train.toml").read_text())["datasets"]
    assert dataset["subsets"] == [{"image_dir": "train", "num_repeats": 1, "caption_extension": ".txt"}]
    assert (made / "parts-other" / "webdataset" / "train-000000.tar").exists()
    sheet = json.loads((made / "parts-other" / "datasheet.json").read_text())
    assert {origin["source"] for origin in sheet["origins"]} == {"two.b"}
    listed = (made / "all_of_it" / "SHA256SUMS").read_text()
    assert f"plain/train/{pictures[0].name}" in listed and "kohya/train.toml" in listed

    encoded = {path.name: path.stat().st_ino for path in pictures}
    project.settings["image_sets"]["all_of_it"]["layouts"] = {"plain": {}, "kohya": {"dataset": {"resolution": 40}}}
    run = project.run("results/datasets/all_of_it/SHA256SUMS")
    assert run.returncode == 0, run.output
    assert {job.split()[0] for job in run.jobs} == {"write_set", "write_plain_datasheet", "checksum_dataset"}
    assert {path.name: path.stat().st_ino for path in train.glob("*.webp")} == encoded


def test_a_set_without_pictures_says_why(project: Project) -> None:
    project.write_manifest([add_stills(project, "one", 1, "")])
    project.settings = {"image_sets": {"large": {"select": {"minimum": 600}}}}
    run = project.run("results/selections/large/pictures.parquet")
    assert run.returncode == 1
    assert "the image set 'large' has no pictures (too small (2)); change `image_sets.large.select`" in run.output
