"""The dataset that a detector is trained on, in the layout of YOLO: to read, and to find its faults before the training."""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tessera.core.errors import TesseraError
from tessera.core.files import IMAGE_SUFFIXES
from tessera.core.job import progress, tell
from tessera.core.provenance import verify_checksums
from tessera.records.annotation.formats.yolo import Task, parse_line

SPLITS = ("train", "val", "test")
FAULTS_SHOWN = 30
LEAST_SIDE = 10  # pixels; ultralytics leaves smaller images out


@dataclass(frozen=True)
class Dataset:
    """A dataset in a folder: the names of its classes by number, and the images of each split in the order of their names."""

    folder: Path
    names: tuple[str, ...]
    images: dict[str, list[Path]]

    def label(self, image: Path) -> Path:
        """Return the label file of an image."""
        folder = self.folder / "labels" / image.relative_to(self.folder / "images").parent
        return folder / f"{image.stem}.txt"


def read_dataset(folder: Path) -> Dataset:
    """Return the dataset in `folder`. Raises `TesseraError` where dataset.yaml is not what is expected."""
    file = folder / "dataset.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        names = content["names"]
        names = [names[number] for number in range(len(names))]
        folders = {split: content[split] for split in SPLITS if content.get(split)}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise TesseraError(f"{file}: no `names`, `train` and `val` in it as YAML ({error}); delete it and run again") from error
    for split in SPLITS:
        if folders.get(split, f"images/{split}") != f"images/{split}":
            raise TesseraError(
                f"{file}: `{split}` is {folders[split]!r}, expected is 'images/{split}'; delete it and run again"
            )
    images = {split: sorted(path for path in (folder / "images" / split).glob("*") if path.is_file()) for split in folders}
    return Dataset(folder, tuple(map(str, names)), images)


def dataset_digest(folder: Path) -> str:
    """Return a digest of what a trainer reads of the dataset in `folder`, from its checksums: all but its datasheet."""
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
    read = [line for line in lines if line.split("  ", 1)[-1].startswith(("images/", "labels/", "dataset.yaml"))]
    return hashlib.sha256("".join(read).encode("utf-8", "surrogateescape")).hexdigest()


def check_dataset(folder: Path, task: Task, report: Path, threads: int) -> None:
    """Write to `report` what the dataset in `folder` holds, for the `task` detect or segment: its digest, and counts by split.

    Raises `TesseraError` that lists every fault with its file and line: an image that is missing, damaged or has no label, a
    label without an image, a line that is no object, a class that does not exist, a number outside [0, 1], a split without
    images or without objects to learn from, a file that is not the one written.
    """
    from PIL import Image

    warnings.simplefilter("error", Image.DecompressionBombWarning)
    dataset = read_dataset(folder)
    faults = verify_checksums(folder / "SHA256SUMS")
    counts: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        images = dataset.images.get(split, [])
        objects: Counter[str] = Counter()
        empty = 0
        with ThreadPoolExecutor(threads) as pool:
            for image, found in zip(images, pool.map(_image_faults, progress(images, unit=f"{split} images")), strict=True):
                faults += found
                classes, found = _read_label(dataset.label(image), len(dataset.names), task)
                faults += found
                empty += not classes
                objects.update(dataset.names[number] for number in classes)
        faults += _label_faults(dataset, split)
        if split in {"train", "val"} and not images:
            faults.append(f"{folder}/images/{split}: no image; give the split more sources or change its fraction")
        elif split in {"train", "val"} and not objects:
            faults.append(f"{folder}/labels/{split}: no object in any of {len(images)} labels, there is nothing to learn from")
        if images:
            counts[split] = {"images": len(images), "without_objects": empty, "objects": dict(sorted(objects.items()))}
    if faults:
        shown = "\n".join(f"  {fault}" for fault in faults[:FAULTS_SHOWN])
        more = f"\n  and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise TesseraError(f"the dataset {folder} has {len(faults)} fault(s):\n{shown}{more}\nmend the labels, and run again")
    for name in dataset.names:
        if name not in counts["train"]["objects"]:
            tell(f"no object of class {name!r} is in the training split: the model will not learn it")
    content = {"digest": dataset_digest(folder), "classes": list(dataset.names), "splits": counts}
    report.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _image_faults(path: Path) -> list[str]:
    from PIL import Image

    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return [f"{path}: not an image by its name"]
    try:
        with Image.open(path) as image:
            image.load()
            kind, sides = image.format, image.size
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        return [f"{path}: not an image that can be read ({error})"]
    if min(sides) < LEAST_SIDE:
        return [f"{path}: {sides[0]}x{sides[1]} pixels, a side must have at least {LEAST_SIDE}"]
    # Ultralytics would write such a file anew, in the middle of a dataset that is finished.
    if kind == "JPEG" and not path.read_bytes().endswith(b"\xff\xd9"):
        return [f"{path}: does not end as a JPEG file does"]
    return []


def _label_faults(dataset: Dataset, split: str) -> Iterator[str]:
    """Yield the files among the labels of `split` that belong to no image."""
    expected = {dataset.label(image) for image in dataset.images.get(split, [])}
    for path in sorted((dataset.folder / "labels" / split).glob("*")):
        if path not in expected:
            yield f"{path}: no image of this name in {dataset.folder / 'images' / split}"


def _read_label(path: Path, classes: int, task: Task) -> tuple[list[int], list[str]]:
    """Return the class of each object in the label file `path`, and its faults."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return [], [f"{path}: missing; an image without objects has an empty label"]
    except UnicodeDecodeError:
        return [], [f"{path}: not text"]
    found = []
    faults = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if fields and (fault := _line_fault(fields, classes, task)):
            faults.append(f"{path}:{number}: {fault}")
        elif fields:
            found.append(int(fields[0]))
    return found, faults


def _line_fault(fields: list[str], classes: int, task: Task) -> str:
    try:
        parse_line(fields, classes, {task})
    except ValueError as error:
        return str(error)
    return ""
