"""Drawing: which mosaic a region gets, at random.

Sizes and chances are those of Lada 0.11 (https://github.com/ladaapp/lada), but where those are wrong:

- The area of a region is that of all its pixels, and its box that around all of them; there, of whichever outline was found
  first, and the area within the centres of its outermost pixels.
- Sizes v1 climb from 8 pixels at 20,000 square pixels to 12 at 50,000, as v4 does; there, to 9, and then jump to 12.
- No block is smaller than the settings allow, whatever the version; there, v1 and v2 may come out as 0.
- A region gets a soft edge only where it has more than 4 rows and columns of blocks; there, where the image has.
- A feather that comes out as 0 is none; there, it is one as wide as a block.
"""

import numpy as np

from tessera.imaging.boxes import mask_box
from tessera.imaging.mosaic.blocks import Mosaic
from tessera.imaging.mosaic.settings import MIN_BLOCK, DrawSettings

FEATHERED_FROM = 5  # rows and columns of blocks


def block_size_v1(area: float, height: int, width: int) -> float:
    """Return the side of a block, in pixels, for a region of `area` square pixels in a frame of `height` by `width`.

    Lada's v1, continuous at 50,000: linear by pieces in the area that the region would have, were the shorter side of the
    frame 512 pixels.
    """
    scale = min(height, width) / 512
    area /= scale * scale
    if area <= 1000:
        size = area / 1000 + 5
    elif area <= 5000:
        size = (area - 1000) / 5000 + 6
    elif area <= 20000:
        size = (area - 5000) / 20000 + 7
    elif area <= 50000:
        size = (area - 20000) / 7500 + 8
    else:
        size = (area - 50000) / 50000 + 12
    return scale * size


def block_size_v2(length: float, height: int, width: int) -> float:
    """Return the side of a block, in pixels, for a region whose box has the longer side `length`. Lada's v2.

    In 20 steps from 1 to 1.8 % of the longer side of the frame, as the region is long in comparison.
    """
    longest = max(height, width)
    return float(np.linspace(0.01, 0.018, 20)[np.abs(np.linspace(0, 1, 20) - length / longest).argmin()] * longest)


def block_size_v3(height: int, width: int) -> int:
    """Return the side of a block, in pixels: a hundredth of the longer side of the frame, at least 4.

    Lada's v3, which is what Pixiv's guidelines ask for.
    """
    return max(4, max(height, width) // 100)


def block_size_v4(area: float, height: int, width: int) -> float:
    """Return the side of a block as `block_size_v1` does, but along a smooth curve up to 50,000 square pixels. Lada's v4."""
    scale = min(height, width) / 512
    if area / (scale * scale) > 50000:
        return block_size_v1(area, height, width)
    return scale * float(5 + 7 * _logistic(area / (scale * scale)) / _logistic(50000))


def block_sizes(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return v1 by the area of the region, v1 by that of its box, v2, and v3 for a region of a whole frame.

    `mask`: uint8 (H, W), 0 or 255, not empty.
    """
    import cv2

    height, width = mask.shape
    x0, y0, x1, y1 = mask_box(mask)
    return (
        block_size_v1(cv2.countNonZero(mask), height, width),
        block_size_v1((x1 - x0) * (y1 - y0), height, width),
        block_size_v2(max(x1 - x0, y1 - y0), height, width),
        block_size_v3(height, width),
    )


def _logistic(area: float) -> float:
    return float(1 / (1 + np.exp(-1.8e-4 * (area - 25000))))


def draw_mosaic(
    rng: np.random.Generator,
    mask: np.ndarray,
    settings: DrawSettings,
    frame: tuple[int, int] | None = None,
    corner: tuple[int, int] = (0, 0),
) -> Mosaic:
    """Return a mosaic for the region `mask`, uint8 (H, W), 0 or 255, not empty, drawn as `settings` say.

    Where `mask` is a crop of a frame, `frame` is the height and width of that, and `corner` the x and y of the crop in it; a
    whole frame needs neither. The grid is anchored to the corner of the frame, of the crop, or of the box of the region.
    One mosaic serves all frames of a clip: draw it for one of its masks.
    """
    import cv2

    height, width = frame or mask.shape
    x0, y0, x1, y1 = map(int, mask_box(mask))
    area = (x1 - x0) * (y1 - y0) if rng.random() < settings.bounding else cv2.countNonZero(mask)
    size: float
    match settings.version:
        case "v1":
            size = block_size_v1(area, height, width)
        case "v2":
            size = block_size_v2(max(x1 - x0, y1 - y0), height, width)
        case "v3":
            size = block_size_v3(height, width)
        case "v4":
            spread = 1 if rng.random() < 0.75 else 2
            size = max(3.0, block_size_v4(area, height, width) + rng.uniform(-spread, spread))
            size = np.floor(size) if rng.random() < 0.5 else np.ceil(size)
    block = max(settings.min_block, int(size * rng.uniform(*settings.scale)))
    weights = np.array(list(settings.types.values()))
    kind = list(settings.types)[rng.choice(len(weights), p=weights / weights.sum())]
    ratio = rng.uniform(*settings.ratio)
    length = max(MIN_BLOCK, int(block * ratio)) if kind == "rect_avg" else block
    feathered = rng.random() < settings.feathered
    feather = int(block * rng.uniform(*settings.feather))
    dilation = settings.dilation[rng.integers(len(settings.dilation))]
    incomplete = bool(rng.random() < settings.incomplete)
    rows, columns = np.ceil((y1 - y0 + 2 * dilation) / block), np.ceil((x1 - x0 + 2 * dilation) / length)
    if not feathered or min(rows, columns) < FEATHERED_FROM:
        feather = 0
    x, y = {"frame": (-corner[0], -corner[1]), "crop": (0, 0), "region": (x0 - dilation, y0 - dilation)}[settings.anchor]
    return Mosaic(kind, length, block, feather, dilation, (x % length, y % block), incomplete)
