"""Run a detector over images: in batches, on the GPU if there is one, with masks at the full resolution of the image."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.messages import did_you_mean
from tessera.imaging.frame import VideoFrame
from tessera.imaging.masks import encode_patch
from tessera.learning.detection.decoded import open_decoded
from tessera.learning.detection.found import Region, Scaled
from tessera.learning.detection.masks import mask_inside
from tessera.learning.detection.offline import offline
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.detection.suppress import suppress
from tessera.learning.onnx import is_out_of_memory
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.purpose import check_purpose
from tessera.learning.weights.resolve import verify_weights

BOX = 4  # values of a box in the output of ultralytics, before its confidences


class Detector:
    """A detector that is loaded once and runs over any number of images."""

    def __init__(self, weights: Path, expected: Path | str, settings: InferenceSettings) -> None:
        """Load `weights`: a checkpoint of ultralytics (`.pt`) or its export (`.onnx`), which detects boxes or masks, or an ONNX
        model that one of the decoders reads.

        `expected`: the sha256 of the file, or the path of a SHA256SUMS that must list it. Images are scaled to
        `settings.image_size`; if that is None, to the size that the model was trained at. An ONNX model of a fixed size always
        gets images of its size. Only regions of `settings.counted` are found, if it names classes.

        Raises `TesseraError` if the sha256 differs, the file is not a model, or it does not have one of the classes.
        """
        verify_weights(weights, expected)
        check_purpose(weights, "detector")
        declared = getattr(settings, "weights", None)
        self._name = declared.source if isinstance(declared, WeightsSettings) else str(weights)
        self._batch, self._is_export = settings.batch, weights.suffix == ".onnx"
        offline()
        with self._errors():
            self._network = open_decoded(weights, settings) or _Ultralytics(weights, settings)
        for name in settings.counted:
            if name not in self.labels:
                raise TesseraError(
                    f"{self._name} does not know the class {name!r}{did_you_mean(name, self.labels)}; it finds"
                    f" {', '.join(self.labels)}; name some of these in the settings of the detector, or none for all"
                )

    @property
    def labels(self) -> list[str]:
        """The names of the classes of the model."""
        return self._network.labels

    def predict(self, images: Iterable[np.ndarray]) -> Iterator[list[Region]]:
        """Yield the regions of each of `images`, in the order of the images; the region with the highest score comes first.

        `images`: uint8 (H, W, 3), RGB, of any size; one of them is held in memory at a time.
        Raises `TesseraError` if the GPU is out of memory, or the weights are not those of a detector of boxes or masks.
        """
        return self.detect(map(self.scale, images))

    def scale(self, image: np.ndarray) -> Scaled:
        """Return `image`, uint8 (H, W, 3), RGB, as the model gets it. Several threads may do this at a time."""
        return Scaled(self._network.scale(image), image.shape[:2])

    def scale_frame(self, frame: VideoFrame) -> Scaled:
        """Return `scale(frame.image())`, without converting what is lost in scaling. Raises `Failed` as `frame.image` does."""
        (width, height), (tall, wide) = frame.size, self._network.size
        return self.scale(frame.image_for(round(height * min(tall / height, wide / width))))

    def detect(self, images: Iterable[Scaled]) -> Iterator[list[Region]]:
        """Yield the regions of each of `images`, results of `scale`, as `predict` does; at most one batch of them is held."""
        for batch in _batches(images, self._batch):
            with self._errors():
                regions = self._network.run(batch)
            yield from regions

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise errors of ultralytics and its backends as `TesseraError`."""
        try:
            yield
        except (MemoryError, TesseraError):
            raise
        except Exception as error:  # for files that are not models, exceptions of many types are raised
            if is_out_of_memory(error):
                raise TesseraError(f"the GPU is out of memory: lower `batch` or `image_size` ({error})") from error
            raise self._unusable(error) from error

    def _unusable(self, reason: Exception | str) -> TesseraError:
        from ultralytics import __version__

        message = " ".join(str(reason).split())[:300]
        export = f" or, if another version of ultralytics than {__version__} made them, their export (.onnx)"
        return TesseraError(
            f"{self._name} cannot be used as a detector of boxes or masks ({message}); declare other weights"
            f"{'' if self._is_export else export}"
        )


class _Ultralytics:
    """A loaded detector of ultralytics."""

    def __init__(self, weights: Path, settings: InferenceSettings) -> None:
        self._predictor = _load(weights, settings)
        names = self._predictor.model.names
        self.labels = list(names.values())
        self._predictor.args.classes = [number for number, name in names.items() if name in settings.counted] or None

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of the frame that images are scaled to fit into."""
        tall, wide = self._predictor.imgsz
        return tall, wide

    def scale(self, image: np.ndarray) -> np.ndarray:
        """Return `image`, uint8 (H, W, 3), RGB, at the size of the model: BGR, with its padding."""
        scaled: np.ndarray = self._predictor.pre_transform([image])[0][..., ::-1]
        return scaled

    def run(self, batch: Sequence[Scaled]) -> list[list[Region]]:
        """Return the regions of each image, the one with the highest score first. All images have one size."""
        import torch

        predictor = self._predictor
        predictor.batch = ([""] * len(batch),)  # the names of files
        with torch.inference_mode():
            pixels = predictor.preprocess([scaled.image for scaled in batch])
            try:
                predictions = predictor.model(pixels)
            except _NothingFound:
                return [[] for _ in batch]
            if predictor.model.format != "pt":
                _check_output(predictions, len(batch))
            # Only the shapes of the images are used.
            images = [np.broadcast_to(np.uint8(0), (*scaled.shape, 3)) for scaled in batch]
            results = predictor.postprocess(predictions, pixels, images)
        if any(result.boxes is None for result in results):
            raise ValueError("it returns no axis-aligned boxes")
        return [list(_regions(result)) for result in results]


class _NothingFound(Exception):
    """No score in a batch reaches the confidence."""


def _load(weights: Path, settings: InferenceSettings) -> Any:
    """Return the predictor of ultralytics for `weights`, ready to run."""
    from ultralytics import YOLO
    from ultralytics.models.yolo.segment import SegmentationPredictor
    from ultralytics.utils.nms import TorchNMS

    TorchNMS.nms = staticmethod(suppress)
    model: Any = YOLO(weights)
    options = {"mode": "predict", "rect": True, "save": False, "verbose": False}
    options |= {"conf": settings.confidence, "iou": settings.iou, "max_det": settings.max_regions}
    options |= {"quantize": 16 if settings.half else None}
    # Without `imgsz`, ultralytics reads the size from the checkpoint.
    options |= {"imgsz": settings.image_size} if settings.image_size else {}
    predictor = model._smart_load("predictor")(overrides=model.overrides | options)
    predictor.setup_model(model.model, verbose=False)
    predictor.setup_source([np.zeros((1, 1, 3), np.uint8)])  # sets the size of the images
    network = predictor.model
    if network.format == "pt":
        if network.end2end:
            network.model.set_head_attr(max_det=max(settings.max_regions, 300))
        _stop_early(network.model.model[-1], settings.confidence)
    if isinstance(predictor, SegmentationPredictor):
        predictor.construct_result = partial(_with_logits, predictor)
    return predictor


def _check_output(predictions: Any, count: int) -> None:
    """Raise `ValueError` if the `predictions` of an exported model for `count` images are no boxes with confidences."""
    first = predictions[0] if isinstance(predictions, list | tuple) else predictions
    if first.ndim != 3 or len(first) != count or first.shape[1] < BOX + 1:
        raise ValueError(
            f"for {count} images, its output has the shape {tuple(first.shape)}; expected are boxes with confidences"
        )


def _stop_early(head: Any, confidence: float) -> None:
    """Let `head` raise `_NothingFound` before it calculates boxes and masks, half of the work, for a batch without any."""
    from ultralytics.nn.modules import Detect, Segment

    if type(head) not in (Detect, Segment):
        return
    classify = (head.one2one if head.end2end else head.one2many)["cls_head"]
    # The scores are the sigmoid of these logits, which may be rounded otherwise.
    least = math.log(confidence / (1 - confidence)) - 0.01

    def stop(_: Any, inputs: tuple[list[Any]]) -> None:
        import torch

        if torch.stack([score(each).amax() for score, each in zip(classify, inputs[0], strict=True)]).amax() < least:
            raise _NothingFound

    head.register_forward_pre_hook(stop)


def _with_logits(predictor: Any, rows: Any, pixels: Any, image: np.ndarray, path: str, prototypes: Any) -> Any:
    """Return the result for an image without masks, but with the logits for `mask_inside`: float32 (n, h, w)."""
    from ultralytics.models.yolo.detect import DetectionPredictor

    result = DetectionPredictor.construct_result(predictor, rows, pixels, image, path)
    result.masks = (rows[:, 6:] @ prototypes.float().flatten(1)).view(-1, *prototypes.shape[1:]).cpu()
    return result


def _batches(images: Iterable[Scaled], size: int) -> Iterator[list[Scaled]]:
    """Yield batches of at most `size` images of one shape: in a mixed batch, the padding of an image depends on the others."""
    batch: list[Scaled] = []
    for image in images:
        if batch and (len(batch) == size or image.shape != batch[0].shape):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _regions(result: Any) -> Iterator[Region]:
    boxes, logits = result.boxes.cpu().numpy(), result.masks
    if (boxes.conf > 1).any():
        raise ValueError(f"its confidences reach {boxes.conf.max():g}, and should be at most 1")
    for number, (kind, score, box) in enumerate(zip(boxes.cls, boxes.conf, boxes.xyxy.tolist(), strict=True)):
        rle = None
        if logits is not None:
            patch = mask_inside(tuple(box), logits[number], *result.orig_shape)
            if not patch.mask.any():
                continue
            rle = encode_patch(patch, *result.orig_shape)
        yield Region(result.names[int(kind)], float(score), tuple(box), rle)
