"""What unit and workflow tests share."""

import gc
import io
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tessera.core import log
from tessera.core.provenance import write_checksums
from tessera.learning.detection.offline import offline

# There may be more workers than cores, so each uses one core, and waiting threads must not keep a core busy. They must be
# set before anything imports torch or polars.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Thousands of tests and large libraries are millions of objects, none of them garbage. Searching them for garbage after every
# 700 new ones takes a quarter of the time.
gc.set_threshold(100_000)

# No deadline, because the time of one example depends on the machine. A change must not fail tests of code that it did not
# touch, so the examples are always the same; `--hypothesis-profile explore` draws others.
settings.register_profile("tessera", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("tessera")


LONGEST = ["test_reruns.py", "test_determinism.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no core waits for them at the end; then come those that run Snakemake.

    Mark what runs a detector as slow: it imports PyTorch, which alone takes seconds.
    """
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.get_closest_marker("workflow") is None))
    for item in items:
        if "weights" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained detector of one class, with different detections in most pictures."""
    offline(tmp_path_factory.mktemp("ultralytics"))
    import torch
    from ultralytics import YOLO
    from ultralytics.utils.checks import check_yaml

    from untrained_detector import spread_detections

    folder = tmp_path_factory.mktemp("weights")
    architecture = Path(check_yaml("yolo11-seg.yaml")).read_text().replace("nc: 80", "nc: 1")
    (folder / "yolo11n-seg.yaml").write_text(architecture)
    torch.manual_seed(0)
    model = YOLO(folder / "yolo11n-seg.yaml")
    model.model.names = {0: "nsfw"}
    spread_detections(model)
    model.ckpt = {"train_args": {"task": "segment", "imgsz": 640, "single_cls": False}, "train_metrics": {}}
    path = folder / "nsfw_detection.pt"
    model.save(path)
    write_checksums([path], path.parent, path.parent / "SHA256SUMS")
    return path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The messages for the terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(log, "_terminal", stream)
    return stream
