"""Export a trained detector, and verify that the export gives the same results."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.core.progress import progress
from tessera.learning.detection.offline import offline
from tessera.learning.onnx import open_model
from tessera.stages.detectors.dataset import read_dataset
from tessera.stages.detectors.settings import ExportSettings, ToleranceSettings
from tessera.stages.detectors.train import write_weights

if TYPE_CHECKING:
    import torch

CONFIDENCE = 0.1  # least score of a detection
OVERLAP = 0.7  # IoU above which non-maximum suppression drops the box with the lower score
NEAR = 10.0  # pixels of the network's input; boxes that are further apart are not the same detection


@dataclass(frozen=True)
class Detections:
    """The detections of a model in one image, in pixels of the network's input.

    `boxes`: float (N, 4), x0, y0, x1, y1. `scores`: float (N,). `classes`: int (N,). `masks`: bool (N, H, W) of the size of the
    input, or (N, 0, 0) if the model detects only boxes.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True)
class Differences:
    """The largest differences between two models; for masks, the smallest intersection over union.

    `score` and `box` are None if no detections were compared, and `mask` is None if no masks were.
    """

    detections: int = 0
    unmatched: int = 0
    output: float = 0.0
    score: float | None = None
    box: float | None = None
    mask: float | None = None


def export_detector(weights: Path, checkpoint: Path, onnx: Path, settings: ExportSettings) -> None:
    """Write `weights` to `checkpoint`, and as ONNX to `onnx`, both with the image size of `settings`.

    Equal weights give equal bytes.
    """
    offline()
    import onnx as library
    from ultralytics import YOLO

    with tempfile.TemporaryDirectory() as folder:
        # Ultralytics writes the export beside its source.
        source = Path(folder) / "model.pt"
        shutil.copyfile(weights, source)
        exported = YOLO(source).export(
            format="onnx",
            opset=settings.opset,
            dynamic=settings.dynamic,
            simplify=settings.simplify,
            device="cpu",
            **({"imgsz": settings.image_size} if settings.image_size else {}),
        )
        model = library.load(exported)
        properties = [entry for entry in model.metadata_props if entry.key != "date"]
        del model.metadata_props[:]
        model.metadata_props.extend(properties)
        onnx.write_bytes(model.SerializeToString(deterministic=True))
    if settings.image_size:
        write_weights(weights, checkpoint, size=settings.image_size)
    else:
        shutil.copyfile(weights, checkpoint)


def export_for_lada(weights: Path, checkpoint: Path) -> None:
    """Write `weights` to `checkpoint` for Lada's application, which passes BGR to detectors. Equal weights give equal bytes.

    The input channels of the first convolution are swapped, so that BGR gives what RGB gives with `weights`.
    """
    offline()
    write_weights(weights, checkpoint, _swap_channels)


def _swap_channels(model: "torch.nn.Module") -> None:
    import torch

    first = next(layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d))
    first.weight.data = first.weight.data.flip(1)


def verify_export(
    dataset: Path,
    checkpoint: Path,
    onnx: Path,
    lada: Path | None,
    report: Path,
    export: ExportSettings,
    tolerance: ToleranceSettings,
    *,
    threads: int,
) -> None:
    """Compare the model `onnx` in ONNX Runtime with `checkpoint` in torch, on images of the val split.

    Both run on the CPU with the same input tensors. `lada`: weights from `export_for_lada`, or None. They are compared in the
    same way, with BGR input. The largest differences are written to `report` as JSON: those of the raw outputs, as a fraction
    of the largest value of each, and those of the detections after non-maximum suppression.
    Raises `TesseraError` that names each difference beyond `tolerance`.
    """
    offline()
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    images = read_dataset(dataset).images["val"]
    images = images[:: -(-len(images) // tolerance.images)]
    session = open_model(onnx, threads)
    model, loaded = load_checkpoint(checkpoint, fuse=True)
    swapped = load_checkpoint(lada, fuse=True)[0] if lada else None
    size = export.image_size or loaded["train_args"]["imgsz"]
    classes = len(model.names)

    def run(network: Any, tensor: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            result = network(torch.from_numpy(tensor))[0]
        return [output.numpy() for output in (result if isinstance(result, tuple) else (result,))]

    differences: dict[Path, list[Differences]] = {}
    for path in progress(images, unit="images"):
        tensor = _letterbox(path, size, is_square=not export.dynamic)
        ours = run(model, tensor)
        outputs = {onnx: session.run(None, {session.get_inputs()[0].name: tensor})}
        if lada:
            outputs[lada] = run(swapped, np.ascontiguousarray(tensor[:, ::-1]))
        for file, theirs in outputs.items():
            first, other = (_detect(each, classes, tensor.shape[2:]) for each in (ours, theirs))
            compared = compare(first, other, CONFIDENCE + tolerance.score)
            differences.setdefault(file, []).append(replace(compared, output=_difference(ours, theirs, classes)))
    worst = {file: asdict(_worst(each)) for file, each in differences.items()}
    for file, measured in worst.items():
        if beyond := _beyond(measured, tolerance):
            fix = "try another `export.opset` or `export.simplify: false`" if file == onnx else "delete it and run again"
            raise TesseraError(
                f"{file.name} differs from {checkpoint.name} on {pluralize(len(images), 'images')}: {', '.join(beyond)}; {fix},"
                " or widen the `tolerance` of the model"
            )
    content = {
        "images": len(images),
        "image_size": size,
        **worst[onnx],
        **({"lada": worst[lada]} if lada else {}),
        "tolerance": tolerance.model_dump(mode="json"),
    }
    report.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _worst(differences: Sequence[Differences]) -> Differences:
    """Return the largest of the `differences` between two models in several images."""
    return Differences(
        detections=sum(each.detections for each in differences),
        unmatched=sum(each.unmatched for each in differences),
        output=float(np.max([each.output for each in differences])),
        score=_extreme(np.max, [each.score for each in differences]),
        box=_extreme(np.max, [each.box for each in differences]),
        mask=_extreme(np.min, [each.mask for each in differences]),
    )


def _beyond(measured: Mapping[str, Any], tolerance: ToleranceSettings) -> list[str]:
    """Return each of the `measured` differences that exceeds `tolerance`, with its limit."""
    limits = {
        "unmatched": 0,
        "output": tolerance.output,
        "score": tolerance.score,
        "box": tolerance.box,
        "mask": tolerance.mask,
    }
    return [
        f"{name} {measured[name]:.3g} (allowed: {limit:g})"
        for name, limit in limits.items()
        if measured[name] is not None and not (measured[name] >= limit if name == "mask" else measured[name] <= limit)
    ]


def compare(ours: Detections, theirs: Detections, confidence: float) -> Differences:
    """Return the differences between the detections of two models on one image.

    Each detection with a score of at least `confidence` is compared with the nearest one of the same class of the other model.
    It is unmatched if there is none whose edges are all within `NEAR` pixels.
    """
    unmatched = 0
    scores, edges, overlaps = [], [], []
    for detections, other in ((ours, theirs), (theirs, ours)):
        for number in np.flatnonzero(detections.scores >= confidence):
            same = np.flatnonzero(other.classes == detections.classes[number])
            apart = np.abs(other.boxes[same] - detections.boxes[number]).max(axis=1)
            if not (apart <= NEAR).any():
                unmatched += 1
                continue
            match = same[apart.argmin()]
            scores.append(abs(other.scores[match] - detections.scores[number]))
            edges.append(apart.min())
            overlaps.append(_overlap(detections.masks[number], other.masks[match]))
    return Differences(
        detections=int((ours.scores >= confidence).sum()),
        unmatched=unmatched,
        score=_extreme(np.max, scores),
        box=_extreme(np.max, edges),
        mask=_extreme(np.min, overlaps),
    )


def _extreme(choose: Callable[[list[float]], float], values: Sequence[float | None]) -> float | None:
    """Return the one of `values` that `choose` returns, without those that are None; None if no others are left.

    `choose`: `np.max` or `np.min`. Those of Python may ignore NaN.
    """
    known = [value for value in values if value is not None]
    return float(choose(known)) if known else None


def _overlap(mask: np.ndarray, other: np.ndarray) -> float | None:
    """Return the intersection over union of two masks; None if both are empty."""
    union = np.count_nonzero(mask | other)
    return np.count_nonzero(mask & other) / union if union else None


def _letterbox(path: Path, size: int, *, is_square: bool) -> np.ndarray:
    """Return the image `path` as the input of the network: float32 (1, 3, H, W), RGB, in [0, 1].

    The longer side has `size` pixels. The shorter one is padded to as many or, as ultralytics does where it can, to a multiple
    of 32.
    """
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.patches import imread

    image = LetterBox((size, size), auto=not is_square)(image=imread(path))
    return np.ascontiguousarray(image[None, ..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32) / 255


def _difference(ours: list[np.ndarray], theirs: list[np.ndarray], classes: int) -> float:
    """Return the largest difference of the raw outputs: boxes, scores, coefficients and masks, each over its largest value."""
    if [output.shape for output in ours] != [output.shape for output in theirs]:
        return float("inf")
    pairs = [pair for first, other in zip(ours[:1], theirs[:1], strict=True) for pair in _parts(first, other, classes)]
    pairs += zip(ours[1:], theirs[1:], strict=True)
    return float(np.max([np.abs(first - other).max() / max(np.abs(first).max(), 1e-9) for first, other in pairs]))


def _parts(first: np.ndarray, other: np.ndarray, classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split two outputs (1, 4 + classes + coefficients, N) into pairs of boxes, scores and coefficients."""
    edges = [0, 4, 4 + classes, first.shape[1]]
    return [(first[:, low:high], other[:, low:high]) for low, high in pairwise(edges) if high > low]


def _detect(outputs: list[np.ndarray], classes: int, shape: tuple[int, ...]) -> Detections:
    """Return the detections in the raw outputs of one input of `shape`, height and width, as ultralytics extracts them."""
    import torch
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import process_mask

    tensors = [torch.from_numpy(output) for output in outputs]
    detections = non_max_suppression(tensors[0], CONFIDENCE, OVERLAP, nc=classes)[0]
    masks = torch.zeros((len(detections), 0, 0))
    if len(tensors) > 1:
        masks = process_mask(tensors[1][0], detections[:, 6:], detections[:, :4], shape, upsample=True)
    return Detections(
        detections[:, :4].numpy(), detections[:, 4].numpy(), detections[:, 5].numpy().astype(int), masks.numpy() > 0
    )
