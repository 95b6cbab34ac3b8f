"""`snakemake ask`: from a folder of pictures without any label to a classifier, in rounds."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from projects import Project

from tessera.imaging.images import write_image
from tessera.records.decision_log import append_row
from tessera.records.decisions import Decision
from tessera.records.rounds import read_rounds
from tessera.records.tables.classification import Pictures
from tessera.records.tables.review import ASKED, ReviewItems
from tessera.records.tables.table import read_table

pytestmark = pytest.mark.workflow
PICTURES = 14


@pytest.fixture
def project(project: Project) -> Project:
    """A folder of dark and bright pictures, and a classifier without labels."""
    (project.folder / "shots").mkdir()
    for number in range(PICTURES):
        low = 150 * (number % 2)
        image = np.random.default_rng(number).integers(low, low + 100, (32, 32, 3), np.uint8)
        write_image(project.folder / "shots" / f"{number:02}.png", image)
    project.write_manifest([{"source": "shots", "path": "shots"}])
    answers = {"name": "asked", "path": "labels/asked", "format": "labelme", "split_by": "image"}
    project.settings = {
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
        "annotations": {"image_labels": [{**answers, "content": "general", "rights": "CC0"}]},
        "classifiers": {
            "light": {
                "labels": ["dark", "bright"],
                "pictures": {"sets": ["asked"]},
                "architecture": "test_resnet",
                "image_size": 16,
                "training": {"epochs": 2, "batch": 4},
            }
        },
        "ask": {"model": "light", "count": 4, "validation": 4},
    }
    return project


def shown(key: str) -> str:
    """Return what the picture with the key `shots-NN.png~DIGEST` shows."""
    return "bright" if int(key.removeprefix("shots-")[:2]) % 2 else "dark"


def label_last_round(project: Project) -> None:
    round_folder = max((project.folder / "labels" / "asked").glob("round-*"))
    for path in round_folder.glob("*/*.json"):
        document = json.loads(path.read_text())
        document["flags"][shown(path.stem)] = True
        path.write_text(json.dumps({**document, "version": "5.5.0"}))


def test_each_answered_round_is_followed_by_another_and_is_a_point_of_the_learning_curve(project: Project) -> None:
    early = project.run("-n", "light")
    assert early.returncode != 0 and "'labels/asked' has no pictures yet: run `snakemake ask`" in early.output
    # What a round leaves that was killed.
    (project.folder / "labels" / "asked" / ".round-001.partial" / "train").mkdir(parents=True)
    first = project.run("ask")
    assert first.returncode == 0, first.output
    assert "train_classifier" not in first.output and "8 pictures to label" in first.output
    assert [place.name for place in (project.folder / "labels" / "asked").iterdir()] == ["round-001"]
    unanswered = project.run("ask")
    assert unanswered.returncode != 0 and "labels/asked/round-001 has no answers yet: label its pictures" in unanswered.output

    label_last_round(project)
    second = project.run("ask")
    assert second.returncode == 0, second.output
    assert {"train_classifier light", "score_frames light shots", "ask_round light"} <= set(second.jobs)
    before, after = read_rounds(project.folder / "labels" / "asked")
    assert before.reached is None and after.reached and (after.reached.labels, after.reached.measured) == (4, 4)
    keys = [picture.key for each in (before, after) for picture in each.asked]
    assert len(keys) == len(set(keys)) == 12

    label_last_round(project)
    curve = project.run("results/reports/models/light/learning.svg")
    assert curve.returncode == 0, curve.output
    points = pl.read_parquet(project.results / "asked" / "light.parquet")
    assert points.select("round", "labels", "measured").rows() == [(1, 4, 4), (2, 8, 4)]
    assert (project.results / "reports" / "models" / "light" / "learning.svg").is_file()


def test_the_first_round_is_asked_with_a_classifier_that_has_learned_from_other_pictures(project: Project) -> None:
    levels = [{"label": "bright"}, {"label": "dark", "steps": [{"jpeg": {"probability": 1.0, "quality": [1, 5]}}]}]
    project.settings["classifiers"]["light"]["pictures"] = {"sets": ["asked"], "degraded": {"levels": levels}}
    project.settings["annotations"]["image_labels"][0]["split_by"] = "set"
    plan = project.run("-n", "ask")
    assert plan.returncode == 0, plan.output
    assert "train_classifier" in plan.output.replace(" ", "_") and "import_image_labels" not in plan.output.replace(" ", "_")


def test_a_round_can_be_answered_by_decisions_alone(project: Project) -> None:
    assert project.run("ask").returncode == 0
    unanswered = project.run("gather_review")
    assert unanswered.returncode == 0, unanswered.output
    items = read_table(project.results / "review" / "items.parquet", ReviewItems)
    assert items["queue"].unique().to_list() == [ASKED] and items.height == 8 and set(items["label"]) == {""}
    for number, (key, path) in enumerate(items.select("key", "picture").iter_rows()):
        said = {"key": key, "decision": "relabel", "who": "Ada", "when": "2026-01-31", "classifier": "light"}
        said["label"] = shown(Path(path).stem)
        if number == 0:
            said |= {"decision": "drop", "label": ""}
        append_row(project.folder / "config" / "decisions.tsv", said, list(Decision.model_fields))
    second = project.run("ask")
    assert second.returncode == 0, second.output
    assert "there is no such picture" not in second.output
    assert len(read_rounds(project.folder / "labels" / "asked")) == 2
    assert read_table(project.results / "datasets" / "light" / "pictures.parquet", Pictures).height == 7
    again = project.run("gather_review")
    assert again.returncode == 0, again.output
    items = read_table(project.results / "review" / "items.parquet", ReviewItems)
    assert items.height == 12 and items.filter(pl.col("label") != "").height == 7


def test_asking_for_no_classifier_is_an_error(project: Project) -> None:
    del project.settings["ask"]["model"]
    run = project.run("ask")
    assert run.returncode != 0 and "`ask.model` is null: name the classifier to ask for" in run.output
