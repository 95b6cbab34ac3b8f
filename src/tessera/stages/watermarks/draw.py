"""Draw watermarks over the frames of a shard."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Dropped
from tessera.core.seeds import generator
from tessera.imaging.images import write_image
from tessera.imaging.watermark.drawing import LEAST_FRAME, Mark, draw_marks, load_materials
from tessera.imaging.watermark.settings import DrawSettings
from tessera.records.frames import choose_frames, make_samples
from tessera.records.tables.table import types, write_table
from tessera.records.tables.watermarks import Marks
from tessera.stages.watermarks.boxes import write_boxes


def draw_watermarks(
    frames: Path,
    pictures: Path,
    sources: Path,
    datasets: Sequence[str],
    settings: DrawSettings,
    seed: int,
    final_folder: Path,
    images: Path,
    annotations: Path,
    drawn: Path,
    marks: Path,
    ledger: Path,
    threads: int = 1,
) -> None:
    """Draw marks over frames of a shard, and store the results in the folder `drawn`, whose final path is `final_folder`.

    `frames`: `tables.Frames`; their images are in the folder `pictures`. `sources`: `tables.Sources`. Frames of a source are
    left out if its `use` lists datasets, but none of `datasets`; so a source with watermarks in its footage can be excluded.

    `images`, `annotations`: output, annotation tables. The perceptual hash is that of the original frame. `marks`: output,
    `tables.Marks`. `ledger` gets one row per frame. The result does not depend on the number of `threads`.

    Raises `TesseraError` if a logo or a font cannot be used.
    """
    materials = load_materials(settings)
    chosen = choose_frames(frames, sources, datasets, settings.frames_per_source)

    def make(frame: dict[str, Any], image: np.ndarray) -> tuple[dict[str, Any], list[Mark]]:
        if min(image.shape[:2]) < LEAST_FRAME:
            raise Dropped("too small for a mark", f"{image.shape[1]} by {image.shape[0]} pixels; {LEAST_FRAME} are needed")
        image, made = draw_marks(image, generator(seed, "watermarks", frame["key"]), materials, settings)
        name = f"{frame['key']}.jpg"
        write_image(drawn / name, image, settings.quality)
        source = chosen.sources[frame["source"]]
        row = {name: frame[name] for name in ("key", "source", "phash")} | {name: source[name] for name in ("split", "rights")}
        return row | {"path": (final_folder / name).as_posix(), "width": image.shape[1], "height": image.shape[0]}, made

    drawn.mkdir()
    drawn_frames = make_samples(chosen, make, pictures, settings.max_side, ledger, threads)
    write_boxes(annotations, images, [(row, [box for mark in made for box in mark.boxes]) for row, made in drawn_frames])
    # Only a tiled mark has several boxes, and it is alone in its frame. So the index of a mark is the number of its first box.
    described = [
        {"key": row["key"], "number": number, **asdict(mark), "regions": len(mark.boxes)}
        for row, made in drawn_frames
        for number, mark in enumerate(made)
    ]
    write_table(pl.DataFrame(described, schema=types(Marks)), Marks, marks)
