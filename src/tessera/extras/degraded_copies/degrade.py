"""Copy frames of a shard at each level of a concept."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.provenance import sha256_file
from tessera.core.seeds import generator
from tessera.extras.degraded_copies.settings import ConceptSettings
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.images import write_image
from tessera.records.frames import choose_frames, make_samples
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import types, write_table


def degrade_frames(
    frames: Path,
    pictures: Path,
    sources: Path,
    dataset: str,
    settings: ConceptSettings,
    seed: int,
    final_folder: Path,
    labels: Path,
    degraded: Path,
    ledger: Path,
    threads: int = 1,
) -> None:
    """Write a copy of each chosen frame of a shard at each level to the folder `degraded`, whose final path is `final_folder`.

    `frames`: `tables.Frames`; their images are in the folder `pictures`. `sources`: `tables.Sources`. Frames of a source are
    left out if its `use` lists datasets, but not `dataset`; so footage that is not clean can be excluded. All copies are PNG,
    because JPEG would compress the clean ones too.

    `labels`: output, `tables.ImageLabels`. The perceptual hash of a copy is that of the frame, and its source is that of the
    frame, so that no split or fold divides a frame from its copies. `ledger` gets one row per frame. The result does not depend
    on the number of `threads`.
    """
    chosen = choose_frames(frames, sources, [dataset], settings.frames_per_source)

    def make(frame: dict[str, Any], image: np.ndarray) -> list[dict[str, Any]]:
        source = chosen.sources[frame["source"]]
        shared = {
            **{name: frame[name] for name in ("source", "phash")},
            **{name: source[name] for name in ("split", "rights")},
            **{"width": image.shape[1], "height": image.shape[0], "task": dataset, "origin": "degraded"},
        }
        made = []
        for number, level in enumerate(settings.levels):
            key = f"{frame['key']}-level{number}"
            file = degraded / f"{key}.png"
            write_image(file, degrade(image, level.steps, generator(seed, f"concepts {dataset}", key)).frames)
            content = {"key": key, "path": (final_folder / file.name).as_posix(), "sha256": sha256_file(file)}
            made.append({**shared, **content, "label": level.label, "score": level.score})
        return made

    degraded.mkdir()
    rows = chain.from_iterable(make_samples(chosen, make, pictures, settings.max_side, ledger, threads))
    write_table(pl.DataFrame(list(rows), schema=types(ImageLabels)), ImageLabels, labels)
