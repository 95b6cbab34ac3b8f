"""The samples: frames, each in the folder of its class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandera.polars as pa
import polars as pl

from tessera.core.errors import Dropped, TesseraError
from tessera.core.files import link_or_copy
from tessera.core.ledger import Ledger
from tessera.core.progress import progress
from tessera.imaging.images import read_image
from tessera.records.eligibility import refusal
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.splits import Samples, Splits
from tessera.records.tables.table import read_table, read_tables, types, write_table

CLASSES = ("dark", "bright")
BRIGHT = 128.0  # the least mean luma of a bright frame


class Lumas(Samples):
    """The brightness of frames."""

    path: pl.String = pa.Field(description="path of the image, relative to the working folder")
    luma: pl.Float64 = pa.Field(ge=0, le=255, description="mean luma")


def mean_luma(image: np.ndarray) -> float:
    """Return the mean luma of `image`, uint8 (H, W, 3), RGB, by the weights of ITU-R BT.709, in [0, 255]."""
    return float(image.mean(axis=(0, 1)) @ (0.2126, 0.7152, 0.0722))


def measure_brightness(
    frames: Path, pictures: Path, sources: Path, datasets: Sequence[str], *, lumas: Path, ledger: Path
) -> None:
    """Write the mean luma of the `frames` of a shard (`tables.Frames`, images in `pictures`) to the table `lumas` (`Lumas`).

    `sources`: `tables.Sources`. Frames of sources that may feed none of `datasets` are dropped. `ledger` gets one row per
    frame.
    """
    known = {row["source"]: row for row in read_table(sources, Sources).iter_rows(named=True)}
    measured = []
    with Ledger(ledger) as book:
        for frame in progress(read_table(frames, Frames).to_dicts(), unit="frames"):
            with book.item(frame["key"]):
                source = known[frame["source"]]
                if any(reason := refusal(source, datasets)):
                    raise Dropped(*reason)
                path = pictures / frame["file"]
                row = {"key": frame["key"], "source": frame["source"], "split": source["split"], "path": path.as_posix()}
                measured.append({**row, "luma": mean_luma(read_image(path))})
    write_table(pl.DataFrame(measured, schema=types(Lumas)), Lumas, lumas)


def gather_brightness(shards: Sequence[Path], *, selected: Path) -> None:
    """Write the rows of the tables `shards` (`Lumas`) to the table `selected`. Raises `TesseraError` if there are none."""
    lumas = read_tables(list(shards), Lumas).sort("key")
    if lumas.is_empty():
        raise TesseraError("no frame may feed the brightness classifier; name it in the column `use` of the manifest")
    write_table(lumas, Lumas, selected)


def write_image_folders(selected: Path, splits: Path, *, train: Path, val: Path, test: Path) -> None:
    """Write the frames of the table `selected` (`Lumas`) to `SPLIT/CLASS/`, by the table `splits` (`tables.Splits`)."""
    folders = {"train": train, "val": val, "test": test}
    for folder in folders.values():
        for name in CLASSES:
            (folder / name).mkdir(parents=True)
    split_of = dict(read_table(splits, Splits).select("key", "split").iter_rows())
    for key, path, luma in read_table(selected, Lumas).select("key", "path", "luma").iter_rows():
        link_or_copy(Path(path), folders[split_of[key]] / CLASSES[luma >= BRIGHT] / Path(path).name)
