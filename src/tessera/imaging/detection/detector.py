"""Run a detector over images: in batches, on the GPU if there is one, with masks at the full resolution of the image."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.weights.declare import WeightsSettings
from tessera.core.weights.purpose import check_purpose
from tessera.core.weights.resolve import verify_weights
from tessera.imaging.boxes import Box
from tessera.imaging.detection.offline import offline
from tessera.imaging.detection.settings import InferenceSettings


@dataclass(frozen=True)
class Region:
    """One detected region of an image.

    `box`: x0, y0, x1, y1 in pixels of the image, half-open. `mask`: uint8 (H, W), 0 or 255, of the size of the image;
    None if the detector returns only boxes. `score`: the confidence in [0, 1].
    """

    label: str
    score: float
    box: Box
    mask: np.ndarray | None


class Detector:
    """A detector that is loaded once and runs over any number of images."""

    def __init__(self, weights: Path, expected: Path | str, settings: InferenceSettings) -> None:
        """Load `weights`: a checkpoint of ultralytics (`.pt`) or its export (`.onnx`), which detects boxes or masks.

        `expected`: the sha256 of the file, or the path of a SHA256SUMS that must list it. Images are scaled to
        `settings.image_size`; if that is None, to the size that the model was trained at. An ONNX model of a fixed size always
        gets images of its size. Raises `TesseraError` if the sha256 differs, or the file is not a model.
        """
        verify_weights(weights, expected)
        check_purpose(weights, "detector")
        offline()
        from ultralytics import YOLO

        declared = getattr(settings, "weights", None)
        self._name = declared.source if isinstance(declared, WeightsSettings) else str(weights)
        try:
            self._model: Any = YOLO(weights)
        except Exception as error:  # for files that are not checkpoints, exceptions of many types are raised
            raise self._unusable(error) from error
        self._settings = settings
        # Without `imgsz`, ultralytics reads the size from the checkpoint.
        self._size = {"imgsz": settings.image_size} if settings.image_size else {}

    @property
    def labels(self) -> list[str]:
        """The names of the classes of the model."""
        return list(self._model.names.values())

    def predict(self, images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        """Yield the regions of each of `images`, in the order of the images; the region with the highest score comes first.

        `images`: uint8 (H, W, 3), RGB, of any size; at most one batch of them is held in memory.
        Raises `TesseraError` if the GPU is out of memory, or the weights are not those of a detector of boxes or masks.
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
            except Exception as error:  # an ONNX model is only loaded here
                raise self._unusable(error) from error
            if any(result.boxes is None for result in results):
                raise self._unusable("it returns no axis-aligned boxes")
            yield from map(_regions, results)

    def _unusable(self, reason: Exception | str) -> TesseraError:
        said = " ".join(str(reason).split())[:300]
        return TesseraError(f"{self._name} cannot be used as a detector of boxes or masks ({said}); declare other weights")


def _batches(images: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Yield batches of at most `size` images of one shape: in a mixed batch, the padding of an image depends on the others."""
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
