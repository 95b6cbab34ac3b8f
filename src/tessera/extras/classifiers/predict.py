"""Apply a classifier to pictures, frames and clips: a row for each that can be scored, and one of the ledger for every one."""

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import Ledger
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.provenance import digest, sha256_file, sha256_if_readable
from tessera.core.store import stored_items
from tessera.imaging.images import read_image
from tessera.learning.classification.classifier import Classifier, read_classifier
from tessera.learning.classification.open_nsfw import read_open_nsfw
from tessera.learning.classification.pictures import combine, cut_tiles, tile_side
from tessera.learning.classification.settings import Description, Labels, Tiling
from tessera.learning.embedding.embedder import Embedder
from tessera.learning.embedding.settings import EmbedderSettings
from tessera.learning.weights.resolve import expected_digest
from tessera.records.clips import frames_to_measure, packets_of, pictures_of
from tessera.records.tables.classification import Scored
from tessera.records.tables.clips import Clips
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table

Settings = Mapping[str, Any]
TABLE = "scored.parquet"  # file in the store, of each source
Item = Mapping[str, Any]  # a row of what is scored, with `key`, `source` and `path`


class Use(NamedTuple):
    """A classifier in a file, and how it is applied to pictures.

    `expected`, `labels`: see `read_classifier`. With `tiling`, large pictures are divided into tiles. `embedding`: of a head,
    the file of the model of its vectors, what verifies it, and its settings.
    """

    classifier: Path
    expected: Path | str | None
    tiling: Tiling | None = None
    embedding: tuple[Path, Path | str, EmbedderSettings] | None = None
    labels: Labels | None = None

    def identity(self) -> list[Any]:
        """Return all that decides what is seen, for a digest. Where the files come from does not count."""
        parts: list[Any] = [sha256_file(self.classifier), self.tiling and self.tiling.model_dump(mode="json")]
        if self.labels:
            parts.append(self.labels if isinstance(self.labels, tuple) else self.labels.model_dump(mode="json"))
        if self.embedding:
            weights, _, settings = self.embedding
            used = settings.model_dump(mode="json", include=set(EmbedderSettings.model_fields) - {"weights"})
            parts += [sha256_file(weights), used]
        return parts

    def load(self) -> "Scorer":
        """Return the classifier, ready to be applied. Raises `TesseraError` if its inputs are not what is stated here."""
        if self.classifier.suffix == ".onnx":
            trained: Classifier = read_open_nsfw(self.classifier, self.expected)
        else:
            trained = read_classifier(self.classifier, self.expected, self.labels)
        name = trained.description.embedding
        if self.embedding is None:
            if name is not None:
                raise TesseraError(
                    f"{self.classifier} is a head on vectors of an embedding called {name!r} where it was trained; name yours"
                    " in `embedding`"
                )
            return Scorer(trained.description, lambda pictures: np.stack(list(trained.predict(pictures, self.tiling))))
        if name is None:
            raise TesseraError(f"{self.classifier} takes pictures and not vectors; leave `embedding` out")
        embedder, tiling = Embedder(*self.embedding), self.tiling

        def predict(picture: np.ndarray) -> np.ndarray:
            tiles = cut_tiles(picture, tile_side(tiling, embedder.size), tiling.side) if tiling else [picture]
            results = trained.predict_vectors(embedder.embed(tiles))
            return combine(results, tiling.combine) if tiling else results[0]

        # One picture at a time, so that its result does not depend on the others.
        return Scorer(trained.description, lambda pictures: np.stack(list(map(predict, pictures))))


class Scorer(NamedTuple):
    """A classifier that is loaded.

    `predict` returns the predictions for pictures, uint8 (H, W, 3), RGB: float32 (N, classes), or (N, 1) for a score.
    """

    description: Description
    predict: Callable[[Sequence[np.ndarray]], np.ndarray]


def use_of(
    settings: Settings,
    classifier: Path,
    checksums: Path | list[Path],
    embedder: Path | list[Path],
    embedder_checksums: Path | list[Path],
) -> Use:
    """Return the use of a classifier that its `settings` state: `weights`, `tiling`, `labels`, and the `embedding` of a head.

    `classifier`, `embedder`: the files of both. `checksums`, `embedder_checksums`: see `expected_digest`.
    """
    stated, tiling = settings["embedding"], settings["tiling"]
    embedding = None
    if stated is not None:
        assert isinstance(embedder, Path), "a head has an embedding"
        embedding = embedder, expected_digest(stated["weights"], embedder_checksums), EmbedderSettings(**stated)
    labels = TypeAdapter(Labels | None).validate_python(settings["labels"])
    return Use(classifier, expected_digest(settings["weights"], checksums), tiling and Tiling(**tiling), embedding, labels)


def score_pictures(
    pictures: Mapping[str, Path],
    use: Use,
    scored: Path,
    ledger: Path,
    *,
    threads: int,
    read: Callable[[str, Path], np.ndarray] = lambda key, path: read_image(path),
) -> None:
    """Write the predictions of a classifier for `pictures`, files by key, to `scored` (`tables.Scored`), in their order.

    A picture that cannot be read is a failed row of the `ledger`. `read` gets each key and its file, and returns the picture,
    uint8 (H, W, 3), RGB, or raises `Dropped` or `Failed` if it is not scored.
    """

    def read_item(item: Item) -> list[np.ndarray]:
        return [read(item["key"], item["path"])]

    rows = [{"key": key, "path": path} for key, path in pictures.items()]
    with Ledger(ledger) as entries:
        table = _score(rows, read_item, use.load(), threads, entries, "pictures")
    write_table(table, Scored, scored)


def score_frames(
    frames: Path,
    images: Path,
    use: Use,
    cache: Path,
    *,
    code: str,
    threads: int,
    scored: Path,
    ledger: Path,
) -> None:
    """Write the predictions of a classifier for the sampled `frames` (`tables.Frames`) to `scored` (`tables.Scored`).

    `images`: the folder of the frames. A frame that cannot be read is a failed row of the `ledger`. The rows of a source are
    stored in the `Store` in the folder `cache`, under a digest of everything that they depend on, including `code`. The
    classifier is loaded only if some are missing there.
    """
    sampled = read_table(frames, Frames).sort("source", "index")
    items = sampled.select("key", "source", path=pl.lit(f"{images}/") + pl.col("file"))
    _score_sources(items, _picture, use, cache, code, threads, scored, ledger, "frames")


def classify_clips(
    clips: Path,
    images: Path,
    samples: int,
    use: Use,
    cache: Path,
    *,
    code: str,
    threads: int,
    scored: Path,
    ledger: Path,
) -> None:
    """Write the predictions of a classifier for `clips` (`tables.Clips`), means over frames, to `scored` (`tables.Scored`).

    `images`: the folder of their videos. `samples`: the number of frames, without their padding, see
    `frames_to_measure`. The rest is as in `score_frames`.
    """
    read = read_table(clips, Clips).sort("source", "first", "key")
    items = read.select(
        "key",
        "source",
        "frames",
        "width",
        "height",
        "pads",
        samples=samples,
        path=pl.lit(f"{images}/") + pl.col("key") + ".mp4",
    )
    _score_sources(items, _clip, use, cache, code, threads, scored, ledger, "clips")


def _clip(item: Item) -> list[np.ndarray]:
    path = Path(item["path"])
    packets = packets_of(path, item)
    return [
        picture for _, picture in pictures_of(path, item, packets, set(frames_to_measure(packets.keyframe, item["samples"])))
    ]


def _picture(item: Item) -> list[np.ndarray]:
    return [read_image(Path(item["path"]))]


def _score_sources(
    items: pl.DataFrame,
    read: Callable[[Item], list[np.ndarray]],
    use: Use,
    cache: Path,
    code: str,
    threads: int,
    scored: Path,
    ledger: Path,
    unit: str,
) -> None:
    """Score `items`, whose pictures `read` returns, source by source. Those of a source in the store are taken from it."""
    parts = [pl.DataFrame(schema=types(Scored))]
    cache_key = [*use.identity(), code]
    scorer = functools.cache(use.load)

    def score(rows: Sequence[Item], folder: Path, processed: Ledger) -> None:
        write_table(_score(rows, read, scorer(), threads, processed, unit), Scored, folder / TABLE)

    with stored_items(cache, "sources", ledger) as (_, stored):
        for _, of_source in items.group_by("source", maintain_order=True):
            rows = of_source.to_dicts()
            name = digest([*cache_key, [{**row, "path": sha256_if_readable(Path(row["path"]))} for row in rows]])
            parts.append(read_table(stored(name, partial(score, rows)) / TABLE, Scored))
    write_table(pl.concat(parts), Scored, scored)


def _score(
    items: Sequence[Item],
    read: Callable[[Item], list[np.ndarray]],
    scorer: Scorer,
    threads: int,
    ledger: Ledger,
    unit: str,
) -> pl.DataFrame:
    """Return the rows of those of `items` that can be scored: the mean of the results of the pictures of each."""
    import torch

    torch.set_num_threads(threads)
    classes = list(scorer.description.classes)
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool:
        for item, reading in progress(ahead(pool, read, items, threads), len(items), unit):
            with ledger.item(item["key"]):
                result = scorer.predict(reading.result()).mean(axis=0)
                if not np.isfinite(result).all():
                    raise Failed("result is not finite", "the classifier overflows on this picture; leave the picture out")
                prediction = {"label": classes[int(result.argmax())], "score": None} if classes else {"score": float(result[0])}
                rows.append(
                    {
                        "key": item["key"],
                        "label": None,
                        **prediction,
                        "classes": classes,
                        "probabilities": result.tolist() if classes else [],
                    }
                )
    return pl.DataFrame(rows, schema=types(Scored))
