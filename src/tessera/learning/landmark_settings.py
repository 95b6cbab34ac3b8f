"""Settings of models that find landmarks of faces."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tessera.core.settings import Settings
from tessera.learning.preprocessing import Channels
from tessera.learning.weights.declare import DeclaredWeights

MOST = 1024  # faces at a time, which also stands for any number
Turn = Literal[0, 90, 180, 270]


class LandmarkSettings(Settings):
    """A model that finds 68 landmarks of a face. The defaults are those of FAN (Bulat and Tzimiropoulos 2017)."""

    weights: DeclaredWeights = None
    """Weights of the model. {source: a path or https://…, sha256: …} uses an .onnx file or one of TorchScript, which is fetched
    once and verified. It returns a heatmap for each landmark, or coordinates. `null` finds no landmarks.
    """
    size: int = Field(256, ge=16, le=1024)
    """Side of the input in pixels."""
    channels: Literal["RGB", "BGR"] = "RGB"
    """Order of the channels of the input."""
    mean: Channels = (0, 0, 0)
    """Mean of red, green and blue, which is subtracted. Values run from 0 to 1."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1, 1, 1)
    """Standard deviation of red, green and blue, by which is divided."""
    crop: Literal["fan", "square"] = "fan"
    """Which part of the picture the model gets. `fan`: a square with a side of 200/195 of the width and the height of the box
    together, its middle above that of the box by 12 % of the height. `square`: a square around the middle of the box.
    """
    factor: float = Field(1.5, gt=0, le=10)
    """Side of the `square`, in longer sides of the box."""
    coordinates: Literal["fractions", "pixels"] = "fractions"
    """What coordinates of the model are: fractions of the side of its input, or pixels of it. Heatmaps need no such choice."""
    batch: PositiveInt = Field(16, le=MOST)
    """Faces at a time. Lower it if the GPU runs out of memory."""
