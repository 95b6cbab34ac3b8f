"""Pairs of frames of a mosaic whose picture moves, and their optical flow, which is known; they are made of photographs."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from tessera.demo.moving import cut_window, random_bend, random_shape
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.degradation.settings import RESTORATION
from tessera.imaging.mosaic.blocks import Mosaic, cover

SIZE = 256  # pixels, as the samples of restoration
SCALE = 4  # the flow is that of frames of a quarter of the size
LENGTHS = 300, 2400  # pixels, the longer side of a photograph: things of any size
ENLARGED = 1.2  # at most; larger, a photograph has no details
SMALLEST = 64  # pixels, the shorter side of a photograph
STILL = 0.1  # of the photographs
SPEEDS = 0.1, 24.0  # pixels from frame to frame
TURNED = 0.4  # of the motions; as many are zoomed
TURN, ZOOM = 0.02, 0.02  # standard deviations: radians, and the logarithm of the scale
BENT = 0.4  # of the motions, such as those of faces and leaves
BENDS = 0.3, 5.0  # pixels
IN_FRONT = 0.4, 0.4, 0.2  # how often no, one and two other photographs cover a part, each with a motion of its own
SMOOTH, LEFT_OUT = (12.0, 40.0), (0.4, 0.8)  # of the shape of that part; see `random_shape`
GAINS = 0.5, 1.1  # of the brightness
NEGATIVE = 0.15  # of the pairs
MOSAICKED = 0.9  # of the pairs
BLOCKS = 5, 26  # pixels, the side of a block
OBLONG = 0.7, 1.4  # the height of oblong blocks, in widths
TYPES = {"squa_mid": 0.2, "squa_avg": 0.5, "rect_avg": 0.3}
INCOMPLETE = 0.3  # of the mosaics
MOSAIC_LEFT_OUT = 0.1, 0.6  # of the frame
FOLLOWED = 0.4  # of the mosaics move in the clip, as where it follows a region and the mosaic is fixed to the frame
STEPS = 6  # pixels, how far at most


class FlowPair(NamedTuple):
    """Two frames of a quarter of the size, and where what the first shows is in the second.

    `frames`: uint8 (2, `SIZE` / `SCALE`, `SIZE` / `SCALE`, 3), RGB. `flow`: float16, (`SIZE` / `SCALE`, `SIZE` / `SCALE`, 2),
    x and y in pixels of these frames.
    """

    frames: np.ndarray
    flow: np.ndarray


def make_flow_pair(pictures: Sequence[np.ndarray], random: np.random.Generator) -> FlowPair:
    """Return a pair of one to three of `pictures`, uint8 (H, W, 3), RGB."""
    frames, flow = moving_pair(pictures, random)
    if random.random() < NEGATIVE:
        frames = 255 - frames
    block = _mosaic(frames, random) if random.random() < MOSAICKED else None
    frames, _ = degrade(frames, RESTORATION, random, block)
    # Without averaging, as the generator makes them.
    side = SIZE // SCALE
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_CUBIC) for frame in frames]
    return FlowPair(np.stack(small), (cv2.resize(flow, (side, side)) / SCALE).astype(np.float16))


def moving_pair(pictures: Sequence[np.ndarray], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two frames without a mosaic, uint8 (2, `SIZE`, `SIZE`, 3), and their flow, float32 (`SIZE`, `SIZE`, 2)."""
    frames, flow = _moved(_one_of(pictures, random), random)
    for _ in range(int(random.choice(len(IN_FRONT), p=IN_FRONT))):
        others, other_flow = _moved(_one_of(pictures, random), random)
        second = random_shape(SIZE, SMOOTH, LEFT_OUT, random)
        first = _shown(second, other_flow).clip(0, 1)
        for frame, other, shape in zip(frames, others, (first, second), strict=True):
            frame += (other - frame) * shape[:, :, None]
        flow = np.where(first[:, :, None] > 0.5, other_flow, flow)
    return np.rint((frames * np.float32(random.uniform(*GAINS))).clip(0, 255)).astype(np.uint8), flow


def _moved(picture: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two frames of a part of `picture`, float32 (2, `SIZE`, `SIZE`, 3), and their flow.

    The second shows it as it is. The first shows at each pixel what is in the second where the flow leads from there.
    """
    scale = min(np.exp(random.uniform(*np.log(LENGTHS))) / max(picture.shape[:2]), ENLARGED)
    scale = max(scale, SMALLEST / min(picture.shape[:2]))
    flow = _flow(random) if random.random() >= STILL else np.zeros((SIZE, SIZE, 2), np.float32)
    part, middle = cut_window(picture, scale, SIZE, SIZE, 1, random)
    frames = [_shown(part, each + (middle - SIZE / 2).astype(np.float32)) for each in (flow, np.zeros_like(flow))]
    return np.stack(frames).astype(np.float32), flow


def _flow(random: np.random.Generator) -> np.ndarray:
    """Return a motion in any direction, turned, zoomed and bent: float32 (`SIZE`, `SIZE`, 2), pixels."""
    speed, direction = np.exp(random.uniform(*np.log(SPEEDS))), random.uniform(0, 2 * np.pi)
    turn, zoom = (random.normal(0, each) if random.random() < TURNED else 0.0 for each in (TURN, ZOOM))
    # A rotation and a scale are the product with a complex number.
    rows, columns = np.indices((SIZE, SIZE)) - SIZE / 2
    moved = (columns + 1j * rows) * (np.exp(zoom + 1j * turn) - 1) + speed * np.exp(1j * direction)
    flow = np.stack([moved.real, moved.imag], axis=-1).astype(np.float32)
    return flow + random_bend(SIZE, BENDS, random).transpose(1, 2, 0) if random.random() < BENT else flow


def _shown(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return what `image` shows at each pixel after `flow`, with its own continuation beyond its borders."""
    rows, columns = np.indices(flow.shape[:2], np.float32)
    return cv2.remap(image, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _mosaic(frames: np.ndarray, random: np.random.Generator) -> float:
    """Pixelate a region of `frames` in place, and return the side of its blocks."""
    kind = str(random.choice(list(TYPES), p=list(TYPES.values())))
    width = height = round(np.exp(random.uniform(*np.log(BLOCKS))))
    if kind == "rect_avg":
        height = round(width * random.uniform(*OBLONG))
    region = (random_shape(SIZE, SMOOTH, MOSAIC_LEFT_OUT, random) * 255).astype(np.uint8)
    step = random.integers(-STEPS, STEPS + 1, 2) if random.random() < FOLLOWED else np.zeros(2, int)
    incomplete, corner = bool(random.random() < INCOMPLETE), random.integers((width, height))
    for frame, (x, y) in zip(frames, (0 * step, step), strict=True):
        origin = int(corner[0] + x), int(corner[1] + y)
        cover(frame, np.roll(region, (y, x), (0, 1)), Mosaic(kind, width, height, origin=origin, incomplete=incomplete))  # type: ignore[arg-type]
    return float(min(width, height))


def _one_of(pictures: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
    return pictures[int(random.integers(len(pictures)))]
