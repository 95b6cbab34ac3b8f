"""A classifier of degraded frames in a real run: it is published, and only what changed is made again."""

import json

import cv2
import numpy as np
import polars as pl
import pytest
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow
WEIGHTS = "results/weights/blurred"


@pytest.fixture
def project(project: Project) -> Project:
    """Nine sources of two pictures, and a classifier that tells blurred copies of them from clean ones."""
    rows = []
    for number in range(9):
        folder = project.folder / "footage" / str(number)
        folder.mkdir(parents=True)
        for index in range(2):
            levels = np.random.default_rng(10 * number + index).integers(0, 256, (12, 16, 3), np.uint8)
            write_image(folder / f"{index}.png", cv2.resize(levels, (64, 48), interpolation=cv2.INTER_NEAREST))
        split = "val" if number % 3 == 0 else "train"
        rows.append({"source": f"s{number}", "path": f"footage/{number}", "split": split})
    project.write_manifest(rows)
    blur = {"blur": {"probability": 1, "sizes": [13], "sigma": [3, 3], "kernels": {"isotropic": 1}}}
    project.settings = {
        "shards": 1,
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
        "classifiers": {
            "blurred": {
                "labels": ["clean", "blurred"],
                "pictures": {"degraded": {"levels": [{"label": "clean"}, {"label": "blurred", "steps": [blur]}]}},
                "architecture": "test_resnet",
                "image_size": 48,
                "training": {"epochs": 30, "batch": 8, "learning_rate": 0.005, "patience": 0},
            }
        },
    }
    return project


def test_a_classifier_is_trained_on_degraded_frames_and_published_with_its_card(project: Project) -> None:
    run = project.run("blurred")
    assert run.returncode == 0, run.output
    published = {path.name for path in (project.folder / WEIGHTS).iterdir()}
    assert {"blurred.safetensors", "blurred.onnx", "card.json", "card.md", "SHA256SUMS"} <= published
    pictures = pl.read_parquet(project.results / "datasets" / "blurred" / "pictures.parquet")
    assert pictures.group_by("split", "label").len().sort("split", "label").rows() == [
        *[("train", label, 12) for label in ("blurred", "clean")],
        *[("val", label, 6) for label in ("blurred", "clean")],
    ]
    files = {path.stem for path in (project.results / "datasets" / "blurred" / "images").rglob("*.png")}
    assert files == set(pictures["key"])
    assert pictures.filter(pl.col("source").n_unique().over("group") > 1).is_empty()
    ledger = list(read_ledger(project.results / "selections" / "blurred" / "ledger.jsonl"))
    assert len(ledger) == 36 and {row["status"] for row in ledger} == {"ok"}
    card = json.loads((project.folder / WEIGHTS / "card.json").read_text())
    assert card["metrics"]["splits"]["val"]["accuracy"] > 0.9 and card["export"]

    assert "Nothing to be done" in project.run("-n", "blurred").output
    project.settings["classifiers"]["blurred"]["training"]["epochs"] = 31
    planned = project.run("-n", "blurred").output
    assert "train_classifier" in planned and "degrade_frames" not in planned and "select_pictures" not in planned
