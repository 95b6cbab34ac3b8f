"""Frames of a shard, for tests of the stages that make samples of frames."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import types, write_table


def noise(seed: int, height: int, width: int) -> np.ndarray:
    """Return a random picture, uint8 (H, W, 3)."""
    return np.random.default_rng(seed).integers(90, 160, (height, width, 3), np.uint8)


def write_shard(folder: Path, uses: dict[str, list[str]], frames: int, size: tuple[int, int] = (120, 160)) -> None:
    """Write `frames` frames of `size`, (H, W), and the tables of them and of their sources, by source: its `use`."""
    (folder / "frames").mkdir(parents=True)
    rows, sources = [], []
    for source, use in uses.items():
        values: dict[str, Any] = {name: "" for name, kind in types(Sources).items() if kind == pl.String}
        values |= {"source": source, "content": "general", "rights": "CC0", "size": 1, "use": use}
        sources.append(values | {"split": "val", "kind": "video"})
        for index in range(frames):
            key = f"{source}-{index:07d}"
            Image.fromarray(noise(index, *size)).save(folder / "frames" / f"{key}.png")
            row = {"key": key, "source": source, "index": index, "file": f"{key}.png", "width": size[1], "height": size[0]}
            rows.append(row | {"phash": index})
    write_table(pl.DataFrame(rows, schema=types(Frames)), Frames, folder / "frames.parquet")
    write_table(pl.DataFrame(sources, schema=types(Sources)), Sources, folder / "sources.parquet")
