"""Measure detectors on a split of a dataset, all of them on the same images."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.messages import did_you_mean
from tessera.learning.detection.offline import offline
from tessera.learning.weights.purpose import check_purpose
from tessera.records.annotation.formats.yolo import box_of, parse_line
from tessera.records.label_sets import ANY
from tessera.stages.detectors.dataset import Dataset, read_dataset
from tessera.stages.detectors.library import task_of
from tessera.stages.detectors.settings import DetectorSettings

if TYPE_CHECKING:
    from tessera.stages.detectors.validators import Case, Labels

# Training arguments that the evaluation takes over, so that it measures in the same way.
SHARED = ("iou", "max_det", "single_cls", "overlap_mask", "mask_ratio")
SINGLE = "item"
BATCH = 8
LARGEST = 8192  # pixels; a longer side of the images is an error in the file of a model


@dataclass(frozen=True)
class Contender:
    """A detector that is measured: its name and its weights, .pt or .onnx.

    `size`: the longer side of its images in pixels; None means the size that it was trained at. `classes`: the class of the
    dataset that each class of the model means, None for none; a class that is not named means the class of the same name.
    """

    name: str
    weights: Path
    size: int | None = None
    classes: Mapping[str, str | None] = field(default_factory=dict)


class Measured(NamedTuple):
    """What was measured of a detector on a split.

    `metrics`: the object of ultralytics. `cases`: of each image. `labels`: of each image, by path. `seconds`: per image, for
    the network and the choice of the detections. `size`: the longer side of its images. `unmatched`: its classes that the
    dataset does not have. `has_masks`: whether its masks were measured.
    """

    metrics: Any
    cases: "list[Case]"
    labels: "Mapping[str, Labels]"
    seconds: float
    size: int
    unmatched: tuple[str, ...]
    has_masks: bool


class _Loaded(NamedTuple):
    contender: Contender
    model: Any  # AutoBackend of ultralytics
    has_masks: bool
    size: int
    is_square: bool  # whether images are padded to squares, as the models need that are exported at a fixed size
    numbers: list[int]


def measure_detectors(
    dataset: Path,
    contenders: Sequence[Contender],
    splits: Sequence[str],
    settings: DetectorSettings,
    folder: Path,
    threads: int,
) -> dict[str, dict[str, Measured]]:
    """Return what was measured of each of `contenders` by split and name. Images are read once for all of one input size.

    `settings`: of the detector that is trained on the dataset; its training arguments decide how is measured, and its
    architecture whether masks are. `folder`: for files of ultralytics, which are of no use.
    Raises `TesseraError` if weights cannot be used, find neither boxes nor masks, or have no class in common with the dataset.
    """
    offline()
    data = read_dataset(dataset)
    loaded = [_load(contender, data.names, settings) for contender in contenders]
    groups: dict[tuple[int, bool], list[_Loaded]] = {}
    for each in loaded:
        groups.setdefault((each.size, each.is_square), []).append(each)
    measured: dict[str, dict[str, Measured]] = {}
    for split in splits:
        results: dict[str, Measured] = {}
        for group in groups.values():
            results |= _measure_group(data, group, split, settings, folder, threads)
        measured[split] = {each.name: results[each.name] for each in contenders}
    return measured


def _load(contender: Contender, classes: Sequence[str], settings: DetectorSettings) -> _Loaded:
    """Load a detector. Raises `TesseraError` if it cannot be measured on a dataset of `classes`."""
    import torch
    from ultralytics.nn.autobackend import AutoBackend

    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        check_purpose(contender.weights, "detector")
    except TesseraError as error:
        raise TesseraError(f"{contender.name}: {error}") from None
    with _naming(contender, "is no detector"):
        model = AutoBackend(str(contender.weights), device=device, verbose=False)
        is_checkpoint = model.format == "pt"
        task = model.backend.model.task if is_checkpoint else model.task
        stated_size = model.backend.model.args["imgsz"] if is_checkpoint else model.metadata.get("imgsz", 640)
        size = max(map(int, stated_size)) if isinstance(stated_size, list | tuple) else int(stated_size)
        names = [str(name) for name in model.names.values()]
    if task not in {"detect", "segment"}:
        raise TesseraError(
            f"{contender.name}: {contender.weights} is for the task {task!r}, and finds neither boxes nor masks; "
            "declare a checkpoint of ultralytics for detection or segmentation, or its export to ONNX"
        )
    is_square = not is_checkpoint and not model.dynamic
    if not is_square:
        size = contender.size or size
    if not 0 < size <= LARGEST:
        raise TesseraError(f"{contender.name}: {contender.weights} is for images of {size} pixels; declare other weights")
    numbers = class_numbers(contender, names, classes, bool(settings.training.get("single_cls")))
    return _Loaded(contender, model, task == "segment", -(-size // 32) * 32, is_square, numbers)


@contextmanager
def _naming(contender: Contender, fault: str) -> Iterator[None]:
    """Turn an error inside the block into a `TesseraError` that says that `contender` has the `fault`."""
    import torch

    try:
        yield
    except (MemoryError, OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # for files that are not detectors, exceptions of many types are raised
        said = " ".join(str(error).split())[:300]
        raise TesseraError(f"{contender.name}: {contender.weights} {fault} ({said}); declare other weights") from error


def class_numbers(contender: Contender, names: Sequence[str], classes: Sequence[str], is_single: bool) -> list[int]:
    """Return the number in the `classes` of a dataset of each class in `names` of a detector, -1 if it has no such class.

    `is_single`: whether all classes of the dataset count as one, which ultralytics calls `item` in the models that it trains.
    Raises `TesseraError` if no class is the same, or if `classes` of the detector name one that it has not.
    """
    stated = contender.classes
    if unknown := [name for name in stated if name not in {ANY, *names}]:
        raise TesseraError(
            f"{contender.name}: `classes` has {unknown[0]!r}, and it finds {_listed(names)}{did_you_mean(unknown[0], names)}"
        )
    known: dict[str | None, int] = {
        **({SINGLE: 0} if is_single else {}),
        **{name: 0 if is_single else number for number, name in enumerate(classes)},
    }
    numbers = [known.get(stated.get(name, name if name in known else stated.get(ANY, name)), -1) for name in names]
    if max(numbers) < 0:
        raise TesseraError(
            f"{contender.name} finds {_listed(names)}, and the dataset has {_listed(classes)}: no class is the same; write in"
            f" `comparisons`, beside its name, what its classes mean: classes: {{{names[0]}: {classes[0]}}}"
        )
    return numbers


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:10]))
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _measure_group(
    dataset: Dataset, group: Sequence[_Loaded], split: str, settings: DetectorSettings, folder: Path, threads: int
) -> dict[str, Measured]:
    """Return what was measured of detectors whose images have the same size and padding."""
    import torch
    from ultralytics.utils.ops import Profile

    labels = {str(image.resolve()): _read_labels(dataset, image) for image in dataset.images[split]}
    measures_masks = task_of(settings.architecture) == "segment"
    validators = [
        _validator(dataset, each, split, settings, measures_masks, labels, folder / split / str(position), threads)
        for position, each in enumerate(group)
    ]
    # Masks are only read if the validator that reads the images measures masks.
    reader = next((each for each in validators if each.args.task == "segment"), validators[0])
    reader.stride = max(each.stride for each in validators)
    batches = reader.get_dataloader(reader.data[split], BATCH)
    profiles = [Profile(device=each.device) for each in validators]
    with torch.inference_mode():
        for loaded, validator in zip(group, validators, strict=True):
            validator.dataloader = batches
            loaded.model.eval()
            loaded.model.warmup(imgsz=(1, 3, loaded.size, loaded.size))
            validator.init_metrics(loaded.model)
            validator.metrics.names = dict(enumerate(dataset.names))
        for batch in batches:
            prepared = reader.preprocess(batch)
            for loaded, validator, profile in zip(group, validators, profiles, strict=True):
                with _naming(loaded.contender, f"cannot be measured on images of {loaded.size} by {loaded.size} pixels"):
                    with profile:
                        detections = validator.postprocess(loaded.model(prepared["img"]))
                    validator.update_metrics(detections, prepared)
    results = {}
    for loaded, validator, profile in zip(group, validators, profiles, strict=True):
        validator.get_stats()
        name = loaded.contender.name
        seconds = profile.t / len(labels)
        tell(
            f"{name}, {split}: mAP50 box {validator.metrics.box.map50:.3f}"
            + (f", mask {validator.metrics.seg.map50:.3f}" if hasattr(validator.metrics, "seg") else "")
            + f"; {1000 * seconds:.1f} ms per image on {validator.device}"
        )
        unmatched = [str(each) for each, number in zip(loaded.model.names.values(), loaded.numbers, strict=True) if number < 0]
        results[name] = Measured(
            validator.metrics,
            validator.cases,
            labels,
            seconds,
            loaded.size,
            tuple(unmatched),
            loaded.has_masks and measures_masks,
        )
    return results


def _validator(
    dataset: Dataset,
    loaded: _Loaded,
    split: str,
    settings: DetectorSettings,
    measures_masks: bool,
    labels: "Mapping[str, Labels]",
    folder: Path,
    threads: int,
) -> Any:
    """Return the validator of ultralytics for a detector, ready for the loop over the images."""
    import torch
    from ultralytics.data.utils import check_det_dataset

    from tessera.stages.detectors.validators import BoxValidator, MaskValidator

    shared = {name: settings.training[name] for name in SHARED if name in settings.training}
    kind = MaskValidator if loaded.has_masks and measures_masks else BoxValidator
    arguments = {
        **shared,
        "mode": "val",
        "data": str((dataset.folder / "dataset.yaml").resolve()),
        "split": split,
        "imgsz": loaded.size,
        "batch": BATCH,
        "rect": not loaded.is_square,
        "workers": threads - 1 if torch.cuda.is_available() else 0,
        "plots": False,
        "verbose": False,
    }
    validator = kind(args=arguments, save_dir=folder)
    validator.training = False
    validator.data = check_det_dataset(arguments["data"], split=split)
    validator.device = loaded.model.device
    validator.stride = loaded.model.stride
    validator.has_masks = loaded.has_masks and not measures_masks
    validator.numbers = loaded.numbers
    validator.labels = labels
    validator.cases = []
    return validator


def _read_labels(dataset: Dataset, image: Path) -> "Labels":
    from tessera.stages.detectors.validators import Labels

    lines = [line.split() for line in dataset.label(image).read_text(encoding="utf-8").splitlines() if line.strip()]
    objects = [parse_line(fields, len(dataset.names), {"detect", "segment"}) for fields in lines]
    boxes = np.array([box_of(fractions, 1, 1) for _, fractions in objects]).reshape(-1, 4)
    areas = np.array([_area(fractions) for _, fractions in objects])
    return Labels(boxes, np.array([number for number, _ in objects], int), areas)


def _area(fractions: np.ndarray) -> float:
    """Return the area of a box, or of a polygon by the shoelace formula, as a fraction of the image."""
    if fractions.ndim == 1:
        return float(fractions[2] * fractions[3])
    x, y = fractions.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
