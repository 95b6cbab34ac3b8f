"""Small classifiers and datasets of them: pictures with or without a bright disc, and scikit-learn's digits as vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from tessera.core.provenance import write_checksums
from tessera.imaging.images import write_image
from tessera.learning.classification.classifier import write_classifier
from tessera.learning.classification.network import build_network, preparation_of
from tessera.learning.classification.settings import Description
from tessera.records.tables.classification import Pictures
from tessera.records.tables.table import types, write_table

CLASSES = ("plain", "marked")
COUNTS = {"train": 24, "val": 8, "test": 8}


def write_pictures(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write the table of `rows`, whose missing columns are filled in, and the SHA256SUMS of `folder`; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    full = [
        {"source": row["key"], "group": row.get("source", row["key"]), "label": None, "score": None, "weight": 1.0, **row}
        for row in rows
    ]
    write_table(pl.DataFrame(full, schema=types(Pictures)), Pictures, folder / "pictures.parquet")
    return checksum(folder)


def checksum(folder: Path) -> Path:
    """Write the SHA256SUMS of the files in the dataset."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    write_checksums(files, folder, folder / "SHA256SUMS")
    return folder


def make_pictures(folder: Path, *, scored: bool = False, size: int = 40) -> Path:
    """Write a dataset of noise, every other picture with a bright disc; four pictures make a source. Scores are the radius."""
    generator = np.random.default_rng(0)
    rows = []
    for split, count in COUNTS.items():
        (folder / "images" / split).mkdir(parents=True)
        for number in range(count):
            image = generator.integers(0, 120, (size, size + 8, 3), dtype=np.uint8)
            radius = int(generator.integers(8, 14)) if number % 2 else 0
            if radius:
                cv2.circle(image, (size // 2, size // 2), radius, (255, 220, 40), -1)
            key = f"{split}-{number:03}"
            write_image(folder / "images" / split / f"{key}.png", image)
            label = {"score": float(radius)} if scored else {"label": CLASSES[number % 2]}
            rows.append({"key": key, "source": f"{split}-{number // 4}", "split": split, **label})
    return write_pictures(folder, rows)


def write_untrained(path: Path, labels: object = CLASSES) -> Path:
    """Write a small classifier with random weights; return `path`."""
    import torch

    torch.manual_seed(0)
    preparation = preparation_of("test_resnet", 32, "stretch")
    description = Description(labels=labels, architecture="test_resnet", preparation=preparation)
    write_classifier(path, description, build_network(description).state_dict())
    return path


def make_digits(folder: Path, vectors: Path, per_split: tuple[int, int, int] = (400, 200, 400)) -> Path:
    """Write scikit-learn's digits as a dataset without pictures in `folder`, and their pixels as `vectors`."""
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    splits = np.repeat(["train", "val", "test"], per_split)
    order = np.random.default_rng(0).permutation(len(pixels))[: len(splits)]
    keys = [f"digit-{number:04}" for number in order]
    write_vectors(vectors, keys, pixels[order] / 16)
    rows = [
        {"key": key, "source": f"{split}-{place // 10}", "split": split, "label": str(targets[number])}
        for place, (key, split, number) in enumerate(zip(keys, splits.tolist(), order, strict=True))
    ]
    return write_pictures(folder, rows)


def write_vectors(path: Path, keys: Sequence[str], vectors: np.ndarray) -> None:
    """Write a table of `vectors`, float (N, features), as the step that embeds pictures does."""
    width = vectors.shape[1]
    column = pl.Series(vectors.astype(np.float32), dtype=pl.Array(pl.Float32, width))
    pl.DataFrame({"key": keys, "vector": column}).write_parquet(path)
