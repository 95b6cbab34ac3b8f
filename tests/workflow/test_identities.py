"""Identities in a real run: references, clusters and noise, decisions that cluster nothing again, and no adult source."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.images import write_image
from tessera.pipeline.demo.photographs import photograph
from tessera.records.tables.identities import Identities
from tessera.records.tables.table import read_table

pytestmark = pytest.mark.workflow
SIDE = 64  # pixels of a crop
# The photographs in the order of the crops.
SHOWN = ["astronaut", "chelsea", "coffee"] * 3 + ["rocket", "retina"]
HEADER = "target\taction\tto\tby\tdate\tnote\n"


def picture(name: str, number: int) -> np.ndarray:
    """Return the photograph `name` as a small square, uint8 (64, 64, 3), that differs a little with `number`."""
    photo = photograph(name)
    edge = min(photo.shape[:2]) - 8 * number
    return cv2.resize(photo[:edge, :edge], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def add_source(project: Project, name: str, first: int) -> dict[str, str]:
    """Write a folder of one picture, of all `SHOWN` side by side, and the labels that crop them; return its row."""
    tiles = [picture(photo, number) for number, photo in enumerate(SHOWN, first)]
    (project.folder / name).mkdir()
    write_image(project.folder / name / "0.png", np.concatenate(tiles, axis=1))
    (project.folder / "labels" / name).mkdir(parents=True)
    shapes = [
        {"label": "person", "shape_type": "rectangle", "points": [[x, 0], [x + SIDE, SIDE]], "group_id": None, "flags": {}}
        for x in range(0, SIDE * len(SHOWN), SIDE)
    ]
    document = {"shapes": shapes, "imageWidth": SIDE * len(SHOWN), "imageHeight": SIDE, "imagePath": "0.png", "flags": {}}
    (project.folder / "labels" / name / f"{name}-0000000.json").write_text(json.dumps(document))
    return {"source": name, "path": name}


def write_layout_model(path: Path) -> dict[str, str]:
    """Write an ONNX model whose output is a picture of 4 by 4 pixels less its mean; return the settings that declare it."""
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["input"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Flatten", ["small"], ["flat"]),
            helper.make_node("ReduceMean", ["flat", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["flat", "mean"], ["layout"]),
        ],
        "layout",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("layout", TensorProto.FLOAT, ["batch", 48])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return {"source": path.name, "sha256": sha256_file(path)}


def test_people_name_clusters_without_clustering_again_and_adult_sources_are_never_identified(project: Project) -> None:
    adult = {"content": "adult", "consent": "release 1", "adults_verified": "yes"}
    project.write_manifest([add_source(project, "one", 0), {**add_source(project, "two", 1), **adult}])
    (project.folder / "references" / "Ada" / "orange suit").mkdir(parents=True)
    write_image(project.folder / "references" / "Ada" / "orange suit" / "1.png", picture("astronaut", 5))
    (project.folder / "config" / "names.tsv").write_text(HEADER)
    project.settings = {
        "frames": {"format": "png"},
        "annotations": {"classes": ["nsfw", "person"], "frame_labels": "labels"},
        "crops": {"steps": [{"name": "person", "annotations": True, "labels": ["person"], "min_side": 40}]},
        "embeddings": {
            "look": {
                "kind": "onnx",
                "weights": write_layout_model(project.folder / "look.onnx"),
                "preprocessing": {"size": 16},
                "crops": ["person"],
            }
        },
        "identities": {
            "embedding": "look",
            "step": "person",
            "references": {"folder": "references", "similarity": 0.9},
            "clusters": {"dense": 0.9, "same": 0.85, "members": 3},
            "decisions": "config/names.tsv",
        },
        "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
        "scenes": {"detect": {"weights": None}},
        "gates": {"identities": 0.9},
    }
    run = project.run("identities")
    assert run.returncode == 0, run.output
    table = project.results / "identities" / "identities.parquet"
    found = read_table(table, Identities).sort("key")
    assert found["source"].unique().to_list() == ["one"]
    number = found["key"].str.split("-").list.last().cast(pl.Int64)
    shown = {int(own): row for own, row in zip(number, found.to_dicts(), strict=True)}
    names = {photo: {shown[place]["identity"] for place, own in enumerate(SHOWN) if own == photo} for photo in SHOWN}
    assert names["astronaut"] == {"Ada"}
    assert {shown[place]["appearance"] for place in (0, 3, 6)} == {"orange suit"}
    assert names["rocket"] == names["retina"] == {""}
    (cat,), (cup,) = names["chelsea"], names["coffee"]
    assert cat.startswith("cluster_")
    assert cup.startswith("cluster_")
    assert cat != cup
    ledger = read_ledger(project.results / "identities" / "ledger.jsonl")
    assert {row["reason"] for row in ledger if row["key"].startswith("two-")} == {"adult source"}

    with (project.folder / "config" / "names.tsv").open("a") as names_given:
        names_given.write(f"{cat}\trename\tChelsea\tBo\t2026-01-31\t\n{cup}\treject\t\tBo\t2026-01-31\tno person\n")
    run = project.run("identities")
    assert run.returncode == 0, run.output
    assert sorted(job for job in run.jobs if job != "identities") == ["decide_identities", "show_identities"]
    assert dict(read_table(table, Identities)["identity"].value_counts().iter_rows()) == {"Ada": 3, "Chelsea": 3, "": 5}
    sheets = project.results / "reports" / "identities" / "sheets"
    assert {"Ada.jpg", "Chelsea.jpg"} < {path.name for path in sheets.iterdir()}
    assert "Chelsea" in (sheets.parent / "identities.html").read_text()

    project.settings["identities"]["sources"] = ["two"]
    run = project.run("identities", "--dry-run")
    assert run.returncode == 1
    assert "`identities.sources` names 'two', an adult source" in run.output
