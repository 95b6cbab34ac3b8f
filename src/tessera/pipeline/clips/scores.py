"""ScoreDetectors: each computes one number from pictures of a clip.

The pictures are frames of the clip without their black padding: uint8 (H, W, 3), RGB, of any size.
"""

import numpy as np

SHARPNESS_SIDE = 256  # pixels
MOTION_SIDE = 64  # pixels
BLOCK = 8  # pixels
LOGARITHMS = np.log1p(np.arange(2 * 255 + 1, dtype=np.float32) / 2)  # log(1 + step), by twice the step
BLACK, WHITE = 8, 247  # levels of luma


def sharpness(image: np.ndarray) -> float:
    """Return the variance of the Laplacian of the luma of `image`, in squared levels. A sharper image has a larger value.

    The image is scaled to a longer side of `SHARPNESS_SIDE` pixels first; otherwise, a larger picture of the same scene would
    count as less sharp. Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000.
    """
    import cv2

    height, width = image.shape[:2]
    scale = SHARPNESS_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = cv2.resize(luma(image), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return float(cv2.Laplacian(scaled, cv2.CV_32F).var())


def brightness(image: np.ndarray) -> float:
    """Return the mean luma of `image`, in [0, 1]."""
    return float(luma(image).mean()) / 255


def clipped(image: np.ndarray) -> float:
    """Return the fraction of the pixels of `image` with a luma of at most `BLACK` or at least `WHITE`."""
    levels = luma(image)
    return float(np.mean((levels <= BLACK) | (levels >= WHITE)))


def blockiness(image: np.ndarray) -> float:
    """Return how visible the 8 by 8 blocks of compression are in `image`: 1 is not at all, a poor JPEG has 3 or more.

    It is the ratio of the mean step across block borders to the mean step inside blocks, averaged over rows and columns. A step
    is the difference of two neighbouring pixels, less the mean of the differences on both sides of it, and at least 0. Steps
    are taken as log(1 + step), so that a few strong edges of the scene do not dominate. A crop shifts the grid, so the offset
    with the largest steps, of eight, is taken as the border. An image that is too small for two blocks gives 1.
    """
    levels = luma(image)
    return (_blockiness(levels) + _blockiness(levels.T)) / 2


def _blockiness(levels: np.ndarray) -> float:
    """Return the blockiness of `levels`, uint8 (H, W), across the vertical borders of blocks."""
    if levels.shape[1] < 2 * BLOCK + 3:
        return 1.0
    differences = np.abs(np.diff(levels.astype(np.int16), axis=1))
    twice = 2 * differences[:, 1:-1] - differences[:, :-2] - differences[:, 2:]
    columns = LOGARITHMS[np.maximum(0, twice)].mean(axis=0)
    places = np.array([columns[place::BLOCK].mean() for place in range(BLOCK)])
    inside = (places.sum() - places.max()) / (BLOCK - 1)
    # Avoids a division by zero: a picture of one colour has no steps.
    return float((places.max() + 1e-6) / (inside + 1e-6))


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return the luma of `image` scaled to a square for `motion`: uint8 (`MOTION_SIDE`, `MOTION_SIDE`)."""
    import cv2

    small: np.ndarray = cv2.resize(luma(image), (MOTION_SIDE, MOTION_SIDE), interpolation=cv2.INTER_AREA)
    return small


def motion(first: np.ndarray, second: np.ndarray, seconds: float) -> float:
    """Return the mean speed of motion between two pictures, in sides of the picture per second.

    `first`, `second`: thumbnails of the pictures, see `thumbnail`. `seconds`: time between them. The speed is the mean length
    of the optical flow. Source of the flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016, in OpenCV.
    """
    import cv2

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)  # type: ignore[call-overload]
    return float(np.linalg.norm(flow, axis=2).mean()) / MOTION_SIDE / seconds


def luma(image: np.ndarray) -> np.ndarray:
    """Return the luma of `image` after ITU-R BT.601: uint8 (H, W)."""
    import cv2

    levels: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return levels
