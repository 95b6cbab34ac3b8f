"""What detectors see in the sampled frames."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.core.errors import Failed
from tessera.core.job import ahead, progress
from tessera.core.ledger import Ledger
from tessera.imaging.images import read_image

if TYPE_CHECKING:
    import polars as pl
from tessera.imaging.detection.detector import Predictor
from tessera.imaging.detection.settings import PredictionSettings
from tessera.records.annotation.predictions import look


def find_regions(
    frames: Path,
    images: Path,
    sources: Path,
    weights: Path,
    expected: Path | str,
    dataset: str,
    settings: PredictionSettings,
    table: Path,
    ledger: Path,
    *,
    threads: int,
) -> None:
    """Run the detector `weights` over the sampled frames of the sources of a shard that may feed `dataset`.

    `frames`: `tables.Frames`, their files in the folder `images`; `sources`: `tables.Sources`; `expected`: see `Predictor`.
    `table` gets what was seen as `tables.Annotations`, masks at the size of the frame, labels as the weights name them.
    `ledger` gets a row per frame: ok is one that was looked at, whether something was seen in it or not.
    Images are read ahead by `threads`.
    """
    import polars as pl

    from tessera.records.tables.annotation import Annotations
    from tessera.records.tables.footage import Frames, Sources
    from tessera.records.tables.table import read_table, types, write_table

    admitted = read_table(sources, Sources).filter(pl.col("status") == "admitted")
    feeds = {source for source, use in admitted.select("source", "use").iter_rows() if not use or dataset in use}
    sampled = read_table(frames, Frames)
    predictor = Predictor(weights, expected, settings) if feeds & set(sampled["source"]) else None
    seen: list[dict[str, Any]] = []
    with Ledger(ledger) as book, ThreadPoolExecutor(threads) as pool:
        for (source,), own in sampled.group_by("source", maintain_order=True):
            if source not in feeds:
                for key in own["key"]:
                    book.row(key, "dropped", f"source not for {dataset}")
                continue
            assert predictor is not None
            pictures = progress(_stored(own, images, pool, threads, book), own.height, f"frames of {source!r}")
            for _, rows in look(predictor, pictures, book):
                seen += rows
    write_table(pl.DataFrame(seen, schema=types(Annotations)), Annotations, table)


def _stored(
    frames: "pl.DataFrame", images: Path, pool: ThreadPoolExecutor, threads: int, book: Ledger
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the row and the image of each of the sampled `frames` that can be read; `book` gets a row for each that cannot."""
    for row, reading in ahead(pool, lambda row: read_image(images / row["file"]), frames.iter_rows(named=True), 2 * threads):
        try:
            image = reading.result()
            size = image.shape[1], image.shape[0]
            if size != (row["width"], row["height"]):
                raise Failed("image is not the frame", f"{size} pixels, sampled were {(row['width'], row['height'])}")
        except Failed as error:
            book.row(row["key"], "failed", error.reason, error.detail)
            continue
        yield row, image
