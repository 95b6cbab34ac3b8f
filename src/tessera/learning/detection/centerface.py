"""Read the output of CenterFace, a detector of faces (Xu et al. 2019, "CenterFace: Joint Face Detection and Alignment").

For each cell of 4 by 4 pixels, it states how likely it holds the centre of a face (1 channel), the logarithms of the height and
the width of the face in cells, where in the cell the centre is (y, x), and five landmarks (10 channels): the eyes, the tip of
the nose and the corners of the mouth, the left one in the picture first. A landmark is (y, x), from the upper left corner of
the face, as a fraction of its height and width.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tessera.learning.detection.decoder import Decoder, Found

STRIDE = 4  # pixels per cell
LARGEST = 12.0  # logarithm of a side in cells, which no picture has


def prepare(images: np.ndarray) -> np.ndarray:
    """Return `images`, uint8 (N, H, W, 3), BGR, as the model gets them: float32 (N, 3, H, W), RGB from 0 to 255."""
    return np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2), np.float32)


def decode(outputs: Sequence[np.ndarray], confidence: float) -> Iterator[Found]:
    """Yield the faces in `outputs`, float32 (C, h, w): at cells as likely as `confidence`, and as all around them."""
    import cv2

    (centres,), sides, offsets, marks = outputs
    with np.errstate(invalid="ignore"):
        peaks = (centres >= confidence) & (centres >= cv2.dilate(centres, np.ones((3, 3), np.uint8)))
    for row, column in np.argwhere(peaks):
        height, width = np.exp(np.minimum(sides[:, row, column].astype(np.float64), LARGEST)) * STRIDE
        # The offset is that from the middle of the cell.
        y, x = (np.array([row, column]) + offsets[:, row, column] + 0.5) * STRIDE
        left, top = x - width / 2, y - height / 2
        points = marks[:, row, column].reshape(-1, 2)[:, ::-1].astype(np.float64) * (width, height) + (left, top)
        box = np.array((left, top, left + width, top + height), np.float64)
        yield Found(float(centres[row, column]), box, points=points)


CENTERFACE = Decoder("CenterFace", "face", 640, ((1, STRIDE), (2, STRIDE), (2, STRIDE), (10, STRIDE)), prepare, decode)
