"""Watermarks in a real run: each set and each shard is made on its own, and only what changed is made again."""

import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from projects import Project

from tessera.core.files import file_name
from tessera.core.ledger import read_ledger

pytestmark = pytest.mark.workflow
SETS = ("pita", "-a {b}* c")
SOURCES = ("film 1", "film/2")


@pytest.fixture
def project(project: Project) -> Project:
    """An empty project with these rules alone, because every run reads all the rules of its workflow."""
    project.snakefile = project.write_snakefile(["common", "sources", "frames", "labels", "watermarks"])
    return project


def write_image(path: Path, seed: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, len(mode)), np.uint8)
    Image.fromarray(pixels).save(path)


def write_set(path: Path, label: str = "0 0.5 0.5 0.5 0.5\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path.with_suffix(".png"), 7)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_suffix(".png"), "train/images/{x} *.png")
        archive.writestr("train/labels/{x} *.txt", label)
        archive.writestr("../escape.png", "x")


@pytest.fixture
def marked(project: Project) -> Project:
    """Two sets of images with watermarks, and two sources for drawn watermarks."""
    for number in range(len(SOURCES)):
        write_image(project.folder / "footage" / str(number) / "a.png", number)
    project.write_manifest([{"source": source, "path": f"footage/{number}"} for number, source in enumerate(SOURCES)])
    write_image(project.folder / "logos" / "logo.png", 5, "RGBA")
    paths = [Path("sets") / f"{name}.zip" for name in SETS]
    for path in paths:
        write_set(project.folder / path)
    common = {"content": "general", "rights": "CC0"}
    project.settings["watermarks"] = {
        "sets": [{"name": name, "path": str(path), **common} for name, path in zip(SETS, paths, strict=True)],
        "draw": {"logos": "logos", "clean": 0, "tiled": 0},
    }
    return project


def made(project: Project) -> list[str]:
    folders = [
        *(f"labels/sets/{file_name(name)}" for name in SETS),
        *(f"watermarks/frames/{file_name(name)}" for name in SOURCES),
    ]
    run = project.run(*(f"results/{folder}/annotations.parquet" for folder in folders))
    assert run.returncode == 0, run.output
    return [job for job in run.jobs if "watermarks" in job or "import" in job]


def test_only_what_changed_is_made_again(marked: Project) -> None:
    imports = [f"import_labels {file_name(name)}" for name in SETS]
    draws = [f"draw_watermarks {file_name(name)}" for name in SOURCES]
    assert sorted(made(marked)) == sorted([*imports, *draws])
    boxes = pl.read_parquet(marked.results / "labels" / "sets" / "pita" / "annotations.parquet")
    assert boxes.select("key", "label", "x0", "y0", "x1", "y1").rows() == [
        ("pita+train%2Fimages%2F%7Bx%7D%20%2A", "watermark", 30.0, 22.5, 90.0, 67.5)
    ]
    reasons = {row["reason"] for row in read_ledger(marked.results / "labels" / "sets" / "pita" / "ledger.jsonl")}
    assert reasons == {"", "path leaves the set"}
    for table, folder in (("labels/sets/pita", "pictures"), ("watermarks/frames/film%201", "images")):
        for path in pl.read_parquet(marked.results / table / "images.parquet")["path"]:
            assert path.startswith(f"results/{table}/{folder}/") and (marked.folder / path).is_file()

    write_set(marked.folder / "sets" / "pita.zip", "0 0.5 0.5 0.25 0.5\n")
    write_image(marked.folder / "footage" / "1" / "b.png", 9)
    assert sorted(made(marked)) == [draws[1], imports[0]]
    marked.settings["watermarks"]["sets"][1]["rights"] = "CC-BY-4.0"
    write_image(marked.folder / "logos" / "another.png", 6, "RGBA")
    assert sorted(made(marked)) == [*draws, imports[1]]
    assert made(marked) == []


def test_missing_files_are_named_before_any_job(marked: Project) -> None:
    (marked.folder / "sets" / "pita.zip").unlink()
    run = marked.run("--dry-run", "results/labels/sets/pita/images.parquet")
    assert run.returncode != 0 and "watermarks.sets: 'pita': 'sets/pita.zip' is not there" in run.output
    for material in ("logos", "fonts"):
        marked.settings["watermarks"]["draw"] = {material: "my/own"}
        run = marked.run("--dry-run", "results/watermarks/frames/film%201/images.parquet")
        assert run.returncode != 0 and f"watermarks.draw.{material}: 'my/own' is not there" in run.output


def test_a_file_that_is_not_a_font_is_named(marked: Project) -> None:
    (marked.folder / "fonts").mkdir()
    (marked.folder / "fonts" / "page.ttf").write_text("<html>")
    marked.settings["watermarks"]["draw"]["fonts"] = "fonts"
    run = marked.run("results/watermarks/frames/film%201/images.parquet")
    assert run.returncode != 0 and "fonts: 'fonts/page.ttf' is not a font" in run.output
    assert not (marked.results / "watermarks" / "frames" / "film%201" / "images.parquet").exists()


def test_adult_sets_without_consent_stop_the_run_before_any_job(marked: Project) -> None:
    marked.settings["watermarks"]["sets"][0]["content"] = "adult"
    run = marked.run("results/labels/sets/pita/images.parquet")
    assert run.returncode != 0 and run.jobs == []
    assert "watermarks.sets.0" in run.output and "adults_verified" in run.output
