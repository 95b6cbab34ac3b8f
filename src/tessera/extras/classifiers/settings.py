"""Settings of one classifier."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from tessera.core.settings import Settings
from tessera.learning.architectures import architecture_fault
from tessera.learning.classification.settings import HEAD, Labels, Tiling
from tessera.learning.preprocessing import Resize
from tessera.learning.search import Searched
from tessera.learning.weights.declare import DeclaredWeights

Probability = Annotated[float, Field(ge=0, le=1)]
LEAST_FOLDS = 2
# Settings that change what the loss means.
LOSS = ("training.loss", "training.class_weights")


class ClassifierAugmentationSettings(Settings):
    """How training pictures are changed at random. What the classes differ in must not be among it.

    `flip`, `flip_vertical`, `grayscale`: probabilities. `crop`: smallest fraction of the area that is kept; 1: no crop.
    `colour`: largest change of brightness, contrast and saturation, as a fraction.
    """

    flip: Probability = 0.5
    flip_vertical: Probability = 0.0
    grayscale: Probability = 0.0
    crop: float = Field(1.0, gt=0, le=1)
    colour: Probability = 0.0


class ClassifierTrainingSettings(Settings):
    """How a classifier is trained, with AdamW.

    `batch`: at most; the batches of an epoch are of about equal size. `patience`: epochs without a lower loss on the validation
    split until the training stops; 0: it never stops early. `loss`: of scores; classes have cross entropy. `class_weights`:
    `balanced` gives all classes the same sum of weights.
    """

    epochs: PositiveInt = 50
    batch: int = Field(64, ge=4)
    learning_rate: PositiveFloat = 3e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: NonNegativeFloat = 0.01
    patience: NonNegativeInt = 5
    loss: Literal["l1", "cross_entropy"] = "l1"
    class_weights: Literal["none", "balanced"] | dict[str, PositiveFloat] = "none"


class ClassifierExportSettings(Settings):
    """How a classifier is exported.

    `city`: whether a head is also written as the pair of files that CityClassifiers loads. `opset`: of ONNX.
    """

    city: bool = False
    opset: int = Field(17, ge=13, le=20)


class ClassifierToleranceSettings(Settings):
    """How much the results of exports may differ from those of the trained classifier, on pictures of the validation split."""

    pictures: PositiveInt = 32
    result: PositiveFloat = 1e-4


class LabelErrorSettings(Settings):
    """How the labels of a classifier are checked: by out-of-fold predictions, and by the vectors of an embedding.

    `folds`: at most; each is predicted by a classifier of the others. `residual`: smallest difference between two scores that
    counts, as a fraction of their range. `embedding`: its name; None: only predictions are used. `neighbours`: of a picture,
    whose mean distance is compared. `outlier`: how many times that of the median picture it is for an outlier, at least; None:
    no outliers. `near_duplicates`: smallest cosine of the vectors of two near-duplicates; None: none.
    """

    folds: int = Field(5, ge=LEAST_FOLDS, le=100)
    residual: float = Field(0.25, gt=0, le=1)
    embedding: str | None = None
    neighbours: int = Field(10, ge=1, le=1000)
    outlier: float | None = Field(2.5, gt=1)
    near_duplicates: float | None = Field(0.98, gt=0, le=1)


class ClassifierSettings(Settings):
    """One classifier: its labels, its network, and how it is trained, applied, exported and verified.

    `labels`: the names of the classes, or the range of a score. `architecture`: a name of timm, or `head` for the predictor of
    CityClassifiers on the vectors of `embedding`. `weights`: what the training starts from; None: from scratch. `image_size`
    and `resize` are not used by a head, and `hidden` only by a head. `label_errors`: None: its labels are not checked.
    """

    labels: Labels
    architecture: str = "resnet18"
    weights: DeclaredWeights = None
    embedding: str | None = None
    hidden: int = Field(1024, ge=1, le=8192)
    image_size: int = Field(224, ge=16, le=4096)
    resize: Resize = "stretch"
    augmentation: ClassifierAugmentationSettings = ClassifierAugmentationSettings()
    training: ClassifierTrainingSettings = ClassifierTrainingSettings()
    tiling: Tiling | None = None
    export: ClassifierExportSettings = ClassifierExportSettings()
    tolerance: ClassifierToleranceSettings = ClassifierToleranceSettings()
    label_errors: LabelErrorSettings | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; none for a score."""
        return self.labels if isinstance(self.labels, tuple) else ()

    @property
    def searched(self) -> Searched:
        """What a search may vary, and what it may seek."""
        reached = {"accuracy": True} if self.classes else {"mae": False}
        architecture_settings = (
            ("hidden",) if self.architecture == HEAD else ("architecture", "image_size", "resize", "augmentation")
        )
        return Searched((*architecture_settings, "training"), {"loss": False, **reached}, {"loss": LOSS})

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, name: str) -> str:
        if name != HEAD and (fault := architecture_fault(name)):
            raise ValueError(fault)
        return name

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.architecture == HEAD) != (self.embedding is not None):
            raise ValueError(f"`embedding` should be stated if `architecture` is {HEAD!r}, and only then")
        if self.architecture != HEAD and self.export.city:
            raise ValueError(f"`export.city` should be false, because CityClassifiers loads only the architecture {HEAD!r}")
        if self.weights and self.weights.file.endswith(".onnx"):
            raise ValueError(
                "`weights` should be a checkpoint (.pt, .pth, .safetensors), because an ONNX model cannot be trained"
            )
        weights = self.training.class_weights
        if weights != "none" and not self.classes:
            raise ValueError("`class_weights` should be none for a score")
        if isinstance(weights, dict) and set(weights) != set(self.classes):
            raise ValueError(f"`class_weights` should have a number for each of {', '.join(self.classes)}, and for no other")
        return self


class ScoreSettings(Settings):
    """What `snakemake score` scores, and how it shows the scores.

    `model`: the name of a classifier. `label`: the class that counts; None: each class. `brackets`: the edges of the
    brackets of values. `place`: whether pictures are copied or linked by bracket. `shown`: pictures on a contact sheet.
    """

    model: str | None = None
    """Name of one of `classifiers` or `declared_classifiers`."""
    folder: Path | None = None
    """Folder of the pictures. Nothing in it is changed."""
    label: str | None = None
    """Class whose probability counts. `null` takes each class. A classifier that gives a score has none."""
    brackets: tuple[float, ...] = Field((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), min_length=2)
    """Edges of the brackets of probabilities or scores, ascending. A value on an edge belongs to the upper bracket."""
    place: Literal["none", "copy", "link"] = "none"
    """Whether the pictures are put into a folder per bracket: as a `copy`, as a relative symbolic `link`, or not at all with
    `none`.
    """
    shown: int = Field(24, ge=1, le=600)
    """Number of pictures on a contact sheet."""

    @field_validator("brackets")
    @classmethod
    def _ascend(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("should ascend")
        return edges
