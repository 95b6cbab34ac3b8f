"""Two versions of a picture side by side, the original and the restored one, each under its caption."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tessera.imaging.frame import BLACK, new_picture, planes_of
from tessera.imaging.sheets import LINE, write

if TYPE_CHECKING:
    import av

CAPTIONS = "original", "restored"
GAP = 4  # pixels between the halves
NARROW = 96  # pixels; narrower halves are enlarged, because their captions would not fit
WHITE = 235  # Y in limited range


def half_scale(width: int, height: int, side: int) -> float:
    """Return by what a picture of `width` by `height` pixels is scaled, so that two side by side have at most `side` pixels.

    Pictures that fit keep their size, unless they are narrower than `NARROW`.
    """
    return min(max(1, NARROW / width), (side - GAP) / 2 / width, side / max(width, height))


def pair(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> "av.VideoFrame":
    """Return the picture of `before` and `after` side by side, with a black gap, below a line with their captions.

    `before`, `after`: Y, uint8 (H, W), and Cb and Cr, uint8 (H / 2, W / 2), of BT.709, limited range; H and W are even.
    """
    height, width = before[0].shape
    line = caption_height(width)
    picture = new_picture(2 * width + GAP, height + line)
    planes = planes_of(picture)
    for plane, left, right, level in zip(planes, before, after, BLACK, strict=True):
        top, side = len(plane) - len(left), left.shape[1]
        plane[:top] = level
        plane[top:, :side], plane[top:, side:-side], plane[top:, -side:] = left, level, right
    planes[0][:line] = _captions(width, line)
    return picture


def halves(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return views of the two halves of `image`, (H, W, 3), the content of a picture that `pair` made, without captions."""
    width = (image.shape[1] - GAP) // 2
    line = caption_height(width)
    return image[line:, :width], image[line:, width + GAP :]


def caption_height(width: int) -> int:
    """Return the height of the line of captions above halves of `width` pixels: even, and so that the captions fit."""
    return min(max(LINE, width // 20), width // 4) // 2 * 2


@cache
def _captions(width: int, line: int) -> np.ndarray:
    """Return Y, uint8 (line, 2 * width + GAP), of the line of captions above halves of `width` pixels."""
    image = np.zeros((line, 2 * width + GAP, 3), np.uint8)
    for text, left in zip(CAPTIONS, (0, width + GAP), strict=True):
        write(image, text, (left, 0), line)
    return (BLACK[0] + image[..., 0] / 255 * (WHITE - BLACK[0])).round().astype(np.uint8)
