"""Weights of others that cannot be measured are named, and a split in which nothing can be measured is stated."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fixed_detector import write_detector
from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.pages.report.detectors import tabulate_comparison
from tessera.stages.detectors.compare import compare_detectors
from tessera.stages.detectors.measure import Contender, measure_detectors
from tessera.stages.detectors.settings import ComparedDetector, DetectorSettings
from yolo_dataset import checksum, make_dataset, split_each_image

pytestmark = pytest.mark.slow
SETTINGS = DetectorSettings(architecture="yolo11n.yaml", training={"imgsz": 32})
OUTPUTS = ("objects.parquet", "detections.parquet", "report.json", "speed.json")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("measured") / "dataset")


def write_model(path: Path, size: tuple[int, int], output: tuple[int, ...], score: float = 0, **stated: Any) -> Path:
    """Write an ONNX model for one image of `size`, height and width, that returns `score` everywhere in its `output`."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["values"], ["output0"])],
        "constant",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.full(output, score, np.float32), "values")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    known = {"names": {0: "nsfw"}, "task": "detect", "stride": 32, "imgsz": list(size), "batch": 1, **stated}
    helper.set_model_props(model, {name: str(value) for name, value in known.items()})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("size", "output", "stated", "fault"),
    [
        ((32, 64), (1, 5, 10), {}, r"cannot be measured on images of 64 by 64 pixels .*Got: 64 Expected: 32"),
        ((48, 48), (1, 5, 10), {}, r"cannot be measured on images of 64 by 64 pixels .*Got: 64 Expected: 48"),
        ((64, 64), (1, 84, 10), {"score": 0.9}, "cannot be measured on images of 64 by 64 pixels"),
        ((64, 64), (1, 37, 10), {"task": "segment"}, "cannot be measured on images of 64 by 64 pixels"),
        ((64, 64), (1, 5, 10), {"task": "classify"}, "is for the task 'classify'"),
        ((64, 64), (1, 5, 10), {"imgsz": [10**6, 10**6]}, "is for images of 1000000 pixels"),
        ((64, 64), (1, 5, 10), {"imgsz": [-1, -1]}, "is for images of -1 pixels"),
        ((64, 64), (1, 5, 10), {"names": "anything"}, "is no detector"),
    ],
    ids=["oblong", "not a multiple", "more classes", "no masks", "no detector", "large", "negative", "without names"],
)
def test_a_model_that_cannot_be_measured_is_named(
    size: tuple[int, int], output: tuple[int, ...], stated: dict[str, Any], fault: str, dataset: Path, tmp_path: Path
) -> None:
    theirs = write_model(tmp_path / "theirs.onnx", size, output, **stated)
    mine = write_detector(tmp_path / "mine.onnx", ("nsfw",), 32)
    contenders = [Contender("mine", mine), Contender("theirs", theirs)]
    with pytest.raises(TesseraError, match=rf"^theirs: .*theirs\.onnx {fault}.*; declare"):
        measure_detectors(dataset, contenders, ["val"], SETTINGS, tmp_path / "runs", threads=1)


def test_the_first_figure_of_a_detector_is_told(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    mine = Contender("mine", write_detector(tmp_path / "mine.onnx", ("nsfw",), 32))
    measured = measure_detectors(dataset, [mine], ["val"], SETTINGS, tmp_path / "runs", threads=1)["val"]["mine"]
    assert f"mine, val: mAP50 box {measured.metrics.box.map50:.3f}; " in terminal.getvalue()


def compare(dataset: Path, folder: Path, sha256: str = "") -> None:
    mine, theirs = (write_detector(folder / f"{name}.onnx", ("nsfw",), size) for name, size in (("mine", 32), ("theirs", 64)))
    compared = [ComparedDetector(name="theirs", source="theirs.onnx", sha256=sha256 or sha256_file(theirs))]
    splits = split_each_image(dataset, folder / "splits.parquet")
    outputs = [folder / name for name in OUTPUTS]
    compare_detectors("mine", dataset, splits, mine, compared, [theirs], *outputs, SETTINGS, seed=0, threads=1)


def test_a_file_that_is_not_the_declared_one_is_not_loaded(dataset: Path, tmp_path: Path) -> None:
    declared = "0123456789abcdef" * 3 + "fedcba9876543210"
    with pytest.raises(TesseraError, match=rf"theirs\.onnx: its sha256 is \w+, but {declared} is expected"):
        compare(dataset, tmp_path, declared)


def test_a_split_without_a_region_is_stated_on_the_page(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "dataset")
    for kind in ("images", "labels"):
        (copy / kind / "test").mkdir()
    shutil.copy(copy / "images/val/disc-val-0000003.png", copy / "images/test/disc-test-0000000.png")
    (copy / "labels/test/disc-test-0000000.txt").write_text("")
    (copy / "dataset.yaml").write_text("train: images/train\nval: images/val\ntest: images/test\nnames:\n  0: nsfw\n")
    checksum(copy)
    compare(copy, tmp_path)
    tabulate_comparison(tmp_path / "report.json", tmp_path / "speed.json", tmp_path / "page.html")
    val, test = (tmp_path / "page.html").read_text().split("<h2>Test split</h2>")
    assert "By boxes" in val and "shows a region" not in val
    assert "None of the images shows a region" in test and "too few sources for an interval (1)" in test
