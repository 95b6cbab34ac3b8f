"""Regions anywhere: random shapes, for those who want mosaics over footage of any kind and have no detector.

A detector of mosaics should find blocks, and a restorer should draw what is under them, whatever that is. Neither needs to know
what a region shows. So both can be trained on footage without labels, if the shapes are as varied as those that people cover.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tessera.core.seeds import generator
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import Patch, encode_patch
from tessera.learning.detection.found import Region

LABEL = "nsfw"  # the class of mosaics over what a detector of regions finds
EMPTY = 0.35  # fraction of the images without a region, so that models see such images too
MOST = 4  # regions of an image
SIDES = 0.15, 0.8  # smallest and largest side of a region, relative to the shorter side of the image; drawn log-uniformly
CORNERS = 5, 12  # smallest and largest number of corners of a blob
SWING = 0.15  # how far the region of a video moves around its place, relative to the shorter side of the frame
PERIODS = 60.0, 400.0  # frames in which it does so once


class _Frame(NamedTuple):
    """The number of an image, and its height and width in pixels."""

    number: int
    height: int
    width: int


class Anywhere:
    """Looks like a `Detector`, but returns random regions, with a confidence of 1.

    An image gets none or a few. All frames of a video get the same two, of one shape each, which move slowly.
    """

    labels = (LABEL,)

    def __init__(self, seed: int, source: str) -> None:
        """Draw all regions from `seed` and the id of the source, so that they do not depend on other sources."""
        self._seed, self._source = seed, source

    def predict(self, images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        """Yield the regions of each of `images`, uint8 (H, W, 3), which differ from one to the next."""
        for number, image in enumerate(images):
            height, width = image.shape[:2]
            random = generator(self._seed, "anywhere", f"{self._source} {number}")
            count = 0 if random.random() < EMPTY else int(random.integers(1, MOST + 1))
            shapes = [_shape(random) for _ in range(count)]
            places = [random.uniform(0, 1, 2) for _ in shapes]
            yield [
                region
                for shape, place in zip(shapes, places, strict=True)
                if (region := _region(shape, place * [width, height], height, width))
            ]

    def scale_frame(self, frame: VideoFrame) -> _Frame:
        """Return what `detect` needs of a frame, which is not its picture."""
        width, height = frame.size
        return _Frame(frame.index, height, width)

    def detect(self, frames: Iterable[_Frame]) -> Iterator[list[Region]]:
        """Yield the regions of each of `frames`, results of `scale_frame`."""
        random = generator(self._seed, "anywhere", self._source)
        shapes = [_shape(random) for _ in range(2)]
        # One in each half of the picture. They seldom touch, and each becomes a track.
        places = np.stack([np.array([0.25, 0.75]) + random.uniform(-0.1, 0.1, 2), random.uniform(0.25, 0.75, 2)], axis=1)
        period, phase = random.uniform(*PERIODS, (2, 2)), random.uniform(0, 2 * np.pi, (2, 2))
        for number, height, width in frames:
            swing = SWING * min(height, width) * np.sin(2 * np.pi * number / period + phase)
            along = places if width >= height else places[:, ::-1]
            centres = along * [width, height] + swing
            regions = (_region(shape, centre, height, width) for shape, centre in zip(shapes, centres, strict=True))
            yield [region for region in regions if region]


def _shape(random: np.random.Generator) -> np.ndarray:
    """Return the outline of a random rectangle, ellipse or blob around (0, 0): float (n, 2).

    Its unit is the shorter side of the image.
    """
    sides = np.exp(random.uniform(*np.log(SIDES))) * np.exp(random.uniform(-0.4, 0.4) * np.array([1, -1]))
    kind = random.choice(["rectangle", "ellipse", "blob"], p=[0.4, 0.3, 0.3])
    if kind == "rectangle":
        outline = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
        turn = 0.0 if random.random() < 0.7 else random.uniform(-0.8, 0.8)
    else:
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        radius = np.ones(64)
        if kind == "blob":
            corners = random.uniform(0.45, 1, int(random.integers(*CORNERS)))
            around = np.linspace(0, 2 * np.pi, len(corners) + 1)
            radius = np.interp(angles, around, [*corners, corners[0]])
            # A circular mean rounds the corners.
            radius = np.mean([np.roll(radius, shift) for shift in range(-3, 4)], axis=0)
        outline = radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        turn = random.uniform(-np.pi, np.pi)
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    return np.asarray(outline * sides / 2 @ rotation)


def _region(shape: np.ndarray, centre: np.ndarray, height: int, width: int) -> Region | None:
    """Return the part in the image of the region with the outline `shape` around `centre`, in pixels; None if there is none."""
    import cv2

    points = shape * min(height, width) + centre
    x0, y0 = np.floor(points.min(axis=0)).astype(int).clip(0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int), [width, height])
    if x1 - x0 < 1 or y1 - y0 < 1:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [np.rint(points - [x0, y0]).astype(np.int32)], 255)
    if not mask.any():
        return None
    return Region(
        LABEL, 1.0, (float(x0), float(y0), float(x1), float(y1)), encode_patch(Patch(mask, int(x0), int(y0)), height, width)
    )
