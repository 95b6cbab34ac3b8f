"""Settings of models that find landmarks of faces."""

from typing import Literal

from pydantic import Field

from tessera.learning.face_model_settings import BatchedFaceModelSettings
from tessera.learning.weights.declare import DeclaredWeights

Turn = Literal[0, 90, 180, 270]


class LandmarkSettings(BatchedFaceModelSettings):
    """A model that finds 68 landmarks of a face. The defaults are those of FAN (Bulat and Tzimiropoulos 2017)."""

    weights: DeclaredWeights = None
    """Weights of the model. {source: a path or https://…, sha256: …} uses an .onnx file or one of TorchScript, which is fetched
    once and verified. It returns a heatmap for each landmark, or coordinates. `null` finds no landmarks.
    """
    crop: Literal["fan", "square"] = "fan"
    """Which part of the picture the model gets. `fan`: a square with a side of 200/195 of the width and the height of the box
    together, its middle above that of the box by 12 % of the height. `square`: a square around the middle of the box.
    """
    factor: float = Field(1.5, gt=0, le=10)
    """Side of the `square`, in longer sides of the box."""
    coordinates: Literal["fractions", "pixels"] = "fractions"
    """What coordinates of the model are: fractions of the side of its input, or pixels of it. Heatmaps need no such choice."""
