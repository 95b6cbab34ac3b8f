"""A network and a head in a real run: they are published and used, and only what changed is made again.

Each row on classifiers in docs/reruns.md is tried: the change is made to the finished project, and Snakemake is asked what it
would run.
"""

import json
import shutil
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import onnx
import polars as pl
import pytest
from baseline import Baseline, Change, digests, rerun_jobs, setting, table_of_reruns
from onnx import TensorProto, helper
from projects import Project, Run

from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.images import write_image

pytestmark = pytest.mark.workflow
TABLE = table_of_reruns("change of classifiers")
NAMES = ("blurred", "soft")
PAGES = [f"results/reports/models/{name}/{page}" for name in NAMES for page in ("metrics.html", "curves.html", "examples.html")]
FRAMES = "results/scores/frames/shard-0/blurred.parquet"
TARGETS = (*NAMES, "search", "label_errors", "score", FRAMES, *PAGES)
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


def write_labelled_pictures(folder: Path) -> None:
    """Write ten pictures of each class to a folder per class. One of them is a frame of `s0`."""
    for number in range(10):
        for label in ("clean", "blurred"):
            (folder / label).mkdir(parents=True, exist_ok=True)
            picture = draw(0 if (number, label) == (0, "clean") else 1000 + number)
            write_image(
                folder / label / f"{number}.png", cv2.GaussianBlur(picture, (13, 13), 3) if label == "blurred" else picture
            )


def levels(side: int) -> list[dict[str, object]]:
    """Return two levels of degraded copies: clean ones, and ones blurred by a kernel of `side` pixels."""
    blur = {"blur": {"probability": 1, "sizes": [side], "sigma": [3, 3], "kernels": {"isotropic": 1}}}
    return [{"label": "clean"}, {"label": "blurred", "steps": [blur]}]


def begin(project: Project) -> list[dict[str, str]]:
    """Fill `project` with nine sources of two pictures and a set of labelled ones; return the rows of its manifest.

    Two classifiers tell blurred copies of the frames from clean ones: a network, which also learns from the set, and a head.
    """
    rows = []
    for number in range(9):
        folder = project.folder / "footage" / str(number)
        folder.mkdir(parents=True)
        for index in range(2):
            write_image(folder / f"{index}.png", draw(10 * number + index))
        split = "val" if number % 3 == 0 else "train"
        rows.append({"source": f"s{number}", "path": f"footage/{number}", "split": split})
    project.write_manifest(rows)
    write_labelled_pictures(project.folder / "labelled")
    edges = write_edges(project.folder / "edges.onnx")
    training = {"epochs": 30, "batch": 8, "learning_rate": 0.005, "patience": 0}
    classifier = {"labels": ["clean", "blurred"], "training": training}
    degraded = {"levels": levels(13)}
    project.settings = {
        "shards": 1,
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
        "annotations": {
            "image_labels": [{"name": "own", "path": "labelled", "content": "general", "rights": "CC0", "split_by": "image"}]
        },
        "embeddings": {
            "edges": {
                "kind": "onnx",
                "weights": {"source": "edges.onnx", "sha256": sha256_file(edges)},
                "preprocessing": {"size": SIDE, "resize": "stretch"},
                "normalise": False,
            },
        },
        "classifiers": {
            "blurred": {
                **deepcopy(classifier),
                "pictures": {"degraded": deepcopy(degraded), "sets": ["own"]},
                "architecture": "test_resnet",
                "image_size": 32,
            },
            "soft": {
                **deepcopy(classifier),
                "pictures": {"degraded": deepcopy(degraded)},
                "architecture": "head",
                "embedding": "edges",
                "hidden": 16,
                "export": {"city": True},
                "label_errors": {"folds": 2, "embedding": "edges"},
            },
        },
        "search": {"size": {"model": "soft", "trials": 2, "space": {"hidden": [4, 8], "training.epochs": [2]}}},
        "score": {"model": "soft", "folder": "footage", "place": "link"},
    }
    return rows


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    project = Project.create(tmp_path_factory.mktemp("classifiers") / "project")
    return Baseline(project, begin(project), project.snakefile, TARGETS)


@pytest.fixture
def project(baseline: Baseline, finished: Run) -> Project:
    """The finished project, which a test must leave as it was."""
    return baseline.project


def another_picture(baseline: Baseline, stack: ExitStack) -> None:
    path = baseline.project.folder / "labelled" / "clean" / "another.png"
    stack.callback(path.unlink)
    write_image(path, draw(2000))


def another_file(baseline: Baseline, stack: ExitStack) -> None:
    path = baseline.project.folder / "footage" / "notes.txt"
    stack.callback(path.unlink)
    path.write_text("new")


def decision(kind: str, label: str = "") -> Change:
    """Return a change that adds a decision on a picture of `soft`."""

    def make(baseline: Baseline, stack: ExitStack) -> None:
        key = pl.read_parquet(baseline.project.results / "datasets" / "soft" / "pictures.parquet")["key"].min()
        table = baseline.project.folder / "config" / "decisions.tsv"
        stack.callback(table.unlink)
        table.write_text(f"key\tdecision\twho\twhen\tclassifier\tlabel\n{key}\t{kind}\tAda\t2026-01-31\tsoft\t{label}\n")

    return make


CHANGES: dict[str, Change] = {
    "nothing": lambda baseline, stack: None,
    "a level of the degraded copies": setting("classifiers.blurred.pictures.degraded.levels", levels(11)),
    "a picture of a label set": another_picture,
    "a decision to relabel a picture": decision("relabel", "blurred"),
    "a decision to keep a label": decision("keep"),
    "a training argument": setting("classifiers.soft.training.epochs", 31),
    "the preprocessing of an embedding": setting("embeddings.edges.preprocessing.resize", "crop"),
    "the opset of ONNX": setting("classifiers.blurred.export", {"opset": 18}),
    "the tolerance of the exports": setting("classifiers.blurred.tolerance", {"pictures": 4}),
    "the tiling": setting("classifiers.blurred.tiling", {"tile": 40}),
    "what counts as a label error": setting("classifiers.soft.label_errors.outlier", 3),
    "the trials of a search": setting("search.size.trials", 3),
    "a file in the folder that is scored": another_file,
    "the brackets of the scores": setting("score.brackets", [0, 0.5, 1]),
    "which pictures are blurred": setting("report.blur", "all"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reruns_exactly_what_the_documentation_says(change: str, baseline: Baseline, finished: Run) -> None:
    assert baseline.planned_after(CHANGES[change]) == rerun_jobs(TABLE[change], finished)


def test_every_row_of_the_documentation_is_tried() -> None:
    assert set(CHANGES) == set(TABLE)


def test_classifiers_are_published_with_their_cards(project: Project) -> None:
    of_soft = {"-city.safetensors", "-city.config.json"}
    for name, further in (("blurred", set()), ("soft", of_soft)):
        published = project.results / "weights" / name
        files = {f"{name}{suffix}" for suffix in {".safetensors", ".onnx", *further}}
        assert {path.name for path in published.iterdir()} == {*files, "card.json", "card.md", "SHA256SUMS"}
        card = json.loads((published / "card.json").read_text())
        assert card["metrics"]["splits"]["val"]["accuracy"] > 0.9
        assert ("embeddings.edges" in card["training"]["settings"]) == (name == "soft")
        assert set(card["export"]["differences"]) == files - {f"{name}-city.config.json"}
    assert json.loads((project.results / "weights" / "soft" / "soft-city.config.json").read_text())["name"] == "soft-city"
    search = project.results / "search" / "soft" / "size"
    assert {path.name for path in search.iterdir()} >= {"trials.parquet", "best.yaml", "search.html"}
    assert len((search / "trials.tsv").read_text().splitlines()) == 3


def test_copies_and_labelled_pictures_of_a_source_have_its_split(project: Project) -> None:
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


def test_the_pictures_of_a_folder_are_scored_and_linked_by_bracket(project: Project) -> None:
    table = pl.read_csv(project.results / "scores" / "folder" / "scores.tsv", separator="\t")
    assert table["path"].to_list() == [f"{number}/{index}.png" for number in range(9) for index in range(2)]
    assert (table["label"] == "clean").mean() > 0.9
    link = project.results / "scores" / "folder" / "brackets" / "clean" / "0.8-1" / table["path"][0]
    assert link.is_symlink() and link.samefile(project.folder / "footage" / table["path"][0])


def test_labels_are_checked_by_classifiers_of_other_folds_only_if_that_is_asked_for(
    baseline: Baseline, project: Project
) -> None:
    out_of_fold = pl.read_parquet(project.results / "evaluation" / "soft" / "out_of_fold.parquet")
    keys = pl.read_parquet(project.results / "datasets" / "soft" / "pictures.parquet")["key"].sort()
    assert out_of_fold["key"].equals(keys) and set(out_of_fold["fold"]) == {0, 1}
    assert "may be wrong" in (project.results / "reports" / "models" / "soft" / "label_errors.html").read_text()
    with baseline.set("classifiers.soft.label_errors", {"folds": 3, "embedding": "edges"}):
        checking = {"divide_into_folds", "train_fold", "join_predictions", "find_label_errors", "show_label_errors"}
        assert baseline.planned("label_errors").keys() == checking
        assert not baseline.planned("soft").keys() & checking


def test_a_classifier_cannot_have_the_name_of_a_target(baseline: Baseline, project: Project) -> None:
    with baseline.set("classifiers.frames", project.settings["classifiers"]["blurred"]):
        run = project.run("-n", "frames")
    assert run.returncode == 1 and "`classifiers.frames`: there is a target or a rule of this name" in run.output


def test_a_decision_for_a_class_that_a_classifier_does_not_have_stops_a_run(baseline: Baseline, project: Project) -> None:
    with ExitStack() as stack:
        decision("relabel", "dark")(baseline, stack)
        run = project.run("--dry-run", "soft")
    assert run.returncode != 0 and "'soft' has the classes clean, blurred; given: 'dark'" in run.output


def test_a_head_and_what_it_says_have_the_same_bytes_for_other_shards(project: Project, tmp_path: Path) -> None:
    made = ["datasets/soft", "weights/soft", "training/soft/results.csv", "scores/folder/scores.parquet"]
    made += [f"evaluation/soft/{table}.parquet" for table in ("predictions", "out_of_fold")]
    shutil.copytree(project.folder, tmp_path / "project", ignore=shutil.ignore_patterns("results"))
    other = Project(tmp_path / "project", {**project.settings, "shards": 3})
    run = other.run(*(f"results/{path}" for path in ("weights/soft/SHA256SUMS", *made[-3:])))
    assert run.returncode == 0, run.output
    expected = digests(project, made)
    assert {"weights/soft/soft-city.safetensors", *made[2:]} <= expected.keys()
    assert digests(other, made) == expected
