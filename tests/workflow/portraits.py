"""Pictures of portraits side by side, with labels that crop them, and small models that look at the crops."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper
from projects import Project

from tessera.core.provenance import sha256_file
from tessera.demo.photographs import photograph
from tessera.imaging.images import write_image
from tessera.records.frame_keys import picture_key

SIDE = 64  # pixels of a crop
# The photographs in the order of the crops.
SHOWN = ("astronaut", "chelsea", "coffee") * 3 + ("rocket", "retina")
HEADER = "target\taction\tto\tby\tdate\tnote\n"  # of the table of decisions about identities
ANNOTATIONS = {"classes": ["nsfw", "person"], "frame_labels": "labels"}
CROPS = {"steps": [{"name": "person", "annotations": True, "labels": ["person"], "min_side": 40}]}
NO_MODELS = {
    "models": {"nsfw_detection": None, "watermark_detection": None, "mosaic_detection": None},
    "scenes": {"detect": {"weights": None}},
}


def portrait(name: str, number: int) -> np.ndarray:
    """Return the photograph `name` as a small square, uint8 (64, 64, 3), that differs a little with `number`."""
    photo = photograph(name)
    edge = min(photo.shape[:2]) - 8 * number
    return cv2.resize(photo[:edge, :edge], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def add_portraits(project: Project, source: str, shown: Sequence[str], first: int) -> dict[str, str]:
    """Write a folder of one picture, of the photographs `shown` side by side, and the labels that crop them; return its row.

    The photographs are numbered from `first`.
    """
    (project.folder / source).mkdir()
    tiles = [portrait(name, number) for number, name in enumerate(shown, first)]
    write_image(project.folder / source / "0.png", np.concatenate(tiles, axis=1))
    write_persons(project, source, [(x, 0, x + SIDE, SIDE) for x in range(0, SIDE * len(shown), SIDE)], SIDE * len(shown), SIDE)
    return {"source": source, "path": source}


def write_persons(project: Project, source: str, boxes: Sequence[tuple[int, int, int, int]], width: int, height: int) -> None:
    """Write labels of persons in the `boxes` of the only picture of `source`, which has `width` by `height` pixels."""
    (project.folder / "labels" / source).mkdir(parents=True)
    shapes = [
        {"label": "person", "shape_type": "rectangle", "points": [[x0, y0], [x1, y1]], "group_id": None, "flags": {}}
        for x0, y0, x1, y1 in boxes
    ]
    document = {"shapes": shapes, "imageWidth": width, "imageHeight": height, "imagePath": "0.png", "flags": {}}
    key = picture_key(source, "0.png", sha256_file(project.folder / source / "0.png"))
    (project.folder / "labels" / source / f"{key}.json").write_text(json.dumps(document))


def begin(project: Project) -> None:
    """Fill `project` with what identifies the crops of its sources: a reference picture, a model, and no decisions yet."""
    (project.folder / "references" / "Ada" / "orange suit").mkdir(parents=True)
    write_image(project.folder / "references" / "Ada" / "orange suit" / "1.png", portrait("astronaut", 5))
    (project.folder / "config" / "names.tsv").write_text(HEADER)
    project.settings = {
        "frames": {"format": "png"},
        "annotations": ANNOTATIONS,
        "crops": CROPS,
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
        **NO_MODELS,
        "gates": {"identities": 0.9},
    }


def write_layout_model(path: Path) -> dict[str, str]:
    """Write an ONNX model whose output is a picture of 4 by 4 pixels less its mean; return the settings that declare it."""
    nodes = [
        helper.make_node("AveragePool", ["input"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["flat", "mean"], ["output"]),
    ]
    return _write(path, nodes, ["batch", 3, 16, 16], 48, [helper.make_tensor("axes", TensorProto.INT64, [1], [1])])


def write_means(path: Path, shape: list[str | int], axes: list[int]) -> dict[str, str]:
    """Write an ONNX model whose output is the mean of each channel by 255; return the settings that declare it."""
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["sums"], keepdims=0),
        helper.make_node("Mul", ["sums", "factor"], ["output"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], axes),
        helper.make_tensor("factor", TensorProto.FLOAT, [], [1 / 255]),
    ]
    return _write(path, nodes, shape, 3, constants)


def write_tagger(folder: Path, side: int) -> dict[str, dict[str, str]]:
    """Write a model to `folder` that gives pictures the tags blue and green and the character red, with the list of its tags.

    Returns the settings that declare both. The score of a tag is the mean of the colour in a picture of `side` pixels.
    """
    tags = folder / "tags.csv"
    tags.write_text("tag_id,name,category\n1,blue,0\n2,green,0\n3,red,4\n")
    weights = write_means(folder / "tagger.onnx", ["batch", side, side, 3], [1, 2])
    return {"weights": weights, "tags": {"source": tags.name, "sha256": sha256_file(tags)}}


def _write(
    path: Path, nodes: list[onnx.NodeProto], shape: list[str | int], size: int, constants: list[TensorProto]
) -> dict[str, str]:
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)]
        for name, sides in (("input", shape), ("output", ["batch", size]))
    ]
    graph = helper.make_graph(nodes, path.stem, *values, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return {"source": path.name, "sha256": sha256_file(path)}
