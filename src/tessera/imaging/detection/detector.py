"""A detector, run over images: batched, on the GPU where there is one, masks at the full resolution of the image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.core.weights.declare import WeightsSettings
from tessera.imaging.boxes import Box
from tessera.imaging.detection.offline import offline
from tessera.imaging.detection.settings import PredictionSettings


@dataclass(frozen=True)
class Region:
    """One region that a detector sees in an image.

    `box`: x0, y0, x1, y1 in pixels of the image, half-open. `mask`: uint8 (H, W), 0 or 255, the size of the image;
    None from a detector that knows boxes only. `score`: the confidence in [0, 1].
    """

    label: str
    score: float
    box: Box
    mask: np.ndarray | None


class Predictor:
    """A detector that is loaded once and run over any number of images."""

    def __init__(self, weights: Path, expected: Path | str, settings: PredictionSettings) -> None:
        """Load `weights`, a checkpoint of ultralytics (`.pt`) or what it exported (`.onnx`), of boxes or masks.

        `expected`: the sha256 of the file, or a SHA256SUMS that must list it. Raises `TesseraError` where it is another, or is
        no model. Images are shown at the size that the model was trained at where `settings.image_size` names none, and to an
        ONNX model of a fixed size at that.
        """
        found = sha256_file(weights)
        if isinstance(expected, str):
            if found != expected:
                raise TesseraError(f"{weights}: its sha256 is {found}, not {expected}; delete it and run again")
        elif f"{found}  {weights.name}" not in expected.read_text(encoding="utf-8").splitlines():
            raise TesseraError(f"{weights}: not the file that {expected} lists; delete {weights.parent} and run again")
        offline()
        from ultralytics import YOLO

        declared = getattr(settings, "weights", None)
        self._name = declared.source if isinstance(declared, WeightsSettings) else str(weights)
        try:
            self._model: Any = YOLO(weights)
        except Exception as error:  # what is no checkpoint is met with exceptions of many kinds
            raise self._unusable(error) from error
        self._settings = settings
        # Ultralytics takes the size that a checkpoint was trained at from it.
        self._size = {"imgsz": settings.image_size} if settings.image_size else {}

    @property
    def labels(self) -> list[str]:
        """The names of its classes."""
        return list(self._model.names.values())

    def predict(self, images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        """Yield the regions of each of `images`, surest first, in the order of the images.

        `images`: uint8 (H, W, 3), RGB, of any sizes; no more than a batch of them is held.
        Raises `TesseraError` where the memory of the GPU does not suffice, or the weights are not of such a detector.
        """
        import cv2
        import torch

        for batch in _batches(images, self._settings.batch):
            try:
                results = self._model.predict(
                    [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in batch],
                    conf=self._settings.confidence,
                    iou=self._settings.iou,
                    **self._size,
                    quantize=16 if self._settings.half else None,
                    max_det=self._settings.max_regions,
                    retina_masks=True,
                    verbose=False,
                )
            except torch.OutOfMemoryError as error:
                raise TesseraError(f"the GPU is out of memory: lower `batch` or `image_size` ({error})") from error
            except MemoryError:
                raise
            except Exception as error:  # an ONNX model is opened and tried here
                raise self._unusable(error) from error
            if any(result.boxes is None for result in results):
                raise self._unusable("it sees no upright boxes")
            yield from map(_regions, results)

    def _unusable(self, reason: Exception | str) -> TesseraError:
        said = " ".join(str(reason).split())[:300]
        return TesseraError(f"{self._name} does not run as a detector of boxes or masks ({said}); declare other weights")


def _batches(images: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Yield runs of at most `size` images of one shape: in a mixed batch, the others would change how each is padded."""
    batch: list[np.ndarray] = []
    for image in images:
        if batch and (len(batch) == size or image.shape != batch[0].shape):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _regions(result: Any) -> list[Region]:
    masks = [None] * len(result.boxes) if result.masks is None else result.masks.data.cpu().numpy() * np.uint8(255)
    boxes = result.boxes.cpu().numpy()
    return [
        Region(result.names[int(kind)], float(score), tuple(box.tolist()), mask)
        for kind, score, box, mask in zip(boxes.cls, boxes.conf, boxes.xyxy, masks, strict=True)
    ]
