"""Settings of one classifier."""

from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from tessera.core.settings import Fraction, Settings
from tessera.learning.architectures import architecture_fault
from tessera.learning.classification.settings import HEAD, Labels, Tiling
from tessera.learning.preprocessing import Resize
from tessera.learning.search import Searched
from tessera.learning.weights.declare import DeclaredWeights

LEAST_FOLDS = 2
# Settings that change what the loss means.
LOSS = ("training.loss", "training.class_weights")


class ClassifierAugmentationSettings(Settings):
    """How training pictures are changed at random."""

    flip: Fraction = 0.5
    """Probability that a picture is mirrored."""
    flip_vertical: Fraction = 0.0
    """Probability that a picture is mirrored from top to bottom."""
    grayscale: Fraction = 0.0
    """Probability that a picture loses its colours."""
    crop: float = Field(1.0, gt=0, le=1)
    """Smallest fraction of the area that a random crop keeps. 1 crops nothing."""
    colour: Fraction = 0.0
    """Largest change of brightness, contrast and saturation, as a fraction."""


class ClassifierTrainingSettings(Settings):
    """How a classifier is trained, with AdamW."""

    epochs: PositiveInt = 50
    """Largest number of epochs."""
    batch: int = Field(64, ge=4)
    """Largest number of pictures per step. The batches of an epoch are of about equal size."""
    learning_rate: PositiveFloat = 3e-4
    """Learning rate of AdamW at its highest."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate changes: it falls along a `cosine`, or stays `constant`."""
    weight_decay: NonNegativeFloat = 0.01
    """Weight decay of AdamW."""
    patience: NonNegativeInt = 5
    """Number of epochs without a lower loss on the validation split after which the training stops. 0 never stops early."""
    loss: Literal["l1", "cross_entropy"] = "l1"
    """Loss of a score. Classes have cross entropy."""
    class_weights: Literal["none", "balanced"] | dict[str, PositiveFloat] = "none"
    """`balanced` gives all classes the same sum of weights. A map, such as {clean: 1.0, compressed: 2.0}, states the weight of
    each.
    """


class ClassifierExportSettings(Settings):
    """How a classifier is exported."""

    city: bool = False
    """Whether a head is also written as NAME-city.safetensors and NAME-city.config.json, which CityClassifiers loads."""
    opset: int = Field(17, ge=13, le=20)
    """ONNX operator set, from 13 to 20."""


class ClassifierToleranceSettings(Settings):
    """How much the results of exports may differ from those of the trained classifier, on pictures of the validation split."""

    pictures: PositiveInt = 32
    """Number of pictures of the validation split on which the exported and the trained classifier are compared."""
    result: PositiveFloat = 1e-4
    """Largest difference of a probability or a score."""


class LabelErrorSettings(Settings):
    """How the labels of a classifier are checked: by out-of-fold predictions, and by the vectors of an embedding."""

    folds: int = Field(5, ge=LEAST_FOLDS, le=100)
    """Largest number of folds. The pictures of each are predicted by a classifier that was trained on the others."""
    residual: float = Field(0.25, gt=0, le=1)
    """Smallest difference between two scores that counts, as a fraction of their range."""
    embedding: str | None = None
    """Name in `embeddings`. Its vectors show outliers, and near-duplicates with different labels. `null` uses predictions
    alone.
    """
    neighbours: int = Field(10, ge=1, le=1000)
    """Number of the closest pictures of other sources that a picture is compared with."""
    outlier: float | None = Field(2.5, gt=1)
    """How many times as far from these a picture is as the median picture, to be an outlier. `null` finds none."""
    near_duplicates: float | None = Field(0.98, gt=0, le=1)
    """Smallest cosine of the vectors of two near-duplicates, which depends on the embedding. `null` finds none."""


class ClassifierSettings(Settings):
    """One classifier: its labels, its network, and how it is trained, applied, exported and verified."""

    labels: Labels
    """Names of the classes, or {least: 0.0, most: 1.0} for a score."""
    architecture: str = "resnet18"
    """Name of a model of timm. `head` is the small network of CityClassifiers, on the vectors of `embedding`."""
    weights: DeclaredWeights = None
    """Weights that the training starts from, {source: a path or https://…, sha256: …}. `null` trains from scratch."""
    embedding: str | None = None
    """Of a head: the name in `embeddings` of the model that makes the vectors of the pictures."""
    hidden: int = Field(1024, ge=1, le=8192)
    """Of a head: the width of its layers."""
    image_size: int = Field(224, ge=16, le=4096)
    """Side of the input in pixels. A head has none."""
    resize: Resize = "stretch"
    """How a picture becomes square: `stretch`, `crop` its middle, or `pad` it with grey."""
    augmentation: ClassifierAugmentationSettings = ClassifierAugmentationSettings()
    """How training pictures are changed at random. What the classes differ in must not be among it."""
    training: ClassifierTrainingSettings = ClassifierTrainingSettings()
    """How the classifier is trained, with AdamW."""
    tiling: Tiling | None = None
    """How large pictures are divided into tiles when the classifier is used, not when it is trained. `null` scales whole
    pictures.
    """
    export: ClassifierExportSettings = ClassifierExportSettings()
    """Exported files."""
    tolerance: ClassifierToleranceSettings = ClassifierToleranceSettings()
    """How closely the exported classifier must follow the trained one."""
    label_errors: LabelErrorSettings | None = None
    """Search for wrong labels, see docs/classifiers.md. `null` does not search."""

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
