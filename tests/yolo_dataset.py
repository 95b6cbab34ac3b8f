"""A small dataset in the layout of YOLO: bright discs on noise, some images without any."""

from pathlib import Path

import cv2
import numpy as np
import polars as pl

from tessera.core.provenance import write_checksums
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table


def make_dataset(folder: Path, train: int = 8, val: int = 4, size: int = 64) -> Path:
    """Write a dataset of one class into `folder`, with outlines of the discs as labels; every fourth image has none."""
    generator = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            image = generator.integers(0, 120, (size, size, 3), dtype=np.uint8)
            x, y = generator.uniform(0.35, 0.65, 2)
            label = ""
            if number % 4 != 3:
                cv2.circle(image, (round(x * size), round(y * size)), round(0.22 * size), (255, 220, 40), -1)
                angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
                outline = np.stack([x + 0.22 * np.cos(angles), y + 0.22 * np.sin(angles)], axis=1)
                label = f"0 {' '.join(f'{value:.5f}' for value in outline.ravel())}\n"
            cv2.imwrite(str(folder / "images" / split / f"disc-{split}-{number:07d}.png"), image)
            (folder / "labels" / split / f"disc-{split}-{number:07d}.txt").write_text(label)
    (folder / "dataset.yaml").write_text("train: images/train\nval: images/val\nnames:\n  0: nsfw\n")
    checksum(folder)
    return folder


def checksum(folder: Path) -> None:
    """Write the SHA256SUMS of the files in the dataset."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    write_checksums(files, folder, folder / "SHA256SUMS")


def split_each_image(folder: Path, path: Path) -> Path:
    """Write the table of the splits of a dataset to `path`, and return it. Each image is a source of its own."""
    images = sorted(folder.glob("images/*/*"))
    rows = [{"key": image.stem, "source": image.stem, "split": image.parent.name} for image in images]
    write_table(pl.DataFrame(rows, schema=types(Splits)), Splits, path)
    return path
