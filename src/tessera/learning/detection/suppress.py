"""Leave out detections that overlap better ones."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def suppress(boxes: "torch.Tensor", scores: "torch.Tensor", max_iou: float) -> "torch.Tensor":
    """Return which of `boxes` overlap none with a higher score by more than `max_iou`, by descending score: int64 (k,).

    `boxes`: float (n, 4), x0, y0, x1, y1. This is `torchvision.ops.nms`, bit for bit, without the import of
    torchvision, which takes longer than a detector runs over a short video. What ultralytics uses instead drops boxes without
    an area, and its order of equal scores is undefined.
    """
    order = scores.argsort(descending=True, stable=True)
    x0, y0, x1, y1 = boxes[order].float().cpu().numpy().T
    areas = (x1 - x0) * (y1 - y0)
    chosen: list[int] = []
    remaining = np.arange(len(order))
    with np.errstate(invalid="ignore"):
        while len(remaining):
            first, remaining = remaining[0], remaining[1:]
            chosen.append(int(first))
            width = (np.minimum(x1[first], x1[remaining]) - np.maximum(x0[first], x0[remaining])).clip(0)
            overlap = width * (np.minimum(y1[first], y1[remaining]) - np.maximum(y0[first], y0[remaining])).clip(0)
            iou = overlap / (areas[first] + areas[remaining] - overlap)
            remaining = remaining[~(iou > np.float64(max_iou))]
    return order[chosen]
