"""The luma of pictures, and how sharp they are."""

import numpy as np

SHARPNESS_SIDE = 256  # pixels


def luma(image: np.ndarray) -> np.ndarray:
    """Return the luma of `image`, uint8 (H, W, 3), RGB, after ITU-R BT.601: uint8 (H, W)."""
    import cv2

    levels: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return levels


def sharpness(levels: np.ndarray) -> float:
    """Return the variance of the Laplacian of `levels`, in squared levels. A sharper picture has a larger value.

    The picture is scaled to a longer side of `SHARPNESS_SIDE` pixels first; otherwise, a larger picture of the same scene would
    count as less sharp. Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000.
    """
    import cv2

    height, width = levels.shape
    scale = SHARPNESS_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = cv2.resize(levels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return float(cv2.Laplacian(scaled, cv2.CV_32F).var())
