"""Show where in a picture a classifier sees a class: Grad-CAM (Selvaraju et al., 2017, https://arxiv.org/abs/1610.02391)."""

import numpy as np

from tessera.imaging.images import resize
from tessera.learning.classification.classifier import Classifier
from tessera.learning.classification.network import as_input
from tessera.learning.preprocessing import Preprocessing, to_square

BLEND = 0.5  # opacity of a heat map over its picture


def heat_map(classifier: Classifier, picture: np.ndarray, number: int = 0) -> np.ndarray | None:
    """Return how much each pixel of `picture` speaks for the class `number`, or for a high score: float32 (H, W), in [0, 1].

    `picture`: uint8 (H, W, 3), RGB. The map is that of the last features of the network, which are coarse, scaled up; its
    maximum is 1 unless nothing speaks for the class. What `resize: crop` cuts off is 0.
    None if the network has no features by place: a head sees vectors, transformers have tokens, and a small `image_size` may
    leave a single place.
    """
    import torch

    description, network = classifier.description, classifier.network
    preparation = description.preparation
    if preparation is None:
        return None
    device = next(network.parameters()).device
    inputs = torch.from_numpy(to_square(picture, preparation))[None].to(device)
    with torch.enable_grad():
        # The weights need no gradients, but what they make of the picture does.
        features = network.forward_features(as_input(inputs, description)).detach().requires_grad_()  # type: ignore[operator]
        if features.ndim != 4 or features.shape[1] != getattr(network, "num_features", None) or features.shape[2:] == (1, 1):
            return None
        network.forward_head(features)[0, number].backward()  # type: ignore[operator]
    assert features.grad is not None
    weights = features.grad.mean(dim=(2, 3), keepdim=True)
    heat = (weights * features).sum(1)[0].relu().detach().cpu().numpy().astype(np.float32)
    if heat.max() > 0:
        heat /= heat.max()
    return _placed(heat, picture.shape[0], picture.shape[1], preparation)


def _placed(heat: np.ndarray, height: int, width: int, preparation: Preprocessing) -> np.ndarray:
    """Return the map `heat` of a prepared picture at its place in the picture of `height` by `width` pixels."""
    if preparation.resize == "stretch":
        return resize(heat, height, width)
    side = max(1, round(min(height, width) * preparation.crop)) if preparation.resize == "crop" else max(height, width)
    square = resize(heat, side, side)
    top, left = abs(height - side) // 2, abs(width - side) // 2
    if preparation.resize == "pad":
        return square[top : top + height, left : left + width]
    result = np.zeros((height, width), np.float32)
    result[top : top + side, left : left + side] = square
    return result


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return `picture`, uint8 (H, W, 3), RGB, under the colours of `heat`, float32 (H, W), in [0, 1]: blue, green, red."""
    import cv2

    levels = (heat * 255).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    return (picture * (1 - BLEND) + colours * BLEND).round().astype(np.uint8)
