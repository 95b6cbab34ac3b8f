"""Learned video quality: how good a clip looks, and how good its footage is, after DOVER.

Wu et al., "Exploring Video Quality Assessment on User Generated Contents from Aesthetic and Technical Perspectives", 2023.
"""

from collections.abc import Mapping
from math import tanh
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError

INPUTS = ["aes_view", "tech_view"]
SIDE = 224  # pixels of both views
PATCHES = 7  # along each side of the technical view
PATCH = SIDE // PATCHES
FRAMES = 32  # of a view where the model takes any number
# Levels of ImageNet: red, green, blue.
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
THREADS = 2  # always the same: the order of sums depends on it, and with it their last digits
EXPECTED = (
    "expected is what `convert_to_onnx.py` of DOVER writes: two inputs, `aes_view` and `tech_view`, of 32-bit floating-point"
    " numbers (views, 3, frames, 224, 224), and two outputs, the aesthetic and the technical score of each view"
)


class QualityModel:
    """DOVER as an ONNX model, loaded once and shown any number of clips.

    Its inputs are `aes_view`, whole frames, and `tech_view`, frames put together of patches that keep their pixels as they are;
    both float32 (views, 3, frames, 224, 224), RGB, scaled by mean and deviation of ImageNet. Its two outputs are the aesthetic
    and the technical score of each view, and the mean over them counts. The frames of all views of an input are evenly spaced
    from the first to the last of the clip. A patch is the middle of its cell; DOVER itself draws where in the cell it lies.
    """

    def __init__(self, path: Path) -> None:
        """Load the ONNX file `path`. Raises `TesseraError` where it is not such a model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        wanted = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        providers = [provider for provider in wanted if provider in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers)
        except Exception as error:  # of a type of its own for each kind of damage
            raise TesseraError(f"{path}: not an ONNX model that can be loaded ({error}); {EXPECTED}") from error
        found = {tensor.name: tensor for tensor in self._session.get_inputs()}
        if sorted(found) != INPUTS or len(self._session.get_outputs()) != 2:
            raise TesseraError(
                f"{path}: its inputs are {', '.join(found)}, and it has {len(self._session.get_outputs())} outputs; {EXPECTED}"
            )
        self._shapes = [_shape(path, found[name]) for name in INPUTS]

    def places(self, frames: int) -> list[int]:
        """Return which of the `frames` of a clip are shown to it, ascending, each once."""
        return sorted({place for views, length in self._shapes for place in _evenly(frames, views * length)})

    def measure(self, views: Mapping[int, np.ndarray], frames: int) -> tuple[float, float]:
        """Return the aesthetic and the technical score of a clip of so many `frames`.

        `views`: by the `places` of the frames, what `views_of` returns for each.
        """
        inputs = {}
        for number, (name, (count, length)) in enumerate(zip(INPUTS, self._shapes, strict=True)):
            own = np.stack([views[place][number] for place in _evenly(frames, count * length)])
            scaled = (own - MEAN) / DEVIATION
            inputs[name] = np.ascontiguousarray(scaled.reshape(count, length, SIDE, SIDE, 3).transpose(0, 4, 1, 2, 3))
        aesthetic, technical = (float(np.mean(output)) for output in self._session.run(None, inputs))
        return aesthetic, technical


def views_of(picture: np.ndarray) -> np.ndarray:
    """Return both views of `picture`, uint8 (H, W, 3), RGB: uint8 (2, 224, 224, 3), whole and in patches."""
    import cv2

    return np.stack([cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), patches(picture)])


def patches(picture: np.ndarray) -> np.ndarray:
    """Return the middle of each of 7 by 7 cells of `picture`, side by side: uint8 (224, 224, 3).

    A picture with a shorter side than that is scaled up first, as DOVER does.
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
    """Return both scores fused to one in [0, 1], with the figures that DOVER was published with."""
    fused = 0.6104 * (technical - 0.1107) / 0.07355 + 0.3896 * (aesthetic + 0.08285) / 0.03774
    # Written by tanh, which does not overflow.
    return (1 + tanh(fused / 2)) / 2


def _shape(path: Path, tensor: Any) -> tuple[int, int]:
    """Return how many views an input takes at once, and how many frames each; where the model takes any, 1 and `FRAMES`."""
    # A side that may be of any length has a name, or none.
    views, *rest = [side if isinstance(side, int) else None for side in tensor.shape] or [None]
    frames = rest[1] if len(rest) == 4 else None
    fits = len(rest) == 4 and all(side in (None, due) for side, due in zip(rest, (3, frames, SIDE, SIDE), strict=True))
    if not fits or tensor.type != "tensor(float)":
        raise TesseraError(f"{path}: its input {tensor.name} is {tensor.type} {tensor.shape}; {EXPECTED}")
    return views or 1, frames or FRAMES


def _evenly(frames: int, count: int) -> list[int]:
    """Return `count` places of `frames`, evenly spaced from the first to the last; some of them again where there are fewer."""
    places: list[int] = np.linspace(0, frames - 1, count).round().astype(int).tolist()
    return places
