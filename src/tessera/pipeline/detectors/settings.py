"""Settings of one detector."""

import importlib.util
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, field_validator

from tessera.core.settings import Settings
from tessera.core.weights.declare import DeclaredWeights, WeightsSettings

# Training arguments that the workflow sets, and the reason why the configuration must not.
OWNED = {
    **dict.fromkeys(("model", "pretrained"), "is given by `architecture` and `weights`"),
    **dict.fromkeys(("data", "split"), "is the dataset of the same name as the model"),
    **dict.fromkeys(("seed", "deterministic"), "follows from the global `seed`: training must be repeatable"),
    **dict.fromkeys(("project", "name", "save_dir", "exist_ok", "save"), "is decided by the folder of the results"),
    **dict.fromkeys(("plots", "profile"), "is done by the workflow, which draws its own curves"),
    "resume": "is done by itself when a training was killed",
    "device": "is the GPU where there is one; hide GPUs with CUDA_VISIBLE_DEVICES",
    "workers": "follows from the threads of the rule; set them with `--set-threads train_detector=N`",
    **dict.fromkeys(("task", "mode", "cfg"), "is given by the architecture and the rule"),
    "distill_model": "would load a second file of weights, which nothing verifies",
    "quantize": "would make a model that the export cannot verify",
    # Arguments of the other modes of ultralytics, which are in the same list.
    **dict.fromkeys(
        (
            *("source", "vid_stride", "stream_buffer", "visualize", "augment", "agnostic_nms", "classes", "retina_masks"),
            *(
                "embed",
                "show",
                "save_frames",
                "save_txt",
                "save_conf",
                "save_crop",
                "show_labels",
                "show_conf",
                "line_width",
                "show_boxes",
            ),
            *("format", "optimize", "dynamic", "simplify", "opset", "workspace", "save_json", "dnn", "nms", "tracker", "conf"),
        ),
        "is not an argument of training",
    ),
}
TRAINING = {"epochs": 200, "imgsz": 640, "batch": 16, "patience": 100}
WATERMARK_TRAINING = {**TRAINING, "epochs": 100, "imgsz": 512, "single_cls": True}
HEADS = {"Detect": "detect", "v10Detect": "detect", "Segment": "segment", "Segment26": "segment"}
TYPES = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "list": (list,),
    "list[int]": (list,),
    "tuple": (list,),
}


class ExportSettings(Settings):
    """How the model is exported to ONNX."""

    image_size: int | None = Field(None, ge=32, multiple_of=32)
    opset: int = Field(17, ge=12, le=20)
    dynamic: bool = False
    simplify: bool = True


class ToleranceSettings(Settings):
    """How much the exported model may differ from the trained one, on images of the validation split."""

    images: PositiveInt = 32
    output: float = Field(1e-3, gt=0)
    score: float = Field(1e-3, gt=0)
    box: float = Field(0.1, gt=0)
    mask: float = Field(0.99, gt=0, le=1)


class DetectorSettings(Settings):
    """One detector: its initial weights, and how it is trained, exported and verified."""

    architecture: str = "yolo11m-seg.yaml"
    weights: DeclaredWeights = None
    training: dict[str, Any] = TRAINING
    export: ExportSettings = ExportSettings()
    tolerance: ToleranceSettings = ToleranceSettings()

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, name: str) -> str:
        try:
            task_of(name)
        except KeyError:
            near = get_close_matches(name, architectures(), n=1)
            hint = f"did you mean {near[0]!r}, with n, s, m, l or x after the number?" if near else "see `cfg/models` there"
            raise ValueError(f"not an architecture of ultralytics for detection or segmentation; {hint}") from None
        return name

    @field_validator("weights")
    @classmethod
    def _can_be_trained(cls, weights: WeightsSettings | None) -> WeightsSettings | None:
        if weights and weights.file.endswith(".onnx"):
            raise ValueError("training needs a checkpoint of ultralytics (.pt), not an ONNX model; declare a .pt file")
        return weights

    @field_validator("training")
    @classmethod
    def _known_arguments(cls, training: dict[str, Any]) -> dict[str, Any]:
        faults = [f"{name}: {fault}" for name, value in training.items() if (fault := _fault(name, value))]
        if faults:
            raise ValueError("; ".join(faults))
        return {**cls.model_fields["training"].default, **training}


class WatermarkDetector(DetectorSettings):
    """The watermark detector; its export takes larger images than its training, because marks are small."""

    architecture: str = "yolo11s.yaml"
    training: dict[str, Any] = WATERMARK_TRAINING
    export: ExportSettings = ExportSettings(image_size=640)


class MaskDetector(DetectorSettings):
    """A detector that must return masks, not only boxes."""

    @field_validator("architecture")
    @classmethod
    def _finds_masks(cls, name: str) -> str:
        if task_of(name) != "segment":
            raise ValueError(f"{name!r} finds only boxes, but masks are needed; use an architecture with -seg")
        return name


class MosaicDetector(MaskDetector):
    """The mosaic detector."""

    architecture: str = "yolo11s-seg.yaml"


def _fault(name: str, value: Any) -> str:
    """Return the fault of a training argument, or an empty text."""
    if name in OWNED:
        return f"cannot be set, it {OWNED[name]}"
    types = {known: allowed for known, allowed in arguments().items() if known not in OWNED}
    if name not in types:
        near = get_close_matches(name, types, n=1)
        return f"unknown training argument of ultralytics; did you mean {near[0]!r}?" if near else "unknown training argument"
    if name == "cache" and value == "disk":
        return "'disk' would write into the finished dataset; use 'ram' or false"
    # Not `isinstance`, because in Python a bool is an int.
    fitting = [kind for stated in types[name] for kind in TYPES.get(stated, (type(value),))]
    if value is not None and type(value) not in fitting:
        return f"should be {' or '.join(types[name])}; given: {value!r}"
    if name == "imgsz" and isinstance(value, int) and (value < 32 or value % 32):
        return f"should be a multiple of 32; given: {value!r}"
    return ""


@cache
def arguments() -> dict[str, tuple[str, ...]]:
    """Return the arguments of ultralytics and the types of each, from the comments in its default.yaml."""
    text = (_ultralytics() / "cfg/default.yaml").read_text(encoding="utf-8")
    stated = re.findall(r"^(\w+):.*?# \(([^)]*)\)", text, flags=re.MULTILINE)
    return {
        name: tuple(kind.strip() for kind in re.split(r"[|,]", kinds) if kind.strip() != "optional") for name, kinds in stated
    }


@cache
def architectures() -> dict[str, str]:
    """Return the task of each architecture of ultralytics that can be trained here, by file name, without the scale letter."""
    known = {}
    for file in sorted((_ultralytics() / "cfg/models").rglob("yolo*.yaml")):
        modules = re.findall(r"^ +- \[\[.*\], \d+, (\w+), \[", file.read_text(encoding="utf-8"), re.MULTILINE)
        if modules and modules[-1] in HEADS:
            known[file.name] = HEADS[modules[-1]]
    return known


def task_of(architecture: str) -> str:
    """Return `detect` if `architecture` finds boxes, `segment` if it finds masks. Raises `KeyError` for others."""
    # The letter after the number is the scale. One file defines all scales: yolo11m-seg.yaml is in yolo11-seg.yaml.
    unscaled = re.sub(r"(\d+)[nslmx](.*)$", r"\1\2", architecture)
    return architectures()[architecture if architecture in architectures() else unscaled]


def _ultralytics() -> Path:
    # Not imported: an import takes seconds, and this runs whenever the workflow is planned.
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None and spec.origin is not None, "ultralytics is not installed"
    return Path(spec.origin).parent
