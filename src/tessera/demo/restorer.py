"""Learn the starter restorer from the pictures of the starter models, and measure it on those that it did not learn from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from tessera.core.log import tell
from tessera.core.seeds import generator
from tessera.demo.packages import Picture
from tessera.demo.starter import read_photograph
from tessera.imaging.images import resize
from tessera.imaging.mosaic.smooth import SIDE, smooth_blocks
from tessera.learning.block_regression import LENGTHS, learn_regression, write_regression

KINDS = "photograph", "drawing"
LONGEST = max(LENGTHS)  # pixels; pictures are not held any larger


def learn_starter_restorer(pictures: Sequence[Picture], folder: Path, weights: Path, patterns: int, seed: int) -> None:
    """Write the regression of `patterns` patterns that fits those of `pictures` that are for training to `weights`.

    The folder `folder` has the pictures; see `fetch_pictures`. Prints the PSNR of the others when they are pixelated: of what
    bicubic interpolation of their blocks makes of them, and of what the regression does, smoothed as in videos.
    """
    regression = learn_regression(_read(pictures, folder, {"train"}), patterns, generator(seed, "starter restorer", ""))
    write_regression(regression, weights)
    values, others = [], list(_read(pictures, folder, {"val", "test"}))
    for picture in others:
        for length in (length for length in LENGTHS if length <= max(picture.shape[:2])):
            rows, columns = (round(side * length / max(picture.shape[:2])) // SIDE for side in picture.shape[:2])
            clean = resize(picture, rows * SIDE, columns * SIDE)
            means = resize(clean, rows, columns)
            mosaic = means.repeat(SIDE, axis=0).repeat(SIDE, axis=1)
            restored, _ = smooth_blocks(mosaic, np.full(clean.shape[:2], 255, np.uint8), regression.picture)
            bicubic = cv2.resize(means, clean.shape[1::-1], interpolation=cv2.INTER_CUBIC)
            values.append([cv2.PSNR(each, clean) for each in (mosaic, bicubic, restored)])
    mosaicked, interpolated, restored_psnr = np.mean(values, axis=0)
    tell(
        f"{len(others)} pictures that it did not learn from, each at up to {len(LENGTHS)} sizes: {mosaicked:.2f} dB pixelated,"
        f" {interpolated:.2f} dB by bicubic interpolation, {restored_psnr:.2f} dB restored"
    )


def _read(pictures: Sequence[Picture], folder: Path, splits: set[str]) -> Iterator[np.ndarray]:
    """Yield the photographs and drawings of `splits`, at most `LONGEST` pixels long: uint8 (H, W, 3), RGB."""
    for each in pictures:
        if each.split in splits and each.kind in KINDS:
            picture = read_photograph(folder / each.name)
            scale = min(1, LONGEST / max(picture.shape[:2]))
            yield resize(picture, *(round(side * scale) for side in picture.shape[:2]))
