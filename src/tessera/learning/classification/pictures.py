"""Divide large pictures into tiles."""

from collections.abc import Callable

import numpy as np

from tessera.learning.classification.settings import Tiling

COMBINE: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "median": np.median, "max": np.max, "min": np.min}


def tile_side(tiling: Tiling, size: int) -> int:
    """Return the side of a tile in pixels, for a network whose input has `size` by `size` pixels."""
    return min(tiling.tile or 2 * size, tiling.side)


def cut_tiles(picture: np.ndarray, tile: int, side: int) -> list[np.ndarray]:
    """Return the four corners and the centre of `picture`, each `tile` by `tile` pixels; a smaller picture as it is.

    `picture`: uint8 (H, W, 3). If its shorter side is longer than `side` pixels, it is scaled down to that first. The tiles are
    those of CityClassifiers, which also scales pictures up, by the longer side; here nothing is ever scaled up. Sizes, offsets
    and levels are those of torchvision.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    if min(height, width) <= tile:
        return [picture]
    if min(height, width) > side:
        width, height = (int(side * length / min(height, width)) for length in (width, height))
        picture = np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    right, bottom = width - tile, height - tile
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2))]
    return [picture[top : top + tile, left : left + tile] for top, left in corners]


def combine(results: np.ndarray, how: str) -> np.ndarray:
    """Return the results of the tiles of a picture, (tiles, outputs), as one: (outputs,).

    `how`: `mean`, `median`, `max` or `min`, of each output by itself. Only means of probabilities add up to 1.
    """
    return COMBINE[how](results, axis=0).astype(results.dtype)
