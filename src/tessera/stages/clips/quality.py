"""Learned video quality after DOVER: the aesthetic and the technical quality of a clip.

Wu et al., "Exploring Video Quality Assessment on User Generated Contents from Aesthetic and Technical Perspectives", 2023.
"""

from collections.abc import Mapping
from math import tanh
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.learning.onnx import load_model, sides_of

INPUTS = ["aes_view", "tech_view"]
SIDE = 224  # pixels, sides of both views
PATCHES = 7  # along each side of the technical view
PATCH = SIDE // PATCHES
FRAMES = 32  # of a view, if the model takes any number
# Mean and standard deviation of ImageNet in levels: red, green, blue.
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
THREADS = 2  # constant, because the order of summation, and so the last digits, depend on it
EXPECTED = (
    "expected is what `convert_to_onnx.py` of DOVER writes: two inputs, `aes_view` and `tech_view`, of 32-bit floating-point"
    " numbers (views, 3, frames, 224, 224), and two outputs, the aesthetic and the technical score of each view"
)


class QualityModel:
    """DOVER as an ONNX model, loaded once for any number of clips.

    The model has two inputs: `aes_view`, scaled whole frames, and `tech_view`, frames assembled from unscaled patches. Both are
    float32 (views, 3, frames, 224, 224), RGB, normalised by mean and standard deviation of ImageNet. Its two outputs are the
    aesthetic and the technical score of each view; the mean over the views is used. The frames of all views of an input are
    evenly spaced from the first to the last frame of the clip. A patch is the middle of its cell; DOVER itself draws a random
    position in the cell.
    """

    def __init__(self, path: Path) -> None:
        """Load the ONNX file `path`. Raises `TesseraError` if it is not such a model."""
        self._session = load_model(path, THREADS, EXPECTED)
        inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        if sorted(inputs) != INPUTS or len(self._session.get_outputs()) != 2:
            raise TesseraError(
                f"{path}: its inputs are {', '.join(inputs)}, and it has {len(self._session.get_outputs())} outputs; {EXPECTED}"
            )
        self._shapes = [_shape(path, inputs[name]) for name in INPUTS]

    def frame_indices(self, frames: int) -> list[int]:
        """Return the indices of the frames that the model needs of a clip with so many `frames`, ascending, without repeats."""
        return sorted({index for views, length in self._shapes for index in _evenly(frames, views * length)})

    def measure(self, views: Mapping[int, np.ndarray], frames: int) -> tuple[float, float]:
        """Return the aesthetic and the technical score of a clip with so many `frames`.

        `views`: the result of `views_of` for each frame of `frame_indices`, by index.
        """
        inputs = {}
        for number, (name, (count, length)) in enumerate(zip(INPUTS, self._shapes, strict=True)):
            pictures = np.stack([views[index][number] for index in _evenly(frames, count * length)])
            scaled = (pictures - MEAN) / DEVIATION
            inputs[name] = np.ascontiguousarray(scaled.reshape(count, length, SIDE, SIDE, 3).transpose(0, 4, 1, 2, 3))
        aesthetic, technical = (float(np.mean(output)) for output in self._session.run(None, inputs))
        return aesthetic, technical


def views_of(picture: np.ndarray) -> np.ndarray:
    """Return the whole and the patch view of `picture`, uint8 (H, W, 3), RGB: uint8 (2, 224, 224, 3)."""
    import cv2

    return np.stack([cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), patches(picture)])


def patches(picture: np.ndarray) -> np.ndarray:
    """Return the middle patches of the 7 by 7 cells of `picture`, side by side: uint8 (224, 224, 3).

    A picture whose shorter side is less than 224 pixels is scaled up first, as in DOVER.
    """
    import cv2

    scale = SIDE / min(picture.shape[:2])
    if scale > 1:
        size = [max(SIDE, round(side * scale)) for side in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    rows, columns = (
        ((np.arange(PATCHES) * (side // PATCHES) + (side // PATCHES - PATCH) // 2)[:, None] + np.arange(PATCH)).ravel()
        for side in picture.shape[:2]
    )
    return picture[np.ix_(rows, columns)]


def fuse(aesthetic: float, technical: float) -> float:
    """Return both scores fused into one in [0, 1], with the published constants of DOVER."""
    fused = 0.6104 * (technical - 0.1107) / 0.07355 + 0.3896 * (aesthetic + 0.08285) / 0.03774
    # The logistic function by way of tanh, which does not overflow.
    return (1 + tanh(fused / 2)) / 2


def _shape(path: Path, tensor: Any) -> tuple[int, int]:
    """Return the number of views of an input and the frames of a view; if the model takes any number, 1 and `FRAMES`."""
    views, *rest = sides_of([tensor]) or [None]
    frames = rest[1] if len(rest) == 4 else None
    fits = len(rest) == 4 and all(side in (None, due) for side, due in zip(rest, (3, frames, SIDE, SIDE), strict=True))
    if not fits:
        raise TesseraError(f"{path}: its input {tensor.name} is {tensor.type} {tensor.shape}; {EXPECTED}")
    return views or 1, frames or FRAMES


def _evenly(frames: int, count: int) -> list[int]:
    """Return `count` indices below `frames`, evenly spaced from the first to the last; if there are fewer, some repeat."""
    indices: list[int] = np.linspace(0, frames - 1, count).round().astype(int).tolist()
    return indices
