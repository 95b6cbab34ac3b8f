"""Blend an image into a part of a picture as it is stored, so that all other pixels keep their values."""

from typing import TYPE_CHECKING

import numpy as np

from tessera.imaging.crops import Crop
from tessera.imaging.frame import Matrix, converted, planes_of, rgb_inside, upright
from tessera.imaging.images import resize

if TYPE_CHECKING:
    import av

WRONG = 1.5  # levels of 8 bits, by which rounding changes values that are read as RGB


def paint(picture: "av.VideoFrame", matrix: Matrix, box: Crop, image: np.ndarray, weight: np.ndarray) -> None:
    """Blend `image` into the part of `picture` in `box`, in place.

    `picture`: in one of `formats_of` an encoder, writable. `matrix`: its `display_matrix`. `box`: in the upright picture; where
    the chroma is subsampled, it is reduced to whole chroma pixels. `image`: uint8 or uint16 (h, w, 3), RGB, as large as the
    box; see `VideoFrame.depth`. It is converted and blended as floats, so that no level of a deep picture is lost.
    `weight`: float32 (h, w), from 0, only the picture, to 1, only the image. A value of the picture changes only if the weight
    is above 0 at one of the pixels that it belongs to: one for luma, up to four for chroma.
    """
    seen = rgb_inside(picture, matrix, box, image.dtype.type)
    shown = [upright(plane, matrix) for plane in planes_of(picture)]
    height, width = shown[0].shape
    down, across = (-(-side // least) for side, least in zip((height, width), shown[-1].shape, strict=True))
    x0, y0, x1, y1 = box
    left, top, right, bottom = x0 % across, y0 % down, (x1 % across if x1 < width else 0), (y1 % down if y1 < height else 0)
    inside = slice(top, y1 - y0 - bottom), slice(left, x1 - x0 - right)
    x0, y0, x1, y1 = x0 + left, y0 + top, x1 - right, y1 - bottom
    if x0 >= x1 or y0 >= y1:
        return
    weights, most = {(1, 1): weight[inside]}, (1 << picture.format.components[0].bits) - 1
    wrong = np.float32(WRONG * 2 ** (picture.format.components[0].bits - 8))
    for plane, values, before in zip(shown, _values(image[inside], picture), _values(seen[inside], picture), strict=True):
        step_x, step_y = step = (1, 1) if plane is shown[0] else (across, down)
        part = plane[y0 // step_y : -(-y1 // step_y), x0 // step_x : -(-x1 // step_x)]
        if step not in weights:
            weights[step] = resize(weights[1, 1], *part.shape)
        # In place: memory takes longer than the numbers.
        blended = resize(values, *part.shape) - part
        # What is read of a picture is darker by a level: FFmpeg rounds down. It is added again, unless colours were clipped.
        blended += (part - resize(before, *part.shape)).clip(-wrong, wrong)
        blended *= weights[step]
        blended += part
        np.rint(blended, out=blended).clip(0, most, out=blended)
        part[:] = blended


def _values(image: np.ndarray, picture: "av.VideoFrame") -> list[np.ndarray]:
    """Return `image`, uint8 or uint16 (h, w, 3), RGB, in the values of `picture`: float32 (h, w) for each of its planes."""
    import av
    from av.video.reformatter import ColorRange

    kind, bits = picture.format, picture.format.components[0].bits
    if kind.is_rgb:
        return list(np.moveaxis(image * np.float32(((1 << bits) - 1) / np.iinfo(image.dtype).max), -1, 0))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24" if image.dtype == np.uint8 else "rgb48le")
    # FFmpeg is exact for limited range, but not for full range.
    target = {"dst_colorspace": picture.colorspace, "dst_color_range": ColorRange.MPEG}
    luma, *chroma = planes_of(converted("paint", frame, format="yuv444p16le", **target))
    is_grey = len(kind.components) == 1
    is_full = is_grey or picture.color_range == ColorRange.JPEG or kind.name.startswith("yuvj")
    scale = np.float32(2.0 ** (bits - 16))
    if not is_full:
        return [plane * scale for plane in (luma, *chroma)]
    grown, middle = np.float32(255 / 224) * scale, np.float32(128 << bits - 8)
    full = [(luma - np.float32(16 << 8)) * (np.float32(255 / 219) * scale)]
    return full if is_grey else full + [(plane - np.float32(128 << 8)) * grown + middle for plane in chroma]
