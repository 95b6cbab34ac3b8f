"""Divide the pictures of a classifier into folds, each of which is predicted by a classifier of the others."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.job import tell
from tessera.core.messages import counted
from tessera.core.seeds import generator
from tessera.imaging.classification.settings import Labels, ScoreRange
from tessera.pipeline.classifiers.dataset import TABLE, Samples
from tessera.records.tables.classification import Folds, Pictures, Predictions
from tessera.records.tables.table import read_table, read_tables, write_table

STRATA = 10  # ranges of a score that are divided evenly


def divide_into_folds(dataset: Path, folds: Path, labels: Labels, *, count: int, seed: int) -> None:
    """Write the fold of each picture of `dataset` to `folds` (`tables.Folds`), `count` folds or as many as there are groups.

    Groups are never divided, and each fold gets about the same fraction of each class, or of ten ranges of a score. What that
    cannot give is reported: a class in fewer groups than folds is missing from some.
    Raises `TesseraError` if all pictures are of one group.
    """
    pictures = read_table(dataset / TABLE, Pictures)
    frame, remarks = assign_folds(pictures, labels, count, seed)
    for remark in remarks:
        tell(remark)
    write_table(frame, Folds, folds)


def assign_folds(pictures: pl.DataFrame, labels: Labels, count: int, seed: int) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows of `tables.Folds` for `tables.Pictures`, and what the user should know. See `divide_into_folds`."""
    from sklearn.model_selection import StratifiedGroupKFold

    # The result depends on the order.
    pictures = pictures.sort("key")
    groups = pictures["group"].n_unique()
    if groups < 2:
        raise TesseraError(
            f"the {counted(len(pictures), 'pictures')} are of one group, which is never divided: no fold can be predicted by a"
            " classifier of the others; label pictures of more sources"
        )
    used = min(count, groups)
    remarks = [f"{counted(groups, 'groups')}: {used} folds in place of {count}"] if used < count else []
    strata = _strata(pictures, labels)
    chosen = int(generator(seed, "classifier folds", "").integers(2**31))
    splitter = StratifiedGroupKFold(n_splits=used, shuffle=True, random_state=chosen)
    folds = np.zeros(len(pictures), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with few pictures, which are reported below
        # It refuses if every class has fewer pictures than there are folds; then nothing can be stratified.
        if max(np.bincount(strata)) < used:
            strata = np.zeros_like(strata)
        for number, (_, held_out) in enumerate(splitter.split(strata, strata, pictures["group"].to_numpy())):
            folds[held_out] = number
    frame = pictures.select("key", fold=pl.Series(folds))
    return frame, [*remarks, *_class_remarks(pictures, labels, used)]


def _strata(pictures: pl.DataFrame, labels: Labels) -> np.ndarray:
    """Return the number of the class of each picture, or of the tenth of the ranks of its score: int64 (N,)."""
    if isinstance(labels, ScoreRange):
        ranks = pictures["score"].rank("ordinal").to_numpy() - 1
        return np.asarray(ranks * min(STRATA, len(pictures)) // len(pictures), np.int64)
    names = {name: number for number, name in enumerate(labels)}
    return np.array([names[label] for label in pictures["label"]], np.int64)


def _class_remarks(pictures: pl.DataFrame, labels: Labels, folds: int) -> list[str]:
    remarks = []
    for name in labels if isinstance(labels, tuple) else ():
        rows = pictures.filter(label=name)
        groups = rows["group"].n_unique()
        if groups == 1:
            remarks.append(
                f"the class {name!r} has {counted(len(rows), 'pictures')} from one group: the classifier that predicts them has"
                " not learned this class; label pictures of more sources"
            )
        elif 1 < groups < folds:
            remarks.append(
                f"the class {name!r} has {counted(groups, 'groups')}, so that it is missing from some of {folds} folds"
            )
    return remarks


def with_fold(samples: Samples, folds: Path, fold: int) -> Samples:
    """Return `samples` with the splits of a fold: `test` for its own pictures, `val` for those of the next one, else `train`.

    The validation split is another fold, because early stopping and calibration must not see the pictures that are predicted.
    With two folds there is none. `folds`: `tables.Folds` of the same pictures. A fold above those in use has no pictures.
    """
    table = read_table(folds, Folds)
    numbers = dict(table.iter_rows())
    keys = samples.pictures["key"]
    if set(numbers) != set(keys):
        raise TesseraError(f"{folds} is of other pictures than the dataset; delete it and run again")
    used = max(numbers.values()) + 1
    following = (fold + 1) % used if used > 2 else None
    names = {fold: "test", following: "val"}
    return samples.with_splits([names.get(numbers[key], "train") for key in keys])


def join_predictions(dataset: Path, tables: Sequence[Path], path: Path) -> None:
    """Write the out-of-fold predictions in `tables`, one for each fold, to `path` (`tables.Predictions`), sorted by key.

    Raises `TesseraError` unless each picture of `dataset` is predicted exactly once.
    """
    rows = read_tables(list(tables), Predictions)
    expected = sorted(read_table(dataset / TABLE, Pictures)["key"])
    if sorted(rows["key"]) != expected:
        raise TesseraError(
            f"the folds predict {counted(len(rows), 'pictures')}, and the dataset has {len(expected):,}; delete the folder of"
            " the folds and run again"
        )
    write_table(rows.sort("key"), Predictions, path)
