"""Metrics of restored clips, over the mosaicked region and over the frame, and baselines that need no model.

Clips are uint8 (T, H, W, 3), RGB. Masks are uint8 (T, H, W), 0 or 255: `region` marks the mosaicked pixels, `content` the
pixels that are not padding, a rectangle in each frame. Padding is ignored, both in means and in the windows of SSIM.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

# The window of SSIM, and the constants that keep its quotient stable; the values of its authors.
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PSNR_CEILING = 60.0  # dB

# Returns the distance between two images, uint8 (H, W, 3), at each pixel: float64 (H, W).
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def squared_error(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the squared difference at each pixel, averaged over the channels: float64 (H, W), in squared levels."""
    squares: np.ndarray = ((image.astype(np.float64) - clean) ** 2).mean(axis=2)
    return squares


def similarity(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the structural similarity (SSIM) at each pixel, averaged over the channels: float64 (H, W), 1 if both are equal.

    Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to structural similarity (2004), with
    a Gaussian window of 11 by 11 pixels and a standard deviation of 1.5. At the border, the images are mirrored.
    """
    one, other = image.astype(np.float64), clean.astype(np.float64)
    mean, clean_mean = _smooth(one), _smooth(other)
    product, squares = mean * clean_mean, mean**2 + clean_mean**2
    covariance, variances = _smooth(one * other) - product, _smooth(one**2 + other**2) - squares
    quotient = (2 * product + SSIM_C1) * (2 * covariance + SSIM_C2) / ((squares + SSIM_C1) * (variances + SSIM_C2))
    similar: np.ndarray = quotient.mean(axis=2)
    return similar


def psnr(squares: float) -> float:
    """Return the peak signal-to-noise ratio, dB, of a mean squared error in squared levels.

    It is capped at 60 dB, as in libvmaf for 8 bits: above that, no difference is visible, and a frame without errors would make
    the mean over frames infinite.
    """
    return min(10 * math.log10(255**2 / squares), PSNR_CEILING) if squares else PSNR_CEILING


def measure(
    clip: np.ndarray, clean: np.ndarray, region: np.ndarray, content: np.ndarray, distance: Distance | None = None
) -> dict[str, dict[str, float]]:
    """Return `{"region": {"psnr": …, "ssim": …}, "frame": {…}}`, the means over frames of the means over pixels.

    With `distance`, its mean is included as `lpips`. Frames without a region count only for `frame`.
    Raises `ValueError` if no frame has a region.
    """
    values: dict[str, list[dict[str, float]]] = {"region": [], "frame": []}
    for place, inside in _inside(content):
        pair = clip[place][inside], clean[place][inside]
        maps = {"psnr": squared_error(*pair), "ssim": similarity(*pair)} | ({"lpips": distance(*pair)} if distance else {})
        shown = content[place][inside] > 0
        for area, pixels in (("region", shown & (region[place][inside] > 0)), ("frame", shown)):
            if pixels.any():
                means = {name: float(each[pixels].mean()) for name, each in maps.items()}
                values[area].append(means | {"psnr": psnr(means["psnr"])})
    if not values["region"]:
        raise ValueError("no frame has a region")
    return {area: mean_of(rows) for area, rows in values.items()}


def mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each value over `rows`, by name. All rows must have the same names; there must be at least one."""
    return {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}


def bicubic(mosaicked: np.ndarray, region: np.ndarray, content: np.ndarray, block: float) -> np.ndarray:
    """Return `mosaicked` with the region smoothed: the means of blocks, interpolated bicubically.

    `block`: side of a block in pixels. A restorer does not know where the grid of the mosaic begins, so the means are those of
    the frame divided evenly into blocks of about this side.
    """
    import cv2

    result = mosaicked.copy()
    for place, inside in _inside(content):
        shown = result[place][inside]
        height, width = shown.shape[:2]
        means = max(1, round(width / block)), max(1, round(height / block))
        small = cv2.resize(shown, means, interpolation=cv2.INTER_AREA)
        cv2.copyTo(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), region[place][inside], shown)
    return result


def temporal_median(mosaicked: np.ndarray, region: np.ndarray, frames: int) -> np.ndarray:
    """Return `mosaicked` with each pixel and channel of `region` replaced by its median over the `frames` frames around it.

    At the start and end of the clip, the window is its first or last `frames` frames; in a shorter clip, all frames. The median
    of an even number of values is the mean of the two in the middle, rounded to the nearest level, and ties to the even one.
    """
    result, count = mosaicked.copy(), len(mosaicked)
    frames = min(frames, count)
    for place, mask in enumerate(region):
        first = min(max(place - frames // 2, 0), count - frames)
        pixels = mask > 0
        result[place][pixels] = np.rint(np.median(mosaicked[first : first + frames, pixels], axis=0)).astype(np.uint8)
    return result


def bin_of(block: float, edges: Sequence[float]) -> str:
    """Return the name of the bin of `block`, in pixels; a bin includes its lower edge and excludes its upper one."""
    names = bins(edges)
    return names[int(np.searchsorted(edges, block, side="right"))]


def bins(edges: Sequence[float]) -> list[str]:
    """Return the names of the bins below, between and above `edges`, which are pixels in ascending order."""
    if not edges:
        return ["any size"]
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *between, f"{edges[-1]:g} and more"]


def _inside(content: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield the number of each frame that has content, and the rows and columns of the content."""
    import cv2

    for place, mask in enumerate(content):
        x, y, width, height = cv2.boundingRect(mask)
        if width:
            yield place, (slice(y, y + height), slice(x, x + width))


def _smooth(image: np.ndarray) -> np.ndarray:
    import cv2

    side = 2 * SSIM_RADIUS + 1
    # The border pixel is repeated in the mirrored part, as in SciPy.
    smooth: np.ndarray = cv2.GaussianBlur(image, (side, side), SSIM_SIGMA, borderType=cv2.BORDER_REFLECT)
    return smooth
