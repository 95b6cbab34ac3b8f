"""Tell what is inside the blocks of a mosaic from their means: linear regression by the pattern of the blocks around.

This is anchored neighbourhood regression, after Timofte, De Smet and Van Gool, A+: Adjusted anchored neighborhood regression
for fast super-resolution (2014): a block with those around it is like one of many patterns, each of which has a regression of
its own, fitted by least squares. A pattern and its negative are one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tessera.core.errors import TesseraError
from tessera.imaging.images import resize
from tessera.imaging.mosaic.smooth import SIDE

AROUND = 3  # blocks on each side of a block that its regression uses
NEAR = 2  # blocks on each side of it that are its pattern
PIXELS = SIDE * SIDE
ARCHITECTURE = "block regression"  # in the metadata of a safetensors
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of ITU-R BT.601
PLAIN = 3.0  # levels; blocks whose neighbours vary by less have no pattern
RIDGE = 1e4  # square levels; keeps regressions of few samples small
SAMPLES = 600_000  # at most
ROUNDS = 12  # of the clustering
CLUSTERED = 200_000  # samples that are clustered; all are regressed
FEWEST = 50  # samples of a pattern with a regression of its own
LENGTHS = 240, 320, 430, 570, 760  # pixels, longer sides that pictures are scaled to: blocks show things of any size
NOISES = 0.3, 1.0, 2.0  # levels, standard deviations of what compression adds to the means
GAINS = 0.6, 1.1  # of the brightness of pictures

_WIDE, _SMALL = 2 * AROUND + 1, 2 * NEAR + 1
_EDGE = AROUND - NEAR


@dataclass(frozen=True, eq=False)
class BlockRegression:
    """The patterns of blocks, and how the pixels of a block follow from the differences of the blocks around to it.

    `patterns`: float32 (N, `_SMALL`²), of length 1. `regressions`: float32 (N + 1, `_WIDE`², `PIXELS`), the last one for blocks
    without a pattern.
    """

    patterns: np.ndarray
    regressions: np.ndarray

    def picture(self, means: np.ndarray) -> np.ndarray:
        """Return the picture whose blocks have `means`, float32 (h, w, 3), RGB, in levels: (h * `SIDE`, w * `SIDE`, 3)."""
        height, width = means.shape[:2]
        pattern = self._patterns_of(_around(means @ GREY))
        order = np.argsort(pattern, kind="stable")
        bounds = np.searchsorted(pattern[order], np.arange(len(self.regressions) + 1))
        around = np.stack([_around(means[:, :, c]) for c in range(3)], axis=1)[order]
        details = np.empty((height * width, 3, PIXELS), np.float32)
        for number in np.unique(pattern).tolist():
            part = slice(bounds[number], bounds[number + 1])
            details[order[part]] = around[part] @ self.regressions[number]
        details -= details.mean(axis=2, keepdims=True)
        blocks = details.reshape(height, width, 3, SIDE, SIDE) + means[:, :, :, None, None]
        picture: np.ndarray = blocks.transpose(0, 3, 1, 4, 2).reshape(height * SIDE, width * SIDE, 3)
        return picture

    def _patterns_of(self, around: np.ndarray) -> np.ndarray:
        """Return the number of the pattern of each row of `around`, a result of `_around` of the brightness: int64 (n,)."""
        nearest = np.abs(_near(around) @ self.patterns.T).argmax(axis=1)
        return np.where(around.std(axis=1) < PLAIN, len(self.patterns), nearest)


def learn_regression(pictures: Iterable[np.ndarray], patterns: int, random: np.random.Generator) -> BlockRegression:
    """Return the regression of `patterns` patterns that fits `pictures` best, uint8 (H, W, 3), RGB, any sides.

    Each picture also counts mirrored and turned by right angles.
    """
    samples = list(_samples(pictures, random))
    around, inside = (np.concatenate(each) for each in zip(*samples, strict=True))
    chosen = random.permutation(len(around))[:SAMPLES]
    around, inside = _turned(around[chosen], _WIDE), _turned(inside[chosen], SIDE)
    plain = _ridge(around, inside)
    with_pattern = around.std(axis=1) >= PLAIN
    around, inside = around[with_pattern], inside[with_pattern]
    centres = _cluster(_near(around[random.permutation(len(around))[:CLUSTERED]]), patterns)
    regression = BlockRegression(centres, np.repeat(plain[None], len(centres) + 1, axis=0))
    step = CLUSTERED
    numbers = np.concatenate([regression._patterns_of(around[at : at + step]) for at in range(0, len(around), step)])
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(len(centres) + 1))
    for number in range(len(centres)):
        rows = order[bounds[number] : bounds[number + 1]]
        if len(rows) >= FEWEST:
            regression.regressions[number] += _ridge(around[rows], inside[rows] - around[rows] @ plain)
    return regression


def write_regression(regression: BlockRegression, path: Path) -> None:
    """Write `regression` to the safetensors `path`, in half precision. Equal ones give equal bytes."""
    import torch

    from tessera.learning.weights.tensors import safetensors_bytes

    arrays = {"patterns": regression.patterns, "regressions": regression.regressions}
    tensors = {name: torch.from_numpy(array).half() for name, array in arrays.items()}
    path.write_bytes(safetensors_bytes(tensors, {"format": "pt", "architecture": ARCHITECTURE}))


def read_regression(path: Path) -> BlockRegression | None:
    """Return the regression in `path`, or None if it is a file of another kind. Raises `TesseraError` if it is damaged."""
    from tessera.learning.weights.tensors import read_metadata, read_tensors

    if read_metadata(path).get("architecture") != ARCHITECTURE:
        return None
    arrays = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
    patterns, regressions = arrays.get("patterns"), arrays.get("regressions")
    if (
        patterns is None
        or regressions is None
        or not patterns.size
        or patterns.shape[1:] != (_SMALL**2,)
        or regressions.shape != (len(patterns) + 1, _WIDE**2, PIXELS)
        or not (np.isfinite(patterns).all() and np.isfinite(regressions).all())
    ):
        raise TesseraError(f"{path} is no block regression of this version of Tessera; use the one that comes with it")
    return BlockRegression(patterns, regressions)


def _samples(pictures: Iterable[np.ndarray], random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what is around blocks and inside them, of each picture at several sizes, of its brightness and of a colour."""
    for picture in pictures:
        for length in LENGTHS:
            scale = length / max(picture.shape[:2])
            rows, columns = (round(side * scale) // SIDE for side in picture.shape[:2])
            if scale > 1 or min(rows, columns) < _WIDE:
                continue
            fine = resize(picture, rows * SIDE, columns * SIDE).astype(np.float32) * np.float32(random.uniform(*GAINS))
            for channel in (GREY, np.eye(3, dtype=np.float32)[random.integers(3)]):
                blocks = (fine @ channel).reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3).reshape(-1, PIXELS)
                means = blocks.mean(axis=1) + random.normal(0, random.choice(NOISES), len(blocks)).astype(np.float32)
                chosen = random.permutation(len(blocks))[: max(400, len(blocks) // 3)]
                yield _around(means.reshape(rows, columns))[chosen], (blocks - means[:, None])[chosen]


def _around(means: np.ndarray) -> np.ndarray:
    """Return the differences of the blocks around each block of `means`, (h, w), to its mean: (h * w, `_WIDE`²)."""
    wide = np.lib.stride_tricks.sliding_window_view(np.pad(means, AROUND, "edge"), (_WIDE, _WIDE))
    around: np.ndarray = (wide - means[:, :, None, None]).reshape(means.size, _WIDE**2)
    return around


def _near(around: np.ndarray) -> np.ndarray:
    """Return the pattern in each row of `around`, of length 1: (n, `_SMALL`²)."""
    near = around.reshape(-1, _WIDE, _WIDE)[:, _EDGE:-_EDGE, _EDGE:-_EDGE].reshape(-1, _SMALL**2)
    pattern: np.ndarray = near / (np.linalg.norm(near, axis=1, keepdims=True) + np.float32(1e-6))
    return pattern


def _turned(rows: np.ndarray, side: int) -> np.ndarray:
    """Return the squares of `side` by `side` in `rows` with their mirror images, turned by all right angles: (8 n, side²)."""
    squares = rows.reshape(-1, side, side)
    mirrored = np.concatenate([squares, squares[:, :, ::-1]])
    return np.concatenate([np.rot90(mirrored, turns, (1, 2)).reshape(-1, side * side) for turns in range(4)])


def _ridge(around: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the linear regression of `inside` on `around`, with a penalty on its size."""
    penalty = RIDGE * np.eye(around.shape[1], dtype=np.float32)
    solution: np.ndarray = np.linalg.solve(around.T @ around + penalty, around.T @ inside)
    return solution


def _cluster(patterns: np.ndarray, count: int) -> np.ndarray:
    """Return at most `count` centres of `patterns`, of length 1, by k-means on the sphere; opposites are the same."""
    centres = patterns[:count].copy()
    for _ in range(ROUNDS):
        products = patterns @ centres.T
        nearest = np.abs(products).argmax(axis=1)
        signs = np.sign(np.take_along_axis(products, nearest[:, None], axis=1))
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, patterns * signs)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), centres)
    return centres.astype(np.float32)
