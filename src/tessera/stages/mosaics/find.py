"""Run detectors on the sampled frames."""

import functools
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.ledger import Ledger
from tessera.core.provenance import digest, sha256_file, sha256_if_readable
from tessera.core.store import stored_items
from tessera.learning.detection.anywhere import Anywhere
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.settings import InferenceSettings, settings_of
from tessera.records.annotation.predictions import detect_frames
from tessera.records.eligibility import refusals
from tessera.records.frames import read_sampled
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table

DETECTIONS = "detections.json"  # file in the store: the detections in the frames of a source


def find_regions(
    frames: Path,
    images: Path,
    sources: Path,
    weights: Path | None,
    expected: Path | str,
    datasets: Sequence[str],
    settings: InferenceSettings,
    cache: Path,
    *,
    code: str,
    threads: int,
    seed: int = 0,
    table: Path,
    ledger: Path,
) -> None:
    """Run the detector `weights` on the sampled frames of those sources of a shard that may feed one of `datasets`.

    `frames`: `tables.Frames`, with their files in the folder `images`. `sources`: `tables.Sources`. `expected`: see `Detector`.
    Without `weights`, regions are anywhere, drawn from `seed`; see `Anywhere`. `table` gets the detections as
    `tables.Annotations`, with masks of the size of the frame and the labels of the weights. `ledger` gets one row per frame. It
    is ok if the detector ran on the frame, with or without a detection. `threads` threads read images ahead.

    The detections in the frames of a source are kept in the `Store` in the folder `cache`, under a digest of everything that
    they depend on, including `code`. The detector is loaded only if some are missing there. If a frame of a source failed, the
    detector runs on all its frames again in the next run.
    """
    refused = refusals(sources, datasets)
    sampled = read_table(frames, Frames)
    is_needed = any(refused[source] == ("", "") for source in sampled["source"].unique())
    cache_key = [sha256_file(weights) if weights else ["anywhere", seed], settings_of(settings), code] if is_needed else []
    load = functools.cache(partial(Detector, weights, expected, settings)) if weights else None
    detections: list[dict[str, Any]] = []

    def find(source: str, source_frames: pl.DataFrame, folder: Path, processed: Ledger) -> None:
        detector = load() if load else Anywhere(seed, source)
        pictures = read_sampled(source_frames.to_dicts(), images, pool, 2 * threads, processed)
        source_detections = [row for _, rows in detect_frames(detector, pictures, processed) for row in rows]
        (folder / DETECTIONS).write_text(json.dumps(source_detections), encoding="utf-8")

    with stored_items(cache, "sources", ledger) as (entries, stored), ThreadPoolExecutor(threads) as pool:
        for (source,), source_frames in sampled.group_by("source", maintain_order=True):
            reason, detail = refused[str(source)]
            if reason:
                for key in source_frames["key"]:
                    entries.row(key, "dropped", reason, detail)
                continue
            known = source_frames.select("key", "width", "height").rows()
            name = digest([*cache_key, known, [sha256_if_readable(images / file) for file in source_frames["file"]]])
            detections += json.loads(
                (stored(name, partial(find, str(source), source_frames)) / DETECTIONS).read_text(encoding="utf-8")
            )
    write_table(pl.DataFrame(detections, schema=types(Annotations)), Annotations, table)
