"""Crops: the part of each frame around a region, and the clip that crops of several sizes fit into.

The rule is that of Lada 0.11 (https://github.com/ladaapp/lada), with one of its bugs fixed: a crop grows to the full size. Lada
halves the growth that both sides have room for twice, so that a box of 100 pixels in the middle of a frame becomes 198 pixels
wide instead of 256. Where one side has no room, at the border of the frame, the other side makes up for it in full, as here.

`compat: lada` gives exactly the crops of Lada. Boxes are half-open here and inclusive in Lada.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from tessera.core.settings import Settings
from tessera.imaging.images import resize

Crop: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, half-open
Pad: TypeAlias = tuple[int, int, int, int]  # pixels at the top, bottom, left and right


class CropSettings(Settings):
    """How much is cut out around a region."""

    border: NonNegativeInt = 20
    """Border around the region in pixels."""
    border_fraction: float = Field(0.08, ge=0, le=1)
    """Border around the region as a fraction of its longer side. The larger of the two borders is used."""
    size: PositiveInt = 256
    """Side in pixels to which both sides of a crop grow. A crop that is longer than that grows to a square."""
    growth: float = Field(1.0, ge=0, le=10)
    """Largest growth of a side, as a multiple of itself."""
    compat: Literal["lada"] | None = None
    """`lada` cuts out exactly what Lada does, which grows by half as much, except where the frame leaves room on one side only.
    `null` follows the settings above.
    """


def crop_box(box: Crop, frame: tuple[int, int], settings: CropSettings) -> Crop:
    """Return the crop around `box` in a frame of the height and width `frame`.

    First, the box gets a border inside the frame: the larger of `settings.border` pixels and the fraction
    `settings.border_fraction` of its longer side. Then both sides grow to `settings.size` pixels, or to the length of the
    longer side if that is more, but each by at most `settings.growth` times its length. At the edge of the frame, a crop grows
    inwards.
    """
    x0, y0, x1, y1 = box
    height, width = frame
    border = max(settings.border, int(max(x1 - x0, y1 - y0) * settings.border_fraction))
    x0, y0, x1, y1 = max(0, x0 - border), max(0, y0 - border), min(width, x1 + border), min(height, y1 + border)
    if settings.compat == "lada":
        # In floats, as in Lada, where rounding may lose a pixel.
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
    """Return the interval from `low` to `high`, grown by `missing` but at most by `most`, within 0 and `limit`."""
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


def clip_shape(crops: Iterable[Crop], *, is_even: bool) -> tuple[int, int]:
    """Return the height and width that all of `crops` fit into, rounded up to even numbers if `is_even`."""
    height, width = (max(sides) for sides in zip(*((y1 - y0, x1 - x0) for x0, y0, x1, y1 in crops), strict=True))
    return (height + height % 2, width + width % 2) if is_even else (height, width)


def pad_of(crop: Crop, shape: tuple[int, int]) -> Pad:
    """Return the padding that centres `crop` in a clip of the height and width `shape`; an odd pixel is top or left."""
    rows, columns = shape[0] - (crop[3] - crop[1]), shape[1] - (crop[2] - crop[0])
    return rows - rows // 2, rows // 2, columns - columns // 2, columns // 2


@dataclass(frozen=True)
class Fit:
    """How the crops of a region become squares of `size` pixels for a restorer, and back.

    A crop is centred in black with the height and width `shape`, see `clip_shape`, and this is scaled to the square. If
    `keep_aspect`, its longer side is, and the rest of the square is black.
    """

    shape: tuple[int, int]
    size: int
    keep_aspect: bool = False

    @property
    def scaled(self) -> tuple[int, int]:
        """The height and width to which `shape` is scaled."""
        if not self.keep_aspect:
            return self.size, self.size
        height, width = (max(1, round(side * self.size / max(self.shape))) for side in self.shape)
        return height, width

    def square(self, crop: np.ndarray, pad: Pad) -> np.ndarray:
        """Return the square for `crop`, uint8 or uint16 (h, w, 3), padded by `pad`: (size, size, 3) of the same dtype.

        Its pixels are black unless the crop covers all of them, as in the samples of trainings.
        """
        scaled = resize(_extended(crop, pad), *self.scaled)
        content = self._content(pad)
        square = np.zeros((self.size, self.size, 3), crop.dtype)
        square[self._inside][content] = scaled[content]
        return square

    def crop(self, square: np.ndarray, pad: Pad) -> np.ndarray:
        """Return the crop in `square`, a result of `square`, that was padded by `pad`: (h, w, 3) of the same dtype."""
        top, bottom, left, right = pad
        inside = square[self._inside]
        rows, columns = self._content(pad)
        # The black around it would darken the edges of the crop.
        beyond = rows.start, len(inside) - rows.stop, columns.start, inside.shape[1] - columns.stop
        padded = resize(_extended(inside[rows, columns], beyond), *self.shape)
        return padded[top : self.shape[0] - bottom, left : self.shape[1] - right]

    def _content(self, pad: Pad) -> tuple[slice, slice]:
        """Return the rows and columns of the scaled shape that show the crop alone, and none of its padding; at least one."""
        ends = []
        for side, scaled, before, after in zip(self.shape, self.scaled, pad[::2], pad[1::2], strict=True):
            start = min(-(-before * scaled // side), scaled - 1)
            ends.append(slice(start, max(start + 1, (side - after) * scaled // side)))
        return ends[0], ends[1]

    @property
    def _inside(self) -> tuple[slice, slice]:
        (height, width), (top, left) = self.scaled, ((self.size - side) // 2 for side in self.scaled)
        return slice(top, top + height), slice(left, left + width)


def without_padding(picture: np.ndarray, pad: Sequence[int]) -> np.ndarray:
    """Return `picture` without its black padding. `pad`: pixels of padding at the top, bottom, left and right."""
    top, bottom, left, right = pad
    height, width = picture.shape[:2]
    return picture[top : height - bottom, left : width - right]


def _extended(image: np.ndarray, pad: Pad) -> np.ndarray:
    """Return `image`, padded by repeating its outermost pixels."""
    import cv2

    if not any(pad):
        return image
    extended: np.ndarray = cv2.copyMakeBorder(image, *pad, cv2.BORDER_REPLICATE)
    return extended
