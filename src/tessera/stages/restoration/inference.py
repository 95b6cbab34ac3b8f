"""Restore clips with a generator that is loaded once."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tessera.learning.weights.purpose import check_purpose

if TYPE_CHECKING:
    import torch

    from tessera.stages.restoration.models import Generator


def restore_clip(clip: np.ndarray, weights: Path) -> np.ndarray:
    """Return `clip`, uint8 or uint16 (T, H, W, 3), RGB, restored by the generator in the file `weights`.

    The result has the same shape and dtype. The generator runs on the GPU if there is one. The file may have any layout that
    `read_weights` knows, and any size of generator. Raises `TesseraError` if it holds no generator, if the output is not
    finite, or if the GPU is out of memory.
    """
    from tessera.stages.restoration.evaluate import restore

    generator, device = _generator(weights)
    return restore(generator, clip, device, fix="lower `restore.window`")


@lru_cache(1)
def _generator(weights: Path) -> "tuple[Generator, torch.device]":
    import torch

    from tessera.stages.restoration.models import load_generator

    check_purpose(weights, "restoration model")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load_generator(weights).to(device), device
