"""Copy frames of a shard at each level of a concept."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tessera.core.errors import Dropped
from tessera.core.job import ahead, progress
from tessera.core.ledger import Ledger
from tessera.core.seeds import generator
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.images import read_image, shrink, write_image
from tessera.pipeline.concepts.settings import ConceptSettings, Level


def degrade_frames(
    frames: Path,
    pictures: Path,
    sources: Path,
    dataset: str,
    settings: ConceptSettings,
    seed: int,
    place: Path,
    images: Path,
    labels: Path,
    degraded: Path,
    ledger: Path,
    threads: int = 1,
) -> None:
    """Write a copy of each chosen frame of a shard at each level to the folder `degraded`, whose final path is `place`.

    `frames`: `tables.Frames`; their images are in the folder `pictures`. `sources`: `tables.Sources`. Frames of a source are
    left out if its `use` lists datasets, but not `dataset`; so footage that is not clean can be excluded. All copies are PNG,
    because JPEG would compress the clean ones too.

    `images`: output, `tables.Images`. The perceptual hash of a copy is that of the frame, and its source is that of the frame,
    so that no split or fold divides a frame from its copies. `labels`: output, `tables.PictureLabels`. `ledger` gets one row
    per frame. The result does not depend on the number of `threads`.
    """
    import polars as pl

    from tessera.records.frames import choose_frames
    from tessera.records.tables.annotation import Images, PictureLabels
    from tessera.records.tables.table import types, write_table

    chosen = choose_frames(frames, sources, [dataset], settings.frames_per_source)

    def work(frame: dict[str, Any]) -> list[tuple[dict[str, Any], Level]]:
        if frame["key"] in chosen.left_out:
            raise Dropped(*chosen.left_out[frame["key"]])
        image = read_image(pictures / frame["file"])
        if settings.max_side:
            image = shrink(image, settings.max_side)
        source = chosen.sources[frame["source"]]
        shared = {"source": frame["source"], "phash": frame["phash"], "split": source["split"], "rights": source["rights"]}
        made = []
        for number, level in enumerate(settings.levels):
            key = f"{frame['key']}-level{number}"
            copy = degrade(image, level.steps, generator(seed, f"concepts {dataset}", key)).frames
            write_image(degraded / f"{key}.png", copy)
            size = {"width": image.shape[1], "height": image.shape[0]}
            made.append(({"key": key, "path": (place / f"{key}.png").as_posix(), **size, **shared}, level))
        return made

    rows: list[tuple[dict[str, Any], Level]] = []
    degraded.mkdir()
    with Ledger(ledger) as book, ThreadPoolExecutor(threads) as pool:
        for frame, made in ahead(pool, work, progress(chosen.frames, unit="frames"), 2 * threads):
            with book.item(frame["key"]):
                rows += made.result()
    meanings = [{"key": row["key"], "label": level.label, "score": level.score} for row, level in rows]
    write_table(pl.DataFrame([row for row, _ in rows], schema=types(Images)), Images, images)
    write_table(pl.DataFrame(meanings, schema=types(PictureLabels)), PictureLabels, labels)
