"""Tag pictures with a model in the layout of WD14."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import numpy as np

from tessera.core.errors import TesseraError
from tessera.learning.onnx import load_model, run_pictures, sides_of
from tessera.learning.weights.resolve import verify_weights
from tessera.records.tags import Tag

WHITE = 255


def square(picture: np.ndarray, size: int) -> np.ndarray:
    """Return the input of a model of WD14 for `picture`, uint8 (H, W, 3), RGB: float32 (size, size, 3), BGR, from 0 to 255.

    The picture is placed in the middle of a white square, which is scaled by bicubic interpolation. These are the facts of the
    demonstration of WD14, https://huggingface.co/spaces/SmilingWolf/wd-tagger.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    canvas = np.full((side, side, 3), WHITE, np.uint8)
    canvas[top : top + height, left : left + width] = picture
    scaled = canvas if side == size else np.array(Image.fromarray(canvas).resize((size, size), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(scaled[:, :, ::-1], dtype=np.float32)


class Tagger:
    """A tagger that is loaded once and tags any number of pictures. Several threads may use it at a time."""

    def __init__(self, weights: Path, expected: str, tags: Sequence[Tag]) -> None:
        """Load the ONNX model `weights`, whose sha256 is `expected`.

        It has one input of 32-bit floating-point numbers (pictures, size, size, 3), and its output (pictures, scores) has a
        score for each of `tags`. Raises `TesseraError` if the file is not such a model.
        """
        verify_weights(weights, expected)
        self._weights = weights
        self._tags = tags
        self._session = load_model(weights, 1, "declare another file")
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        sides = sides_of(inputs)
        if len(sides) != 4 or sides[3] != 3 or sides[1] != sides[2] or sides[1] is None:
            stated = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
            raise TesseraError(
                f"{weights}: its inputs are {stated or 'none'}; a tagger has one input of 32-bit floating-point numbers"
                " (pictures, size, size, 3); declare a model in the layout of WD14"
            )
        count = outputs[0].shape[-1] if len(outputs) == 1 and len(outputs[0].shape) == 2 else None
        if isinstance(count, int) and count != len(tags):
            raise self._other_list(count)
        self._output, self._size = outputs[0].name, sides[1]
        # A GPU works on one batch at a time anyway, and would need the memory of several.
        self._turn = Lock() if "CUDAExecutionProvider" in self._session.get_providers() else nullcontext()

    def scores(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return the scores of all tags of `pictures`, uint8 (H, W, 3), RGB, of any sizes, in one batch: float32 (N, tags).

        Raises `TesseraError` if the model cannot run on them, or if its scores are not from 0 to 1. A score may be NaN.
        """
        batch = np.stack([square(picture, self._size) for picture in pictures])
        try:
            with self._turn:
                outputs = run_pictures(self._session, self._output, batch)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime raises exceptions of its own
            said = " ".join(str(error).split())[:300]
            fix = "lower `tagger.batch`" if "memory" in said else "declare another model"
            raise TesseraError(f"{self._weights} cannot tag a batch of the shape {batch.shape} ({said}); {fix}") from error
        if outputs.ndim != 2 or len(outputs) != len(pictures):
            raise TesseraError(
                f"{self._weights} returns numbers of the shape {outputs.shape} for {len(pictures)} pictures; declare a model in"
                " the layout of WD14"
            )
        if outputs.shape[1] != len(self._tags):
            raise self._other_list(outputs.shape[1])
        if (outputs < -1e-3).any() or (outputs > 1 + 1e-3).any():
            raise TesseraError(
                f"{self._weights} returns scores from {np.nanmin(outputs):g} to {np.nanmax(outputs):g}; export it with a"
                " sigmoid, so that they are from 0 to 1"
            )
        scores: np.ndarray = outputs.astype(np.float32).clip(0, 1)
        return scores

    def _other_list(self, count: int) -> TesseraError:
        return TesseraError(
            f"{self._weights} gives {count:,} scores, and its tag list has {len(self._tags):,} tags; declare the list of this"
            " model in `tagger.tags`"
        )
