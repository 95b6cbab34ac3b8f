"""An untrained detector whose detections differ between pictures."""

from typing import Any

import torch


def spread_detections(model: Any) -> None:
    """Give the untrained `model`, a `YOLO`, detections in most pictures that differ between them.

    It gets statistics of noise. With the initial ones, the differences between pictures fade from layer to layer.
    """
    norms = [module for module in model.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        model.model.train()(torch.rand(16, 3, 64, 64))
    for branch in model.model.model[-1].cv3:
        branch[-1].weight.data *= 3
        branch[-1].bias.data.fill_(-1.0)
