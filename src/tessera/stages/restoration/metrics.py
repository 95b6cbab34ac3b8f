"""Metrics of restored clips, over the mosaicked region and over the frame, and baselines that need no model.

Clips are uint8 (T, H, W, 3), RGB. Masks are uint8 (T, H, W), 0 or 255: `region` marks the mosaicked pixels, `content` the
pixels that are not padding, a rectangle in each frame. Padding is ignored, both in means and in the windows of SSIM.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import pairwise

import numpy as np

# The window of SSIM, and the constants that keep its quotient stable; the values of its authors.
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PSNR_CEILING = 60.0  # dB

# Returns the distance between two images, uint8 (H, W, 3), at each pixel: float64 (H, W).
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
Values = dict[str, dict[str, np.ndarray]]  # by area and metric, the value of each frame, float64 (T,)
AREAS = ("region", "frame")


def squared_error(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the squared difference at each pixel, averaged over the channels: float32 (H, W), in squared levels."""
    return _of_channels((image.astype(np.float32) - clean) ** 2)


class Similarity:
    """The structural similarity (SSIM) to one image, which is computed faster for several images than for each alone.

    Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to structural similarity (2004), with
    a Gaussian window of 11 by 11 pixels and a standard deviation of 1.5. At the border, the images are mirrored.
    """

    def __init__(self, clean: np.ndarray) -> None:
        # In single precision, with numbers near zero: the error of the similarity is below 1e-5. In double precision it takes
        # more than twice as long.
        self._levels = clean.astype(np.float32)
        self._centred = self._levels - 128
        centred_mean = _smooth(self._centred)
        self._mean = centred_mean + 128
        self._centred_mean = centred_mean
        self._variance = _smooth(self._centred**2) - centred_mean**2

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the similarity of `image` at each pixel, averaged over the channels: float32 (H, W), 1 if both are equal."""
        # The moments of the image follow from those of its difference to the clean one.
        difference = image.astype(np.float32) - self._levels
        change = _smooth(difference)
        mixed = _smooth(difference * self._centred) - change * self._centred_mean
        spread = _smooth(difference**2) - change**2
        mean = self._mean + change
        quotient = (2 * self._mean * mean + SSIM_C1) * (2 * (self._variance + mixed) + SSIM_C2)
        quotient /= (self._mean**2 + mean**2 + SSIM_C1) * (2 * (self._variance + mixed) + spread + SSIM_C2)
        return _of_channels(quotient)


def psnr(squares: float) -> float:
    """Return the peak signal-to-noise ratio, dB, of a mean squared error in squared levels.

    It is capped at 60 dB, as in libvmaf for 8 bits: above that, no difference is visible, and a frame without errors would make
    the mean over frames infinite.
    """
    return min(10 * math.log10(255**2 / squares), PSNR_CEILING) if squares else PSNR_CEILING


def measure(
    clips: Mapping[str, np.ndarray],
    clean: np.ndarray,
    region: np.ndarray,
    content: np.ndarray,
    distance: Distance | None = None,
    pool: Executor | None = None,
) -> dict[str, Values]:
    """Return the values of each of `clips`, as `{"region": {"psnr": float64 (T,), "ssim": …}, "frame": {…}}`.

    The value of a frame is the mean over its pixels, and NaN if there are none. With `distance`, its mean is included as
    `lpips`. `pool`: measures several frames at a time. Raises `ValueError` if no frame has a region.
    """
    import cv2

    names = ["psnr", "ssim", *(["lpips"] if distance else [])]
    values = {clip: {area: {name: np.full(len(clean), np.nan) for name in names} for area in AREAS} for clip in clips}

    def measure_frame(index: int, inside: tuple[slice, slice]) -> bool:
        shown = content[index][inside] > 0
        pixels = dict(zip(AREAS, (shown & (region[index][inside] > 0), shown), strict=True))
        original = clean[index][inside]
        similarity = Similarity(original)
        for clip, frames in clips.items():
            image = frames[index][inside]
            maps = {"psnr": squared_error(image, original), "ssim": similarity(image)}
            if distance:
                maps["lpips"] = distance(image, original)
            for area, chosen in pixels.items():
                if chosen.any():
                    for name, each in maps.items():
                        mean = cv2.mean(each, chosen.view(np.uint8))[0]
                        values[clip][area][name][index] = psnr(mean) if name == "psnr" else mean
        return bool(pixels["region"].any())

    if not any(list((pool.map if pool else map)(measure_frame, *zip(*_inside(content), strict=True)))):
        raise ValueError("no frame has a region")
    return values


def bicubic(mosaicked: np.ndarray, region: np.ndarray, content: np.ndarray, block: float) -> np.ndarray:
    """Return `mosaicked` with the region smoothed: the means of blocks, interpolated bicubically.

    `block`: side of a block in pixels. A restorer does not know where the grid of the mosaic begins, so the means are those of
    the frame divided evenly into blocks of about this side.
    """
    import cv2

    result = mosaicked.copy()
    for index, inside in _inside(content):
        picture = result[index][inside]
        height, width = picture.shape[:2]
        means = max(1, round(width / block)), max(1, round(height / block))
        small = cv2.resize(picture, means, interpolation=cv2.INTER_AREA)
        cv2.copyTo(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), region[index][inside], picture)
    return result


def temporal_median(mosaicked: np.ndarray, region: np.ndarray, frames: int) -> np.ndarray:
    """Return `mosaicked` with each pixel and channel of `region` replaced by its median over the `frames` frames around it.

    At the start and end of the clip, the window is its first or last `frames` frames; in a shorter clip, all frames. The median
    of an even number of values is the mean of the two in the middle, rounded to the nearest level, and ties to the even one.
    """
    result, count = mosaicked.copy(), len(mosaicked)
    frames = min(frames, count)
    for index, mask in enumerate(region):
        first = min(max(index - frames // 2, 0), count - frames)
        pixels = mask > 0
        result[index][pixels] = np.rint(np.median(mosaicked[first : first + frames, pixels], axis=0)).astype(np.uint8)
    return result


def bin_of(value: float, edges: Sequence[float]) -> str:
    """Return the name of the bin of `value`, in pixels; a bin includes its lower edge and excludes its upper one."""
    names = bins(edges)
    return names[int(np.searchsorted(edges, value, side="right"))]


def bins(edges: Sequence[float]) -> list[str]:
    """Return the names of the bins below, between and above `edges`, which are pixels in ascending order."""
    if not edges:
        return ["any"]
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *between, f"{edges[-1]:g} and more"]


def _inside(content: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield the number of each frame that has content, and the rows and columns of the content."""
    import cv2

    for index, mask in enumerate(content):
        x, y, width, height = cv2.boundingRect(mask)
        if width:
            yield index, (slice(y, y + height), slice(x, x + width))


def _of_channels(image: np.ndarray) -> np.ndarray:
    """Return the mean over the channels of `image`, float32 (H, W, 3). NumPy takes ten times as long for a short axis."""
    import cv2

    sums: np.ndarray = cv2.transform(image, np.ones((1, 3), np.float32))
    return sums / 3


def _smooth(image: np.ndarray) -> np.ndarray:
    import cv2

    side = 2 * SSIM_RADIUS + 1
    # The border pixel is repeated in the mirrored part, as in SciPy.
    smooth: np.ndarray = cv2.GaussianBlur(image, (side, side), SSIM_SIGMA, borderType=cv2.BORDER_REFLECT)
    return smooth
