"""Apply Open-NSFW, Yahoo's classifier of pictures, in the ONNX that tf2onnx makes of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.learning.classification.classifier import Classifier
from tessera.learning.classification.settings import Description
from tessera.learning.onnx import load_model, sides_of
from tessera.learning.preprocessing import Preprocessing
from tessera.learning.weights.resolve import verify_weights

SIDE = 224  # pixels; of its input, the middle of a picture that is scaled to 256 by 256 pixels
MEAN = np.array([104, 117, 123], np.float32)  # of blue, green and red
DESCRIPTION = Description(
    labels=("sfw", "nsfw"),
    architecture="open_nsfw",
    preparation=Preprocessing(size=256, resize="stretch", interpolation="bilinear"),
)


@dataclass(frozen=True, eq=False)
class OpenNsfw(Classifier):
    """Open-NSFW, ready for inference."""

    network: Any  # an `InferenceSession`

    def results(self, inputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes, float32 (N, 2), for prepared pictures, uint8 (N, 256, 256, 3), RGB."""
        start = (inputs.shape[1] - SIDE) // 2
        middle = inputs[:, start : start + SIDE, start : start + SIDE, ::-1] - MEAN
        (given,) = self.network.get_inputs()
        results: np.ndarray = self.network.run(None, {given.name: middle})[0]
        return results


def read_open_nsfw(path: Path, expected: Path | str | None = None) -> OpenNsfw:
    """Return the classifier in the file `path`, on the GPU if there is one. For `expected`, see `read_classifier`.

    Raises `TesseraError` if the file is another one than expected, damaged, or no such classifier.
    """
    import torch

    if expected is not None:
        verify_weights(path, expected)
    fix = "declare Open-NSFW, or the .safetensors of a classifier that Tessera exported"
    session = load_model(path, torch.get_num_threads(), fix)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if sides_of(inputs)[1:] != [SIDE, SIDE, 3] or sides_of(outputs)[1:] != [2]:
        stated = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in [*inputs, *outputs])
        raise TesseraError(
            f"{path}: its inputs and outputs are {stated}; expected are one input (pictures, {SIDE}, {SIDE}, 3) and one output"
            f" (pictures, 2), as of Open-NSFW; {fix}"
        )
    return OpenNsfw(DESCRIPTION, session)
