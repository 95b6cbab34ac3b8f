"""Mosaics that are hard to see: of small blocks, in footage that was scaled afterwards, blurred or darkened; and bars.

Lada does not draw them. Its users report that small and faint mosaics are missed.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tessera.imaging.boxes import mask_box
from tessera.imaging.mosaic.settings import MIN_BLOCK, MosaicSettings

Colour = Literal["black", "white", "mean"]


@dataclass(frozen=True)
class Bar:
    """A rectangle of one colour that hides a region."""

    colour: Colour  # `mean`: that of the pixels under the bar
    thickness: float  # relative to the shorter side of the smallest rectangle around the region
    opacity: float  # from 0 to 1


@dataclass(frozen=True)
class Faint:
    """How a mosaic differs from one that is drawn for its region alone."""

    block: float | None = None  # height of a block in pixels of the sample; None: it follows from the region
    blur: float = 0.0  # standard deviation of the blur of the mosaic, relative to the height of a block; 0: not blurred
    brightness: float = 1.0  # factor by which the mosaic is darkened; 1: not
    bar: Bar | None = None  # drawn instead of the mosaic


def draw_scale(rng: np.random.Generator, settings: MosaicSettings) -> float:
    """Draw the factor by which a frame is scaled after its mosaics were drawn; 1 if it is not."""
    rescaled, scale = rng.random() < settings.rescaled, rng.uniform(*settings.rescale)
    return float(scale) if rescaled else 1.0


def draw_faint(rng: np.random.Generator, settings: MosaicSettings) -> Faint:
    """Draw how the mosaic of a region differs from one that is drawn for the region alone.

    It takes the same numbers from `rng` whatever they are used for, so that no setting changes what another one decides.
    """
    fine, blurred, darkened, barred = rng.random(4) < (settings.fine, settings.blurred, settings.darkened, settings.bars)
    block = math.exp(rng.uniform(*np.log(settings.fine_block)))
    blur, brightness = rng.uniform(*settings.blur), rng.uniform(*settings.darken)
    bar = Bar(
        get_args(Colour)[rng.integers(3)],
        float(rng.uniform(*settings.bar_thickness)),
        float(rng.uniform(*settings.bar_opacity)),
    )
    if barred:
        return Faint(bar=bar)
    return Faint(block if fine else None, float(blur) if blurred else 0.0, float(brightness) if darkened else 1.0)


def blur_region(image: np.ndarray, shown: np.ndarray, sigma: float) -> None:
    """Blur `image` in place where `shown` is set, by a Gaussian with a standard deviation of `sigma` pixels, above 0.

    `image`: uint8 (H, W, 3). `shown`: uint8 (H, W), 0 or 255, not empty. Pixels outside of `shown` do not change. Towards its
    outline, the blur fades out: its weight is 2 g - 1, at least 0, where g is the blurred `shown`, from 0 to 1.
    """
    import cv2

    reach = math.ceil(3 * sigma) + 1  # the kernel of OpenCV extends over 3 standard deviations
    x0, y0, x1, y1 = map(int, mask_box(shown))
    window = slice(max(0, y0 - reach), y1 + reach), slice(max(0, x0 - reach), x1 + reach)
    part, inside = image[window], shown[window]
    blurred, near = cv2.GaussianBlur(part, (0, 0), sigma), cv2.GaussianBlur(inside, (0, 0), sigma)
    weight = np.where(inside, (near / 127.5 - 1).clip(0), 0)[..., None]
    image[window] = np.rint(part + weight * (blurred - part.astype(np.float64))).astype(np.uint8)


def darken_region(image: np.ndarray, shown: np.ndarray, brightness: float) -> None:
    """Multiply `image`, uint8 (H, W, 3), by `brightness`, from 0 to 1, in place where `shown`, uint8 (H, W), is set."""
    levels = np.rint(np.arange(256) * brightness).astype(np.uint8)
    image[shown > 0] = levels[image[shown > 0]]


def cover_bar(image: np.ndarray, mask: np.ndarray, bar: Bar, side: float = MIN_BLOCK) -> np.ndarray:
    """Draw `bar` over the region `mask` of `image` in place, and return where it is: uint8 (H, W), 0 or 255.

    `image`: uint8 (H, W, 3). `mask`: uint8 (H, W), 0 or 255, not empty. The bar lies along the middle of the smallest rectangle
    around the region, which may be rotated, and is as long. None of its sides is shorter than `side` pixels.
    """
    import cv2

    middle, (width, height), angle = cv2.minAreaRect(cv2.findNonZero(mask))
    length, thickness = max(width, height) + 1, (min(width, height) + 1) * bar.thickness  # it ends in the centres of pixels
    sides = max(side, length) - 1, max(side, thickness) - 1
    corners = cv2.boxPoints((middle, sides if width >= height else sides[::-1], angle))
    shown = np.zeros_like(mask)
    cv2.fillConvexPoly(shown, np.rint(corners).astype(np.int32), 255)
    under = image[shown > 0].astype(np.float64)
    colour = {"black": 0.0, "white": 255.0, "mean": under.mean(axis=0)}[bar.colour]
    image[shown > 0] = np.rint(under + bar.opacity * (colour - under)).astype(np.uint8)
    return shown
