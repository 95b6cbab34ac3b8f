"""`snakemake preview`: from admitted footage and weights to pictures, tables and label files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from projects import Project

from tessera.core.provenance import sha256_file
from tessera.imaging.encode import write_video

RULES = ("common", "weights", "sources", "detectors", "models", "previews")
NAME = "a {dog}"  # names may contain braces and spaces, although they have a meaning for Snakemake
FILE = "a%20%7Bdog%7D"


@pytest.fixture
def snakefile(project: Project, weights: Path) -> Path:
    """A workflow with given weights and a video."""
    generator = np.random.default_rng(0)
    write_video(project.folder / "dog.mp4", generator.integers(0, 256, (6, 48, 64, 3), dtype=np.uint8), 10)
    project.write_manifest([{"source": NAME, "path": "dog.mp4"}])
    predict = {"image_size": 64, "confidence": 0.05, "max_regions": 5}
    project.settings = {"preview": {"predict": predict, "proposals": {"choose": "every", "every_frames": 3}}}
    shutil.copytree(weights.parent, project.results / "weights" / "nsfw_detection")
    return project.write_snakefile(RULES)


@pytest.mark.workflow
def test_a_preview_with_other_settings_predicts_nothing_again(project: Project, snakefile: Path) -> None:
    run = project.run("preview", snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert "contact sheets in results/previews/SHARD, and 2 frames to correct in labels/proposed/SOURCE" in run.output
    previews = project.results / "previews" / FILE
    assert (previews / "overlays" / f"{NAME}.mp4").is_file()
    assert (previews / "sheets" / f"{NAME}.jpg").is_file()
    proposed = project.folder / "labels" / "proposed" / FILE
    assert {path.name for path in proposed.glob("*.json")} == {f"{FILE}-0000000.json", f"{FILE}-0000003.json"}

    (proposed / f"{FILE}-0000000.json").write_text("corrected")
    project.settings["preview"]["proposals"]["every_frames"] = 6
    project.settings["preview"]["render"] = {"tile": 200}
    project.settings["preview"]["sources"] = [NAME]
    run = project.run("preview", snakefile=snakefile)
    assert run.jobs == ["gate_previews", f"propose_labels {FILE}", f"render_preview {FILE}"]
    assert (proposed / f"{FILE}-0000000.json").read_text() == "corrected"
    assert not (proposed / f"{FILE}-0000003.json").exists()
    assert f"{FILE}-0000000\tedited by a person" in (previews / "proposals.tsv").read_text()


@pytest.mark.workflow
def test_a_detector_of_others_proposes_labels_before_any_training(project: Project, snakefile: Path) -> None:
    trained = project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    trained.rename(project.folder / "mine.pt")
    shutil.rmtree(trained.parent)
    declared = {"source": "mine.pt", "sha256": sha256_file(project.folder / "mine.pt")}
    project.settings["preview"] |= {"model": "watermark_detection", "weights": declared, "classes": {"nsfw": "watermark"}}
    run = project.run("propose", snakefile=snakefile)
    assert run.jobs == [
        "admit_sources " + FILE,
        f"fetch_weights {declared['sha256']}.pt",
        "gate_proposals",
        f"predict_source {FILE}",
        f"propose_labels {FILE}",
    ], run.output
    assert "written: 2 frames to correct in labels/proposed/SOURCE" in run.output
    proposed = [json.loads(path.read_text()) for path in (project.folder / "labels" / "proposed" / FILE).glob("*.json")]
    assert {shape["label"] for label in proposed for shape in label["shapes"]} == {"watermark"}
    project.settings["preview"]["classes"] = {}
    run = project.run("preview", snakefile=snakefile)
    assert "the detector finds nsfw, and nothing says what nsfw means: name in `preview.classes` those" in run.output
    # What follows from the failed job is still there, from before.
    again = project.run("preview", snakefile=snakefile)
    assert again.returncode != 0 and f"predict_source {FILE}" in again.jobs, again.output
    project.settings["preview"]["classes"] = {"nsfw": "face"}
    planned = project.run("-n", "preview", snakefile=snakefile)
    assert "`preview.classes` says that 'nsfw' is 'face', which is no class of watermark_detection." in planned.output
    project.settings["preview"]["classes"] = {"nsfw": None}
    run = project.run("preview", snakefile=snakefile)
    assert run.returncode == 0 and f"predict_source {FILE}" in run.jobs, run.output


@pytest.mark.workflow
def test_without_a_trained_model_the_declared_weights_are_used(project: Project, snakefile: Path) -> None:
    trained = project.results / "weights" / "nsfw_detection" / "nsfw_detection.pt"
    trained.rename(project.folder / "mine.pt")
    shutil.rmtree(trained.parent)
    project.settings["models"] = {"nsfw_detection": None, "mosaic_detection": None}
    project.settings["scenes"] = {"detect": {"weights": None}}
    run = project.run("preview", "--dry-run", snakefile=snakefile)
    assert run.returncode != 0
    assert "`preview.model` is nsfw_detection, `models.nsfw_detection` is null, and" in run.output
    declared = {"source": "mine.pt", "sha256": sha256_file(project.folder / "mine.pt")}
    project.settings["regions"] = {"detectors": {"nsfw": {"weights": declared}}}
    run = project.run("preview", snakefile=snakefile)
    assert run.returncode == 0, run.output
    assert (project.results / "previews" / FILE / "overlays" / f"{NAME}.mp4").is_file()


@pytest.mark.workflow
def test_requesting_an_untrained_model_is_an_error(project: Project) -> None:
    project.write_manifest([{"source": NAME, "path": "dog.mp4"}])
    project.settings["models"] = {"nsfw_detection": None, "mosaic_detection": None}
    project.settings["scenes"] = {"detect": {"weights": None}}
    run = project.run("nsfw_detection", "--dry-run")
    assert run.returncode != 0
    assert "`models.nsfw_detection` is null, so that it is not trained" in run.output


@pytest.mark.workflow
def test_requesting_a_refused_source_is_an_error_with_the_reason(project: Project, snakefile: Path) -> None:
    project.write_manifest([{"source": NAME, "path": "dog.mp4"}, {"source": "no rights", "path": "dog.mp4", "rights": ""}])
    project.settings["preview"]["sources"] = ["no rights"]
    run = project.run("preview", snakefile=snakefile)
    assert run.returncode != 0
    assert "no rights: source refused: " in run.output
    project.settings["preview"]["sources"] = ["dgo"]
    run = project.run("preview", "--dry-run", snakefile=snakefile)
    assert run.returncode != 0
    assert "preview.sources: the manifest has no source 'dgo'; it has 'a {dog}'" in run.output
