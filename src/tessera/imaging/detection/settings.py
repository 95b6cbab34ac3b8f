"""How a detector is run over images."""

from typing import Any

from pydantic import Field, PositiveInt

from tessera.core.settings import Settings
from tessera.core.weights.declare import DeclaredWeights, TrainedOrDeclaredWeights


class PredictionSettings(Settings):
    """How a detector is run over images."""

    confidence: float = Field(0.1, gt=0, lt=1)
    iou: float = Field(0.7, ge=0, le=1)
    image_size: int | None = Field(None, ge=32, multiple_of=32)
    batch: PositiveInt = 8
    half: bool = True
    max_regions: PositiveInt = 50


class FinderSettings(PredictionSettings):
    """A detector that looks at the sampled frames, where its weights are declared."""

    weights: DeclaredWeights = None


class TrainedFinderSettings(PredictionSettings):
    """The same, but that its weights may be those trained here."""

    weights: TrainedOrDeclaredWeights = "trained"


class WatermarkFinderSettings(TrainedFinderSettings):
    """The one of watermarks, shown larger images than it was trained on: marks are small."""

    image_size: int | None = Field(640, ge=32, multiple_of=32)


def settings_of(settings: PredictionSettings) -> dict[str, Any]:
    """Return what of `settings` decides what a detector sees, beside its weights: where these come from does not."""
    return settings.model_dump(mode="json", exclude={"weights"})
