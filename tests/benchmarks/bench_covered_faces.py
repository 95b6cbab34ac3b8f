"""How many covered faces a detector of mosaics takes for nsfw, if it learned the class sfw of covered faces, and if it did not.

PEOPLE names a folder with the folder `train` and others to measure, of any name but `val`. Each has pictures of people, and no
person is in two of them. `render_people.py` writes `train` and `test`:

    PEOPLE=FOLDER .venv/bin/python -m pytest -s -o python_files=bench_*.py -o faulthandler_exit_on_timeout=false \\
        tests/benchmarks/bench_covered_faces.py

Parts of each picture become samples. CenterFace finds their faces, and random shapes cover other parts. Two detectors continue
the training of the starter detector for EPOCHS epochs, 16 by default: one with mosaics over faces as the class sfw, one with
random shapes alone.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from projects import Project

from tessera.core.provenance import sha256_file
from tessera.core.seeds import generator
from tessera.imaging.boxes import Box, overlap
from tessera.imaging.images import is_image, read_image, write_image
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.settings import InferenceSettings

SIDE = 160  # pixels of the longer side of a part
PARTS = {"train": 10, "val": 4}  # of each picture
MEASURED_PARTS = 12  # of each picture of the other folders
SCALE = 0.35, 1.0  # smallest and largest part, relative to the picture
VAL = 5  # each how many-th picture of `train` is for val
CONFIDENCE = 0.25
FOUND = 0.5  # the least IoU of a detection with a mosaic
EPOCHS = int(os.environ.get("EPOCHS", "16"))


def parts(image: np.ndarray, count: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield `count` random parts of `image`, uint8 (H, W, 3), RGB, at any brightness and half of them mirrored."""
    height, width = image.shape[:2]
    for _ in range(count):
        scale = np.exp(random.uniform(*np.log(SCALE)))
        h, w = max(32, round(scale * height)), max(32, round(scale * width))
        y, x = (int(random.integers(0, max(side - length, 0) + 1)) for side, length in ((height, h), (width, w)))
        part = image[y : y + h, x : x + w]
        factor = SIDE / max(part.shape[:2])
        part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        part = np.clip(part * random.uniform(0.7, 1.2), 0, 255).astype(np.uint8)
        yield part[:, ::-1].copy() if random.random() < 0.5 else part


def write_parts(people: Path, folder: Path) -> list[str]:
    """Write parts of the pictures in each folder of `people` to `folder`, those of `train` to `train` and `val`.

    Returns the names of the folders that are measured.
    """
    measured = sorted(path.name for path in people.iterdir() if path.is_dir() and path.name != "train")
    for given in ("train", *measured):
        pictures = sorted(path for path in (people / given).iterdir() if path.is_file() and is_image(path))
        for number, path in enumerate(pictures):
            split = "val" if given == "train" and number % VAL == 0 else given
            (folder / split).mkdir(parents=True, exist_ok=True)
            random = generator(0, "bench_covered_faces", path.name)
            for index, part in enumerate(parts(read_image(path), PARTS.get(split, MEASURED_PARTS), random)):
                write_image(folder / split / f"{number:03}-{index:03}.jpg", part)
    return measured


@dataclass(frozen=True)
class Trained:
    projects: dict[str, Project]
    measured: list[str]
    """The sources of the split test."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return the projects with the two trainings."""
    if "PEOPLE" not in os.environ:
        pytest.skip("PEOPLE names no folder")
    folder = tmp_path_factory.mktemp("people")
    measured = write_parts(Path(os.environ["PEOPLE"]), folder)
    splits = {**{split: split for split in PARTS}, **dict.fromkeys(measured, "test")}
    projects = {}
    for name, face in (("with sfw", "centerface"), ("without", None)):
        projects[name] = project = Project.create(tmp_path_factory.mktemp(name.replace(" ", "_")) / "project")
        project.write_manifest([{"source": name, "path": str(folder / name), "split": split} for name, split in splits.items()])
        project.settings = {
            "shards": 1,
            "duplicates": {"distance": 0},
            "models": {
                "nsfw_detection": None,
                "watermark_detection": None,
                "mosaic_detection": {
                    "architecture": "yolo11n-seg.yaml",
                    "weights": "starter",
                    "training": {
                        "epochs": EPOCHS,
                        "imgsz": SIDE,
                        "batch": 16,
                        "nbs": 16,
                        "optimizer": "AdamW",
                        "lr0": 0.001,
                        "cos_lr": True,
                        "warmup_epochs": 1,
                        "mosaic": 0,
                        "scale": 0.3,
                    },
                },
            },
            "regions": {
                "detectors": {
                    "nsfw": {"weights": "anywhere"},
                    "watermark": {"weights": None},
                    "face": {"weights": face, "iou": 0.3, "image_size": 320},
                },
                "choose": {"confidence": {"face": 0.6}, "min_side": {"face": 24}, "extension": [0]},
            },
            "scenes": {"detect": {"weights": None}},
            "scores": {"detectors": {"watermark": {"weights": None}}},
            "mosaics": {"max_side": SIDE, "min_change": 12.0, "types": {"squa_avg": 1}, "bars": 0, "uncovered": 0.1},
        }
        ran = project.run("results/training/mosaic_detection/best.pt", timeout=7200)
        assert ran.returncode == 0, ran.output[-3000:]
    return Trained(projects, measured)


def covered(project: Project, source: str) -> list[tuple[np.ndarray, list[tuple[str, Box]]]]:
    """Return the samples of `source`: the picture, and the class and the box of each of its mosaics."""
    folder = project.results / "mosaics" / "shard-0"
    rows = pl.read_parquet(folder / "annotations.parquet").filter(pl.col("key").str.starts_with(f"{source}-"))
    return [
        (
            read_image(folder / "images" / f"{key}.jpg"),
            [(label, (x0, y0, x1, y1)) for label, x0, y0, x1, y1 in boxes.select("label", "x0", "y0", "x1", "y1").iter_rows()],
        )
        for (key,), boxes in rows.group_by("key", maintain_order=True)
    ]


def classify(project: Project, samples: list[tuple[np.ndarray, list[tuple[str, Box]]]]) -> Counter[tuple[str, str]]:
    """Return how many mosaics of each class the detector of `project` takes for which class, or for nothing."""
    weights = project.results / "training" / "mosaic_detection" / "best.pt"
    detector = Detector(weights, sha256_file(weights), InferenceSettings(confidence=CONFIDENCE, image_size=SIDE))
    counts: Counter[tuple[str, str]] = Counter()
    for (_, mosaics), found in zip(samples, detector.predict(image for image, _ in samples), strict=True):
        for label, box in mosaics:
            # The surest one counts.
            counts[label, next((each.label for each in found if overlap(each.box, box) >= FOUND), "nothing")] += 1
    return counts


def test_covered_faces_are_not_taken_for_nsfw(trained: Trained) -> None:
    print()
    taken: dict[str, dict[str, Counter[tuple[str, str]]]] = {}
    for source in trained.measured:
        samples = covered(trained.projects["with sfw"], source)
        taken[source] = {name: classify(project, samples) for name, project in trained.projects.items()}
        for name, counts in taken[source].items():
            for label, what in (("sfw", "covered faces"), ("nsfw", "other mosaics")):
                total = sum(count for (truth, _), count in counts.items() if truth == label)
                said = ", ".join(f"{counts[label, called]} {called}" for called in ("nsfw", "sfw", "nothing"))
                print(f"{source}, {name}: {total} {what}: {said}")
    for source, by_name in taken.items():
        found, without = by_name["with sfw"], by_name["without"]
        shares = [counts["sfw", "nsfw"] / (counts["sfw", "nsfw"] + counts["sfw", "sfw"]) for counts in (without, found)]
        assert shares[1] <= 0.5 * shares[0], source
        # Other mosaics are still nsfw.
        assert found["nsfw", "nsfw"] >= 2 * found["nsfw", "sfw"], source
