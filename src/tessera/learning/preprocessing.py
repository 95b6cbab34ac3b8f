"""How a picture becomes the input of a network."""

from typing import Literal

import numpy as np
from pydantic import Field, PositiveFloat

from tessera.core.settings import Settings

GREY = 114  # level of padding
Resize = Literal["crop", "stretch", "pad"]
Channels = tuple[float, float, float]  # red, green, blue


class Preprocessing(Settings):
    """How a picture becomes the input of a network: `size` by `size` pixels, RGB in [0, 1], minus `mean`, over `std`.

    Sizes are rounded as in torchvision.
    """

    size: int = Field(224, ge=16, le=4096)
    """Side of the input in pixels."""
    resize: Resize = "crop"
    """How a picture becomes square. `crop` scales the shorter side to `size` divided by `crop`, and takes the middle. `stretch`
    ignores the proportions. `pad` scales the longer side, and adds grey.
    """
    crop: float = Field(1.0, gt=0, le=1)
    """Fraction of the scaled shorter side that is taken."""
    offset: Literal["nearest", "down"] = "nearest"
    """Where the middle begins: `nearest` rounds as torchvision does, and `down` as transformers does for CLIP."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    """Interpolation: `nearest`, `bilinear`, `bicubic` or `lanczos`."""
    mean: Channels = (0.485, 0.456, 0.406)
    """Mean of red, green and blue, which is subtracted. Values run from 0 to 1."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)
    """Standard deviation of red, green and blue, by which is divided."""


def to_square(picture: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Return `picture`, uint8 (H, W, 3), RGB, at the size of the network: uint8 (size, size, 3).

    Scaling down averages over the area of a pixel, as in Pillow.
    """
    from PIL import Image

    size = preprocessing.size
    height, width = picture.shape[:2]
    if preprocessing.resize == "stretch":
        target = (size, size)
    else:
        longest = preprocessing.resize == "pad"
        side = size if longest else int(size / preprocessing.crop)
        base = max(height, width) if longest else min(height, width)
        target = max(1, int(side * width / base)), max(1, int(side * height / base))
    method = Image.Resampling[preprocessing.interpolation.upper()]
    scaled = np.array(Image.fromarray(picture).resize(target, method))
    if preprocessing.resize == "crop":
        rounded = round if preprocessing.offset == "nearest" else int
        top, left = (rounded((length - size) / 2) for length in scaled.shape[:2])
        scaled = scaled[top : top + size, left : left + size]
    elif preprocessing.resize == "pad":
        top, left = ((size - length) // 2 for length in scaled.shape[:2])
        canvas = np.full((size, size, 3), GREY, np.uint8)
        canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
        scaled = canvas
    return scaled
