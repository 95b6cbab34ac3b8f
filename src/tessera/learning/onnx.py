"""Run ONNX models without telemetry."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError


def disable_telemetry() -> None:
    """Keep ONNX Runtime from reporting to Microsoft, and from keeping an identifier of the device in the home folder.

    Call this before any other code imports it.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def open_model(path: Path | bytes, threads: int, *, gpu: bool = False) -> Any:
    """Return the `InferenceSession` of the ONNX model `path`, or of its content, on the CPU, with `threads` threads.

    If `gpu` is true, it is on the GPU, if there is one.
    """
    disable_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; its warnings are for the authors of a model, one line for each tensor
    preferred = ["CUDAExecutionProvider", "CPUExecutionProvider"] if gpu else ["CPUExecutionProvider"]
    providers = [name for name in preferred if name in onnxruntime.get_available_providers()]
    return onnxruntime.InferenceSession(path, options, providers=providers)


def load_model(path: Path, threads: int, fix: str) -> Any:
    """Return the same on the GPU, if there is one. Raises `TesseraError` if `path` is no such model; it ends with `fix`."""
    try:
        return open_model(path, threads, gpu=True)
    except Exception as error:  # the type depends on the kind of damage
        said = " ".join(str(error).split())[:300]
        raise TesseraError(f"{path}: not an ONNX model that can be loaded ({said}); {fix}") from error


def is_out_of_memory(error: Exception) -> bool:
    """Return whether PyTorch or ONNX Runtime raised `error` because there is not enough memory, mostly of a GPU."""
    return any(words in str(error) for words in ("out of memory", "Failed to allocate memory", "ALLOC_FAILED"))


def sides_of(tensors: Sequence[Any]) -> list[int | None]:
    """Return the sides of the only one of `tensors`, None for one of any size; none if it is not alone, or not of floats."""
    if len(tensors) != 1 or tensors[0].type != "tensor(float)":
        return []
    # A side of any size is a name or None.
    return [side if isinstance(side, int) else None for side in tensors[0].shape]


def run_pictures(session: Any, output: str, batch: np.ndarray) -> np.ndarray:
    """Return the `output` of `session` for the pictures `batch`, one by one if its only input takes one at a time."""
    (given,) = session.get_inputs()
    parts = [batch[index : index + 1] for index in range(len(batch))] if given.shape[0] == 1 else [batch]
    return np.concatenate([session.run([output], {given.name: part})[0] for part in parts])


def model_of_any_size(path: Path) -> Any:
    """Return the `ModelProto` in the file `path`, changed so that its inputs and outputs may have any size.

    Many convolutional models state the size of the example that they were exported with. Initial values are not among its
    inputs, where older programs list them, and those that no node uses are left out: ONNX Runtime warns of each of them.
    What a damaged file raises is not documented.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    initial = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in initial]
    used = [initial[name] for name in dict.fromkeys(name for node in graph.node for name in node.input) if name in initial]
    del graph.input[:], graph.initializer[:], graph.value_info[:]
    graph.input.extend(inputs)
    graph.initializer.extend(used)
    for tensor in [*graph.input, *graph.output]:
        for axis, side in enumerate(tensor.type.tensor_type.shape.dim):
            if axis != 1:  # the channels
                side.Clear()
    return model
