"""Embed the sampled frames, the labelled images, the clips, the crops and the pictures of classifiers."""

import functools
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
import polars as pl

from tessera.core.errors import Dropped, Failed
from tessera.core.files import quoted
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import truncate
from tessera.core.pool import attempt, in_batches
from tessera.core.progress import progress
from tessera.core.provenance import digest, sha256_file, sha256_if_readable
from tessera.core.store import stored_items
from tessera.imaging.images import read_image, read_known
from tessera.imaging.sharpness import luma, sharpness
from tessera.learning.embedding.embedder import Embedder, normalised
from tessera.learning.embedding.settings import EmbedderSettings
from tessera.records.blocklist import read_blocklist
from tessera.records.clips import packets_of, pictures_of
from tessera.records.identities import read_references
from tessera.records.image_checks import check_image
from tessera.records.rights import check_identifiable
from tessera.records.tables.annotation import Images
from tessera.records.tables.classification import Pictures, picture_files
from tessera.records.tables.clips import Clips
from tessera.records.tables.crops import Crops
from tessera.records.tables.embeddings import ClipEmbeddings, Embeddings
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table, read_tables, types, write_table

VECTORS, ROWS = "vectors.npy", "rows.json"  # files in the store, of each source
DIGITS = 6  # decimals of the sharpness
NOTHING: Mapping[str, Dropped] = MappingProxyType({})
Item = Mapping[str, Any]  # a row of what is embedded, with `key`, `source` and `path`


class ReadItem(NamedTuple):
    """What was read of an item: its pictures, uint8 (H, W, 3), RGB, and further values of its row."""

    pictures: list[np.ndarray]
    values: dict[str, Any]


class EmbeddingJob(TypedDict):
    """How items are embedded, and where the vectors go.

    `expected`: see `Embedder`. `cache`: the folder of the `Store` of vectors. `code`: a digest of the function that embeds.
    `table` gets the vectors. `ledger` gets one row per item.
    """

    weights: Path
    expected: Path | str
    settings: EmbedderSettings
    cache: Path
    code: str
    threads: int
    table: Path
    ledger: Path


def embed_pictures(frames: Path | None, images: Path | None, labelled: Sequence[Path], **how: Unpack[EmbeddingJob]) -> None:
    """Write the vectors of sampled frames and of labelled images (`tables.Embeddings`).

    `frames`: `tables.Frames` with their files in the folder `images`, or None for neither. `labelled`: files of
    `tables.Images`; those that are sampled frames are embedded once.

    The vectors of a source are stored under a digest of everything that they depend on. The model is loaded only if some are
    missing there. The pictures of a source are embedded in their order, in batches of `settings.batch`, so that shards, threads
    and other sources change no byte.
    """
    columns = "key", "source", "path", "place"
    parts = []
    if frames is not None:
        sampled = read_table(frames, Frames).sort("source", "index")
        # The middle of the share of the video that a frame stands for. Images, which have no time, have no place.
        position = (pl.int_range(pl.len()).over("source") + 0.5) / pl.len().over("source")
        parts.append(
            sampled.select(
                "key",
                "source",
                path=pl.lit(f"{images}/") + pl.col("file"),
                place=pl.when(pl.col("time").is_not_null()).then(position),
            )
        )
    parts.append(
        read_tables(list(labelled), Images).sort("source", "key").with_columns(place=pl.lit(None, pl.Float64)).select(columns)
    )
    items = pl.concat(parts).unique("key", keep="first", maintain_order=True)
    _embed(items, _read_picture, 1, Embeddings, **how)


def embed_dataset(pictures: Path, images: Path, **how: Unpack[EmbeddingJob]) -> None:
    """Write the vectors of the dataset of a classifier (`tables.Embeddings`).

    `pictures`: `tables.Pictures`, with the files `SPLIT/KEY.EXT` in the folder `images`. The rest is as in `embed_pictures`.
    """
    items = read_table(pictures, Pictures).sort("source", "key")
    files = picture_files(images)
    # A picture that is not there cannot be read, which is a row of the ledger.
    paths = [str(files.get(each, images.joinpath(*each))) for each in items.select("split", "key").iter_rows()]
    items = items.select("key", "source", path=pl.Series(paths, dtype=pl.String), place=pl.lit(None, pl.Float64))
    _embed(items, _read_picture, 1, Embeddings, **how)


def embed_crops(crops: Path, images: Path, sources: Path, steps: Sequence[str], **how: Unpack[EmbeddingJob]) -> None:
    """Write the vectors of those `crops` (`tables.Crops`) that a step with a name in `steps` found (`tables.Embeddings`).

    `images`: the folder of their files. `sources`: `tables.Sources`. Vectors of crops tell who is in them, so that crops of
    sources that `check_identifiable` refuses are dropped, each with a row in the ledger. The rest is as in `embed_pictures`.
    """
    contents = dict(read_table(sources, Sources).select("source", "content").iter_rows())
    chosen = read_table(crops, Crops).filter(pl.col("step").is_in(steps)).sort("source", "key")
    left_out = {}
    for key, source in chosen.select("key", "source").iter_rows():
        try:
            check_identifiable(contents.get(source, ""))
        except Dropped as error:
            left_out[key] = error
    items = chosen.filter(~pl.col("key").is_in(list(left_out))).select(
        "key", "source", path=pl.lit(f"{images}/") + pl.col("file"), place=pl.lit(None, pl.Float64)
    )
    _embed(items, _read_picture, 1, Embeddings, **how, left_out=left_out)


def embed_references(folder: Path, blocklist: Path, blocklist_distance: int, **how: Unpack[EmbeddingJob]) -> None:
    """Write the vectors of the reference pictures of identities in `folder` (`tables.Embeddings`).

    The key of a picture is its path below the folder, and its source is the folder directly in it. A picture must pass
    `check_image` with the `blocklist`. The rest is as in `embed_pictures`. Raises
    `TesseraError` if the folder is not one of references, see `read_references`.
    """
    listed = read_blocklist(blocklist)
    left_out = {}
    references = []
    for each in read_references(folder):
        try:
            sha256 = check_image(each.path, quoted(each.path), listed, blocklist_distance).sha256
        except Dropped as error:
            left_out[each.key] = error
        else:
            references.append((each.key, each.key.split("/")[0], str(each.path), sha256))
    columns = ("key", "source", "path", "sha256")
    items = pl.DataFrame(references, schema=dict.fromkeys(columns, pl.String), orient="row")
    _embed(items.with_columns(place=pl.lit(None, pl.Float64)), _read_picture, 1, Embeddings, **how, left_out=left_out)
    _tell_of_few(Counter(source for _, source, *_ in references))


def _tell_of_few(counts: Mapping[str, int]) -> None:
    few = sorted(name for name, count in counts.items() if count == 1)
    if few:
        tell(f"one reference picture alone decides who is {', '.join(truncate(few, 10))}; add some that differ")


def embed_clips(clips: Path, images: Path, samples: int, **how: Unpack[EmbeddingJob]) -> None:
    """Write the vectors of `clips` (`tables.Clips`) as `tables.ClipEmbeddings`.

    `images`: the folder of their videos. The vector of a clip is the mean of those of `samples` frames, evenly spaced from the
    first to the last, without the padding. The rest is as in `embed_pictures`.
    """
    read = read_table(clips, Clips).sort("source", "first", "key")
    items = read.select(
        "key", "source", "frames", "width", "height", "pads", path=pl.lit(f"{images}/") + pl.col("key") + ".mp4"
    )
    _embed(items, partial(_read_clip, samples=samples), samples, ClipEmbeddings, **how)


def _embed(
    items: pl.DataFrame,
    read: Callable[[Item], ReadItem],
    pictures: int,
    schema: type[Any],
    weights: Path,
    expected: Path | str,
    settings: EmbedderSettings,
    cache: Path,
    *,
    code: str,
    threads: int,
    table: Path,
    ledger: Path,
    left_out: Mapping[str, Dropped] = NOTHING,
) -> None:
    """Write the vectors of `items`, of each of which `read` returns at most so many `pictures`, to `table` of the `schema`.

    `left_out`: why each item that is not embedded is left out, by its key.
    """
    tables: list[pl.DataFrame] = [pl.DataFrame(schema=types(schema))]
    # Where the weights come from does not matter, but how they are used does.
    used = settings.model_dump(mode="json", include=set(EmbedderSettings.model_fields) - {"weights"})
    cache_key = [sha256_file(weights), used, pictures, code] if items.height else []
    embedder = functools.cache(partial(Embedder, weights, expected, settings))
    with stored_items(cache, "sources", ledger) as (entries, stored):
        for key, fault in left_out.items():
            entries.row(key, "failed" if isinstance(fault, Failed) else "dropped", fault.reason, fault.detail)
        for (source,), of_source in items.group_by("source", maintain_order=True):
            rows = of_source.to_dicts()
            name = digest([*cache_key, [{**row, "path": sha256_if_readable(Path(row["path"]))} for row in rows]])
            item = stored(name, partial(_embed_source, rows, read, embedder, pictures, settings, threads, str(source)))
            vectors = np.load(item / VECTORS, allow_pickle=False)
            values = json.loads((item / ROWS).read_text(encoding="utf-8"))
            if values:
                stated = of_source.join(pl.DataFrame(values), on="key", how="inner", maintain_order="left")
                stated = stated.with_columns(vector=pl.Series(vectors).cast(pl.List(pl.Float16)))
                tables.append(stated.select(pl.col(column).cast(kind) for column, kind in types(schema).items()))
    write_table(pl.concat(tables), schema, table)


def _embed_source(
    rows: Sequence[Item],
    read: Callable[[Item], ReadItem],
    embedder: Callable[[], Embedder],
    pictures: int,
    settings: EmbedderSettings,
    threads: int,
    source: str,
    folder: Path,
    ledger: Ledger,
) -> None:
    """Write the values and the vectors of those of `rows` that can be embedded to `folder`. `ledger` gets a row of each."""

    def work(batch: Sequence[Item]) -> list[tuple[dict[str, Any], np.ndarray] | Exception]:
        read_items = [attempt(read, row) for row in batch]
        usable = [picture for each in read_items if isinstance(each, ReadItem) for picture in each.pictures]
        vectors = iter(embedder().embed(usable) if usable else ())
        results: list[tuple[dict[str, Any], np.ndarray] | Exception] = []
        for row, each in zip(batch, read_items, strict=True):
            if isinstance(each, Exception):
                results.append(each)
                continue
            item_vectors = np.stack([next(vectors) for _ in each.pictures])
            vector = _mean(item_vectors, settings.normalise)
            is_usable = np.isfinite(vector).all() and vector.any()
            detail = (
                f"{row['path']}: the model gives only zeros, or numbers that are not finite; leave it out, or use other weights"
            )
            fault = Failed("no usable vector", detail)
            results.append(({"key": row["key"], **each.values}, vector) if is_usable else fault)
        return results

    values, vectors = [], []
    with embedder().workers(threads) as pool:
        results = in_batches(pool, work, rows, max(1, settings.batch // pictures), threads)
        for row, result in progress(results, len(rows), f"items of {source!r}"):
            with ledger.item(row["key"]):
                if isinstance(result, Exception):
                    raise result
                values.append(result[0])
                vectors.append(result[1])
    (folder / ROWS).write_text(json.dumps(values), encoding="utf-8")
    _write_vectors(np.stack(vectors) if vectors else np.empty((0, 0), np.float16), folder / VECTORS)


def _write_vectors(vectors: np.ndarray, path: Path) -> None:
    # Not by NumPy, which does not distinguish a full disk from other errors.
    content = io.BytesIO()
    np.save(content, vectors, allow_pickle=False)
    path.write_bytes(content.getbuffer())


def _mean(vectors: np.ndarray, normalise: bool) -> np.ndarray:
    """Return the mean of `vectors` (N, D), of length 1 if `normalise` is true: float16 (D,). It may be infinite or NaN."""
    if len(vectors) > 1:
        mean = vectors.mean(axis=0, keepdims=True)
        vectors = normalised(mean) if normalise else mean
    with np.errstate(over="ignore"):
        small: np.ndarray = vectors[0].astype(np.float16)
    return small


def _read_picture(item: Item) -> ReadItem:
    path = Path(item["path"])
    picture = read_known(path, item["sha256"]) if "sha256" in item else read_image(path)
    return ReadItem([picture], {"sharpness": round(sharpness(luma(picture)), DIGITS)})


def _read_clip(item: Item, samples: int) -> ReadItem:
    path = Path(item["path"])
    packets = packets_of(path, item)
    sampled = np.unique(np.linspace(0, len(packets) - 1, min(samples, len(packets))).round().astype(int))
    pictures = [np.ascontiguousarray(picture) for _, picture in pictures_of(path, item, packets, set(sampled.tolist()))]
    return ReadItem(pictures, {"looked": len(pictures)})
