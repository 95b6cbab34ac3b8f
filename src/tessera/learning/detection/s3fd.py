"""Read the output of S3FD, a detector of faces (Zhang et al. 2017, "S3FD: Single Shot Scale-invariant Face Detector").

It has maps at six scales, and around the middle of each cell a square anchor, four cells wide. For each cell, it states the
scores of the background and of a face (2 channels), and how the face differs from the anchor (4 channels): the offset of its
middle (x, y) in tenths of the side of the anchor, and the logarithms of its width and height relative to that side, in fifths.
The scores are logits, unless the file ends in a softmax.

The input is BGR less the means, as in the file of DeepFaceLive and in exports of the network in face_alignment. Their padding
makes the last three maps larger than the picture. The cells are counted from its upper left corner all the same.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tessera.learning.detection.decoder import LARGEST, Decoder, Found

STRIDES = (4, 8, 16, 32, 64, 128)  # pixels per cell
MEAN = np.array([104, 117, 123], np.float32)  # of blue, green and red
BORDER = 4  # cells
ROUNDING = 0.01  # of the sum of two probabilities, which may be in half precision


def prepare(images: np.ndarray) -> np.ndarray:
    """Return `images`, uint8 (N, H, W, 3), BGR, as the model gets them: float32 (N, 3, H, W), BGR less the means."""
    return np.ascontiguousarray((images - MEAN).transpose(0, 3, 1, 2))


def decode(outputs: Sequence[np.ndarray], confidence: float) -> Iterator[Found]:
    """Yield a face for each anchor in `outputs`, float32 (C, h, w), that is as likely as `confidence`."""
    likelihoods = _likelihoods(outputs[::2])
    for stride, likely, difference in zip(STRIDES, likelihoods, outputs[1::2], strict=True):
        side = 4 * stride
        rows, columns = np.nonzero(likely >= confidence)
        dx, dy, *logarithms = difference[:, rows, columns].astype(np.float64)
        x, y = (columns + 0.5) * stride + 0.1 * side * dx, (rows + 0.5) * stride + 0.1 * side * dy
        width, height = side * np.exp(np.minimum(0.2 * np.array(logarithms), LARGEST))
        boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
        yield from map(Found, likely[rows, columns].tolist(), boxes)


def _likelihoods(scores: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return how likely each cell holds a face, float (h, w), for each of `scores`, float32 (2, h, w)."""
    with np.errstate(over="ignore", invalid="ignore"):
        # Of two probabilities, the sum is 1 everywhere; that of two logits is not.
        if not any((np.abs(pair.sum(axis=0) - 1) > ROUNDING).any() for pair in scores):
            return [face for _, face in scores]
        return [1 / (1 + np.exp(background - face)) for background, face in scores]


S3FD = Decoder(
    "S3FD", "face", 640, tuple((channels, stride) for stride in STRIDES for channels in (2, 4)), prepare, decode, BORDER
)
