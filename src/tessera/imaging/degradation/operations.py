"""Degrade single images, given as arrays.

Functions follow Real-ESRGAN (Wang et al. 2021, https://arxiv.org/abs/2107.10833), section 3, unless they say otherwise.
Images are uint8 (H, W, 3), RGB, and are not changed. Results are new images, rounded to the nearest level. Lada truncates
after adding noise, which darkens the image by half a level on average.
"""

import math

import numpy as np

LONGEST_WEBP = 16383  # pixels, the limit of the format


def sharpen(image: np.ndarray, weight: float, radius: int, threshold: float) -> np.ndarray:
    """Sharpen `image` with an unsharp mask.

    `weight` times the difference from a blurred copy is added at pixels at which the difference exceeds `threshold`, in levels.
    The blur is a Gaussian of 2 `radius` + 1 pixels, with the standard deviation that OpenCV derives from its size. The set of
    sharpened pixels is blurred in the same way, so that its edges are soft.
    """
    import cv2

    kernel = cv2.getGaussianKernel(2 * radius + 1, 0)
    difference = image - cv2.sepFilter2D(image, cv2.CV_32F, kernel, kernel)
    where = cv2.sepFilter2D((np.abs(difference) > threshold).view(np.uint8), cv2.CV_32F, kernel, kernel)
    sharp = (image + weight * difference).clip(0, 255)
    return _levels(image + where * (sharp - image))


def gaussian_kernel(size: int, sigma_x: float, sigma_y: float, theta: float, beta: float = 1) -> np.ndarray:
    """Return the kernel exp(-(q ** beta) / 2), normalized to a sum of 1: float32 (size, size).

    q is the squared distance from the middle, in units of `sigma_x` and `sigma_y`, which are in pixels along axes rotated by
    `theta` radians. A `beta` of 1 gives the Gaussian; a smaller one gives a sharper peak and a longer tail.
    """
    return _normalized(np.exp(-(_squares(size, sigma_x, sigma_y, theta) ** beta) / 2))


def plateau_kernel(size: int, sigma_x: float, sigma_y: float, theta: float, beta: float) -> np.ndarray:
    """Return the kernel 1 / (1 + q ** beta), normalized to a sum of 1: float32 (size, size). For q see `gaussian_kernel`."""
    return _normalized(1 / (1 + _squares(size, sigma_x, sigma_y, theta) ** beta))


def sinc_kernel(cutoff: float, size: int) -> np.ndarray:
    """Return the isotropic ideal low-pass filter w J1(w r) / (2 pi r), normalized to a sum of 1: float32 (size, size).

    w is pi times `cutoff`, a fraction of the Nyquist frequency; J1 is the Bessel function of the first kind of order 1; r is
    the distance from the middle in pixels. Truncated to `size`, the filter causes ringing, as codecs and sharpening do.
    """
    from scipy.special import j1

    radius = np.sqrt(_squares(size, 1, 1, 0))
    middle = size // 2
    radius[middle, middle] = 1
    kernel = j1(math.pi * cutoff * radius) / (2 * radius)
    kernel[middle, middle] = math.pi * cutoff / 4  # the limit
    return _normalized(kernel)


def blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return `image` filtered with `kernel`, with `image` mirrored at its borders.

    Kernels larger than 11 pixels take far longer, unless they are separable.
    """
    import cv2

    column, row = kernel.sum(axis=1), kernel.sum(axis=0)
    if len(kernel) > 11 and np.allclose(np.outer(column, row), kernel, rtol=0, atol=1e-6):
        return _levels(cv2.sepFilter2D(image, cv2.CV_32F, row, column))
    blurred: np.ndarray = cv2.filter2D(image, -1, kernel)
    return blurred


def resize(image: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    """Return `image` scaled to `size`, (width, height), with `method`: `area`, `bilinear` or `bicubic`.

    Only `area` averages pixels when scaling down; the others alias.
    """
    import cv2

    methods = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
    resized: np.ndarray = cv2.resize(image, size, interpolation=methods[method])
    return resized


def gaussian_noise(image: np.ndarray, sigma: float, grey: bool, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise with standard deviation `sigma`, in levels; if `grey`, the same noise to all channels."""
    return _levels(image + np.float32(sigma) * _normal(image, grey, rng))


def poisson_noise(image: np.ndarray, scale: float, grey: bool, rng: np.random.Generator) -> np.ndarray:
    """Add photon noise, `scale` times as strong as if each level were one photon; if `grey`, only that of the luma.

    The noise is drawn from a normal distribution with the mean and variance of the Poisson distribution. That is four times as
    fast, and after rounding the two cumulative distributions differ by at most 0.06, and by 0.03 from level 16 on. In
    Real-ESRGAN, and therefore in Lada, the number of photons depends on how many levels the image uses: the fewer levels, the
    more noise. Here every image gets the noise of one that uses all levels.
    """
    import cv2

    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if grey else image
    deviation = cv2.LUT(light, np.float32(scale) * np.sqrt(np.arange(256, dtype=np.float32))).reshape(light.shape)
    return _levels(image + deviation * _normal(image, grey, rng))


def chromatic_aberration(image: np.ndarray, shift: float) -> np.ndarray:
    """Return `image` as if through a lens that magnifies red more than blue: lateral chromatic aberration.

    `shift`: the distance of red from blue in a corner, as a fraction of half the diagonal; negative if blue is magnified more.
    Red is scaled by 1 + `shift` / 2 and blue by 1 - `shift` / 2 about the middle, bilinearly. The model is that of the first
    term in Brown, "Decentering distortion of lenses", 1966, without distortion of green.
    """
    import cv2

    height, width = image.shape[:2]

    def scaled(channel: np.ndarray, scale: float) -> np.ndarray:
        x, y = (width - 1) / 2 * (1 - scale), (height - 1) / 2 * (1 - scale)
        transform = np.array([[scale, 0, x], [0, scale, y]])
        return cv2.warpAffine(channel, transform, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    red, green, blue = cv2.split(image)
    return cv2.merge([scaled(red, 1 + shift / 2), green, scaled(blue, 1 - shift / 2)])


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return `image` after JPEG compression at `quality`, 1 to 100. Colours are those of JFIF: BT.601, full range, 4:2:0."""
    import cv2

    return _recoded(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def webp(image: np.ndarray, quality: int) -> np.ndarray:
    """Return `image` after lossy WebP compression at `quality`, 1 to 100.

    Raises `ValueError` if a side exceeds 16383 pixels.
    """
    import cv2

    if max(image.shape[:2]) > LONGEST_WEBP:
        raise ValueError(f"an image of {image.shape[1]} by {image.shape[0]} pixels cannot be a WebP")
    return _recoded(image, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])


def _recoded(image: np.ndarray, suffix: str, options: list[int]) -> np.ndarray:
    """Return `image` after encoding and decoding it in the format of `suffix`."""
    import cv2

    _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    return decoded


def _squares(size: int, sigma_x: float, sigma_y: float, theta: float) -> np.ndarray:
    """Return the squared distances of `gaussian_kernel`: float64 (size, size)."""
    y, x = np.mgrid[:size, :size] - size // 2
    along, across = x * math.cos(theta) + y * math.sin(theta), y * math.cos(theta) - x * math.sin(theta)
    squares: np.ndarray = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    return squares


def _normalized(kernel: np.ndarray) -> np.ndarray:
    normalized: np.ndarray = (kernel / kernel.sum()).astype(np.float32)
    return normalized


def _normal(image: np.ndarray, grey: bool, rng: np.random.Generator) -> np.ndarray:
    import cv2

    noise = np.empty((*image.shape[:2], 1 if grey else 3), np.float32)
    # In a third of the time that NumPy takes. Each thread of OpenCV has a generator of its own.
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(noise.reshape(len(noise), -1), np.zeros(1), np.ones(1))
    return noise


def _levels(values: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.rint(values, out=values).clip(0, 255).astype(np.uint8)
    return levels
