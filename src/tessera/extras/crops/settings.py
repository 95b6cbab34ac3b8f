"""Settings of crops."""

from collections.abc import Collection, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from tessera.core.messages import Message
from tessera.core.settings import Fraction, Settings
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.weights.declare import TrainedOrDeclaredWeights

RESERVED = {"frame", "frames"}  # what tables and settings call whole frames
# A hyphen would make the parts of a key ambiguous.
StepName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=20)]


class CropStepSettings(InferenceSettings):
    """A step: what is found in frames, or in the crops of the step before, and what is cut out around it.

    The confidence, the overlap and the smallest side are those of anime_screenshot_pipeline, and so is the growth of heads, see
    `place` (https://github.com/cyber-meow/anime_screenshot_pipeline).
    """

    name: StepName
    """Unique name of the step. It is part of the names of the crops."""
    weights: TrainedOrDeclaredWeights = None
    """Weights of a detector: {source: a path or https://…, sha256: …} of a .pt or .onnx file of ultralytics, or `trained`,
    which uses that in `detector`.
    """
    detector: str = ""
    """Detector that is trained here, such as `nsfw_detection`."""
    annotations: bool = False
    """Whether the regions are those that people drew in frames (`annotations.frame_labels`), instead of detections."""
    labels: tuple[str, ...] = ()
    """Classes that count. An empty list takes all that the detector knows."""
    confidence: float = Field(0.3, gt=0, lt=1)
    iou: Fraction = 0.5
    min_side: NonNegativeInt = 320
    """Smallest shorter side of a crop in pixels."""
    square: float | None = Field(None, ge=1, le=10)
    """The crop is a square, whose side is the longer side of the region times this number, cut at the edge of the frame. `null`
    takes the box of the region.
    """
    max_area: float | None = Field(None, gt=0, lt=1)
    """Largest fraction that a crop may be of the area of its parent, such as 0.5. `null` sets no limit."""
    larger: Literal["drop", "parent"] = "drop"
    """What becomes of a larger crop: `drop` leaves it out, and `parent` takes the whole parent instead."""

    @property
    def counted(self) -> tuple[str, ...]:
        """`labels`."""
        return self.labels

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        faults: list[Message] = []
        if self.name in RESERVED:
            faults.append(f"`name: {self.name}` stands for whole frames; give the step another name")
        if self.annotations == bool(self.weights):
            faults.append("a step needs either `weights` of a detector or `annotations: true`")
        if self.annotations and not self.labels:
            faults.append("`annotations: true` needs `labels`: the classes of the regions that are cut out")
        if self.detector and self.weights != "trained":
            faults.append("`detector` is for `weights: trained` alone; leave it out")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class CropSettings(Settings):
    """The crops of the sampled frames."""

    steps: tuple[CropStepSettings, ...] = Field((), max_length=3)
    """List of up to three steps. The first looks in the frames, each other one in the crops of the step before. Without steps,
    there are no crops. For example:
    - name: person
      weights: {source: person.onnx, sha256: …}
      detector: ""
      annotations: false
      labels: []
      confidence: 0.3
      iou: 0.5
      min_side: 320
      square: null
      max_area: null
      larger: drop
      image_size: null
    - {name: head, weights: {source: head.onnx, sha256: …}, min_side: 64, square: 1.5}
    """
    format: Literal["jpeg", "png"] | None = None
    """File format of the crops: `jpeg`, or `png`, which is lossless. `null` takes that of the frames."""
    quality: int | None = Field(None, ge=1, le=100)
    """Quality of JPEG, from 1 to 100. `null` takes that of the frames."""

    @model_validator(mode="after")
    def _steps_have_different_names(self) -> Self:
        names = [step.name for step in self.steps]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several steps are called {', '.join(map(repr, twice))}; give each a name of its own")
        return self


def crop_faults(steps: Sequence[CropStepSettings], trained: Collection[str], classes: Collection[str]) -> list[str]:
    """Return what is wrong with the `steps` as a whole.

    `trained`: the detectors that are trained here. `classes`: those of the labels of frames; empty if there are no labels.
    """
    faults: list[Message] = []
    for number, step in enumerate(steps):
        path = f"crops.steps.{number}"
        if step.weights == "trained" and step.detector not in trained:
            faults.append(
                f"`{path}.detector` is {step.detector!r}, which is not trained here: name one of"
                f" {', '.join(trained) or 'the detectors, none of which is trained now'}"
            )
        if step.annotations and not classes:
            faults.append(f"`{path}.annotations` needs labels of frames: set `annotations.frame_labels`")
        elif step.annotations and (unknown := [label for label in step.labels if label not in classes]):
            faults.append(
                f"`{path}.labels` names {', '.join(map(repr, unknown))}, which `annotations.classes` does not;"
                f" it has {', '.join(classes)}"
            )
    return faults
