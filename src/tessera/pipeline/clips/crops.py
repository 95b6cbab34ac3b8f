"""Crops: what is cut out of each frame around a region, and how crops of several sizes make one clip.

The rule is that of Lada 0.11 (https://github.com/ladaapp/lada), but where that is wrong:

- A crop grows by all that is missing. There, what it grows on both sides alike is halved twice, so that a box of 100 pixels in
  the middle of a frame comes out as 198 and not as 256.
- What one side of the frame has no room for, the other gets. There, what has been halved is not made up for.

`compat: lada` gives exactly the crops that Lada cuts. Boxes are half-open here and inclusive there.
"""

from collections.abc import Iterable
from typing import TypeAlias

from tessera.pipeline.clips.settings import ClipSettings

Crop: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, half-open
Pad: TypeAlias = tuple[int, int, int, int]  # pixels at the top, bottom, left and right


def crop_box(box: Crop, frame: tuple[int, int], settings: ClipSettings) -> Crop:
    """Return what is cut out around `box`, which lies in a frame of the height and width `frame`.

    The box gets a border of `settings.border` pixels, or of `settings.border_fraction` of its longer side where that is more,
    as far as the frame goes. Then both sides grow to `settings.size` pixels, or to the longer of them where that is more, but
    each by `settings.growth` times itself at most; at the border of the frame, towards the inside.
    """
    x0, y0, x1, y1 = box
    height, width = frame
    border = max(settings.border, int(max(x1 - x0, y1 - y0) * settings.border_fraction))
    x0, y0, x1, y1 = max(0, x0 - border), max(0, y0 - border), min(width, x1 + border), min(height, y1 + border)
    if settings.compat == "lada":
        # In floats, as there: what is missing may come out as a pixel less.
        scale = min(1.0, settings.size / (x1 - x0), settings.size / (y1 - y0))
        missing = [int((settings.size - side * scale) / scale) for side in (x1 - x0, y1 - y0)]
        grow = _grow_as_lada
    else:
        target = max(settings.size, x1 - x0, y1 - y0)
        missing = [target - side for side in (x1 - x0, y1 - y0)]
        grow = _grow
    x0, x1 = grow(x0, x1, missing[0], int(settings.growth * (x1 - x0)), width)
    y0, y1 = grow(y0, y1, missing[1], int(settings.growth * (y1 - y0)), height)
    return x0, y0, x1, y1


def _grow(low: int, high: int, missing: int, most: int, limit: int) -> tuple[int, int]:
    """Return the stretch from `low` to `high` grown by `missing`, at most by `most`, within 0 and `limit`."""
    length = high - low
    extra = min(missing, most, limit - length)
    low = min(max(0, low - extra // 2), limit - length - extra)
    return low, low + length + extra


def _grow_as_lada(low: int, high: int, missing: int, most: int, limit: int) -> tuple[int, int]:
    below, above = low, limit - high
    both = min(below, above, missing // 2, most)
    down = min(below - both, missing - 2 * both, most - both)
    up = min(above - both, missing - 2 * both - down, most - both - down)
    return low - both // 2 - down, high + (both + 1) // 2 + up


def clip_shape(crops: Iterable[Crop], settings: ClipSettings) -> tuple[int, int]:
    """Return the height and width that all of `crops` fit into: even where the colours of 2 by 2 pixels are stored as one."""
    height, width = (max(sides) for sides in zip(*((y1 - y0, x1 - x0) for x0, y0, x1, y1 in crops), strict=True))
    return (height + height % 2, width + width % 2) if settings.pixel_format == "yuv420p" else (height, width)


def pad_of(crop: Crop, shape: tuple[int, int]) -> Pad:
    """Return the black around `crop` in the middle of a clip of the height and width `shape`; an odd pixel is top or left."""
    rows, columns = shape[0] - (crop[3] - crop[1]), shape[1] - (crop[2] - crop[0])
    return rows - rows // 2, rows // 2, columns - columns // 2, columns // 2
