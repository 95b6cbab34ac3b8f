"""Scores: each computes one number from pictures of a clip.

The pictures are the luma of frames of the clip without their black padding: uint8 (H, W), of any size. See
`tessera.imaging.sharpness.luma`.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

MOTION_SIDE = 64  # pixels
BLOCK = 8  # pixels
LOGARITHMS = np.log1p(np.arange(256, dtype=np.float32) / 2)  # log(1 + step), by twice the step
BLACK, WHITE = 8, 247  # levels of luma


def brightness(levels: np.ndarray) -> float:
    """Return the mean of `levels`, in [0, 1]."""
    return float(levels.mean()) / 255


def clipped(levels: np.ndarray) -> float:
    """Return the fraction of the pixels of `levels` that are at most `BLACK` or at least `WHITE`."""
    return float(np.mean((levels <= BLACK) | (levels >= WHITE)))


def blockiness(levels: np.ndarray) -> float:
    """Return how visible the 8 by 8 blocks of compression are in `levels`: 1 is not at all, a poor JPEG has 3 or more.

    It is the ratio of the mean step across block borders to the mean step inside blocks, averaged over rows and columns. A step
    is the difference of two neighbouring pixels, less the mean of the differences on both sides of it, and within 0 and 127.5.
    Steps are taken as log(1 + step), so that a few strong edges of the scene do not dominate. A crop shifts the grid, so the
    offset with the largest steps, of eight, is taken as the border. A picture that is too small for two blocks gives 1.
    """
    return (_blockiness(levels, 0) + _blockiness(levels, 1)) / 2


def _blockiness(levels: np.ndarray, axis: int) -> float:
    """Return the blockiness of `levels` along `axis`, across the borders of blocks."""
    import cv2

    if levels.shape[axis] < 2 * BLOCK + 3:
        return 1.0

    def part(values: np.ndarray, start: int, stop: int | None) -> np.ndarray:
        return values[start:stop] if axis == 0 else values[:, start:stop]

    differences = cv2.absdiff(part(levels, 1, None), part(levels, 0, -1))
    before, between, after = part(differences, 0, -2), part(differences, 1, -1), part(differences, 2, None)
    twice = cv2.add(between, between, dtype=cv2.CV_16S)
    around = cv2.add(before, after, dtype=cv2.CV_16S)
    steps = cv2.LUT(cv2.subtract(twice, around, dtype=cv2.CV_8U), LOGARITHMS)  # the conversion to 8 bits limits the values
    lines = cv2.reduce(steps, 1 - axis, cv2.REDUCE_AVG).ravel()
    means = np.array([lines[offset::BLOCK].mean() for offset in range(BLOCK)])
    inside = (means.sum() - means.max()) / (BLOCK - 1)
    # Avoids a division by zero: a picture of one colour has no steps.
    return float((means.max() + 1e-6) / (inside + 1e-6))


def thumbnail(levels: np.ndarray) -> np.ndarray:
    """Return `levels` scaled to a square for `motion`: uint8 (`MOTION_SIDE`, `MOTION_SIDE`)."""
    import cv2

    small: np.ndarray = cv2.resize(levels, (MOTION_SIDE, MOTION_SIDE), interpolation=cv2.INTER_AREA)
    return small


def motion(first: np.ndarray, second: np.ndarray, seconds: float) -> float:
    """Return the mean speed of motion between two pictures, in sides of the picture per second.

    `first`, `second`: thumbnails of the pictures, see `thumbnail`. `seconds`: time between them. The speed is the mean length
    of the optical flow. Source of the flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016, in OpenCV.
    """
    import cv2

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)  # type: ignore[call-overload]
    return float(np.linalg.norm(flow, axis=2).mean()) / MOTION_SIDE / seconds


def jump(rles: Sequence[str], height: int, width: int) -> float:
    """Return the largest change of a mask from one frame to the next, in [0, 1]: 1 minus the intersection over the union.

    `rles`: COCO's compressed run lengths of the mask in each frame of a video of `height` by `width` pixels. A single mask
    gives 0. A region that moves by a tenth of its size per frame gives about 0.2, and one that jumps to another place 1.
    """
    from pycocotools import mask as coco

    masks = [{"size": [height, width], "counts": rle.encode("ascii")} for rle in rles]
    return 1 - min((float(coco.iou([first], [second], [0])[0, 0]) for first, second in pairwise(masks)), default=1.0)
