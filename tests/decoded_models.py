"""Networks with the inputs and outputs of published models, which see plain colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

Shapes = dict[str, list[int | str]]


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    outputs: Shapes,
    example: int | str,
    tensors: Sequence[onnx.TensorProto] = (),
    **constants: float,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "decoded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [example, 3, example, example])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [*tensors, *(helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in constants.items())],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


def write_centerface(path: Path, side: float = 1 / 32, points: Sequence[tuple[float, float]] = ()) -> Path:
    """Write a network with the outputs of CenterFace, which states the size of its example, and return its path.

    The mean red of 4 by 4 pixels is how likely they are the centre of a face. The mean green and blue, times `side`, are the
    logarithms of its height and width in cells. `points`: x and y of its five landmarks, as fractions of its width and height;
    without them, each is at the mean blue and green.
    """
    places = [coordinate for x, y in points for coordinate in (y, x)] or [0.0] * 10
    nodes = [
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Split", ["pooled"], ["red", "green", "blue"], axis=1),
        helper.make_node("Mul", ["red", "likely"], ["537"]),
        helper.make_node("Concat", ["green", "blue"], ["both"], axis=1),
        helper.make_node("Mul", ["both", "side"], ["538"]),
        helper.make_node("Sub", ["both", "both"], ["539"]),
        helper.make_node("Concat", ["539" if points else "both"] * 5, ["marks"], axis=1),
        helper.make_node("Add", ["marks", "places"], ["540"]),
    ]
    channels = {"537": 1, "538": 2, "539": 2, "540": 10}
    outputs: Shapes = {name: [1, count, 8, 8] for name, count in channels.items()}
    marks = helper.make_tensor("places", TensorProto.FLOAT, [1, 10, 1, 1], places)
    return _save(path, nodes, outputs, 32, [marks], likely=1 / 255, side=side)


def write_s3fd(path: Path, *, softmax: bool, side: float = 1 / 32) -> Path:
    """Write a network with the outputs of S3FD, which states the size of its example, and return its path.

    The mean blue of a cell in its input, over 128, is how likely it holds a face; without `softmax`, half the logit of that.
    The mean green, times `side`, is dx and dy, and the mean red is both logarithms. The last three maps exceed the picture.
    """
    nodes, outputs, source = [], Shapes(), "x"
    pools = [(4, 4, 0), (2, 2, 0), (2, 2, 0), (8, 2, 7), (3, 2, 1), (3, 2, 1)]
    for (kernel, stride, pad), length in zip(pools, (8, 4, 2, 5, 3, 2), strict=True):
        options = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "count_include_pad": 1}
        blue, green, red, face, rest, same = (f"{source}_{name}" for name in ("blue", "green", "red", "face", "rest", "same"))
        scores, differences = f"cls_{source}", f"reg_{source}"
        nodes += [
            helper.make_node("AveragePool", [source], [f"{source}_"], **options),
            helper.make_node("Split", [f"{source}_"], [blue, green, red], axis=1),
            helper.make_node("Mul", [blue, "likely"], [face]),
            helper.make_node("Sub", ["total", face], [rest]),
            helper.make_node("Concat", [rest, face], [scores], axis=1),
            helper.make_node("Concat", [green, green, red, red], [same], axis=1),
            helper.make_node("Mul", [same, "side"], [differences]),
        ]
        outputs |= {scores: [1, 2, length, length], differences: [1, 4, length, length]}
        source += "_"
    return _save(path, nodes, outputs, 32, likely=1 / 128, total=float(softmax), side=side)


def write_text_detector(path: Path) -> Path:
    """Write a network with the output of a detector of text: the blue of a pixel is how likely it is one. Return its path."""
    nodes = [
        helper.make_node("Split", ["x"], ["blue", "green", "red"], axis=1),
        helper.make_node("Add", ["blue", "one"], ["positive"]),
        helper.make_node("Mul", ["positive", "half"], ["map"]),
    ]
    return _save(path, nodes, {"map": ["n", 1, "h", "w"]}, "any", one=1.0, half=0.5)


def write_open_nsfw(path: Path, channels: int = 2) -> Path:
    """Write a network with the input and the output of Open-NSFW, and return its path.

    Its outputs are the logistic functions of the means of blue and of green, over 16.
    """
    nodes = [
        helper.make_node("ReduceMean", ["input:0"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Split", ["means"], ["chosen", "rest"], axis=1, split=[channels, 3 - channels]),
        helper.make_node("Mul", ["chosen", "factor"], ["scaled"]),
        helper.make_node("Sigmoid", ["scaled"], ["outputs"]),
    ]
    graph = helper.make_graph(
        nodes,
        "open_nsfw",
        [helper.make_tensor_value_info("input:0", TensorProto.FLOAT, ["n", 224, 224, 3])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["n", channels])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [1], [1 / 16])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


def write_landmark_model(path: Path, landmarks: np.ndarray) -> Path:
    """Write an ONNX model that takes each face for one with `landmarks`, (68, 2), fractions of its input; return the path."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Sub", ["mean", "mean"], ["zero"]),
        helper.make_node("Squeeze", ["zero"], ["flat"], axes=[3]),
        helper.make_node("Add", ["flat", "landmarks"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "landmarks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 256, 256])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 68, 2])],
        [helper.make_tensor("landmarks", TensorProto.FLOAT, [1, 68, 2], landmarks.ravel())],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


def write_mask_model(
    path: Path, weights: Sequence[Sequence[float]], side: int = 64, *, channels_last: bool = False, argmax: bool = False
) -> Path:
    """Write an ONNX model whose outputs are sums of the channels of each pixel, and return the path.

    `weights`: those of the three channels, for each output. `argmax`: whether the number of the largest output is returned.
    """
    shape: list[str | int] = ["n", side, side, 3] if channels_last else ["n", 3, side, side]
    count = len(weights)
    nodes = [helper.make_node("Transpose", ["x"], ["given"], perm=[0, 3, 1, 2] if channels_last else [0, 1, 2, 3])]
    nodes.append(helper.make_node("Conv", ["given", "weights"], ["sums"]))
    nodes.append(helper.make_node("Transpose", ["sums"], ["out"], perm=[0, 2, 3, 1] if channels_last else [0, 1, 2, 3]))
    out: list[str | int] = ["n", side, side, count] if channels_last else ["n", count, side, side]
    kind = TensorProto.FLOAT
    if argmax:
        nodes[-1] = helper.make_node("ArgMax", ["sums"], ["out"], axis=1, keepdims=0)
        out, kind = ["n", side, side], TensorProto.INT64
    graph = helper.make_graph(
        nodes,
        "masks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", kind, out)],
        [helper.make_tensor("weights", TensorProto.FLOAT, [count, 3, 1, 1], np.ravel(weights))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


def write_embedder(path: Path) -> Path:
    """Write a network whose vector of a picture is the mean of each channel of its input, and return its path."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["vector"], axes=[2, 3], keepdims=0)]
    return _save(path, nodes, {"vector": ["n", 3]}, "n")


def without_memory(path: Path) -> Path:
    """Let the network in `path` need more memory than any machine has, for any input, and return its path."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.input[:] = ["fed" if name == "x" else name for name in node.input]
    before = [
        helper.make_node("Shape", ["x"], ["sides"]),
        helper.make_node("Mul", ["sides", "factors"], ["absurd"]),
        helper.make_node("ConstantOfShape", ["absurd"], ["zeros"]),
        helper.make_node("ReduceMean", ["zeros"], ["zero"], keepdims=1),
        helper.make_node("Add", ["x", "zero"], ["fed"]),
        *model.graph.node,
    ]
    del model.graph.node[:]
    model.graph.node.extend(before)
    model.graph.initializer.append(helper.make_tensor("factors", TensorProto.INT64, [4], [1, 1000, 10_000, 10_000]))
    onnx.save(model, path)
    return path
