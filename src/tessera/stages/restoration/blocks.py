"""Restore the mosaics of a clip with a network of their blocks, as videos are restored with it."""

from typing import NamedTuple

import cv2
import numpy as np

from tessera.imaging.crops import Crop
from tessera.imaging.frame import Depth
from tessera.imaging.masks import Patch, trim
from tessera.imaging.mosaic.means import draw_blocks
from tessera.imaging.mosaic.restoring import look, restore_blocks
from tessera.learning.block_network import BlockNetwork


class ClipFrame(NamedTuple):
    """A frame of a clip, uint8 (H, W, 3), RGB."""

    pixels: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """The width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def depth(self) -> Depth:
        """The type of the pixels."""
        return np.uint8

    def image(self, box: Crop | None = None, dtype: Depth = np.uint8) -> np.ndarray:
        """Return the part `box` of the frame."""
        x0, y0, x1, y1 = box or (0, 0, *self.size)
        return self.pixels[y0:y1, x0:x1]

    def luma(self) -> np.ndarray:
        """Return the brightness: uint8 (H, W)."""
        return cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY)


def restore_mosaic(network: BlockNetwork, clip: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return `clip`, uint8 (T, H, W, 3), RGB, with its mosaic restored; frames in which no grid is clear stay as they are.

    `masks`: uint8 (T, H, W), not 0 where the mosaic is.
    """
    made = clip.copy()
    shown = np.flatnonzero(masks.any(axis=(1, 2)))
    for consecutive in np.split(shown, np.flatnonzero(np.diff(shown) > 1) + 1):
        window = [look(ClipFrame(clip[number]), trim(Patch(masks[number], 0, 0))) for number in consecutive]
        results = restore_blocks(window, network.picture) if window else []
        for number, result in zip(consecutive, results, strict=True):
            if result:
                x0, y0, x1, y1 = result.box
                part, mask = made[number, y0:y1, x0:x1], masks[number, y0:y1, x0:x1]
                drawn, _ = draw_blocks(part, result.box, mask, result.blocks)
                # The blocks beside an outline are for those that detectors draw. This one is exact.
                np.copyto(part, drawn, where=mask[:, :, None] > 0)
    return made
