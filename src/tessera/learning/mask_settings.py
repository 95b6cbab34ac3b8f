"""Settings of models that outline faces."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from tessera.learning.face_model_settings import BatchedFaceModelSettings
from tessera.learning.weights.declare import DeclaredWeights


class MaskModelSettings(BatchedFaceModelSettings):
    """A model that outlines the face in the square that was cut out around it."""

    weights: DeclaredWeights = None
    """Weights of the model. {source: a path or https://…, sha256: …} uses an .onnx file or one of TorchScript, which is fetched
    once and verified. `null` outlines nothing.
    """
    output: Literal["probabilities", "logits", "classes"] = "probabilities"
    """What the model returns for each pixel: the `probabilities` of the face, from 0 to 1; their `logits`, which are not
    limited; or the scores of several `classes`, or the number of the class.
    """
    face_classes: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (1,)
    """Numbers of the classes that belong to the face, of a model of `classes`."""
    threshold: float = Field(0.5, gt=0, lt=1)
    """Smallest probability of a pixel of the face."""
