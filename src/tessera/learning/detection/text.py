"""Read the output of a detector of text with differentiable binarization, as PaddleOCR's are (Liao et al. 2020).

It states for each pixel how likely it is text. Its texts are shrunk, so that neighbours do not touch, and grown again here.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tessera.learning.detection.decoder import Decoder, Found

LEAST = 0.3  # probability of a pixel of text
GROWTH = 1.5  # of the outline: by its area over its length, times this
SHORTEST = 3  # pixels; of the shorter side of a shrunk text


def prepare(images: np.ndarray) -> np.ndarray:
    """Return `images`, uint8 (N, H, W, 3), BGR, as the model gets them: float32 (N, 3, H, W), BGR from -1 to 1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1


def decode(outputs: Sequence[np.ndarray], confidence: float) -> Iterator[Found]:
    """Yield a rectangle, which may be rotated, around each text in the probabilities `outputs`, one float32 (1, H, W).

    Its score is the mean probability inside the outline of the shrunk text.
    """
    import cv2

    ((probabilities,),) = outputs
    with np.errstate(invalid="ignore"):
        is_text = (probabilities > LEAST).astype(np.uint8)
    outlines, _ = cv2.findContours(is_text, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for outline in outlines:
        centre, (width, height), angle = cv2.minAreaRect(outline)
        if min(width, height) < SHORTEST:
            continue
        x, y, columns, rows = cv2.boundingRect(outline)
        inside = cv2.drawContours(np.zeros((rows, columns), np.uint8), [outline - (x, y)], 0, 1, cv2.FILLED)
        score = float(probabilities[y : y + rows, x : x + columns][inside > 0].mean())
        if score >= confidence:
            grown = 2 * GROWTH * width * height / (2 * (width + height))
            corners = cv2.boxPoints((centre, (width + grown, height + grown), angle)).astype(np.float64)
            # OpenCV counts from the middle of the first pixel.
            yield Found(score, np.concatenate([corners.min(axis=0), corners.max(axis=0)]) + 0.5, corners + 0.5)


TEXT = Decoder("a detector of text", "text", 960, ((1, 1),), prepare, decode)
