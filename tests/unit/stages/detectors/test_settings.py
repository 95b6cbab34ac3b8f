"""Every training argument can be set, and a wrong one is reported with a way out."""

import hashlib
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tessera.core.errors import TesseraError
from tessera.core.settings import load
from tessera.learning.detection.offline import offline
from tessera.learning.weights.declare import WeightsSettings
from tessera.stages.detectors.library import ALLOWED, OWNED, architectures, argument_fault, arguments, task_of
from tessera.stages.detectors.settings import DetectorSettings

SHA256 = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture(autouse=True, scope="module")
def _offline() -> None:
    offline()


def fault(**values: Any) -> str:
    with pytest.raises(TesseraError) as raised:
        load(DetectorSettings, values, "models")
    return str(raised.value)


def test_the_known_arguments_are_those_of_ultralytics() -> None:
    from ultralytics.utils import DEFAULT_CFG_DICT

    assert set(arguments()) == set(DEFAULT_CFG_DICT)
    assert set(arguments()) >= set(OWNED) - {"save_dir"}  # which it accepts, but does not list


def test_every_default_of_ultralytics_is_of_a_type_that_is_accepted() -> None:
    from ultralytics.utils import DEFAULT_CFG_DICT

    training = {name: value for name, value in DEFAULT_CFG_DICT.items() if name not in OWNED}
    assert load(DetectorSettings, {"training": training}, "models").training == training


def test_tasks_are_those_of_ultralytics() -> None:
    from ultralytics.nn.tasks import guess_model_task, yaml_model_load

    assert {"yolo11-seg.yaml", "yolo11.yaml", "yolov8.yaml"} <= set(architectures())
    for name in architectures():
        assert guess_model_task(yaml_model_load(name)) == task_of(name)
    assert task_of("yolo11m-seg.yaml") == "segment"
    assert task_of("yolo11s.yaml") == "detect"


def test_unset_arguments_keep_their_defaults() -> None:
    training = load(DetectorSettings, {"training": {"epochs": 3, "mosaic": 0.5}}, "models").training
    assert training == {**DetectorSettings().training, "epochs": 3, "mosaic": 0.5}


@pytest.mark.parametrize(
    ("training", "answer"),
    [
        ({"epoch": 3}, "epoch: unknown training argument of ultralytics; did you mean 'epochs'?"),
        ({"epochs": "3"}, "epochs: should be int; given: '3'"),
        ({"epochs": True}, "epochs: should be int; given: True"),
        ({"epochs": -5}, "epochs: should be a number from 1; given: -5"),
        ({"epochs": None}, "epochs: should be int; given: null"),
        ({"lr0": float("nan")}, "lr0: should be a number from 0 to 1; given: nan"),
        ({"degrees": float("inf")}, "degrees: should be a number from 0; given: inf"),
        ({"batch": 2.5}, "batch: should be a whole number from 1, a fraction between 0 and 1 of the memory of the GPU"),
        ({"imgsz": [640, 480]}, "imgsz: should be a multiple of 32; given: [640, 480]"),
        ({"optimizer": "adamx"}, "optimizer: should be one of auto, SGD, "),
        ({"imgsz": 150}, "imgsz: should be a multiple of 32; given: 150"),
        ({"imgsz": 0}, "imgsz: should be a multiple of 32; given: 0"),
        ({"amp": 1}, "amp: should be bool or str; given: 1"),
        ({"data": "coco8.yaml"}, "data: cannot be set, it is the dataset of the same name as the model"),
        ({"seed": 1}, "seed: cannot be set, it follows from the global `seed`"),
        ({"pretrained": "yolo11n.pt"}, "pretrained: cannot be set, it is given by `architecture` and `weights`"),
        ({"cache": "disk"}, "cache: 'disk' would write into the finished dataset"),
        ({"conf": 0.5}, "conf: cannot be set, it is not an argument of training"),
    ],
)
def test_a_wrong_argument_is_explained(training: dict[str, Any], answer: str) -> None:
    assert answer in fault(training=training)


VALUES = [-1, 0, 0.5, 1, 1.5, 2, float("nan"), float("inf"), -0.5, "much", None, True, [], [-1], [0.5], [0.5, 2], [2, 0.5]]


@pytest.mark.parametrize("name", sorted(set(arguments()) - set(OWNED)))
def test_what_is_accepted_ultralytics_accepts_too(name: str) -> None:
    from ultralytics.cfg import check_cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    accepted = [value for value in VALUES if not argument_fault(name, value)]
    for value in accepted:
        check_cfg({name: value})
    assert accepted or isinstance(DEFAULT_CFG_DICT[name], str) or name == "imgsz"


@pytest.mark.parametrize("name", sorted(set(arguments()) - set(OWNED)))
def test_no_number_below_zero_is_accepted_but_those_that_mean_automatic_or_never(name: str) -> None:
    lowest = [value for value in VALUES if value in (-1, -0.5, [-1]) and not argument_fault(name, value)]
    assert lowest == ([-1] if name in {"batch", "save_period"} else [])


def test_each_word_that_is_accepted_is_one_that_ultralytics_names() -> None:
    text = (Path(find_spec("ultralytics").origin).parent / "cfg" / "default.yaml").read_text()
    for name, (_, described) in ALLOWED.items():
        if described.startswith("one of "):
            comment = re.search(rf"^{name}:.*", text, re.M)[0]
            assert all(word in comment for word in described.removeprefix("one of ").split(", ")), name
    worded = {name for name, kinds in arguments().items() if "str" in kinds} - set(OWNED)
    assert worded <= set(ALLOWED), "the words of each of them are listed"


def test_all_wrong_arguments_are_listed_at_once() -> None:
    answer = fault(training={"epoch": 3, "batch": "big"})
    assert "epoch: " in answer and "batch: " in answer


@pytest.mark.parametrize("name", ["yolo11m-sge.yaml", "yolo11n-cls.yaml", "yolo11n-pose.yaml", "/etc/passwd", "yolo11n-seg.pt"])
def test_an_architecture_that_cannot_be_trained_here_is_refused(name: str) -> None:
    assert "architecture: " in fault(architecture=name)


def test_a_misspelled_architecture_gets_a_suggestion() -> None:
    assert "did you mean 'yolo11-seg.yaml'" in fault(architecture="yolo11m-sge.yaml")


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("ftp://example.org/a.pt", "https:// or http://"),
        ("file:///a.pt", "https:// or http://"),
        ("https://me:secret@example.org/a.pt", "should not contain a user name or a password"),
    ],
)
def test_weights_come_from_a_path_or_the_web(source: str, answer: str) -> None:
    assert answer in fault(weights={"source": source, "sha256": SHA256})


@pytest.mark.parametrize(
    "weights",
    [
        {"source": "https://me:secret@example.org/a.pt", "sha256": SHA256},
        {"source": "//me:secret@example.org/a.pt", "sha256": SHA256},
        {"source": "https://me:secret@[example.org/a.pt", "sha256": SHA256},
        {"source": "https://me:secret@example\u2100.org/a.pt", "sha256": SHA256},
        {"source": "https://me:secret@example.org/a.pt"},
        {"sources": ["https://me:secret@example.org/a.pt"], "sha256": SHA256},
        "https://me:secret@example.org/a.pt",
    ],
)
def test_no_message_contains_a_password(weights: object) -> None:
    answer = fault(weights=weights)
    assert "weights" in answer
    assert "secret" not in answer


@pytest.mark.parametrize("sha256", ["abc", 0, None])
def test_weights_need_a_digest(sha256: object) -> None:
    answer = fault(weights={"source": "a.pt", "sha256": sha256})
    assert "weights.sha256: should be the 64 hexadecimal digits that `sha256sum FILE` prints" in answer


@pytest.mark.parametrize("sha256", ["0" * 64, "abc" * 21 + "a", "1" + "0" * 63])
def test_the_digest_of_weights_is_not_a_placeholder(sha256: str) -> None:
    assert "weights.sha256: is a placeholder: write the 64 digits" in fault(weights={"source": "a.pt", "sha256": sha256})


def test_a_digest_may_be_in_upper_case() -> None:
    assert WeightsSettings(source="a.pt", sha256=SHA256.upper()) == WeightsSettings(source="a.pt", sha256=SHA256)


def test_a_training_cannot_start_from_an_exported_model() -> None:
    assert "weights: training needs a checkpoint" in fault(weights={"source": "a.onnx", "sha256": SHA256})


def test_planning_does_not_import_ultralytics() -> None:
    code = "import sys, tessera.stages.detectors.settings as s; s.DetectorSettings(); sys.exit('ultralytics' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
