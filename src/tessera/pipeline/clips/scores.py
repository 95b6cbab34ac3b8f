"""Scorers: each looks at pictures of a clip and gives one number.

The pictures are what was cut out, without the black padding around it: uint8 (H, W, 3), RGB, of any sizes.
"""

import numpy as np

SHARPNESS_SIDE = 256  # pixels
MOTION_SIDE = 64  # pixels
BLOCK = 8  # pixels
BLACK, WHITE = 8, 247  # levels of luma


def sharpness(image: np.ndarray) -> float:
    """Return the variance of the Laplacian of the luma of `image`, in squared levels: the sharper, the larger.

    Measured with the longer side at `SHARPNESS_SIDE` pixels, or the same scene would be the less sharp the larger its picture.
    The measure: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000.
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
    """Return the fraction of the pixels of `image` whose luma is at the black or at the white end."""
    levels = luma(image)
    return float(np.mean((levels <= BLACK) | (levels >= WHITE)))


def blockiness(image: np.ndarray) -> float:
    """Return how far `image` shows the 8 by 8 blocks of compression: 1 is not at all, a poor JPEG is 3 and more.

    It is the ratio of the steps across the borders of blocks to those inside, for rows and columns on average. A step is the
    difference of two neighbouring pixels as far as it exceeds those on both sides of it, on a logarithmic scale, or the few
    strong edges of a scene would decide. A crop moves the grid: of its eight places the one with the largest steps is taken.
    Of pictures that are too small for two blocks nothing is known: 1.
    """
    levels = luma(image)
    return (_blockiness(levels) + _blockiness(levels.T)) / 2


def _blockiness(levels: np.ndarray) -> float:
    """Return the blockiness of the columns of `levels`, uint8 (H, W)."""
    if levels.shape[1] < 2 * BLOCK + 3:
        return 1.0
    differences = np.abs(np.diff(levels.astype(np.float32), axis=1))
    steps = differences[:, 1:-1] - (differences[:, :-2] + differences[:, 2:]) / 2
    columns = np.log1p(np.maximum(0, steps)).mean(axis=0)
    places = np.array([columns[place::BLOCK].mean() for place in range(BLOCK)])
    inside = (places.sum() - places.max()) / (BLOCK - 1)
    # A millionth on both sides: a picture of one colour has no steps at all.
    return float((places.max() + 1e-6) / (inside + 1e-6))


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return what `motion` needs of `image`: its luma at `MOTION_SIDE` pixels a side, uint8."""
    import cv2

    small: np.ndarray = cv2.resize(luma(image), (MOTION_SIDE, MOTION_SIDE), interpolation=cv2.INTER_AREA)
    return small


def motion(first: np.ndarray, second: np.ndarray, seconds: float) -> float:
    """Return how fast what is shown moves from `first` to `second`, `seconds` later: sides of the picture per second.

    It is the mean length of the optical flow between the two pictures, given as their thumbnails.
    The flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016, as OpenCV has it.
    """
    import cv2

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)  # type: ignore[call-overload]
    return float(np.linalg.norm(flow, axis=2).mean()) / MOTION_SIDE / seconds


def luma(image: np.ndarray) -> np.ndarray:
    """Return the luma of `image` after ITU-R BT.601: uint8 (H, W)."""
    import cv2

    levels: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return levels
