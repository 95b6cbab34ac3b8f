"""Describe how the output of a detector in ONNX that is not of ultralytics becomes regions."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

LARGEST = 12.0  # logarithm of a side, relative to a cell or an anchor, which no picture has


class Found(NamedTuple):
    """Something that a detector found: its score, its box, float64 (4,), x0, y0, x1, y1, and its outline, float64 (n, 2), x, y.

    Coordinates are pixels of the input of the model; the outline is None if only a box is known. `points`: its landmarks,
    float64 (n, 2), x, y; None if the detector finds none.
    """

    score: float
    box: np.ndarray
    outline: np.ndarray | None = None
    points: np.ndarray | None = None


class Decoder(NamedTuple):
    """How one kind of detector is run.

    `name`: of the kind, for messages. `label`: of what it finds. `size`: longer side of its input by default, pixels.
    `outputs`: the channels of each of its outputs, and the pixels of the input per value along either side, by which a file is
    recognised. `prepare` makes the input, float32 (N, 3, H, W), of images, uint8 (N, H, W, 3), BGR. `decode` yields what the
    outputs for one image, float32 (C, h, w), say with a confidence of at least its second argument. `border`: by how many
    values an output may be longer and wider than the input makes it, because of padding.
    """

    name: str
    label: str
    size: int
    outputs: tuple[tuple[int, int], ...]
    prepare: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[Sequence[np.ndarray], float], Iterator[Found]]
    border: int = 0

    def shapes(self, side: int) -> list[tuple[int, ...]]:
        """Return the shapes of the outputs for one image of `side` by `side` pixels, without a border."""
        # A stride may be longer than the image.
        return [(1, channels, -(-side // stride), -(-side // stride)) for channels, stride in self.outputs]

    def returns(self, shapes: Sequence[tuple[int, ...]], side: int) -> bool:
        """Return whether the outputs for one image of `side` by `side` pixels may have the `shapes`."""
        expected = self.shapes(side)
        if [len(shape) for shape in shapes] != [len(shape) for shape in expected]:
            return False
        excess = np.subtract(shapes, expected)
        return bool((excess[:, :2] == 0).all() and (excess >= 0).all() and (excess <= self.border).all())
