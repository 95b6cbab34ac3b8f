"""Settings of one detector."""

from difflib import get_close_matches
from typing import Any, ClassVar

from pydantic import Field, PositiveInt, field_validator

from tessera.core.settings import Settings
from tessera.learning.search import Searched
from tessera.learning.weights.declare import ComparedWeights, DetectorWeights, WeightsSettings
from tessera.learning.weights.known import DETECTOR_STARTER
from tessera.stages.detectors.library import architectures, argument_fault, task_of

TRAINING = {"epochs": 200, "imgsz": 640, "batch": 16, "patience": 100}
WATERMARK_TRAINING = {**TRAINING, "epochs": 100, "imgsz": 512, "single_cls": True}
# What a search may vary, and what it may seek.
SEARCHED = Searched(("architecture", "training"), dict.fromkeys(("map50_95", "map50", "precision", "recall"), True))


class ExportSettings(Settings):
    """How the model is exported to ONNX, and whether also for Lada's application."""

    lada: bool = True
    """Whether lada_MODEL_model_tessera.pt is also written: weights for Lada's application, which passes BGR to detectors
    instead of RGB. It lists files of such names in its folder of weights by itself.
    """
    image_size: int | None = Field(None, ge=32, multiple_of=32)
    """Longer side in pixels at which images enter the exported models if no other is asked for, a multiple of 32. `null` uses
    that of the training.
    """
    opset: int = Field(17, ge=12, le=20)
    """ONNX operator set, from 12 to 20. Older programs need lower ones."""
    dynamic: bool = True
    """Whether the ONNX model accepts any image size and batch size. Without it, images are padded to squares, in which it finds
    less than its card says.
    """
    simplify: bool = True
    """Whether the ONNX model is simplified with onnxslim."""


class ToleranceSettings(Settings):
    """How much the exported model may differ from the trained one, on images of the validation split."""

    images: PositiveInt = 32
    """Number of images of the validation split on which both are compared."""
    output: float = Field(1e-3, gt=0)
    """Largest difference of a raw output, as a fraction of the largest value of that output."""
    score: float = Field(1e-3, gt=0)
    """Largest difference of the confidence of a detection."""
    box: float = Field(0.1, gt=0)
    """Largest difference of the edge of a box, in pixels of the input of the network."""
    mask: float = Field(0.99, gt=0, le=1)
    """Smallest overlap (intersection over union) of the masks of a detection."""


class DetectorSettings(Settings):
    """One detector: its initial weights, and how it is trained, exported and verified."""

    architecture: str = "yolo11m-seg.yaml"
    """Architecture of ultralytics. The letter after the number is its scale: n, s, m, l or x. Models with masks end in -seg."""
    weights: DetectorWeights = None
    """Pretrained weights to start from, {source: a path or https://…, sha256: …}, which are fetched once and verified. Tensors
    whose names and shapes agree are used; if these are less than a tenth of the model, the training stops. `starter` is the
    detector of mosaics that comes with Tessera, which fits yolo11n-seg.yaml and, except for its last layers, yolo11n.yaml.
    `null` trains from scratch.
    """
    training: dict[str, Any] = TRAINING
    """Training arguments. Every training argument of ultralytics is allowed, except those that the workflow decides. Others
    keep the default of ultralytics. `epochs`: number of epochs. `imgsz`: longer side in pixels to which images are scaled, a
    multiple of 32. `batch`: images per step; lower it if the GPU runs out of memory. `patience`: number of epochs without
    improvement after which the training stops. `single_cls`: whether all classes count as one; text and logos are both
    watermarks.
    """
    export: ExportSettings = ExportSettings()
    """Exported files."""
    tolerance: ToleranceSettings = ToleranceSettings()
    """How closely the exported model must follow the trained one. Sound exports stay about a hundred times below the limits."""

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
        faults = [f"{name}: {fault}" for name, value in training.items() if (fault := argument_fault(name, value))]
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


class ComparedDetector(ComparedWeights):
    """A detector of others, and the class of the dataset that each of its classes means."""

    starter: ClassVar[str] = DETECTOR_STARTER

    classes: dict[str, str | None] = Field(default_factory=dict)
    """What its classes mean, such as {person: nsfw, face: null}: `null` does not count. One that is not named means what is
    called the same, and `*` stands for all others.
    """
