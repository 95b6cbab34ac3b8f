"""How sharp a face is."""

import numpy as np


def sharp_edges(levels: np.ndarray) -> float:
    """Return the fraction of the edges in `levels`, uint8 (H, W), that do not look blurred, 0 to 1; 0 if there are no edges.

    It is the cumulative probability of blur detection (CPBD) of Narvekar and Karam, "A no-reference image blur metric based on
    the cumulative probability of blur detection (CPBD)", 2011. An edge of the width w is seen as blurred with the probability
    1 - exp(-(w / j) ** 3.6), where j is the just noticeable width, and those below 63.5 % are counted. Widths are whole
    pixels, so these are the edges that are not wider than j.

    An edge is a pixel with a large horizontal gradient, larger than that of both neighbours in its row or in its column. Its
    width is that of the strictly rising or falling run of levels through it. Edges count in whole blocks of 64 pixels in which
    more than 0.2 % of the pixels are edges after Canny: after a blur of one pixel, their gradient is larger than 0.2 levels and
    than that of their neighbours. His lower threshold is left out: with so low an upper one, it finds no more.
    """
    import cv2

    from tessera.extras.face_sets.kernel import count_edges

    smooth = cv2.GaussianBlur(levels.astype(np.float32), (9, 9), 1)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    strength = cv2.Sobel(levels, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REFLECT) ** 2
    least = 2 * np.sqrt(strength.mean(dtype=np.float64))
    edges, sharp = count_edges(levels.astype(np.int32, order="C"), strength, least, across, down)
    return sharp / edges if edges else 0.0


def laplacian_variance(image: np.ndarray) -> float:
    """Return the variance of the Laplacian of `image`, uint8 (H, W, 3), over all channels, with an aperture of 11 pixels."""
    import cv2

    values = cv2.Laplacian(image, cv2.CV_32F, ksize=11)
    _, deviation = cv2.meanStdDev(values.reshape(-1, 1))
    return float(deviation[0, 0] ** 2)
