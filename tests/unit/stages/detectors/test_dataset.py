"""A dataset is checked before the first epoch, and each fault is reported with its place."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tessera.core.errors import TesseraError
from tessera.stages.detectors.dataset import check_dataset, dataset_digest, read_dataset
from yolo_dataset import checksum, make_dataset

LABEL = "labels/train/disc-train-0000000.txt"
IMAGE = "images/train/disc-train-0000000.png"
LINE = "0 0.1 0.1 0.5 0.1 0.5 0.5\n"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "dataset")


def check(dataset: Path, task: str = "segment") -> dict[str, object]:
    check_dataset(dataset, task, "Lower the confidence", dataset.parent / "report.json", 2)
    content: dict[str, object] = json.loads((dataset.parent / "report.json").read_text())
    return content


def faults(dataset: Path, task: str = "segment") -> list[str]:
    with pytest.raises(TesseraError) as raised:
        check(dataset, task)
    return [line.strip().removeprefix(f"{dataset}/") for line in str(raised.value).splitlines()[1:-1]]


def test_a_valid_dataset_is_counted(dataset: Path) -> None:
    assert check(dataset) == {
        "digest": dataset_digest(dataset),
        "classes": ["nsfw"],
        "splits": {
            "train": {"images": 8, "without_objects": 2, "objects": {"nsfw": 6}},
            "val": {"images": 4, "without_objects": 1, "objects": {"nsfw": 3}},
        },
    }


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1 0.1 0.1 0.5 0.1 0.5 0.5", "class '1'; allowed: 0 to 0"),
        ("-1 0.1 0.1 0.5 0.1 0.5 0.5", "class '-1'; it should be a number from 0"),
        ("0 0.1 0.1 1.5 0.1 0.5 0.5", "1.5 is outside the image; allowed: 0 to 1"),
        ("0 0.1 0.1 nan 0.1 0.5 0.5", "nan is outside the image; allowed: 0 to 1"),
        ("0 0.1 0.1 -0.01 0.1 0.5 0.5", "-0.01 is outside the image; allowed: 0 to 1"),
        ("0 0.1 0.1 0.5 0.5", "4 numbers after the class; a polygon has an even number, 6 or more"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3", "7 numbers after the class; a polygon has an even number, 6 or more"),
        ("0 0.1 0.1 x 0.1 0.5 0.5", "could not convert string to float: 'x'"),
    ],
)
def test_an_invalid_line_is_named(dataset: Path, line: str, fault: str) -> None:
    (dataset / LABEL).write_text(f"{LINE}{line}\n")
    checksum(dataset)
    assert faults(dataset) == [f"{LABEL}:2: {fault}"]


def test_boxes_have_four_numbers(dataset: Path) -> None:
    assert f"{LABEL}:1: 48 numbers after the class; a box has 4" in faults(dataset, "detect")


def test_missing_and_superfluous_files_are_named(dataset: Path) -> None:
    (dataset / LABEL).unlink()
    (dataset / "images/val/disc-val-0000001.png").unlink()
    (dataset / "images/train/notes.md").write_text("")
    (dataset / "labels/train/notes.txt").write_text("")
    checksum(dataset)
    assert faults(dataset) == [
        f"{LABEL}: missing; an image without objects has an empty label",
        "images/train/notes.md: not an image by its name",
        f"labels/val/disc-val-0000001.txt: no image of this name in {dataset}/images/val",
    ]


def test_damaged_images_are_named(dataset: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    for name, content in {"cut": jpeg[: len(jpeg) // 2], "ragged": jpeg[:-2], "text": b"no image", "empty": b""}.items():
        (dataset / f"images/train/{name}.jpg").write_bytes(content)
        (dataset / f"labels/train/{name}.txt").write_text(LINE)
    cv2.imwrite(str(dataset / "images/train/small.png"), image[:9])
    (dataset / "labels/train/small.txt").write_text(LINE)
    checksum(dataset)
    found = faults(dataset)
    assert [fault.split(":")[0] for fault in found] == [
        f"images/train/{name}" for name in ("cut.jpg", "empty.jpg", "ragged.jpg", "small.png", "text.jpg")
    ]
    assert found[3].endswith("64x9 pixels, a side must have at least 10")


def test_a_file_that_changed_after_it_was_written_is_named(dataset: Path) -> None:
    (dataset / LABEL).write_text(LINE)
    assert [fault.split(": ", 1)[1] for fault in faults(dataset)] == [f"{LABEL!r} is not what was written, its sha256 differs"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_images_or_objects_is_refused(dataset: Path, split: str) -> None:
    for label in (dataset / "labels" / split).iterdir():
        label.write_text("")
    checksum(dataset)
    count = len(list((dataset / "labels" / split).iterdir()))
    advice = "Lower the confidence, or give the split sources with regions"
    assert faults(dataset) == [f"labels/{split}: no object in {count} labels. {advice}"]
    for folder in ("images", "labels"):
        for file in (dataset / folder / split).iterdir():
            file.unlink()
    checksum(dataset)
    assert faults(dataset) == [f"images/{split}: no image; give the split more sources or change its fraction"]


def test_many_faults_are_counted_and_the_first_are_shown(dataset: Path) -> None:
    (dataset / LABEL).write_text("9\n" * 40)
    checksum(dataset)
    found = faults(dataset)
    assert len(found) == 31 and found[-1] == "and 10 more"


@pytest.mark.parametrize("content", ["", "a: [", "train: images/train\nval: ../../elsewhere\nnames: [nsfw]", "- 1"])
def test_an_invalid_description_is_refused(dataset: Path, content: str) -> None:
    (dataset / "dataset.yaml").write_text(content)
    with pytest.raises(TesseraError, match=r"dataset\.yaml"):
        read_dataset(dataset)


def test_the_digest_covers_what_the_trainer_reads(dataset: Path) -> None:
    digest = dataset_digest(dataset)
    (dataset / "datasheet.md").write_text("other rights")
    checksum(dataset)
    assert dataset_digest(dataset) == digest
    (dataset / LABEL).write_text(LINE)
    checksum(dataset)
    assert dataset_digest(dataset) != digest
