"""A network and a head in a real run: they are published, and only what changed is made again."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from projects import Project

from tessera.catalogue import CLASSIFIER
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow
WEIGHTS = "results/weights"
SIDE = 32


def write_edges(path: Path) -> Path:
    """Write an ONNX model whose vector is the mean contrast of neighbouring pixels in each channel, and return its path."""
    kernels = np.zeros((3, 1, 1, 2), np.float32)
    kernels[..., 0], kernels[..., 1] = -1, 1
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["pictures", "kernels"], ["differences"], group=3),
            helper.make_node("Abs", ["differences"], ["contrasts"]),
            helper.make_node("ReduceMean", ["contrasts", "axes"], ["vectors"], keepdims=0),
        ],
        "edges",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(kernels, "kernels"), helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def draw(seed: int) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(levels, (64, 48), interpolation=cv2.INTER_NEAREST)


def add_labelled_pictures(project: Project, classifier: str) -> None:
    """Add a set of ten pictures of each class, one of which is a frame of `s0`, to those of `classifier`."""
    for number in range(10):
        for label in ("clean", "blurred"):
            folder = project.folder / "labelled" / label
            folder.mkdir(parents=True, exist_ok=True)
            picture = draw(0 if (number, label) == (0, "clean") else 1000 + number)
            write_image(folder / f"{number}.png", cv2.GaussianBlur(picture, (13, 13), 3) if label == "blurred" else picture)
    own = {"name": "own", "path": "labelled", "content": "general", "rights": "CC0", "split_by": "image"}
    project.settings["annotations"] = {"image_labels": [own]}
    settings = project.settings["classifiers"][classifier]
    settings["pictures"] = {**settings["pictures"], "sets": ["own"]}


@pytest.fixture
def project(project: Project) -> Project:
    """Nine sources of two pictures, and two classifiers that tell blurred copies of them from clean ones."""
    rows = []
    for number in range(9):
        folder = project.folder / "footage" / str(number)
        folder.mkdir(parents=True)
        for index in range(2):
            write_image(folder / f"{index}.png", draw(10 * number + index))
        split = "val" if number % 3 == 0 else "train"
        rows.append({"source": f"s{number}", "path": f"footage/{number}", "split": split})
    project.write_manifest(rows)
    blur = {"blur": {"probability": 1, "sizes": [13], "sigma": [3, 3], "kernels": {"isotropic": 1}}}
    check = {"folds": 2, "embedding": "edges"}
    classifier = {
        "labels": ["clean", "blurred"],
        "pictures": {"degraded": {"levels": [{"label": "clean"}, {"label": "blurred", "steps": [blur]}]}},
        "training": {"epochs": 30, "batch": 8, "learning_rate": 0.005, "patience": 0},
    }
    edges = write_edges(project.folder / "edges.onnx")
    weights = {"source": "edges.onnx", "sha256": sha256_file(edges)}
    project.settings = {
        "shards": 1,
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
        "embeddings": {
            "edges": {
                "kind": "onnx",
                "weights": weights,
                "preprocessing": {"size": SIDE, "resize": "stretch"},
                "normalise": False,
            },
        },
        "classifiers": {
            "blurred": {**classifier, "architecture": "test_resnet", "image_size": 48},
            "soft": {
                **{**classifier, "architecture": "head", "embedding": "edges", "hidden": 16},
                **{"export": {"city": True}, "label_errors": check},
            },
        },
        "search": {"size": {"model": "soft", "trials": 2, "space": {"hidden": [4, 8], "training.epochs": [2]}}},
    }
    return project


def test_a_classifier_cannot_have_the_name_of_a_target(project: Project) -> None:
    project.settings["classifiers"]["frames"] = project.settings["classifiers"]["blurred"]
    run = project.run("-n", "frames")
    assert run.returncode == 1 and "`classifiers.frames`: there is a target or a rule of this name" in run.output


def test_classifiers_are_trained_on_degraded_frames_and_published_with_their_cards(project: Project) -> None:
    pages = [f"results/reports/models/{name}/{page}" for name in ("blurred", "soft") for page in CLASSIFIER.figures]
    add_labelled_pictures(project, "blurred")
    run = project.run("blurred", "soft", "search", *pages)
    assert run.returncode == 0, run.output
    of_soft = {"-city.safetensors", "-city.config.json"}
    for name, further in (("blurred", set()), ("soft", of_soft)):
        published = {path.name for path in (project.folder / WEIGHTS / name).iterdir()}
        files = {f"{name}{suffix}" for suffix in {".safetensors", ".onnx", *further}}
        assert published == {*files, "card.json", "card.md", "SHA256SUMS"}
        card = json.loads((project.folder / WEIGHTS / name / "card.json").read_text())
        assert card["metrics"]["splits"]["val"]["accuracy"] > 0.9
        assert ("embeddings.edges" in card["training"]["settings"]) == (name == "soft")
        assert set(card["export"]["differences"]) == files - {f"{name}-city.config.json"}
    assert json.loads((project.folder / WEIGHTS / "soft" / "soft-city.config.json").read_text())["name"] == "soft-city"
    search = project.results / "search" / "soft" / "size"
    assert {path.name for path in search.iterdir()} >= {"trials.parquet", "best.yaml", "search.html"}
    assert len((search / "trials.tsv").read_text().splitlines()) == 3
    everything = pl.read_parquet(project.results / "datasets" / "blurred" / "pictures.parquet")
    is_labelled = pl.col("source").str.starts_with("image_labels:")
    pictures, labelled = everything.filter(~is_labelled), everything.filter(is_labelled)
    assert pictures.group_by("split", "label").len().sort("split", "label").rows() == [
        *[("train", label, 12) for label in ("blurred", "clean")],
        *[("val", label, 6) for label in ("blurred", "clean")],
    ]
    files = {path.stem for path in (project.results / "datasets" / "blurred" / "images").rglob("*.png")}
    assert files == set(everything["key"])
    assert pictures.filter(pl.col("source").n_unique().over("group") > 1).is_empty()
    ledger = list(read_ledger(project.results / "selections" / "blurred" / "ledger.jsonl"))
    assert len(ledger) == 36 + 20 and {row["status"] for row in ledger} == {"ok"}
    # Of each class, one validates of those that are divided freely. The frame validates with its source.
    counts = [("train", "blurred", 9), ("train", "clean", 8), ("val", "blurred", 1), ("val", "clean", 2)]
    assert labelled.group_by("split", "label").len().sort("split", "label").rows() == counts
    assert labelled.filter(key="own+clean%2F0.png").select("split", "group").rows() == [("val", "s0")]
    assert labelled.filter(pl.col("split").n_unique().over("group") > 1).is_empty()
    assert not [job for job in run.jobs if "fold" in job]

    project.settings["score"] = {"model": "soft", "folder": "footage", "place": "link"}
    scored = project.run("score")
    assert scored.returncode == 0 and {"score_folder", "show_scores"} <= set(scored.jobs), scored.output
    table = pl.read_csv(project.results / "scores" / "folder" / "scores.tsv", separator="\t")
    assert table["path"].to_list() == [f"{number}/{index}.png" for number in range(9) for index in range(2)]
    assert (table["label"] == "clean").mean() > 0.9
    link = project.results / "scores" / "folder" / "brackets" / "clean" / "0.8-1" / table["path"][0]
    assert link.is_symlink() and link.samefile(project.folder / "footage" / table["path"][0])
    assert "Nothing to be done" in project.run("-n", "score").output
    project.settings["score"]["brackets"] = [0, 0.5, 1]
    planned = project.run("-n", "score").output
    assert "show_scores" in planned and "score_folder" not in planned
    (project.folder / "footage" / "notes.txt").write_text("new")
    assert "score_folder" in project.run("-n", "score").output

    assert "Nothing to be done" in project.run("-n", "blurred", "soft").output

    run = project.run("label_errors")
    assert run.returncode == 0, run.output
    of_soft = {"divide_into_folds", "join_predictions", "find_label_errors", "show_label_errors"}
    assert set(run.jobs) == {*(f"{rule} soft" for rule in of_soft), "train_fold soft 0", "train_fold soft 1"}
    out_of_fold = pl.read_parquet(project.results / "evaluation" / "soft" / "out_of_fold.parquet")
    keys = pl.read_parquet(project.results / "datasets" / "soft" / "pictures.parquet")["key"].sort()
    assert out_of_fold["key"].equals(keys) and set(out_of_fold["fold"]) == {0, 1}
    assert "may be wrong" in (project.results / "reports" / "models" / "soft" / "label_errors.html").read_text()

    def planned_after(decision: str, label: str) -> str:
        header = "key\tdecision\twho\twhen\tclassifier\tlabel"
        row = f"{keys[0]}\t{decision}\tAda\t2026-01-31\tsoft\t{label}"
        (project.folder / "config" / "decisions.tsv").write_text(f"{header}\n{row}\n")
        return project.run("-n", "label_errors").output

    assert "'soft' has the classes clean, blurred; given: 'dark'" in planned_after("relabel", "dark")
    planned = planned_after("keep", "")
    assert "find_label_errors" in planned and "select_pictures" not in planned and "train_fold" not in planned
    assert "select_pictures" in planned_after("relabel", "blurred")
    (project.folder / "config" / "decisions.tsv").unlink()

    project.settings["classifiers"]["soft"]["training"] = {"epochs": 31}
    planned = project.run("-n", "blurred", "soft").output
    assert (
        "train_classifier" in planned
        and "embed_dataset" not in planned
        and "degrade_frames" not in planned
        and "select_pictures" not in planned
    )
