"""A new dataset, model and figure need entries in the catalogue, one package and the include of its rules.

The folder `brightness` beside this file has all of it, and is laid over a copy of the repository.
"""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from projects import REPOSITORY, Project
from small_pipeline import copy_of_workflow

from tessera.core.provenance import verify_checksums
from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow

WING = Path(__file__).with_name("brightness")
NAME = "brightness_classification"
MEANS = {"cave": [30, 220], "noon": [60, 190], "yard": [50, 200], "other": [10, 240]}  # the mean luma of each image of a source
FIGURES = [
    *(f"datasets/{NAME}/{figure}" for figure in ("funnel.svg", "counts.html", "dropped.svg", "datasheet.html")),
    *(f"models/{NAME}/{figure}" for figure in ("metrics.html", "card.html", "threshold.svg")),
]


@pytest.fixture(scope="module")
def snakefile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Snakefile of a copy of the repository with the new model."""
    snakefile = copy_of_workflow(tmp_path_factory.mktemp("repository") / "copy")
    for part in ("config", "profiles"):
        shutil.copytree(REPOSITORY / part, snakefile.parent / part)
    for part in ("src", "workflow"):
        shutil.copytree(WING / part, snakefile.parent / part, dirs_exist_ok=True)
    for table, entries in (("catalogue.py", "entries.py"), ("workflow/figures.py", "figures.py")):
        with (snakefile.parent / "src" / "tessera" / table).open("a", encoding="utf-8") as file:
            file.write((WING / entries).read_text(encoding="utf-8"))
    includes = snakefile.parent / "workflow" / "Snakefile"
    text, heading = includes.read_text(encoding="utf-8"), "\n# Pages\n"
    assert text.count(heading) == 1
    includes.write_text(text.replace(heading, f'\ninclude: "rules/brightness.smk"{heading}'), encoding="utf-8")
    return snakefile


@pytest.fixture
def footage(project: Project, snakefile: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with four sources of two images each, the last of them for another dataset."""
    monkeypatch.setenv("PYTHONPATH", str(snakefile.parent / "src"))
    generator = np.random.default_rng(0)
    for source, means in MEANS.items():
        (project.folder / source).mkdir()
        for number, mean in enumerate(means):
            # Its own texture, so that sources are not near-duplicates.
            texture = cv2.resize(generator.normal(0, 5, (8, 8)), (64, 64), interpolation=cv2.INTER_CUBIC)
            image = np.repeat((mean + texture - texture.mean()).round().astype(np.uint8)[..., None], 3, axis=2)
            write_image(project.folder / source / f"{number}.png", image)
    rows = [{"source": source, "path": source, "split": "val" if source == "yard" else "train"} for source in MEANS]
    uses = dict.fromkeys(MEANS, NAME) | {"noon": "", "other": "nsfw_detection"}
    project.write_manifest([{**row, "use": uses[row["source"]]} for row in rows])
    project.settings = {"shards": 1, "frames": {"mode": "all"}}
    return project


def test_everything_follows_from_the_entry(footage: Project, snakefile: Path) -> None:
    made = {f"results/{path}" for path in (f"datasets/{NAME}/SHA256SUMS", f"weights/{NAME}/SHA256SUMS")}
    figures = {f"results/reports/{figure}" for figure in FIGURES}
    # Only the report needs figures.
    assert made | figures <= planned(footage, snakefile, "all")
    assert planned(footage, snakefile, "datasets") & (made | figures) == {f"results/datasets/{NAME}/SHA256SUMS"}


def planned(project: Project, snakefile: Path, target: str) -> set[str]:
    """Return the files that Snakemake would make for `target`."""
    run = project.run("--summary", "--", target, snakefile=snakefile)
    assert run.returncode == 0, run.output
    return {line.partition("\t")[0] for line in run.output.splitlines()}


def test_the_settings_are_those_of_any_model(footage: Project, snakefile: Path) -> None:
    footage.settings["models"] = {NAME: {"place": 2}}
    run = footage.run("--dry-run", NAME, snakefile=snakefile)
    assert f"models.{NAME}.place: Input should be less than 1; given: 2" in run.output
    footage.settings["models"] = {NAME: None}
    run = footage.run("--dry-run", NAME, snakefile=snakefile)
    assert f"`models.{NAME}` is null, so that it is not trained; give it settings" in run.output


def test_its_target_makes_the_dataset_and_the_model(footage: Project, snakefile: Path) -> None:
    run = footage.run(NAME, *(f"results/reports/{figure}" for figure in FIGURES), snakefile=snakefile)
    assert run.returncode == 0, run.output
    dataset, weights = footage.results / "datasets" / NAME, footage.results / "weights" / NAME
    for folder in (dataset, weights):
        assert verify_checksums(folder / "SHA256SUMS") == []
    splits = pl.read_parquet(dataset / "splits.parquet").select("source", "split").unique().sort("source").rows()
    assert splits == [("cave", "train"), ("noon", "train"), ("yard", "val")], (
        "neither another split nor another dataset's source"
    )
    # A mean luma of 45 and one of 205, and the settings put the threshold between them.
    threshold = json.loads((weights / f"{NAME}.json").read_text())["threshold"]
    assert threshold == pytest.approx(125, abs=1)
    drawn = (footage.results / "reports" / "models" / NAME / "threshold.svg").read_text(encoding="utf-8")
    assert f'<line x1="{threshold:.1f}"' in drawn, "a figure is a function, an entry of the table and a caption"
    card = json.loads((weights / "card.json").read_text())
    assert card["metrics"] == {"splits": {"val": {"images": 2, "accuracy": 1}}}
    assert card["training"]["settings"] == {"place": 0.5}
    assert {(row["source"], row["samples"], row["rights"]) for row in card["dataset"]["datasheet"]["origins"]} == {
        (source, 2, "CC0") for source in ("cave", "noon", "yard")
    }
    counts = (footage.results / "reports" / "datasets" / NAME / "counts.html").read_text()
    assert f"source not for {NAME}" in counts
    assert "accuracy" in (footage.results / "reports" / "models" / NAME / "metrics.html").read_text()
