"""Libraries send no reports and store no identifiers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from pathlib import Path

from tessera.learning.detection.offline import offline

offline(Path(sys.argv[1]))
assert not {"matplotlib", "torchvision"} & set(sys.modules)  # their imports take seconds
import numpy
import onnxruntime
from onnx import TensorProto, helper

ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "graph", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
session.run(None, {"a": numpy.ones(1, numpy.float32)})
"""


@pytest.mark.slow
def test_onnx_runtime_leaves_no_identifier_and_queues_no_reports(tmp_path: Path) -> None:
    settings, home = tmp_path / "settings", tmp_path / "home"
    home.mkdir()
    places = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")} | {"MPLCONFIGDIR": str(tmp_path)}
    # It reports nothing if it detects a test.
    left_out = {"CI", "ORT_DISABLE_TELEMETRY"}
    environment = {**{name: value for name, value in os.environ.items() if name not in left_out}, **places}
    subprocess.run([sys.executable, "-c", CODE, str(settings)], check=True, env=environment)
    assert not list(home.rglob("*"))
