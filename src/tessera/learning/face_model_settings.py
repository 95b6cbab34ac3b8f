"""What the settings of all models of faces have in common: the weights, and what their input is."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tessera.core.settings import Settings
from tessera.learning.preprocessing import Channels
from tessera.learning.weights.declare import DeclaredWeights

MOST = 1024  # faces at a time, which also stands for any number


class FaceModelSettings(Settings):
    """A model that gets a picture of a face."""

    weights: DeclaredWeights = None
    size: int = Field(256, ge=16, le=2048)
    """Side of the input in pixels."""
    channels: Literal["RGB", "BGR"] = "RGB"
    """Order of the channels of the input."""
    mean: Channels = (0, 0, 0)
    """Mean of red, green and blue, which is subtracted. Values run from 0 to 1."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1, 1, 1)
    """Standard deviation of red, green and blue, by which is divided."""


class BatchedFaceModelSettings(FaceModelSettings):
    """A model that gets several pictures of faces at a time."""

    batch: PositiveInt = Field(16, le=MOST)
    """Faces at a time. Lower it if the GPU runs out of memory."""
