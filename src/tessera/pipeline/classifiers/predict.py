"""Apply a classifier to pictures in files: a row for each that can be read, and a row of the ledger for every one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Failed
from tessera.core.job import progress
from tessera.core.ledger import Ledger
from tessera.imaging.classification.classifier import read_classifier
from tessera.imaging.classification.settings import Tiling
from tessera.imaging.images import read_image
from tessera.records.tables.classification import Scored
from tessera.records.tables.table import types, write_table


def score_pictures(
    pictures: Mapping[str, Path],
    classifier: Path,
    scored: Path,
    ledger: Path,
    *,
    expected: Path | str | None,
    tiling: Tiling | None,
    threads: int,
) -> None:
    """Write what `classifier` sees in each of `pictures`, files by key, to `scored` (`tables.Scored`), in their order.

    `expected`: what verifies the classifier, see `read_classifier`. With `tiling`, large pictures are divided into tiles. A
    picture that cannot be read is a failed row of the `ledger`.
    """
    import torch

    torch.set_num_threads(threads)
    trained = read_classifier(classifier, expected)
    classes = trained.description.classes
    rows: list[dict[str, Any]] = []
    with Ledger(ledger) as book:
        for key, file in progress(list(pictures.items()), unit="pictures"):
            with book.item(key):
                (result,) = trained.predict([read_image(file)], tiling)
                if not np.isfinite(result).all():
                    raise Failed("result is not finite", "the classifier overflows on this picture; leave the picture out")
                found = {"label": classes[int(result.argmax())], "score": None} if classes else {"score": float(result[0])}
                rows.append({"key": key, "label": None, **found, "probabilities": result.tolist() if classes else []})
    write_table(pl.DataFrame(rows, schema=types(Scored)), Scored, scored)
