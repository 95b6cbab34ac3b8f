"""The mask of a detection, computed inside its box alone: of large images, whole masks take longer than the network."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.imaging.boxes import Box
from tessera.imaging.masks import Patch

if TYPE_CHECKING:
    import torch

COARSE = 4  # pixels of the model's input per logit, along either side


def mask_inside(box: Box, coarse: "torch.Tensor", height: int, width: int) -> Patch:
    """Return the part inside `box` of the mask of a detection in an image of `height` by `width` pixels.

    `coarse`: float32 (h, w), logits for all of the model's input, with its padding. A pixel is set if the logit that is
    interpolated for it is positive. This is the mask of `process_mask_native` in ultralytics 8.4, calculated in the order and
    with the roundings of PyTorch 2.15 on processors that fuse multiplications and additions; on others, and on GPUs, PyTorch
    rounds differently, which changes single pixels at the edge of few masks.
    """
    x0, y0, x1, y1 = map(math.ceil, box)
    logits = _without_padding(coarse, height, width)
    top, bottom, top_weight, bottom_weight = _neighbours(logits.shape[0], height, y0, y1)
    left, right, left_weight, right_weight = _neighbours(logits.shape[1], width, x0, x1)
    rows = (logits[:, left].astype(np.float64) * left_weight + logits[:, right] * right_weight).astype(np.float32, "C")
    above, below = (rows > 0)[top], (rows > 0)[bottom]
    mask = above & below
    # Between two rows of one sign, all values have this sign.
    y, x = np.divmod(np.flatnonzero(above ^ below), max(x1 - x0, 1))
    upper, lower = rows[top[y], x].astype(np.float64), rows[bottom[y], x]
    mask[y, x] = upper * top_weight[y] + lower * bottom_weight[y] > 0
    return Patch(mask * np.uint8(255), x0, y0)


def _without_padding(coarse: "torch.Tensor", height: int, width: int) -> np.ndarray:
    """Return the part of `coarse` that shows the image, enlarged if the padding would otherwise end between two values."""
    import torch

    sides = coarse.shape
    content = _scaled([COARSE * side for side in sides], height, width)
    padding = (COARSE * sides[0] - content[0]) | (COARSE * sides[1] - content[1])
    factor = COARSE // math.gcd(COARSE, padding | padding // 2)
    if factor > 1:
        coarse = torch.nn.functional.interpolate(coarse[None, None], scale_factor=factor, mode="bilinear")[0, 0]
    rows, columns = (
        slice(start := round((side - inside) / 2 - 0.1), start + inside)
        for side, inside in zip(coarse.shape, _scaled(coarse.shape, height, width), strict=True)
    )
    return np.asarray(coarse[rows, columns])


def _scaled(frame: Any, height: int, width: int) -> tuple[int, int]:
    """Return the height and width of an image of `height` by `width` pixels that is scaled to fit into those of `frame`."""
    scale = min(frame[0] / height, frame[1] / width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _neighbours(count: int, scaled: int, start: int, stop: int) -> tuple[np.ndarray, ...]:
    """Return between which of `count` values the ones from `start` to `stop` of `scaled` lie, and the weights of the two."""
    step = np.float32(count) / np.float32(scaled)
    position = np.maximum((np.arange(start, stop, dtype=np.float32) + np.float32(0.5)) * step - np.float32(0.5), np.float32(0))
    low = np.minimum(position.astype(np.intp), count - 1)
    weight = position - low.astype(np.float32)
    return low, np.minimum(low + 1, count - 1), 1 - weight, weight
