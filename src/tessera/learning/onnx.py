"""Run ONNX models without telemetry."""

import os
from pathlib import Path
from typing import Any


def disable_telemetry() -> None:
    """Keep ONNX Runtime from reporting to Microsoft, and from keeping an identifier of the device in the home folder.

    Call this before any other code imports it.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def open_model(path: Path, threads: int, *, gpu: bool = False) -> Any:
    """Return the `InferenceSession` of the ONNX model `path` on the CPU, with `threads` threads.

    If `gpu` is true, it is on the GPU, if there is one.
    """
    disable_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    preferred = ["CUDAExecutionProvider", "CPUExecutionProvider"] if gpu else ["CPUExecutionProvider"]
    providers = [name for name in preferred if name in onnxruntime.get_available_providers()]
    return onnxruntime.InferenceSession(path, options, providers=providers)
