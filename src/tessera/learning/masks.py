"""Outline faces with a declared model, in ONNX or TorchScript."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from tessera.imaging.images import resize
from tessera.learning.declared_model import DeclaredModel
from tessera.learning.mask_settings import MaskModelSettings

SLACK = 0.01  # by which a probability may lie outside of 0 to 1


class MaskModel:
    """A model that is loaded once and outlines the face in any number of squares."""

    def __init__(self, weights: Path, expected: Path | str, settings: MaskModelSettings) -> None:
        """Load the file `weights`. `expected`: see `DeclaredModel`.

        Raises `TesseraError` if the sha256 differs, or the file is no model of masks.
        """
        size, classes = settings.size, "scores of the classes (faces, classes, height, width), or their numbers"
        shape = classes if settings.output == "classes" else "(faces, height, width), with or without a channel"
        fix = (
            f"expected is a model of ONNX (.onnx) or TorchScript that gets {size} by {size} pixels, (faces, 3, {size}, {size})"
            f" or (faces, {size}, {size}, 3), and returns {shape}; declare another, or set `masks.size` and `masks.output`"
        )
        name = settings.weights.source if settings.weights else str(weights)
        self._settings, self._model = settings, DeclaredModel(weights, expected, name, "masks", fix)
        with self._model.errors():
            self._probabilities(np.zeros((1, 3, size, size), np.float32))

    def outline(self, squares: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """Yield the mask of the face in each of `squares`, uint8 (S, S, 3), RGB: uint8 (S, S), 255 in the face and 0 elsewhere.

        It is None if the model returns a number that is not finite. Raises `TesseraError` if the model cannot run.
        """
        waiting = iter(squares)
        while batch := list(islice(waiting, min(self._settings.batch, self._model.most))):
            with self._model.errors():
                found = self._probabilities(np.stack([self._pixels(square) for square in batch]))
            for square, probabilities in zip(batch, found, strict=True):
                if np.isfinite(probabilities).all():
                    yield (resize(probabilities, *square.shape[:2]) >= self._settings.threshold) * np.uint8(255)
                else:
                    yield None

    def _pixels(self, square: np.ndarray) -> np.ndarray:
        """Return `square` as the model gets it: float32 (3, size, size)."""
        settings = self._settings
        sampled = resize(square, settings.size, settings.size).astype(np.float32) / 255
        normalised = (sampled - np.array(settings.mean)) / np.array(settings.std)
        pixels: np.ndarray = normalised.astype(np.float32).transpose(2, 0, 1)
        return pixels[::-1] if settings.channels == "BGR" else pixels

    def _probabilities(self, batch: np.ndarray) -> np.ndarray:
        """Return the probability of the face in each pixel of the output for `batch`, float32 (N, 3, size, size)."""
        outputs = [output for output in self._model.run(batch) if output.shape[:1] == batch.shape[:1]]
        # Further outputs are those of earlier layers, which only the training needs.
        for output in outputs:
            found = self._of_classes(output) if self._settings.output == "classes" else self._of_face(output)
            if found is not None:
                return found.astype(np.float32)
        raise ValueError(f"it returns numbers of the shapes {', '.join(str(output.shape) for output in outputs) or 'none'}")

    def _of_face(self, output: np.ndarray) -> np.ndarray | None:
        values = _without_channel(output)
        if values is None:
            return None
        if self._settings.output == "logits":
            return np.asarray((1 + np.tanh(values / 2)) / 2)
        finite = values[np.isfinite(values)]
        if finite.size and (finite.min() < -SLACK or finite.max() > 1 + SLACK):
            raise ValueError(
                f"its values run from {finite.min():.4g} to {finite.max():.4g}, which are `logits`, or not of one class"
            )
        return values

    def _of_classes(self, output: np.ndarray) -> np.ndarray | None:
        wanted = list(self._settings.face_classes)
        numbers = _without_channel(output)
        if numbers is not None and output.dtype.kind in "iu":
            return np.isin(numbers, wanted)
        axis = 3 if self._model.channels_last else 1
        if output.ndim != 4 or output.shape[axis] < 2:
            return None
        if output.shape[axis] <= max(wanted):
            raise ValueError(f"it has {output.shape[axis]} classes, and `masks.face_classes` names {max(wanted)}")
        scores = np.moveaxis(output, axis, 0).astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            powers = np.exp(scores - scores.max(axis=0))
            return np.asarray(powers[wanted].sum(axis=0) / powers.sum(axis=0))


def _without_channel(output: np.ndarray) -> np.ndarray | None:
    """Return `output` with one value for each pixel as (N, h, w), None if it has several."""
    if output.ndim == 4 and 1 in {output.shape[1], output.shape[3]}:
        return output[:, 0] if output.shape[1] == 1 else output[..., 0]
    return output if output.ndim == 3 else None
