"""Settings for running detectors over images."""

from typing import Any

from pydantic import Field, PositiveInt

from tessera.core.settings import Fraction, Settings
from tessera.learning.weights.declare import DeclaredWeights, TrainedOrDeclaredWeights


class InferenceSettings(Settings):
    """How a detector runs over images."""

    confidence: float = Field(0.1, gt=0, lt=1)
    iou: Fraction = 0.7
    image_size: int | None = Field(None, ge=32, multiple_of=32)
    batch: PositiveInt = 8
    half: bool = True
    max_regions: PositiveInt = 50


class DetectionSettings(InferenceSettings):
    """How a detector runs over the sampled frames; without declared weights, it does not run."""

    weights: DeclaredWeights = None


class TrainedDetectionSettings(InferenceSettings):
    """How a detector runs over the sampled frames; its weights may be trained by the workflow or declared."""

    weights: TrainedOrDeclaredWeights = "trained"


class WatermarkDetectionSettings(TrainedDetectionSettings):
    """How the watermark detector runs; it gets larger images than in its training, because marks are small."""

    image_size: int | None = Field(640, ge=32, multiple_of=32)


def settings_of(settings: InferenceSettings) -> dict[str, Any]:
    """Return `settings` as JSON values, without `weights`: their origin does not affect the results of a detector."""
    return settings.model_dump(mode="json", exclude={"weights"})
