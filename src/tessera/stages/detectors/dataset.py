"""Read and check the YOLO dataset of a detector before the training."""

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
from tessera.core.log import tell
from tessera.core.messages import Message, pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import verify_checksums
from tessera.records.annotation.formats.yolo import Task, parse_line

SPLITS = ("train", "val", "test")
FAULTS_SHOWN = 30
LEAST_SIDE = 10  # pixels; ultralytics skips smaller images


@dataclass(frozen=True)
class Dataset:
    """A dataset in a folder: the class names by class number, and the images of each split sorted by name."""

    folder: Path
    names: tuple[str, ...]
    images: dict[str, list[Path]]

    def label(self, image: Path) -> Path:
        """Return the path of the label file of `image`."""
        folder = self.folder / "labels" / image.relative_to(self.folder / "images").parent
        return folder / f"{image.stem}.txt"


def read_dataset(folder: Path) -> Dataset:
    """Read the dataset in `folder`. Raises `TesseraError` if dataset.yaml is invalid or names unexpected folders."""
    file = folder / "dataset.yaml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        names = content["names"]
        names = [names[number] for number in range(len(names))]
        folders = {split: content[split] for split in SPLITS if content.get(split)}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise TesseraError(f"{file}: not YAML with `names`, `train` and `val` ({error}); delete it and run again") from error
    for split in SPLITS:
        if folders.get(split, f"images/{split}") != f"images/{split}":
            raise TesseraError(
                f"{file}: `{split}` is {folders[split]!r}, but should be 'images/{split}'; delete it and run again"
            )
    images = {split: sorted(path for path in (folder / "images" / split).glob("*") if path.is_file()) for split in folders}
    return Dataset(folder, tuple(map(str, names)), images)


def dataset_digest(folder: Path) -> str:
    """Return a digest of the images, the labels and dataset.yaml in `folder`, which are what a trainer reads.

    It is computed from the lines of SHA256SUMS.
    """
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
    read = [line for line in lines if line.split("  ", 1)[-1].startswith(("images/", "labels/", "dataset.yaml"))]
    return hashlib.sha256("".join(read).encode("utf-8", "surrogateescape")).hexdigest()


def check_dataset(folder: Path, task: Task, remedy: str, report: Path, threads: int) -> None:
    """Check the dataset in `folder` for `task`, detect or segment, and write its digest and its counts by split to `report`.

    `remedy`: advice for the message if a split has no objects.

    Raises `TesseraError` that lists every fault with its file and line: an image that is missing, damaged or without a label;
    a label without an image; a line that is not an object; a class that does not exist; a number outside [0, 1]; a train or
    val split without images or objects; a file that differs from its checksum.
    """
    from PIL import Image

    warnings.simplefilter("error", Image.DecompressionBombWarning)
    dataset = read_dataset(folder)
    faults: list[Message] = verify_checksums(folder / "SHA256SUMS")
    counts: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        images = dataset.images.get(split, [])
        objects: Counter[str] = Counter()
        empty = 0
        with ThreadPoolExecutor(threads) as pool:
            for image, more in zip(images, pool.map(_image_faults, progress(images, unit=f"{split} images")), strict=True):
                faults += more
                classes, more = _read_label(dataset.label(image), len(dataset.names), task)
                faults += more
                empty += not classes
                objects.update(dataset.names[number] for number in classes)
        faults += _label_faults(dataset, split)
        if split in {"train", "val"} and not images:
            faults.append(f"{folder}/images/{split}: no image; give the split more sources or change its fraction")
        elif split in {"train", "val"} and not objects:
            advice = f"{remedy}, or give the split sources with regions"
            faults.append(f"{folder}/labels/{split}: no object in {pluralize(len(images), 'labels')}. {advice}")
        if images:
            counts[split] = {"images": len(images), "without_objects": empty, "objects": dict(sorted(objects.items()))}
    if faults:
        listed = [f"the dataset {folder} has {pluralize(len(faults), 'faults')}:", *truncate(faults, FAULTS_SHOWN)]
        raise TesseraError("\n  ".join(listed) + "\nfix them and run again")
    for name in dataset.names:
        if name not in counts["train"]["objects"]:
            tell(f"the training split has no object of class {name!r}: the model will not learn it")
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
    except Exception as error:  # damaged files raise exceptions of many types
        return [f"{path}: not an image that can be read ({error})"]
    if min(sides) < LEAST_SIDE:
        return [f"{path}: {sides[0]}x{sides[1]} pixels, a side must have at least {LEAST_SIDE}"]
    # Ultralytics would rewrite such a file inside the finished dataset.
    if kind == "JPEG" and not path.read_bytes().endswith(b"\xff\xd9"):
        return [f"{path}: does not end as a JPEG file does"]
    return []


def _label_faults(dataset: Dataset, split: str) -> Iterator[str]:
    """Yield a fault for each file in the labels of `split` that belongs to no image."""
    expected = {dataset.label(image) for image in dataset.images.get(split, [])}
    for path in sorted((dataset.folder / "labels" / split).glob("*")):
        if path not in expected:
            yield f"{path}: no image of this name in {dataset.folder / 'images' / split}"


def _read_label(path: Path, classes: int, task: Task) -> tuple[list[int], list[str]]:
    """Return the class number of each object in the label file `path`, and the faults of the file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return [], [f"{path}: missing; an image without objects has an empty label"]
    except UnicodeDecodeError:
        return [], [f"{path}: not text"]
    numbers = []
    faults: list[Message] = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if fields and (fault := _line_fault(fields, classes, task)):
            faults.append(f"{path}:{number}: {fault}")
        elif fields:
            numbers.append(int(fields[0]))
    return numbers, faults


def _line_fault(fields: list[str], classes: int, task: Task) -> str:
    try:
        parse_line(fields, classes, {task})
    except ValueError as error:
        return str(error)
    return ""
