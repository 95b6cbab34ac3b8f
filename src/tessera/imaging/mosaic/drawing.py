"""Draw random mosaics for regions.

Sizes and probabilities are those of Lada 0.11 (https://github.com/ladaapp/lada), except where Lada has a bug:

- The area and the box of a region are those of all its pixels. Lada takes only the outline that was found first, and the area
  inside the centres of its outermost pixels.
- Sizes of v1 rise from 8 pixels at 20,000 square pixels to 12 at 50,000, as in v4. In Lada they rise to 9, then jump to 12.
- No block is smaller than the settings allow, in any version. In Lada, v1 and v2 may return 0.
- A region gets a soft edge only if the region has more than 4 rows and columns of blocks. Lada counts those of the image.
- A feather that is rounded to 0 means no feather. In Lada, it means one as wide as a block.
"""

import numpy as np

from tessera.imaging.boxes import mask_box
from tessera.imaging.mosaic.blocks import Mosaic
from tessera.imaging.mosaic.settings import MIN_BLOCK, DrawSettings

FEATHERED_FROM = 5  # least number of rows and columns of blocks of a region with a soft edge


def block_size_v1(area: float, height: int, width: int) -> float:
    """Return the side of a block, in pixels, for a region of `area` square pixels in a frame of `height` by `width`.

    This is Lada's v1, made continuous at 50,000 square pixels. It is piecewise linear in the area of the region in a frame
    scaled to a shorter side of 512 pixels.
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
    """Return the side of a block, in pixels, for a region whose box has the longer side `length`, in pixels.

    This is Lada's v2: from 1 to 1.8 % of the longer side of the frame, in 20 steps of the ratio of `length` to that side.
    """
    longest = max(height, width)
    return float(np.linspace(0.01, 0.018, 20)[np.abs(np.linspace(0, 1, 20) - length / longest).argmin()] * longest)


def block_size_v3(height: int, width: int) -> int:
    """Return the side of a block, in pixels: a hundredth of the longer side of the frame, at least 4.

    This is Lada's v3, which follows Pixiv's guidelines.
    """
    return max(4, max(height, width) // 100)


def block_size_v4(area: float, height: int, width: int) -> float:
    """Return the side of a block, in pixels, for a region of `area` square pixels in a frame of `height` by `width`.

    This is Lada's v4: like `block_size_v1`, but along a logistic curve up to 50,000 square pixels.
    """
    scale = min(height, width) / 512
    if area / (scale * scale) > 50000:
        return block_size_v1(area, height, width)
    return scale * float(5 + 7 * _logistic(area / (scale * scale)) / _logistic(50000))


def block_sizes(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return the block sizes v1 for the area of the region, v1 for the area of its box, v2 and v3, in pixels.

    `mask`: uint8 (H, W), 0 or 255, not empty; the region in a whole frame.
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
    block: int | None = None,
) -> Mosaic:
    """Draw a random mosaic for the region `mask`, according to `settings`.

    `mask`: uint8 (H, W), 0 or 255, not empty. If it is a crop, `frame` is the height and width of the whole frame. The grid
    starts at the corner of the mask or, if `settings.anchor` is `region`, of the box of the region. `block`: the height of a
    block in pixels, instead of one that follows from the region; it changes nothing else that is drawn from `rng`. All frames
    of a clip should get the same mosaic: draw it once, for one of the masks.
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
    default_block = max(settings.min_block, int(size * rng.uniform(*settings.scale)))
    block = default_block if block is None else block
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
    x, y = (x0 - dilation, y0 - dilation) if settings.anchor == "region" else (0, 0)
    return Mosaic(kind, length, block, feather, dilation, (x % length, y % block), incomplete)
