"""The cost of comparing several detectors: images are decoded and prepared once for all."""

from pathlib import Path

import cv2
import numpy as np
from timing import seconds

from fixed_detector import write_detector
from tessera.stages.detectors.measure import Contender, measure_detectors
from tessera.stages.detectors.settings import DetectorSettings
from yolo_dataset import checksum

IMAGES = 64


def make_photographs(folder: Path) -> Path:
    """Write a dataset of pictures of 1280 by 720 pixels with five regions each."""
    random = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind / "val").mkdir(parents=True)
    for number in range(IMAGES):
        image = cv2.resize(random.integers(0, 256, (18, 32, 3), np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"images/val/{number}.jpg"), image)
        boxes = [f"0 {x:.4f} {y:.4f} 0.1 0.1\n" for x, y in random.uniform(0.1, 0.9, (5, 2))]
        (folder / f"labels/val/{number}.txt").write_text("".join(boxes))
    (folder / "dataset.yaml").write_text("train: images/train\nval: images/val\nnames:\n  0: nsfw\n")
    (folder / "images/train").mkdir()
    checksum(folder)
    return folder


def test_comparing_three_free_detectors_takes_little_longer_than_measuring_one(tmp_path: Path) -> None:
    dataset = make_photographs(tmp_path / "dataset")
    free = write_detector(tmp_path / "free.onnx", ("nsfw",), 640)
    settings = DetectorSettings(architecture="yolo11n.yaml", training={"imgsz": 640})

    def measure(count: int) -> None:
        contenders = [Contender(str(number), free) for number in range(count)]
        measure_detectors(dataset, contenders, ["val"], settings, tmp_path / "runs", threads=2)

    measure(1)
    one, three = seconds(lambda: measure(1), lambda: measure(3), repeats=5)
    print(f"\n{IMAGES} images: one free detector {one:.2f} s, three {three:.2f} s, ratio {three / one:.2f}")
    assert three <= 1.2 * one
