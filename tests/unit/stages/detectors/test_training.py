"""Training gives the same bytes with and without kills, and its weights are measured, exported and verified."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnxruntime import InferenceSession
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from fixed_detector import write_detector
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.imaging.images import write_image
from tessera.imaging.polygons import Part, outline, rasterize
from tessera.learning.detection.offline import offline
from tessera.learning.intervals import draws
from tessera.learning.trainings import RECORD, Record, Trainings
from tessera.learning.weights.declare import WeightsSettings
from tessera.pages.report.detectors import tabulate_comparison
from tessera.records.annotation.formats.yolo import write_yolo
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.tables import evaluation
from tessera.records.tables.table import read_table
from tessera.stages.detectors.cases import count_cases, estimate
from tessera.stages.detectors.compare import compare_detectors
from tessera.stages.detectors.dataset import check_dataset
from tessera.stages.detectors.evaluate import evaluate_detector
from tessera.stages.detectors.export import Detections, Differences, compare, export_detector, export_for_lada, verify_export
from tessera.stages.detectors.settings import ComparedDetector, DetectorSettings, ExportSettings, ToleranceSettings
from tessera.stages.detectors.train import train_detector
from yolo_dataset import checksum, make_dataset, split_each_image

pytestmark = pytest.mark.slow
EPOCHS = 4
# All random augmentations, gradients accumulated across epochs, and an end of mosaic augmentation.
TRAINING = {"epochs": EPOCHS, "imgsz": 32, "batch": 2, "nbs": 6, "close_mosaic": 2, "mixup": 0.5, "multi_scale": 0.5}
SETTINGS = DetectorSettings(architecture="yolo11n-seg.yaml", training=TRAINING)


@dataclass(frozen=True)
class Trained:
    """A dataset, and the folder of a training on it."""

    dataset: Path
    folder: Path


def train(dataset: Path, folder: Path, settings: DetectorSettings = SETTINGS, **others: Any) -> None:
    folder.mkdir(exist_ok=True)
    check_dataset(dataset, "segment", "", folder / "dataset.json", 1)
    weights = others.pop("weights", None)
    arguments = {"seed": 0, "threads": 1, "code": "", **others}
    files = [folder / name for name in ("best.pt", "results.csv", RECORD)]
    trainings = Trainings(folder / "runs")
    train_detector(dataset, folder / "dataset.json", weights, *files, trainings, settings, **arguments)


def run_of(folder: Path) -> Path:
    """Return the folder of the only training in `folder`."""
    (run,) = (folder / "runs").iterdir()
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    dataset = make_dataset(folder / "dataset")
    train(dataset, folder / "training")
    return Trained(dataset, folder / "training")


@pytest.fixture(scope="module")
def exported(trained: Trained) -> Trained:
    export_detector(trained.folder / "best.pt", trained.folder / "model.pt", trained.folder / "model.onnx", ExportSettings())
    return trained


def test_a_killed_training_ends_like_an_undisturbed_one_without_network_access(
    trained: Trained, tmp_path: Path, terminal: io.StringIO
) -> None:
    code = """
import sys
from pathlib import Path

def listen(event, arguments):
    if event == "socket.getaddrinfo" or event == "socket.connect" and not isinstance(arguments[1], (str, bytes)):
        print("network:", event, arguments[1], file=sys.stderr, flush=True)

sys.addaudithook(listen)
from test_training import train
train(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    command = [sys.executable, "-c", code, str(trained.dataset), str(tmp_path)]
    path = ":".join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
    # Once with mosaic augmentation, and once after its end.
    for epoch in (1, 3):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
        assert process.stderr is not None
        output = []
        for line in process.stderr:
            output.append(line)
            if line.startswith(f"epoch {epoch}/"):
                time.sleep(0.05)
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        assert process.returncode == -signal.SIGKILL, "".join(output)
        assert not [line for line in output if line.startswith("network:")]
    # A file that a kill during a write leaves.
    run = run_of(tmp_path)
    (run / "state.pt.partial").write_bytes(b"half")
    (run / "weights" / "last.pt").write_bytes(b"half")

    train(trained.dataset, tmp_path)
    lines = [line for line in terminal.getvalue().splitlines() if line.startswith(("resuming", "epoch"))]
    after = int(lines[0].removeprefix("resuming after epoch ").removesuffix(f" of {EPOCHS}"))
    assert 3 <= after < EPOCHS
    assert [line.split(":")[0] for line in lines[1:]] == [f"epoch {epoch}/{EPOCHS}" for epoch in range(after + 1, EPOCHS + 1)]
    for name in ("best.pt", "results.csv"):
        assert (tmp_path / name).read_bytes() == (trained.folder / name).read_bytes(), name


def test_a_training_in_bfloat16_is_one_on_a_cpu_too_and_goes_on_after_an_interruption(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DetectorSettings(architecture=SETTINGS.architecture, training={**TRAINING, "amp": "bf16"})
    train(trained.dataset, tmp_path / "undisturbed", settings)

    from tessera.stages.detectors.trainer import BoxTrainer  # only after `offline`, which `train` calls

    begin = BoxTrainer.begin_epoch

    def stop(trainer: BoxTrainer) -> None:
        if trainer.epoch == 2:
            raise KeyboardInterrupt
        begin(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(BoxTrainer, "begin_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train(trained.dataset, tmp_path / "stopped", settings)
    train(trained.dataset, tmp_path / "stopped", settings)
    for name in ("best.pt", "results.csv"):
        undisturbed = (tmp_path / "undisturbed" / name).read_bytes()
        assert (tmp_path / "stopped" / name).read_bytes() == undisturbed
        assert undisturbed != (trained.folder / name).read_bytes()


def test_a_full_disk_is_reported_and_leaves_no_incomplete_file(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def fill(path: Path, data: bytes) -> int:
        if "state" not in path.name:
            return write_bytes(path, data)
        write_bytes(path, data[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space left"):
        train(trained.dataset, tmp_path)
    assert not list(tmp_path.rglob("*.pt*"))


def test_curves_have_a_row_per_epoch(trained: Trained) -> None:
    header, *rows = (trained.folder / "results.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == [str(epoch + 1) for epoch in range(EPOCHS)]
    assert "time" not in header.split(",")


def test_tensorboard_finds_each_epoch(trained: Trained) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_of(trained.folder))).Reload()
    for tag in ("train/seg_loss", "metrics/mAP50(M)", "lr/pg0"):
        assert [event.step for event in events.Scalars(tag)] == list(range(1, EPOCHS + 1))


def test_weights_contain_neither_paths_nor_dates_nor_the_state_of_the_optimizer(trained: Trained) -> None:
    from ultralytics.nn.tasks import load_checkpoint

    content = (trained.folder / "best.pt").read_bytes()
    assert str(trained.folder).encode() not in content and str(trained.dataset).encode() not in content
    checkpoint = load_checkpoint(trained.folder / "best.pt")[1]
    assert not {"optimizer", "ema", "date", "git"} & set(checkpoint)
    assert checkpoint["train_args"] == {"task": "segment", "imgsz": 32, "single_cls": False}
    assert checkpoint["model"].names == {0: "nsfw"}


def test_training_does_not_change_the_dataset(trained: Trained) -> None:
    listed = {line.split("  ")[1] for line in (trained.dataset / "SHA256SUMS").read_text().splitlines()}
    found = {str(path.relative_to(trained.dataset)) for path in trained.dataset.rglob("*") if path.is_file()}
    assert found == {*listed, "SHA256SUMS"}


def test_a_finished_training_is_reused_after_settings_are_restored_or_a_version_changes(
    trained: Trained, tmp_path: Path, terminal: io.StringIO
) -> None:
    once = SETTINGS.model_copy(update={"training": {**TRAINING, "epochs": 1}})
    train(trained.dataset, tmp_path, once)
    weights, run = (tmp_path / "best.pt").read_bytes(), run_of(tmp_path)
    record = Record.model_validate_json((tmp_path / RECORD).read_text())
    assert record.identity.keys() == {"data", "settings", "weights", "seed", "code"}
    assert record.made_with[0].keys() == {"torch", "ultralytics", "python", "device"}

    train(trained.dataset, tmp_path, once, seed=1)
    assert f"another training than the last, which stays in {run}: it differs in seed\n" in terminal.getvalue()
    assert terminal.getvalue().count("epoch 1/1") == 2
    assert (tmp_path / "best.pt").read_bytes() != weights

    older = record.model_copy(update={"made_with": [{**record.made_with[0], "torch": "1.0"}]})
    (run / RECORD).write_text(older.model_dump_json())
    train(trained.dataset, tmp_path, once)
    assert f"{run} holds this training, finished" in terminal.getvalue() and terminal.getvalue().count("epoch 1/1") == 2
    assert (tmp_path / "best.pt").read_bytes() == weights
    assert Record.model_validate_json((tmp_path / RECORD).read_text()) == older


def test_a_training_killed_while_saving_its_last_epoch_is_not_repeated(
    trained: Trained, tmp_path: Path, terminal: io.StringIO
) -> None:
    shutil.copytree(trained.folder / "runs", tmp_path / "runs")
    record = run_of(tmp_path) / RECORD
    unfinished = Record.model_validate_json(record.read_text()).model_copy(update={"finished": False})
    record.write_text(unfinished.model_dump_json())
    train(trained.dataset, tmp_path)
    assert "epoch" not in terminal.getvalue()
    for name in ("best.pt", "results.csv", RECORD):
        assert (tmp_path / name).read_bytes() == (trained.folder / name).read_bytes(), name


def test_a_training_starts_from_declared_weights_and_from_no_others(
    trained: Trained, tmp_path: Path, terminal: io.StringIO
) -> None:
    declared = WeightsSettings(source="best.pt", sha256=sha256_file(trained.folder / "best.pt"))
    settings = SETTINGS.model_copy(update={"training": {**TRAINING, "epochs": 1, "lr0": 0.0, "optimizer": "SGD"}})
    settings = settings.model_copy(update={"weights": declared})
    train(trained.dataset, tmp_path, settings, weights=trained.folder / "best.pt")
    assert "100.0 % of the numbers of the model start with those of the weights" in terminal.getvalue()
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    start, end = (dict(load_checkpoint(path / "best.pt")[0].named_parameters()) for path in (trained.folder, tmp_path))
    assert all(torch.allclose(start[name], end[name], atol=1e-3) for name in start)
    with pytest.raises(TesseraError, match="its sha256 differs from the declared one"):
        train(trained.dataset, tmp_path, settings, weights=trained.folder / "results.csv")


def test_weights_of_another_architecture_are_refused_unless_much_of_it_fits(
    trained: Trained, tmp_path: Path, terminal: io.StringIO
) -> None:
    declared = WeightsSettings(source="best.pt", sha256=sha256_file(trained.folder / "best.pt"))
    once = {"weights": declared, "training": {**TRAINING, "epochs": 1}}
    message = r"do not fit the architecture yolo11s-seg.yaml: only 1\.\d % .*; set `architecture` to yolo11n-seg.yaml, or"
    with pytest.raises(TesseraError, match=message):
        larger = SETTINGS.model_copy(update={**once, "architecture": "yolo11s-seg.yaml"})
        train(trained.dataset, tmp_path / "larger", larger, weights=trained.folder / "best.pt")
    # The successor of the architecture has most of its layers.
    similar = SETTINGS.model_copy(update={**once, "architecture": "yolo26n-seg.yaml"})
    train(trained.dataset, tmp_path / "similar", similar, weights=trained.folder / "best.pt")
    assert "71.9 % of the numbers" in terminal.getvalue()


def test_code_in_a_file_of_weights_is_not_run(tmp_path: Path) -> None:
    offline()
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(TypeError, match="outside the supported"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("argument", "answer"),
    [({"box": 1e39, "epochs": 1}, "epoch 1: .* is not finite"), ({"lr0": 7.0}, "ultralytics rejects .*lr0")],
)
def test_a_training_that_cannot_succeed_is_refused(
    trained: Trained, tmp_path: Path, argument: dict[str, Any], answer: str
) -> None:
    with pytest.raises(TesseraError, match=answer):
        train(trained.dataset, tmp_path, SETTINGS.model_copy(update={"training": {**TRAINING, **argument}}))


def evaluate(trained: Trained, folder: Path) -> None:
    names = ("metrics.json", "curves", "objects.parquet", "detections.parquet")
    arguments = [trained.folder / "best.pt", trained.folder / "results.csv", *(folder / name for name in names)]
    splits = split_each_image(trained.dataset, folder / "splits.parquet")
    evaluate_detector("mine", trained.dataset, splits, *arguments, SETTINGS, seed=0, threads=1)


def test_metrics_have_the_counts_and_curves_are_drawn(trained: Trained, tmp_path: Path) -> None:
    evaluate(trained, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["task"], metrics["epochs"], list(metrics["splits"])) == ("segment", EPOCHS, ["val"])
    measured = metrics["splits"]["val"]
    assert (measured["images"], measured["objects"], measured["classes"]["nsfw"]["objects"]) == (4, 3, 3)
    for kind in ("box", "mask"):
        assert set(measured[kind]) == {"map50", "map50_95", "precision", "recall"}
        assert measured["classes"]["nsfw"][kind] == measured[kind]
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "curves").iterdir()}
    assert set(pictures) == {"losses.svg", "scores.svg", "precision_recall.svg", "confidence.svg"}
    assert str(tmp_path) not in (tmp_path / "metrics.json").read_text()


def test_each_object_is_found_by_the_most_confident_detection_that_covers_it(trained: Trained, tmp_path: Path) -> None:
    evaluate(trained, tmp_path)
    objects = read_table(tmp_path / "objects.parquet", evaluation.Objects)
    detections = read_table(tmp_path / "detections.parquet", evaluation.Detections)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["splits"]["val"]
    assert len(objects.filter(kind="box")) == len(objects.filter(kind="mask")) == metrics["objects"] == 3
    assert len(detections.filter(kind="box")) == len(detections.filter(kind="mask")) > 3
    for key, *_ in objects.select("key").unique().iter_rows():
        (label,) = objects.filter(kind="box", key=key).iter_rows(named=True)
        points = np.loadtxt(trained.dataset / f"labels/val/{key}.txt")[1:].reshape(-1, 2) * 64
        box = [*points.min(axis=0), *points.max(axis=0)]
        assert [label[side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx(box, abs=1e-3)
        assert label["side"] == pytest.approx(min(box[2] - box[0], box[3] - box[1]), abs=1e-3)
        # The area of a disc with a radius of 0.22, drawn with 24 corners.
        assert label["area"] == pytest.approx(12 * np.sin(np.pi / 12) * (0.22 * 64) ** 2, rel=1e-3)
        found, score = -1, None
        for row in detections.filter(kind="box", key=key).sort("number").iter_rows(named=True):
            width, height = (
                max(0, min(row[f"{axis}1"], label[f"{axis}1"]) - max(row[f"{axis}0"], label[f"{axis}0"])) for axis in "xy"
            )
            areas = [(each["x1"] - each["x0"]) * (each["y1"] - each["y0"]) for each in (row, label)]
            iou = width * height / (sum(areas) - width * height)
            # Boxes that leave the image are cut there, and the IoU is that of the whole box.
            if min(row["x0"], row["y0"]) > 0 and max(row["x1"], row["y1"]) < 64:
                assert row["iou"] == pytest.approx(iou, abs=0.02)
            if found < 0 and row["iou"] >= 0.5:
                found, score = row["number"], row["score"]
            assert row["matched"] == (label["number"] if row["number"] == found else -1)
        assert label["score"] == score
    # The metrics are those of ultralytics, and follow from the tables.
    sources = sorted(image.stem for image in (trained.dataset / "images/val").iterdir())
    for kind in ("box", "mask"):
        counted = count_cases(objects, detections, "mine", kind, "val", sources)
        assert counted is not None
        for name, value in estimate(counted, draws(len(sources), 0, "val")).items():
            assert round(value.value, 6) == metrics[kind][name]


def test_detectors_are_compared_on_the_same_images(exported: Trained, tmp_path: Path) -> None:
    import torch

    free = write_detector(tmp_path / "free.onnx", ("disc", "dog"))
    files = {"copy": exported.folder / "best.pt", "onnx": exported.folder / "model.onnx", "free": free}
    compared = [
        ComparedDetector(name=name, source="any.pt", sha256=sha256_file(path), classes={"disc": "nsfw"} if path == free else {})
        for name, path in files.items()
    ]
    splits = split_each_image(exported.dataset, tmp_path / "splits.parquet")
    outputs = [tmp_path / name for name in ("objects.parquet", "detections.parquet", "report.json", "speed.json")]

    def compare_all(files: dict[str, Path], compared: list[ComparedDetector]) -> None:
        mine, given = exported.folder / "best.pt", list(files.values())
        compare_detectors("mine", exported.dataset, splits, mine, compared, given, *outputs, SETTINGS, seed=0, threads=1)

    compare_all(files, compared)
    report = json.loads((tmp_path / "report.json").read_text())
    speed = json.loads((tmp_path / "speed.json").read_text())["val"]
    assert list(report["models"]) == list(speed) == ["mine", *files]
    assert report["splits"]["val"]["intervals"] == "too few sources for an interval (4)"
    assert report["models"]["copy"]["remarks"] == []
    assert report["models"]["free"]["remarks"] == [
        "it finds only boxes, so that its masks cannot be compared",
        "its images are scaled to 64 px, not to 32 px",
        "its classes dog are not in the dataset and do not count",
    ]
    measured = report["splits"]["val"]
    assert list(measured["box"]) == ["mine", *files] and list(measured["mask"]) == ["mine", "copy", "onnx"]
    for kind in ("box", "mask"):
        assert measured[kind]["copy"] == measured[kind]["mine"]
        assert all(metric["difference"] == 0 for metric in measured[kind]["copy"].values())
    assert measured["box"]["free"]["map50"]["value"] == 0
    assert measured["box"]["free"]["map50"]["difference"] == -measured["box"]["mine"]["map50"]["value"]
    made = [path.read_bytes() for path in outputs[:3]]
    compare_all(files, compared)
    assert [path.read_bytes() for path in outputs[:3]] == made
    tabulate_comparison(tmp_path / "report.json", tmp_path / "speed.json", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "too few sources for an interval (4)" in page and "not comparable" in page and "free: it finds only boxes" in page
    alien = ComparedDetector(name="alien", source="any.pt", sha256=sha256_file(free))
    with pytest.raises(TesseraError, match="alien finds 'disc', 'dog', and the dataset has 'nsfw'"):
        compare_all({"alien": free}, [alien])
    (tmp_path / "no.pt").write_bytes(b"nothing")
    alien = ComparedDetector(name="alien", source="any.pt", sha256=sha256_file(tmp_path / "no.pt"))
    with pytest.raises(TesseraError, match=r"alien: .*no.pt is no detector"):
        compare_all({"alien": tmp_path / "no.pt"}, [alien])
    torch.save({"conv_last.weight": torch.zeros(1)}, tmp_path / "no.pt")
    alien = ComparedDetector(name="alien", source="any.pt", sha256=sha256_file(tmp_path / "no.pt"))
    with pytest.raises(TesseraError, match=r"alien: .*no.pt is a restoration model, and a detector is needed here"):
        compare_all({"alien": tmp_path / "no.pt"}, [alien])


def test_equal_weights_export_to_equal_bytes(exported: Trained, tmp_path: Path) -> None:
    export_detector(exported.folder / "best.pt", tmp_path / "model.pt", tmp_path / "model.onnx", ExportSettings())
    assert (tmp_path / "model.onnx").read_bytes() == (exported.folder / "model.onnx").read_bytes()
    assert (tmp_path / "model.pt").read_bytes() == (exported.folder / "best.pt").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "model.onnx").read_bytes()


@pytest.mark.parametrize("dynamic", [True, False])
def test_an_export_takes_images_of_any_size_or_with_fixed_axes_of_its_own_alone(
    trained: Trained, tmp_path: Path, dynamic: bool
) -> None:
    from ultralytics.nn.tasks import load_checkpoint

    settings = ExportSettings(image_size=64, dynamic=dynamic)
    export_detector(trained.folder / "best.pt", tmp_path / "model.pt", tmp_path / "model.onnx", settings)
    assert load_checkpoint(tmp_path / "model.pt")[1]["train_args"]["imgsz"] == 64
    session = InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert dynamic or given.shape == [1, 3, 64, 64]
    assert len(session.run(None, {given.name: np.zeros((1, 3, 64, 64), np.float32)})) == 2
    with nullcontext() if dynamic else pytest.raises(InvalidArgument, match="Got invalid dimensions"):
        session.run(None, {given.name: np.zeros((2, 3, 32, 96), np.float32)})


def test_an_export_agrees_with_the_trained_model(exported: Trained, tmp_path: Path) -> None:
    files = [exported.folder / "model.pt", exported.folder / "model.onnx", None, tmp_path / "report.json"]
    verify_export(exported.dataset, *files, ExportSettings(), ToleranceSettings(), threads=1)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["images"] == 4 and 0 < report["output"] < 1e-4
    assert "lada" not in report


def test_weights_for_lada_detect_in_bgr_what_the_trained_model_detects_in_rgb(trained: Trained, tmp_path: Path) -> None:
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    # With the statistics of noise and a higher confidence, the model detects something different in each picture of noise.
    model, found = load_checkpoint(trained.folder / "best.pt")
    for norm in [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]:
        norm.momentum = None
    for branch in model.model[-1].cv3:
        branch[-1].bias.data.fill_(-1.0)
    with torch.no_grad():
        model.train()(torch.rand(16, 3, 64, 64))
    torch.save({**found, "model": model.half()}, tmp_path / "best.pt")
    dataset = shutil.copytree(trained.dataset, tmp_path / "dataset")
    for number, path in enumerate(sorted((dataset / "images/val").iterdir())):
        write_image(path, np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8, endpoint=True))

    export_detector(tmp_path / "best.pt", tmp_path / "model.pt", tmp_path / "model.onnx", ExportSettings())
    for name in ("lada.pt", "again.pt"):
        export_for_lada(tmp_path / "best.pt", tmp_path / name)
    assert (tmp_path / "lada.pt").read_bytes() == (tmp_path / "again.pt").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "lada.pt").read_bytes()

    def verify(lada: str) -> Any:
        files = [tmp_path / name for name in ("model.pt", "model.onnx", lada, "report.json")]
        verify_export(dataset, *files, ExportSettings(), ToleranceSettings(), threads=1)
        return json.loads((tmp_path / "report.json").read_text())["lada"]

    report = verify("lada.pt")
    assert report["detections"] > 0 == report["unmatched"]
    assert max(report["output"], report["score"], report["box"]) < 1e-3
    with pytest.raises(
        TesseraError, match=r"model\.pt differs from model\.pt on 4 images: .*output .*; delete it and run again"
    ):
        verify("model.pt")


def test_an_export_of_other_weights_is_detected(exported: Trained, weights: Path, tmp_path: Path) -> None:
    files = [weights, exported.folder / "model.onnx", None, tmp_path / "report.json"]
    with pytest.raises(TesseraError, match=r"model\.onnx differs from nsfw_detection\.pt on 2 images: .*output"):
        verify_export(exported.dataset, *files, ExportSettings(image_size=32), ToleranceSettings(images=2), threads=1)
    assert not (tmp_path / "report.json").exists()


def test_an_export_that_computes_nothing_is_detected(exported: Trained, tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(exported.folder / "model.onnx")
    for tensor in model.graph.initializer[:1]:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32("nan"), tensor.name))
    onnx.save(model, tmp_path / "broken.onnx")
    files = [exported.folder / "model.pt", tmp_path / "broken.onnx", None, tmp_path / "report.json"]
    with pytest.raises(TesseraError, match="output nan"):
        verify_export(exported.dataset, *files, ExportSettings(), ToleranceSettings(), threads=1)


def detections(*boxes: tuple[float, float, float, float], score: float = 0.9) -> Detections:
    masks = np.zeros((len(boxes), 100, 100), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return Detections(
        np.array(boxes, dtype=float).reshape(-1, 4), np.full(len(boxes), score), np.zeros(len(boxes), dtype=int), masks
    )


def test_detections_are_compared_with_the_nearest_of_the_other_model() -> None:
    ours = detections((0, 0, 50, 50), (50, 50, 90, 90))
    same = compare(ours, ours, 0.1)
    assert (same.detections, same.unmatched, same.box, same.score, same.mask) == (2, 0, 0, 0, 1)
    moved = compare(ours, detections((50, 50, 90, 90), (0, 0, 50, 52), score=0.8), 0.1)
    assert (moved.unmatched, moved.box, round(moved.score, 6), round(moved.mask, 6)) == (0, 2, 0.1, round(50 / 52, 6))
    assert compare(ours, detections((0, 0, 50, 50)), 0.1).unmatched == 1
    assert compare(detections((0, 0, 50, 50)), ours, 0.1).unmatched == 1
    assert compare(detections(), detections(), 0.1) == Differences(), "nothing is said of detections that do not exist"
    assert compare(ours, detections(), 0.95).unmatched == 0


def test_boxes_without_masks_have_no_overlap() -> None:
    boxes = replace(detections((0, 0, 50, 50)), masks=np.zeros((1, 0, 0), dtype=bool))
    assert compare(boxes, boxes, 0.1) == Differences(detections=1, score=0, box=0, mask=None)


def test_another_class_is_another_detection() -> None:
    ours = detections((0, 0, 50, 50))
    theirs = Detections(ours.boxes, ours.scores, ours.classes + 1, ours.masks)
    assert compare(ours, theirs, 0.1).unmatched == 2


def test_a_change_of_the_dataset_is_another_training(trained: Trained, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "dataset")
    check_dataset(dataset, "segment", "", tmp_path / "same.json", 1)
    assert (tmp_path / "same.json").read_bytes() == (trained.folder / "dataset.json").read_bytes()
    (dataset / "labels/train/disc-train-0000000.txt").write_text("")
    checksum(dataset)
    check_dataset(dataset, "segment", "", tmp_path / "other.json", 1)
    same, other = (json.loads((tmp_path / name).read_text())["digest"] for name in ("same.json", "other.json"))
    assert same != other


@pytest.mark.parametrize(("ends", "seconds"), [([0, 50], 500), ([0, 50, 70], 200), ([0, 50, 70, 100], 250)])
def test_the_reported_time_left_ignores_the_first_epoch_if_possible(ends: list[float], seconds: int) -> None:
    offline()
    from tessera.stages.detectors.trainer import time_left

    assert time_left(ends, 10).total_seconds() == seconds


def test_a_region_of_parts_with_holes_is_one_object_of_a_training_with_its_mask(tmp_path: Path) -> None:
    """Ultralytics makes 1,000 points of a polygon and draws it in pixels: at most a pixel from an edge or a bridge is wrong."""
    offline()
    from ultralytics.data.dataset import YOLODataset

    size = 320
    mask = np.zeros((size, size), np.uint8)
    for x, y, outer, inner in ((80, 90, 60, 25), (230, 70, 40, 0), (200, 230, 70, 45), (200, 230, 20, 0), (40, 280, 6, 0)):
        cv2.circle(mask, (x, y), outer, 255, -1)
        cv2.circle(mask, (x, y), inner, 0, -1)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    write_image(tmp_path / "images/one.png", np.zeros((size, size, 3), np.uint8))
    image = ImageAnnotations("one", size, size, (Annotation.of_mask("nsfw", mask),))
    assert write_yolo(image, ["nsfw"], "segment", tmp_path / "labels/one.txt") == []
    data = {"names": {0: "nsfw"}, "channels": 3}
    dataset = YOLODataset(img_path=tmp_path / "images", imgsz=size, augment=False, data=data, task="segment", batch_size=1)
    dataset.transforms.transforms[-1].mask_ratio = 1
    (trained,) = dataset[0]["masks"].numpy().astype(np.uint8) * 255
    assert len(dataset[0]["cls"]) == 1
    edges_and_bridges = cv2.morphologyEx(rasterize([Part(outline(mask))], size, size), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    wrong = trained != mask
    assert not (wrong & (edges_and_bridges == 0)).any()
    assert np.count_nonzero(wrong) < 0.02 * np.count_nonzero(mask)
