"""Divide the pictures of a classifier into folds, each of which is predicted by a classifier of the others."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.seeds import generator
from tessera.extras.classifiers.dataset import TABLE, Samples, read_vectors
from tessera.learning.classification.settings import Labels, ScoreRange
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
            f"the {pluralize(len(pictures), 'pictures')} are of one group, which is never divided: no fold can be predicted by"
            " a classifier of the others; label pictures of more sources"
        )
    used = min(count, groups)
    remarks = [f"{pluralize(groups, 'groups')}: {used} folds in place of {count}"] if used < count else []
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
    _fill_empty(folds, pictures["group"].to_list(), used)
    frame = pictures.select("key", fold=pl.Series(folds))
    return frame, [*remarks, *_class_remarks(pictures, labels, used)]


def _fill_empty(folds: np.ndarray, groups: Sequence[str], count: int) -> None:
    """Give each of `count` folds that is empty a group, in place: the smallest one of the fold with the most groups.

    The splitter balances classes, and sometimes leaves a fold without a group. `folds`: int64 (N,), of pictures in `groups`.
    """
    sizes, fold_of = Counter(groups), dict(zip(groups, folds.tolist(), strict=True))
    for empty in sorted(set(range(count)) - set(fold_of.values())):
        fullest = Counter(fold_of.values()).most_common(1)[0][0]
        moved = min((group for group, fold in fold_of.items() if fold == fullest), key=lambda group: (sizes[group], group))
        fold_of[moved] = empty
    folds[:] = [fold_of[group] for group in groups]


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
                f"the class {name!r} has {pluralize(len(rows), 'pictures')} from one group: the classifier that predicts them"
                " has not learned this class; label pictures of more sources"
            )
        elif 1 < groups < folds:
            remarks.append(
                f"the class {name!r} has {pluralize(groups, 'groups')}, so that it is missing from some of {folds} folds"
            )
    return remarks


def with_fold(samples: Samples, folds: Path, fold: int) -> Samples:
    """Return `samples` with the splits of a fold: `test` for its own pictures, `val` for those of the next one, else `train`.

    The validation split is another fold, because early stopping and calibration must not see the pictures that are predicted.
    With two folds there is none. `folds`: `tables.Folds` of the same pictures, and of those that were left out for want of a
    vector. A fold above those in use has no pictures.
    """
    table = read_table(folds, Folds)
    numbers = dict(table.iter_rows())
    keys = samples.pictures["key"]
    if set(numbers) != set(keys) and (samples.vectors is None or not set(numbers).issuperset(keys)):
        raise TesseraError(f"{folds} is of other pictures than the dataset; delete it and run again")
    names = dict.fromkeys(held_out(fold, max(numbers.values()) + 1), "val") | {fold: "test"}
    return samples.with_splits([names.get(numbers[key], "train") for key in keys])


def held_out(fold: int, folds: int) -> set[int]:
    """Return the folds from which the classifier that predicts `fold` does not learn, of so many `folds`."""
    return {fold, (fold + 1) % folds} if folds > 2 else {fold}


def join_predictions(dataset: Path, vectors: Path | None, tables: Sequence[Path], path: Path) -> None:
    """Write the out-of-fold predictions in `tables`, one for each fold, to `path` (`tables.Predictions`), sorted by key.

    Raises `TesseraError` unless each picture of `dataset` that has one of the `vectors`, if any, is predicted exactly once.
    """
    rows = read_tables(list(tables), Predictions)
    expected = sorted(read_table(dataset / TABLE, Pictures)["key"])
    if vectors:
        expected = [key for key, is_known in zip(expected, read_vectors(vectors, expected)[1], strict=True) if is_known]
    if sorted(rows["key"]) != expected:
        raise TesseraError(
            f"the folds predict {pluralize(len(rows), 'pictures')}, and the dataset has {len(expected):,}; delete the folder of"
            " the folds and run again"
        )
    write_table(rows.sort("key"), Predictions, path)
