"""Random parts, shapes and bends of pictures that move."""

import cv2
import numpy as np

from tessera.imaging.images import resize


def cut_window(
    picture: np.ndarray, scale: float, side: int, reach: float, smallest: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random part of `picture` at `scale`, and the x and y in it of the middle of a window of `side` pixels.

    The window lies in the picture, if that is large enough. The part extends `reach` pixels of its own from that middle, as far
    as there is a picture, and has `smallest` pixels or more a side.
    """
    half, reach = side / 2 / scale, reach / scale
    y, x = (random.uniform(min(half, length / 2), max(length - half, length / 2)) for length in picture.shape[:2])
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    part = picture[top : int(y + reach) + 1, left : int(x + reach) + 1]
    scaled = resize(part, *(max(smallest, round(length * scale)) for length in part.shape[:2]))
    return scaled, np.array([x - left, y - top]) * scale


def random_bend(size: int, lengths: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    """Return by how many pixels each pixel is displaced across and down: float32 (2, `size`, `size`), smooth.

    `lengths`: the range of its standard deviation, in pixels.
    """
    side, length = random.integers(3, 7), np.exp(random.uniform(*np.log(lengths)))
    coarse = random.normal(0, length, (side, side, 2)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1)


def random_shape(
    size: int, smooth: tuple[float, float], left_out: tuple[float, float], random: np.random.Generator
) -> np.ndarray:
    """Return a random shape: float32 (`size`, `size`), 0 or 1.

    `smooth`: the range of the standard deviation of the blur that makes it, in pixels. `left_out`: the range of the fraction
    that it does not cover.
    """
    noise = cv2.GaussianBlur(random.normal(size=(size, size)).astype(np.float32), (0, 0), random.uniform(*smooth))
    shape: np.ndarray = (noise > np.quantile(noise, random.uniform(*left_out))).astype(np.float32)
    return shape
