"""Tag sampled frames and crops, and choose the tags that count."""

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Failed
from tessera.core.ledger import Ledger
from tessera.core.pool import attempt, in_batches
from tessera.core.progress import progress
from tessera.core.provenance import digest, sha256_file, sha256_if_readable
from tessera.core.store import stored_items
from tessera.extras.tagging.settings import FRAMES, TaggerSettings, TagThresholds
from tessera.extras.tagging.tagger import Tagger
from tessera.imaging.images import read_image
from tessera.records.tables.crops import Crops
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, read_tables, types, write_table
from tessera.records.tables.tags import Tags
from tessera.records.tags import Tag, read_tags

SCORES = "scores.parquet"  # file in the store, of each source
DIGITS = 4  # decimals of a score; further ones depend on the machine


def tag_pictures(
    frames: Path,
    images: Path,
    crops: Sequence[Path],
    cropped: Sequence[Path],
    weights: Path,
    tag_list: Path,
    settings: TaggerSettings,
    cache: Path,
    *,
    code: str,
    threads: int,
    table: Path,
    ledger: Path,
) -> None:
    """Run the tagger on the pictures of a shard that `settings.of` names; write its tags to `table` (`tables.Tags`).

    `frames`: `tables.Frames`, with their files in the folder `images`. `crops`: files of `tables.Crops`, and `cropped` the
    folders of their files. `weights`, `tag_list`: the files that `settings` declare. Tags from the score `settings.floor` on
    are written. `ledger` gets one row per picture.

    The tags of a source are stored in the folder `cache` of a `Store`, under a digest of everything that they depend on. The
    model is loaded only if some are missing there. The pictures of a source are tagged in their order, in batches of
    `settings.batch`, each by one thread, so that shards and threads change no byte.
    """
    parts = [_pictures(read_table(frames, Frames).sort("source", "index"), images)] if FRAMES in settings.of else []
    for file, folder in zip(crops, cropped, strict=True):
        of_steps = read_table(file, Crops).filter(pl.col("step").is_in(settings.of)).sort("source", "key")
        parts.append(_pictures(of_steps, folder))
    items = pl.concat([pl.DataFrame(schema=dict.fromkeys(("key", "source", "path"), pl.String)), *parts])
    tags = read_tags(tag_list, settings.tags.sha256)
    cache_key = [sha256_file(weights), tags, settings.batch, settings.floor, code]
    tagger = functools.cache(partial(Tagger, weights, settings.weights.sha256, tags))
    tables = [pl.DataFrame(schema=types(Tags))]
    with stored_items(cache, "sources", ledger) as (_, stored):
        for (source,), of_source in items.group_by("source", maintain_order=True):
            rows = of_source.to_dicts()
            name = digest([*cache_key, [[row["key"], sha256_if_readable(Path(row["path"]))] for row in rows]])
            tag = partial(_tag, rows, tagger, tags, settings, threads, str(source))
            tables.append(read_table(stored(name, tag) / SCORES, Tags))
    write_table(pl.concat(tables).sort("key", "number"), Tags, table)


def choose_tags(tables: Sequence[Path], thresholds: TagThresholds, table: Path) -> None:
    """Write those tags in `tables` (`tables.Tags`) to `table` whose score reaches the threshold of their category."""
    tags = read_tables(list(tables), Tags)
    limits = thresholds.model_dump(exclude_none=True)
    limit = pl.col("category").replace_strict(limits, default=None, return_dtype=pl.Float64)
    write_table(tags.filter(pl.col("score") >= limit).sort("key", "number"), Tags, table)


def _pictures(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    return rows.select("key", "source", path=pl.lit(f"{folder}/") + pl.col("file"))


def _tag(
    rows: Sequence[Mapping[str, Any]],
    tagger: Callable[[], Tagger],
    tags: Sequence[Tag],
    settings: TaggerSettings,
    threads: int,
    source: str,
    folder: Path,
    ledger: Ledger,
) -> None:
    """Write the tags of the pictures in `rows` to `folder`. `ledger` gets a row of each picture."""

    def work(batch: Sequence[Mapping[str, Any]]) -> list[np.ndarray | Exception]:
        read_pictures = [attempt(read_image, Path(row["path"])) for row in batch]
        usable = [each for each in read_pictures if not isinstance(each, Exception)]
        scores = iter(tagger().scores(usable) if usable else ())
        return [each if isinstance(each, Exception) else next(scores) for each in read_pictures]

    is_named = np.array([bool(tag.name) for tag in tags])
    keys: list[str] = []
    numbers: list[np.ndarray] = []
    values: list[np.ndarray] = []
    with ThreadPoolExecutor(threads) as pool:
        results = in_batches(pool, work, rows, settings.batch, threads)
        for row, result in progress(results, len(rows), f"pictures of {source!r}"):
            with ledger.item(row["key"]):
                if isinstance(result, Exception):
                    raise result
                if np.isnan(result).any():
                    raise Failed("no usable scores", f"{row['path']}: the tagger gives scores that are NaN; declare another")
                rounded = result.astype(np.float64).round(DIGITS)
                chosen = np.flatnonzero((rounded >= settings.floor) & is_named)
                keys += [row["key"]] * len(chosen)
                numbers.append(chosen)
                values.append(rounded[chosen])
    number = np.concatenate([np.empty(0, np.int64), *numbers])
    columns = {
        "key": keys,
        "number": number,
        "tag": [tags[index].name for index in number],
        "category": [tags[index].category for index in number],
        "score": np.concatenate([np.empty(0), *values]),
    }
    write_table(pl.DataFrame(columns, schema=types(Tags)), Tags, folder / SCORES)
