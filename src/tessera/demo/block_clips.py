"""Clips of the blocks of mosaics, whose pictures move behind the grid as in footage; they are made of photographs."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from tessera.demo.moving import cut_window, random_bend, random_shape
from tessera.imaging.images import resize
from tessera.imaging.mosaic.means import SIDE
from tessera.learning.block_network import OFFSETS

BLOCKS = 24  # along each side of a clip
BLOCK = 2 * SIDE  # pixels of a block while pictures move; the clip has half of them
SIZE = BLOCKS * BLOCK  # pixels
LENGTHS = 60, 275  # blocks, the longer side of a photograph: blocks show things of any size
ENLARGED = 1.2  # at most; larger, a photograph has no details
STILL = 0.1  # of the photographs, as behind a fixed camera
SPEEDS = 0.01, 1.6  # blocks a frame
SHAKEN = 0.5  # of the motions, by a fifth of their speed
TURNED = 0.4  # of the motions; as many are zoomed
TURN, ZOOM = 0.006, 0.005  # a frame, standard deviations: radians, and the logarithm of the scale
BENT = 0.4  # of the motions, such as those of faces and leaves
BENDS = 0.03 * BLOCK, 0.6 * BLOCK  # pixels, how far, or how far a frame
COVERED = 0.35  # of the clips, in part, by another photograph with a motion of its own
SMOOTH, LEFT_OUT = (1.5 * BLOCK, 5 * BLOCK), (0.4, 0.8)  # of the shape of that part; see `random_shape`
GAINS = 0.5, 1.1  # of the brightness
NEGATIVE = 0.2  # of the clips
MARGIN = 1.5  # times the side of a clip: what is cut out of a photograph before it is scaled

_ROWS, _COLUMNS = np.indices((SIZE, SIZE), np.float32)
_FRAMES = np.array(OFFSETS)
_MIDDLE = OFFSETS.index(0)


class BlockClip(NamedTuple):
    """The means of blocks in the frames `OFFSETS`, and what is in the blocks of the middle one; RGB, in levels.

    `means`: float16 (T, `BLOCKS`, `BLOCKS`, 3). `picture`: uint8 (`BLOCKS` * `SIDE`, `BLOCKS` * `SIDE`, 3).
    """

    means: np.ndarray
    picture: np.ndarray


class Motion(NamedTuple):
    """Where a photograph is in each of the frames: its position in pixels, (T, 2), its turn in radians, and its scale."""

    positions: np.ndarray
    turns: np.ndarray
    scales: np.ndarray


NO_MOTION = Motion(np.zeros((len(OFFSETS), 2)), np.zeros(len(OFFSETS)), np.ones(len(OFFSETS)))
NO_BEND = np.zeros((len(OFFSETS), 2, 1, 1), np.float32)


def make_block_clip(pictures: Sequence[np.ndarray], random: np.random.Generator) -> BlockClip:
    """Return a clip of one or two of `pictures`, uint8 (H, W, 3), RGB."""
    frames, _ = _moving(pictures[int(random.integers(len(pictures)))], random)
    if random.random() < COVERED:
        others, motion = _moving(pictures[int(random.integers(len(pictures)))], random)
        shape = random_shape(SIZE, SMOOTH, LEFT_OUT, random)
        for frame, other, (x, y) in zip(frames, others, motion.positions.astype(np.float32), strict=True):
            shown = cv2.remap(shape, _COLUMNS + x, _ROWS + y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)[..., None]
            frame += (other - frame) * shown
    frames = (frames * np.float32(random.uniform(*GAINS))).clip(0, 255)
    if random.random() < NEGATIVE:
        frames = 255 - frames
    means = frames.reshape(-1, BLOCKS, BLOCK, BLOCKS, BLOCK, 3).mean(axis=(2, 4))
    picture = resize(frames[_MIDDLE], BLOCKS * SIDE, BLOCKS * SIDE)
    return BlockClip(means.astype(np.float16), np.rint(picture).astype(np.uint8))


def _moving(picture: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, Motion]:
    """Return the frames of a moving window of `picture`: float32 (T, `SIZE`, `SIZE`, 3)."""
    longest = max(picture.shape[:2])
    scale = min(BLOCK * np.exp(random.uniform(*np.log(LENGTHS))) / longest, ENLARGED)
    is_still = random.random() < STILL
    motion, bend = (NO_MOTION, NO_BEND) if is_still else (_motion(random), _bend(random))
    reach = MARGIN * SIZE / 2 + min(np.abs(motion.positions).max(), SIZE)
    small, middle = cut_window(picture, scale, SIZE, reach, BLOCK, random)
    frames = []
    for position, turn, size, (across, down) in zip(*motion, bend, strict=True):
        cosine, sine = np.float32(size * np.cos(turn)), np.float32(size * np.sin(turn))
        x_of, y_of = _COLUMNS + across - SIZE / 2, _ROWS + down - SIZE / 2
        to_x, to_y = (middle + position).astype(np.float32)  # which OpenCV takes
        at = cosine * x_of - sine * y_of + to_x, sine * x_of + cosine * y_of + to_y
        frames.append(cv2.remap(small, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))
    return np.stack(frames).astype(np.float32), motion


def _motion(random: np.random.Generator) -> Motion:
    """Return a motion that begins in the middle frame, in a straight line or a curve, shaken, turned or zoomed."""
    count = 2 * max(OFFSETS) + 1
    times = np.arange(count) - count // 2
    speed = BLOCK * np.exp(random.uniform(*np.log(SPEEDS)))
    direction = random.uniform(0, 2 * np.pi)
    velocity, curve = speed * np.array([np.cos(direction), np.sin(direction)]), 0.05 * speed * random.normal(size=2)
    positions = times[:, None] * velocity + times[:, None] ** 2 / 2 * curve
    if random.random() < SHAKEN:
        positions += np.cumsum(random.normal(0, 0.2 * speed, (count, 2)), axis=0)
    positions -= positions[count // 2]
    turn, zoom = (random.normal(0, each) if random.random() < TURNED else 0.0 for each in (TURN, ZOOM))
    shown = _FRAMES + count // 2
    return Motion(positions[shown], turn * times[shown], np.exp(zoom * times[shown]))


def _bend(random: np.random.Generator) -> np.ndarray:
    """Return by how many pixels each pixel is displaced across and down in each frame: float32 (T, 2, `SIZE`, `SIZE`)."""
    if random.random() >= BENT:
        return NO_BEND
    field = random_bend(SIZE, BENDS, random)
    steps = _FRAMES.astype(np.float32)
    if random.random() < 0.5:  # to and fro
        phase, rate = random.uniform(0, 2 * np.pi), random.uniform(0.1, 0.8)
        steps = ((np.sin(steps * rate + phase) - np.sin(phase)) / rate).astype(np.float32)
    bend: np.ndarray = steps[:, None, None, None] * field
    return bend
