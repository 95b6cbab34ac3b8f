"""Find 68 landmarks of a face with a declared model, in ONNX or TorchScript, in the part of a picture around its box."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tessera.imaging.boxes import Box, clip_box
from tessera.learning.declared_model import DeclaredModel
from tessera.learning.landmark_settings import LandmarkSettings, Turn

POINTS = 68


class FaceInPicture(NamedTuple):
    """A face in `picture`, uint8 (H, W, 3), RGB. `box`: in pixels of the picture.

    `turned`: by how many degrees the picture was turned counterclockwise when the face was found, as by
    `np.rot90(picture, turned // 90)`. The model gets the face turned in the same way.
    """

    picture: np.ndarray
    box: Box
    turned: Turn = 0


class Crop(NamedTuple):
    """The part of a picture that a model gets.

    `pixels`: float32 (3, size, size), as the model gets them. `origin`, `side`: the upper left corner, float64 (2,), and the
    side of the square that the model describes, in pixels of the turned picture; NaN if there is no face to see. `turned`: as
    in `FaceInPicture`. `shape`: of the picture, its height and width.
    """

    pixels: np.ndarray
    origin: np.ndarray
    side: float
    turned: Turn
    shape: tuple[int, int]


class LandmarkModel:
    """A model that is loaded once and finds the landmarks of any number of faces."""

    def __init__(self, weights: Path, expected: Path | str, settings: LandmarkSettings) -> None:
        """Load the file `weights`: ONNX (`.onnx`), or TorchScript, on the GPU if there is one.

        `expected`: its sha256, or the path of a SHA256SUMS that must list it. Raises `TesseraError` if the sha256 differs, or
        the file is no model of 68 landmarks.
        """
        name = settings.weights.source if settings.weights else str(weights)
        fix = (
            f"expected is a model of ONNX (.onnx) or TorchScript that gets {settings.size} by {settings.size} pixels (faces, 3,"
            f" {settings.size}, {settings.size}), and returns heatmaps (faces, {POINTS}, height, width) or coordinates (faces,"
            f" {POINTS}, 2), (faces, {POINTS}, 3) or (faces, {2 * POINTS}); declare another, or set `landmarks.size`"
        )
        self._settings, self._model = settings, DeclaredModel(weights, expected, name, "landmarks", fix)
        self._batch = min(settings.batch, self._model.most)
        with self._model.errors():
            self._fractions(np.zeros((1, 3, settings.size, settings.size), np.float32))

    def locate(self, faces: Iterable[FaceInPicture]) -> Iterator[np.ndarray]:
        """Yield the landmarks of each of `faces`: float64 (68, 2), x and y in pixels of its picture.

        They may be outside of the picture. All are NaN if nothing of the box is in the picture, or the model returns numbers
        that are not finite. At most one batch of crops is held, and one picture. Raises `TesseraError` if the GPU is out of
        memory, or the model cannot run on several faces at a time.
        """
        crops = (cut(face, self._settings) for face in faces)
        while batch := list(islice(crops, self._batch)):
            with self._model.errors():
                found = self._fractions(np.stack([crop.pixels for crop in batch]))
            for crop, fractions in zip(batch, found, strict=True):
                yield unturned(crop.origin + crop.side * fractions, crop.turned, *crop.shape)

    def _fractions(self, batch: np.ndarray) -> np.ndarray:
        """Return the landmarks in `batch`, float32 (N, 3, size, size), as fractions of its sides: float64 (N, 68, 2)."""
        outputs = self._model.run(batch)
        known = [output for output in outputs if output.shape[:1] == batch.shape[:1] and _are_landmarks(output.shape[1:])]
        if not known:
            raise ValueError(f"it returns numbers of the shapes {', '.join(str(output.shape) for output in outputs)}")
        # Heatmaps are preferred. Those of the last stage are the last.
        chosen = max(reversed(known), key=np.ndim)
        if chosen.ndim == 4:
            points = read_heatmaps(chosen)
        else:
            unit = self._settings.size if self._settings.coordinates == "pixels" else 1
            points = chosen.reshape(len(batch), POINTS, -1)[..., :2].astype(np.float64) / unit
        points[~np.isfinite(points).all(axis=(1, 2))] = np.nan
        return points


def _are_landmarks(shape: tuple[int, ...]) -> bool:
    """Return whether numbers of the `shape` for a face are the heatmaps or the coordinates of its landmarks."""
    return shape in {(POINTS, 2), (POINTS, 3), (2 * POINTS,)} or (len(shape) == 3 and shape[0] == POINTS and 0 not in shape)


def cut(face: FaceInPicture, settings: LandmarkSettings) -> Crop:
    """Return the part of the picture of `face` that a model with `settings` gets. What is outside of the picture is black."""
    picture = np.rot90(face.picture, face.turned // 90)
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = clip_box(face.box, *reversed(face.picture.shape[:2]))
    # The rest of a whole turn is what is undone in the other direction.
    corners = unturned(np.reshape(face.box, (2, 2)), -face.turned % 360, height, width)
    area, origin, side = _place(corners.min(axis=0), corners.max(axis=0), settings)
    if x0 < x1 and y0 < y1 and np.isfinite(area).all() and area[0] < area[2] and area[1] < area[3]:
        sampled = _sample(picture, area, settings.size)
    else:
        sampled, side = np.zeros((settings.size, settings.size, 3), np.float32), np.nan
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (settings.mean, settings.std))
    # Several times as fast as with the channels last.
    pixels = np.ascontiguousarray(sampled.transpose(2, 0, 1)) * (1 / (255 * std)) - mean / std
    return Crop(pixels[::-1] if settings.channels == "BGR" else pixels, origin, side, face.turned, face.picture.shape[:2])


def _place(first: np.ndarray, last: np.ndarray, settings: LandmarkSettings) -> tuple[np.ndarray, np.ndarray, float]:
    """Return which pixels a model gets of a face whose box has the corners `first` and `last`, float64 (2,): float64 (4,), x0,
    y0, x1, y1; and the square that its results refer to: its upper left corner, float64 (2,), and its side.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        middle, (width, height) = (first + last) / 2, last - first
        if settings.crop == "square":
            side = settings.factor * max(width, height)
            origin = middle - side / 2
            return np.concatenate([origin, origin + side]), origin, side
        side = (width + height) * 200 / 195
        origin = middle - (0, 0.12 * height) - side / 2
        # FAN cuts from the first pixel, which it calls 1, and at whole pixels. Its results refer to the square itself.
        return np.trunc(np.concatenate([origin + side / settings.size, origin + side])), origin, side


def _sample(picture: np.ndarray, area: np.ndarray, size: int) -> np.ndarray:
    """Return the `area` of `picture`, uint8 (H, W, 3), at `size` by `size` pixels, with bilinear interpolation: float32.

    The cost does not depend on the size of the area.
    """
    (rows, down), (columns, across) = (
        _neighbours(area[axis], area[axis + 2], size, picture.shape[1 - axis]) for axis in (1, 0)
    )
    # Several times as fast as one index.
    values = picture.take(rows.ravel(), axis=0).take(columns.ravel(), axis=1).reshape(2, size, 2, size, 3)
    sampled: np.ndarray = np.einsum("ai,aibjc,bj->ijc", down, values.astype(np.float32), across)
    return sampled


def _neighbours(start: float, stop: float, size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels on both sides of `size` places between `start` and `stop`, int64 (2, size), and their weights, float32.

    The weight of a pixel outside of the `length` is 0.
    """
    place = start + (np.arange(size) + 0.5) * (stop - start) / size - 0.5
    before = np.floor(place)
    pixels = np.stack([before, before + 1])
    weights = np.stack([before + 1 - place, place - before])
    weights[(pixels < 0) | (pixels >= length)] = 0
    return pixels.clip(0, length - 1).astype(np.int64), weights.astype(np.float32)


def read_heatmaps(maps: np.ndarray) -> np.ndarray:
    """Return where `maps`, float (N, P, h, w), are highest, as fractions of the width and the height: float64 (N, P, 2).

    A point is in the middle of the highest cell, moved by a quarter of a cell towards the higher one of its neighbours, as in
    FAN; not at the edge of a map. It is NaN if a map holds NaN, or its highest value is not finite.
    """
    height, width = maps.shape[2:]
    flat = maps.reshape(*maps.shape[:2], -1)
    rows, columns = np.divmod(flat.argmax(axis=2), width)
    cells = np.stack([columns, rows], axis=-1) + 0.5
    inside = (columns > 0) & (columns < width - 1) & (rows > 0) & (rows < height - 1)
    face, point = np.nonzero(inside)
    row, column = rows[inside], columns[inside]
    with np.errstate(invalid="ignore"):  # of two infinite neighbours
        slopes = [
            maps[face, point, row, column + 1] - maps[face, point, row, column - 1],
            maps[face, point, row + 1, column] - maps[face, point, row - 1, column],
        ]
    cells[inside] += 0.25 * np.sign(np.stack(slopes, axis=-1))
    cells[~np.isfinite(flat.max(axis=2))] = np.nan
    return cells / (width, height)


def unturned(points: np.ndarray, turned: int, height: int, width: int) -> np.ndarray:
    """Return `points`, float64 (n, 2), x, y, in a picture that was turned, in pixels of the picture as it was before.

    `turned`: 0, 90, 180 or 270 degrees, as in `FaceInPicture`. `height`, `width`: of the picture before.
    """
    x, y = points.T
    before = {0: (x, y), 90: (width - y, x), 180: (width - x, height - y), 270: (y, height - x)}
    return np.stack(before[turned], axis=1)
