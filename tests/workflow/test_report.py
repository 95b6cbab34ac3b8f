"""The report: what it shows, and when it is made again."""

import copy
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from projects import REPOSITORY, Project

from tessera.core.ledger import Ledger
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.footage import Sources
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table

pytestmark = pytest.mark.workflow

# The rules of the report alone. What the rooms before it make is written by the tests.
SNAKEFILE = """
configfile: "config/config.yaml"
pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks",
include: "workflow/rules/common.smk"
GATES = {"nsfw_detection": ["frames", "labels"]}
DUPLICATES = {"nsfw_detection": "results/duplicates/duplicates.parquet"}
include: "workflow/rules/report.smk"
"""
SETTINGS = {
    "models": {"nsfw_detection": {"training": {"imgsz": 64}}, "watermark_detection": None, "mosaic_detection": None},
    "scenes": {"detect": {"weights": None}},
}
FIGURES = {
    "refused.html",
    "timings.svg",
    *(f"datasets/nsfw_detection/{name}" for name in ("funnel.svg", "counts.html", "dropped.svg", "datasheet.html")),
    *(f"datasets/nsfw_detection/{split}.jpg" for split in ("train", "val", "test")),
    *(f"models/nsfw_detection/{name}" for name in ("curves.html", "metrics.html", "predictions.jpg", "card.html")),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """A folder in which everything that the report shows is made, and the report too."""
    project = Project(tmp_path_factory.mktemp("finished"), SETTINGS)
    (project.folder / "config").mkdir()
    (project.folder / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    shutil.copytree(REPOSITORY / "workflow", project.folder / "workflow")
    project.write_manifest([{"source": "one", "path": "one.mp4"}, {"source": "two </script>", "path": "two.mp4", "rights": ""}])
    results = project.results
    count = {"in": 7, "ok": 6, "partly": {}, "dropped": {}, "failed": {"some reason": 1}}
    for room, step in {"sources": "admission", "frames": "sampling", "labels": "labels of frames"}.items():
        _write(results / f"gates/{room}.json", json.dumps({step: count}))
    _write_ledger(results / "duplicates/ledger.jsonl", ["ok"] * 5 + ["dropped"])
    _write_ledger(results / "annotations/nsfw_detection/ledger.jsonl", ["ok"] * 3 + ["dropped"])
    _write_ledger(results / "datasets/nsfw_detection/ledger.jsonl", ["ok"] * 3)
    _write(results / "sources/refused.tsv", "source\treason\ntwo </script>\tno rights\n")
    _write_dataset(results)
    write_table(pl.DataFrame([], schema=types(Sources)), Sources, results / "sources/admitted.parquet")
    curves = results / "training/nsfw_detection/curves"
    curves.mkdir(parents=True)
    cv2.imwrite(str(curves / "losses.png"), np.zeros((4, 4, 3), np.uint8))
    _write(results / "metrics/nsfw_detection.json", json.dumps({"mask": {"mAP50": 0.75}}))
    _write(results / "metrics/nsfw_detection.export.json", json.dumps({"largest_difference": 0.001}))
    shutil.copytree(weights.parent, results / "weights/nsfw_detection")
    _write(results / "weights/nsfw_detection/card.md", "# A card\n")
    assert "report" in _run(project)
    return project.folder


@pytest.fixture
def made(finished: Path, project: Project) -> Project:
    """A project of its own for each test, with the report made."""
    shutil.copytree(finished, project.folder, dirs_exist_ok=True)
    project.settings = copy.deepcopy(SETTINGS)
    return project


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_ledger(path: Path, statuses: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(path) as ledger:
        for number, status in enumerate(statuses):
            ledger.row(str(number), status, "" if status == "ok" else "some reason")


def _write_dataset(results: Path) -> None:
    folder, hub = results / "datasets/nsfw_detection", results / "annotations/nsfw_detection"
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    images, regions, splits = [], [], []
    for number, split in enumerate(["train", "train", "val"]):
        key = f"one-{number:07d}"
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / split / f"{key}.jpg"), image)
        images.append(
            {"key": key, "source": "one", "path": "", "width": 64, "height": 48, "phash": 0, "split": "", "rights": ""}
        )
        ring = [10.0, 10.0, 40.0, 10.0, 40.0, 30.0]
        box = {"x0": 10.0, "y0": 10.0, "x1": 40.0, "y1": 30.0}
        regions.append({"key": key, "number": 0, "label": "nsfw", "polygons": [[ring]], "rle": None, **box, "crowd": False})
        splits.append({"key": key, "source": "one", "split": split})
    write_table(pl.DataFrame(images, schema=types(Images)), Images, hub / "images.parquet")
    write_table(pl.DataFrame(regions, schema=types(Annotations)), Annotations, hub / "annotations.parquet")
    write_table(pl.DataFrame(splits, schema=types(Splits)), Splits, folder / "splits.parquet")
    _write(folder / "datasheet.md", "# A datasheet\n")


def _run(project: Project, *arguments: str) -> list[str]:
    run = project.run("report", *arguments, snakefile=project.folder / "Snakefile")
    assert run.returncode == 0, run.output
    return run.jobs


def test_report_shows_every_figure_with_its_caption(made: Project) -> None:
    _write(made.folder / "workflow/report/timings.rst", "Another caption.\n")
    assert _run(made) == ["report"]
    page = (made.results / "reports/report.html").read_text(encoding="utf-8")
    results = json.loads(re.search(r"var results = (\{.*\});", page).group(1))
    assert {path.removeprefix("results/reports/") for path in results} == FIGURES
    assert all(result["caption"] for result in results.values())
    assert "Another caption." in results["results/reports/timings.svg"]["caption"]
    assert "two </script>" not in page


def test_report_follows_what_it_shows_and_nothing_else(made: Project) -> None:
    made.settings["gates"] = {"frames": 0.5}
    (made.results / "weights/nsfw_detection/card.md").touch()
    assert _run(made) == []
    made.settings["report"] = {"blur": "none"}
    _write(made.results / "weights/nsfw_detection/card.md", "# Another card\n")
    assert _run(made) == [
        "plot_predictions nsfw_detection",
        "plot_samples nsfw_detection",
        "render_card nsfw_detection",
        "report",
    ]


def test_report_knows_the_settings_of_the_command_line(made: Project) -> None:
    # The manifest that the settings in the file name is gone: a report of them could not be made.
    (made.folder / "config" / "sources.tsv").rename(made.folder / "config" / "others.tsv")
    _write(made.results / "weights/nsfw_detection/card.md", "# Another card\n")
    assert "report" in _run(made, "--config", "manifest=config/others.tsv")


def test_report_that_cannot_be_made_leaves_nothing_behind(made: Project) -> None:
    (made.folder / "Snakefile").write_text(SNAKEFILE + 'import sys\nif "--report" in sys.argv:\n    sys.exit("disk full")\n')
    _write(made.results / "weights/nsfw_detection/card.md", "# Another card\n")
    run = made.run("report", snakefile=made.folder / "Snakefile")
    assert run.returncode != 0
    assert "could not make the report: disk full (log: " in run.output
    assert not [path for path in (made.results / "reports").iterdir() if "report.html" in path.name]
