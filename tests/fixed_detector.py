"""Detectors whose inference costs nothing: one detects nothing, the other a box in images with a bright corner."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper


def write_detector(path: Path, names: Sequence[str], size: int = 64, *, sees_corner: bool = False) -> Path:
    """Write a detector of boxes of the classes `names` to the ONNX file `path`, and return it.

    Its output is one box of no confidence. If `sees_corner` is true, it is a box of 20 by 20 pixels around (32, 32), and its
    confidence is the red of the pixel at the upper left. The detector takes images of any size, and `size` is stated as that of
    its training.
    """
    constants = {"start": [0, 0, 0], "end": [1, 1, 1], "axes": [1, 2, 3], "shape": [0, 1, 1]}
    rows = 4 + len(names)
    box = {"centre": 32.0, "side": 20.0}
    nodes = [
        helper.make_node("Slice", ["images", "start", "end", "axes"], ["corner"]),
        helper.make_node("Reshape", ["corner", "shape"], ["number"]),
        helper.make_node("Sub", ["number", "number"], ["zero"]),
        *(helper.make_node("Add", ["zero", name], [f"{name}s"]) for name in box),
        helper.make_node(
            "Concat",
            ["centres"] * 2 + ["sides"] * 2 + ["number"] * len(names) if sees_corner else ["zero"] * rows,
            ["output0"],
            axis=1,
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "free",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", rows, 1])],
        [
            *(helper.make_tensor(name, TensorProto.INT64, [3], values) for name, values in constants.items()),
            *(helper.make_tensor(name, TensorProto.FLOAT, [1, 1, 1], [value]) for name, value in box.items()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    stated = {"names": dict(enumerate(names)), "task": "detect", "stride": 32, "imgsz": [size, size], "batch": 1}
    helper.set_model_props(model, {name: str(value) for name, value in {**stated, "args": {"dynamic": True}}.items()})
    onnx.save(model, path)
    return path
