"""Apply a classifier to pictures, frames and clips: a row for each that can be scored, and one of the ledger for every one."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Failed
from tessera.core.job import ahead, progress
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.provenance import digest, sha256_file, sha256_if_readable
from tessera.core.store import Store
from tessera.imaging.classification.classifier import Classifier, read_classifier
from tessera.imaging.classification.settings import Tiling
from tessera.imaging.images import read_image
from tessera.records.clips import packets_of, pictures_of, spread
from tessera.records.tables.classification import Scored
from tessera.records.tables.clips import Clips
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table

TABLE, LEDGER = "scored.parquet", "ledger.jsonl"  # files in the store, of each source
Item = Mapping[str, Any]  # a row of what is scored, with `key`, `source` and `path`


def score_pictures(
    pictures: Mapping[str, Path],
    classifier: Path,
    scored: Path,
    ledger: Path,
    *,
    expected: Path | str | None,
    tiling: Tiling | None,
    threads: int,
    check: Callable[[str], None] = lambda key: None,
) -> None:
    """Write what `classifier` sees in each of `pictures`, files by key, to `scored` (`tables.Scored`), in their order.

    `expected`: what verifies the classifier, see `read_classifier`. With `tiling`, large pictures are divided into tiles. A
    picture that cannot be read is a failed row of the `ledger`. `check` gets each key, and raises `Dropped` or `Failed` if its
    picture is not scored.
    """

    def look(item: Item) -> list[np.ndarray]:
        check(item["key"])
        return _picture(item)

    rows = [{"key": key, "path": path} for key, path in pictures.items()]
    with Ledger(ledger) as book:
        table = _score(rows, look, read_classifier(classifier, expected), tiling, threads, book, "pictures")
    write_table(table, Scored, scored)


def score_frames(
    frames: Path,
    images: Path,
    classifier: Path,
    expected: Path | str,
    tiling: Tiling | None,
    kept: Path,
    *,
    code: str,
    threads: int,
    scored: Path,
    ledger: Path,
) -> None:
    """Write what `classifier` sees in each of the sampled `frames` (`tables.Frames`) to `scored` (`tables.Scored`).

    `images`: the folder of the frames. `expected`, `tiling` and `ledger`: see `score_pictures`. The rows of a source are kept
    in the `Store` in the folder `kept`, under a digest of everything that they depend on, including `code`. The classifier is
    loaded only if some are missing there.
    """
    own = read_table(frames, Frames).sort("source", "index")
    items = own.select("key", "source", path=pl.lit(f"{images}/") + pl.col("file"))
    _score_sources(items, _picture, classifier, expected, tiling, kept, code, threads, scored, ledger, "frames")


def classify_clips(
    clips: Path,
    images: Path,
    samples: int,
    classifier: Path,
    expected: Path | str,
    tiling: Tiling | None,
    kept: Path,
    *,
    code: str,
    threads: int,
    scored: Path,
    ledger: Path,
) -> None:
    """Write what `classifier` sees in `clips` (`tables.Clips`) to `scored` (`tables.Scored`): the mean over their frames.

    `images`: the folder of their videos. `samples`: the number of frames, without their padding, see `spread`. The rest is as
    in `score_frames`.
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
    _score_sources(items, _clip, classifier, expected, tiling, kept, code, threads, scored, ledger, "clips")


def _clip(item: Item) -> list[np.ndarray]:
    path = Path(item["path"])
    packets = packets_of(path, item)
    return [picture for _, picture in pictures_of(path, item, packets, set(spread(packets.keyframe, item["samples"])))]


def _picture(item: Item) -> list[np.ndarray]:
    return [read_image(Path(item["path"]))]


def _score_sources(
    items: pl.DataFrame,
    look: Callable[[Item], list[np.ndarray]],
    classifier: Path,
    expected: Path | str,
    tiling: Tiling | None,
    kept: Path,
    code: str,
    threads: int,
    scored: Path,
    ledger: Path,
    unit: str,
) -> None:
    """Score `items`, whose pictures `look` returns, source by source. Those of a source in the store are taken from it."""
    store = Store(kept, "sources")
    whole: set[str] = set()
    parts = [pl.DataFrame(schema=types(Scored))]
    made_by = [sha256_file(classifier), tiling and tiling.model_dump(mode="json"), code]
    trained = None
    with Ledger(ledger) as book:
        for (_,), own in items.group_by("source", maintain_order=True):
            rows = own.to_dicts()
            name = digest([*made_by, [{**row, "path": sha256_if_readable(Path(row["path"]))} for row in rows]])
            if not store.holds(name):
                trained = trained or read_classifier(classifier, expected)
                with store.make(name) as folder, Ledger(folder / LEDGER) as looked:
                    write_table(_score(rows, look, trained, tiling, threads, looked, unit), Scored, folder / TABLE)
            item = store.item(name)
            parts.append(read_table(item / TABLE, Scored))
            outcomes = read_ledger(item / LEDGER)
            for outcome in outcomes:
                book.row(**outcome)
            # What failed is tried again.
            if all(outcome["status"] == "ok" for outcome in outcomes):
                whole.add(name)
    write_table(pl.concat(parts), Scored, scored)
    store.keep(whole)


def _score(
    items: Sequence[Item],
    look: Callable[[Item], list[np.ndarray]],
    trained: Classifier,
    tiling: Tiling | None,
    threads: int,
    book: Ledger,
    unit: str,
) -> pl.DataFrame:
    """Return the rows of those of `items` that can be scored: the mean of the results of the pictures of each."""
    import torch

    torch.set_num_threads(threads)
    classes = list(trained.description.classes)
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool:
        for item, looking in progress(ahead(pool, look, items, threads), len(items), unit):
            with book.item(item["key"]):
                results = list(trained.predict(looking.result(), tiling))
                result = np.mean(results, axis=0)
                if not np.isfinite(result).all():
                    raise Failed("result is not finite", "the classifier overflows on this picture; leave the picture out")
                found = {"label": classes[int(result.argmax())], "score": None} if classes else {"score": float(result[0])}
                rows.append(
                    {
                        "key": item["key"],
                        "label": None,
                        **found,
                        "classes": classes,
                        "probabilities": result.tolist() if classes else [],
                    }
                )
    return pl.DataFrame(rows, schema=types(Scored))
