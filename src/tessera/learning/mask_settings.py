"""Settings of models that outline faces."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tessera.core.settings import Settings
from tessera.learning.landmark_settings import MOST
from tessera.learning.preprocessing import Channels
from tessera.learning.weights.declare import DeclaredWeights


class MaskModelSettings(Settings):
    """A model that outlines the face in the square that was cut out around it."""

    weights: DeclaredWeights = None
    """Weights of the model. {source: a path or https://…, sha256: …} uses an .onnx file or one of TorchScript, which is fetched
    once and verified. `null` outlines nothing.
    """
    size: int = Field(256, ge=16, le=2048)
    """Side of the input in pixels."""
    channels: Literal["RGB", "BGR"] = "RGB"
    """Order of the channels of the input."""
    mean: Channels = (0, 0, 0)
    """Mean of red, green and blue, which is subtracted. Values run from 0 to 1."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1, 1, 1)
    """Standard deviation of red, green and blue, by which is divided."""
    output: Literal["probabilities", "logits", "classes"] = "probabilities"
    """What the model returns for each pixel: the `probabilities` of the face, from 0 to 1; their `logits`, which are not
    limited; or the scores of several `classes`, or the number of the class.
    """
    face_classes: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (1,)
    """Numbers of the classes that belong to the face, of a model of `classes`."""
    threshold: float = Field(0.5, gt=0, lt=1)
    """Smallest probability of a pixel of the face."""
    batch: PositiveInt = Field(16, le=MOST)
    """Faces at a time. Lower it if the GPU runs out of memory."""
