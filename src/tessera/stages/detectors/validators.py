"""The validators of ultralytics, which also keep what they compute for each image, and several of which share the images.

Call `tessera.learning.detection.offline.offline` before importing this module.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.models.yolo.segment import SegmentationValidator
from ultralytics.utils import ops


class Labels(NamedTuple):
    """The objects in the label file of an image, with coordinates as fractions of its sides.

    `boxes`: float (N, 4), x0, y0, x1, y1. `classes`: int (N,). `areas`: float (N,), fractions of the area of the image.
    """

    boxes: np.ndarray
    classes: np.ndarray
    areas: np.ndarray


class Matches(NamedTuple):
    """How the objects of an image compare with its detections.

    `kind`: box or mask. `iou`: float (objects, detections), 0 where the classes differ. `detection_of`: for each object, the
    detection that found it at IoU 0.5, or -1.
    """

    kind: str
    iou: np.ndarray
    detection_of: np.ndarray


class Case(NamedTuple):
    """The detections of a model in an image, highest confidence first, with class numbers of the dataset.

    `size`: width and height of the image in pixels. `boxes`: float (N, 4), x0, y0, x1, y1 in pixels of the image. `lines`: for
    each object in `matches`, its place in the label file. Of objects that are labelled twice, there is one.
    """

    file: Path
    size: tuple[int, int]
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    lines: np.ndarray
    matches: list[Matches]


class BoxValidator(DetectionValidator):  # type: ignore[misc]
    """Measure a detector by its boxes. `cases` has what was computed for each image.

    `labels`: the objects of each image, by its path. `numbers`: for each class of the model, the class of the dataset, or -1
    for a class that the dataset does not have; its detections are left out. `has_masks`: whether the model finds masks, which
    are not measured here.
    """

    labels: Mapping[str, Labels]
    numbers: Sequence[int]
    has_masks: bool
    cases: list[Case]

    def postprocess(self, preds: Any) -> Any:
        """Return the detections in the output of the model."""
        if self.has_masks:
            # Else the coefficients of the masks would be taken for classes.
            self.args.task = "segment"
            preds = preds[0]
        return super().postprocess(preds)

    def _prepare_pred(self, pred: dict[str, torch.Tensor]) -> Any:
        numbers = torch.tensor(self.numbers, device=pred["cls"].device)[pred["cls"].long()]
        known = numbers >= 0
        return super()._prepare_pred({**{name: each[known] for name, each in pred.items()}, "cls": numbers[known].float()})

    def _process_batch(self, preds: dict[str, Any], batch: dict[str, Any]) -> Any:
        self._computed: list[tuple[np.ndarray, np.ndarray]] = []
        correct = super()._process_batch(preds, batch)
        lines, positions = self._order(batch)
        empty = (np.zeros((len(batch["cls"]), len(preds["cls"]))), np.full(len(batch["cls"]), -1))
        matches = [
            Matches(kind, iou[positions], detection_of[positions])
            for kind, (iou, detection_of) in zip(self._kinds(), self._computed or [empty] * len(self._kinds()), strict=True)
        ]
        height, width = batch["ori_shape"]
        boxes = self._in_image(preds["bboxes"], batch)
        scores, classes = (preds[name].cpu().numpy() for name in ("conf", "cls"))
        self.cases.append(Case(Path(batch["im_file"]), (width, height), boxes, scores, classes.astype(int), lines, matches))
        return correct

    def match_predictions(
        self, pred_classes: torch.Tensor, true_classes: torch.Tensor, iou: torch.Tensor, use_scipy: bool = False
    ) -> Any:
        """Return which detections are correct at each IoU, and keep which object each of them found at the first, 0.5."""
        correct = super().match_predictions(pred_classes, true_classes, iou, use_scipy)
        of_class = (iou * (true_classes[:, None] == pred_classes)).cpu().numpy()
        detection_of = np.full(len(of_class), -1)
        for detection in np.flatnonzero(correct[:, 0].cpu().numpy()):
            detection_of[np.where(detection_of < 0, of_class[:, detection], 0).argmax()] = detection
        self._computed.append((of_class, detection_of))
        return correct

    def _kinds(self) -> tuple[str, ...]:
        return ("box",)

    def _order(self, batch: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the lines in the label file of the objects of an image, and their places in the batch.

        With `overlap_mask`, ultralytics sorts the objects of an image by area.
        """
        label = self.labels[batch["im_file"]]
        if not len(batch["cls"]):
            return np.zeros(0, int), np.zeros(0, int)
        height, width = batch["ori_shape"]
        in_batch = self._in_image(batch["bboxes"], batch)
        distance = np.abs(label.boxes[:, None] * [width, height, width, height] - in_batch[None]).sum(axis=2)
        if not self.args.single_cls:
            distance += 1e6 * (label.classes[:, None] != batch["cls"].cpu().numpy()[None])
        lines, positions = linear_sum_assignment(distance)
        return lines, positions

    def _in_image(self, boxes: torch.Tensor, batch: dict[str, Any]) -> np.ndarray:
        """Return boxes of the input of the network in pixels of the image."""
        if not len(boxes):
            return np.zeros((0, 4), np.float32)
        scaled = ops.scale_boxes(batch["imgsz"], boxes.clone(), batch["ori_shape"], ratio_pad=batch["ratio_pad"])
        return np.asarray(scaled.cpu().numpy())


class MaskValidator(BoxValidator, SegmentationValidator):  # type: ignore[misc]
    """Measure a detector by its boxes and by its masks."""

    def _kinds(self) -> tuple[str, ...]:
        return ("box", "mask")
