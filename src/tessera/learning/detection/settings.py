"""Settings for running detectors over images."""

from typing import Any

from pydantic import Field, PositiveInt

from tessera.core.settings import Fraction, Settings
from tessera.learning.weights.declare import AnyRegionWeights, DeclaredWeights, TrainedOrDeclaredWeights


class RuntimeSettings(Settings):
    """What all detectors have in common when they run. `detection` states it for all of them."""

    iou: Fraction = 0.7
    """Largest overlap (intersection over union) of the boxes of two detections, beyond which the less confident is removed."""
    batch: PositiveInt = 8
    """Images per batch. Lower it if the GPU runs out of memory."""
    half: bool = True
    """Whether a GPU computes in half precision. That is faster, and changes the confidence in the third digit."""
    max_regions: PositiveInt = 50
    """Largest number of detections per image. The most confident ones are kept."""


class InferenceSettings(RuntimeSettings):
    """How a detector runs over images."""

    confidence: float = Field(0.1, gt=0, lt=1)
    """Smallest confidence of a detection that is recorded. It may be far below the confidence from which a detection counts:
    tracking uses detections of low confidence too, and the report shows what nearly counts.
    """
    image_size: int | None = Field(None, ge=32, multiple_of=32)
    """Longer side in pixels at which images enter the detector, a multiple of 32. `null` uses the size that its weights state,
    which is mostly that of its training. Masks have the size of the image in any case.
    """

    @property
    def counted(self) -> tuple[str, ...]:
        """The classes that count, as the weights name them. If empty, all of them count."""
        return ()


class DetectionSettings(InferenceSettings):
    """How a detector runs over the sampled frames; without declared weights, it does not run."""

    weights: DeclaredWeights = None
    """Weights of the detector. {source: a path or https://…, sha256: …} uses a .pt or .onnx file of ultralytics, which is
    fetched once and verified. A name in resources/weights.tsv, or {package: …, file: …, sha256: …}, uses a file of a Python
    package. `null` runs no detector.
    """
    classes: tuple[str, ...] = ()
    """Classes that count, as the weights name them. If empty, all of them count."""

    @property
    def counted(self) -> tuple[str, ...]:
        """`classes`."""
        return self.classes


class TrainedDetectionSettings(DetectionSettings):
    """How a detector runs over the sampled frames; its weights may be trained by the workflow or declared."""

    weights: TrainedOrDeclaredWeights = "trained"  # type: ignore[assignment]  # one word more
    """Weights of the detector. `trained` uses the model of the same name that is trained here. {source: a path or https://…,
    sha256: …} uses a .pt or .onnx file of ultralytics, which is fetched once and verified. A name in resources/weights.tsv, or
    {package: …, file: …, sha256: …}, uses a file of a Python package. `null` runs no detector.
    """


class RegionDetectionSettings(TrainedDetectionSettings):
    """How the detector of regions runs, or that regions may be anywhere."""

    weights: AnyRegionWeights = "trained"  # type: ignore[assignment]  # one word more
    """Weights of the detector. `trained` uses the model of the same name that is trained here. {source: a path or https://…,
    sha256: …} uses a .pt or .onnx file of ultralytics, which is fetched once and verified. A name in resources/weights.tsv, or
    {package: …, file: …, sha256: …}, uses a file of a Python package. `anywhere` draws random shapes instead, which needs
    neither labels nor a detector. `null` runs no detector.
    """


class WatermarkDetectionSettings(TrainedDetectionSettings):
    """How the watermark detector runs; it gets larger images than in its training, because marks are small."""

    image_size: int | None = Field(640, ge=32, multiple_of=32)


def settings_of(settings: InferenceSettings) -> dict[str, Any]:
    """Return `settings` as JSON values, without `weights`: their origin does not affect the results of a detector."""
    return settings.model_dump(mode="json", exclude={"weights"})
