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

    x0, y0, x1, y1 = box = _box(levels[:, :, None])
    part = levels[y0:y1, x0:x1]
    strength = np.abs(cv2.Sobel(part, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REFLECT | cv2.BORDER_ISOLATED))
    edges, sharp = count_edges(_padded(part), strength, box, levels.shape)
    return sharp / edges if edges else 0.0


def laplacian_variance(image: np.ndarray) -> float:
    """Return the variance of the Laplacian of `image`, uint8 (H, W, 3), over all channels, with an aperture of 11 pixels."""
    from tessera.extras.face_sets.kernel import sum_laplacian

    x0, y0, x1, y1 = _box(image)
    padded = _padded(image[y0:y1, x0:x1])
    total, squares = sum_laplacian(padded.reshape(len(padded), -1), image.shape[2])
    return float(4 * (squares / image.size - (total / image.size) ** 2))


def _padded(image: np.ndarray) -> np.ndarray:
    """Return `image` as float32, with `MARGIN` pixels around it, in which it is mirrored."""
    import cv2

    from tessera.extras.face_sets.kernel import MARGIN

    padded: np.ndarray = cv2.copyMakeBorder(image.astype(np.float32), MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REFLECT_101)
    return padded


def _box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return the box of all that is not black in `image`, uint8 (H, W, C), and of more than `MARGIN` black pixels around that.

    It is x0, y0, x1, y1, and ends with the picture. Outside of it, the Laplacian and the gradient are 0.
    """
    import cv2

    from tessera.extras.face_sets.kernel import MARGIN

    height, width, channels = image.shape
    x, y, columns, rows = cv2.boundingRect(image.reshape(height, -1))
    margin = MARGIN + 1
    return (
        max(x // channels - margin, 0),
        max(y - margin, 0),
        min(-(-(x + columns) // channels) + margin, width),
        min(y + rows + margin, height),
    )
