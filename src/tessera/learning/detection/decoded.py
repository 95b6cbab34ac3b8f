"""Run the detectors in ONNX that are not of ultralytics."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.imaging.boxes import clip_box
from tessera.imaging.masks import Patch, encode_patch, trim
from tessera.learning.detection.centerface import CENTERFACE
from tessera.learning.detection.decoder import Decoder, Found
from tessera.learning.detection.found import Region, Scaled
from tessera.learning.detection.s3fd import S3FD
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.detection.suppress import suppress
from tessera.learning.detection.text import TEXT
from tessera.learning.onnx import model_of_any_size, open_model

DECODERS = (CENTERFACE, TEXT, S3FD)
MULTIPLE = 32  # pixels; both sides of an input are multiples of it
SUBPIXEL = 4  # bits of a fraction of a pixel, for OpenCV


class DecodedDetector:
    """A loaded detector with the decoder of its kind."""

    def __init__(self, session: Any, decoder: Decoder, settings: InferenceSettings) -> None:
        size = settings.image_size or decoder.size
        self.labels, self.size = [decoder.label], (size, size)
        self._session, self._decoder, self._settings = session, decoder, settings

    def scale(self, image: np.ndarray) -> np.ndarray:
        """Return `image`, uint8 (H, W, 3), RGB, at the size of the model: BGR, with black below it and to its right."""
        import cv2

        height, width = self._scaled(image.shape[:2])
        scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)[..., ::-1]
        return np.pad(scaled, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)))

    def _scaled(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the height and width of a scaled image that had the `shape` before."""
        height, width = (max(round(side * self.size[0] / max(shape)), 1) for side in shape)
        return height, width

    def run(self, batch: Sequence[Scaled]) -> list[list[Region]]:
        """Return the regions of each image, the one with the highest score first. All images have one size."""
        (given,) = self._session.get_inputs()
        pixels = self._decoder.prepare(np.stack([scaled.image for scaled in batch]))
        outputs = self._session.run(None, {given.name: pixels})
        return [self._regions([output[number] for output in outputs], scaled.shape) for number, scaled in enumerate(batch)]

    def _regions(self, outputs: Sequence[np.ndarray], shape: tuple[int, int]) -> list[Region]:
        import torch

        found = list(self._decoder.decode(outputs, self._settings.confidence))
        if not found:
            return []
        boxes, scores = torch.tensor(np.array([each.box for each in found])), torch.tensor([each.score for each in found])
        best = suppress(boxes, scores, self._settings.iou)[: self._settings.max_regions]
        height, width = self._scaled(shape)
        factors = np.array([shape[1] / width, shape[0] / height])
        return [region for number in best.tolist() if (region := self._region(found[number], factors, shape))]

    def _region(self, found: Found, factors: np.ndarray, shape: tuple[int, int]) -> Region | None:
        """Return `found` as a region of an image of `shape`; None if nothing of it is inside. `factors`: of x and y."""
        height, width = shape
        x0, y0, x1, y1 = clip_box(tuple((found.box * np.tile(factors, 2)).tolist()), width, height)
        if not (x0 < x1 and y0 < y1):  # as with NaN
            return None
        if found.outline is None:
            points = () if found.points is None else tuple((float(x), float(y)) for x, y in found.points * factors)
            return Region(self._decoder.label, found.score, (x0, y0, x1, y1), None, points)
        left, top = math.floor(x0), math.floor(y0)
        mask = _filled(found.outline * factors - (left, top), math.ceil(y1) - top, math.ceil(x1) - left)
        patch = trim(Patch(mask, left, top))
        if not patch.mask.size:
            return None
        x0, y0, x1, y1 = map(float, patch.box)
        return Region(self._decoder.label, found.score, (x0, y0, x1, y1), encode_patch(patch, height, width))


def _filled(outline: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the mask of `height` by `width` pixels, 0 or 255, of the `outline`, (n, 2), x, y."""
    import cv2

    # OpenCV counts from the middle of the first pixel.
    corners = np.round((outline - 0.5) * 2**SUBPIXEL).astype(np.int32)
    return cv2.fillPoly(np.zeros((height, width), np.uint8), [corners], 255, shift=SUBPIXEL)


def open_decoded(weights: Path, settings: InferenceSettings) -> DecodedDetector | None:
    """Return the detector in the file `weights`; None for one of ultralytics, which another library runs.

    The file says by its outputs what it is. Raises `TesseraError` if it is an ONNX model of a kind that is not known.
    """
    if weights.suffix != ".onnx":
        return None
    import torch

    model = model_of_any_size(weights)
    # Its exports name their classes. Those that another program exported have one output with the boxes in rows.
    of_ultralytics = any(entry.key == "names" for entry in model.metadata_props)
    if of_ultralytics or any(len(output.type.tensor_type.shape.dim) == 3 for output in model.graph.output):
        return None
    session = open_model(model.SerializeToString(), torch.get_num_threads(), gpu=True)
    given = session.get_inputs()
    shapes: list[tuple[int, ...]] = []
    if len(given) == 1:
        probe = np.zeros((1, 3, MULTIPLE, MULTIPLE), np.float32)
        shapes = [output.shape for output in session.run(None, {given[0].name: probe})]
    for decoder in DECODERS:
        if decoder.returns(shapes, MULTIPLE):
            return DecodedDetector(session, decoder, settings)
    known = "; or ".join(f"{', '.join(map(str, decoder.shapes(MULTIPLE)))} as {decoder.name}" for decoder in DECODERS)
    raise TesseraError(
        f"{weights}: for a picture of {MULTIPLE} by {MULTIPLE} pixels, it has outputs of the shapes"
        f" {', '.join(map(str, shapes)) or 'that need other inputs'}; expected are {known}; or the metadata of an export of"
        " ultralytics; declare other weights"
    )
