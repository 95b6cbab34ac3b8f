"""Read and check the dataset of a classifier before the training."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Failed, TesseraError
from tessera.core.log import tell
from tessera.core.messages import Message, pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import digest, verify_checksums
from tessera.imaging.images import read_image
from tessera.learning.classification.settings import Labels, ScoreRange
from tessera.records.tables.classification import Pictures, picture_files
from tessera.records.tables.table import read_table

SPLITS = ("train", "val", "test")
FAULTS_SHOWN = 30
TABLE = "pictures.parquet"


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of a classifier, sorted by key, with the input for each: the file of its picture, or its vector.

    `pictures`: `tables.Pictures`. `targets`: class numbers, int64 (N,), or scores from 0 to 1, float32 (N,). `files`: of the
    pictures, or none if there are `vectors`, float32 (N, features).
    """

    pictures: pl.DataFrame
    targets: np.ndarray
    files: tuple[Path, ...] = ()
    vectors: np.ndarray | None = None

    def indices(self, split: str) -> np.ndarray:
        """Return the numbers of the samples in `split`: int64."""
        return np.flatnonzero((self.pictures["split"] == split).to_numpy())

    def with_splits(self, splits: Sequence[str]) -> "Samples":
        """Return the samples in other `splits`, given in the order of the samples."""
        return replace(self, pictures=self.pictures.with_columns(split=pl.Series(splits, dtype=pl.String)))


def read_samples(dataset: Path, labels: Labels, vectors: Path | None = None) -> Samples:
    """Read the dataset of a classifier. `vectors`: a table of the vectors of its pictures, for a head.

    Pictures that could not be embedded are left out for a head. Raises `TesseraError` that lists every fault: a label that is
    not among `labels`, a score that is no number or out of range, a group in two splits, a missing picture, a broken vector.
    """
    table = dataset / TABLE
    pictures = read_table(table, Pictures).sort("key")
    faults = [*_label_faults(pictures, labels), *_group_faults(pictures)]
    files: tuple[Path, ...] = ()
    embedded: np.ndarray | None = None
    if vectors:
        embedded, known, lost = read_vectors(vectors, pictures["key"].to_list())
        if not known.all():
            share = f"{int((~known).sum()):,} of {pluralize(known.size, 'pictures')}"
            tell(f"left out, because they could not be embedded: {share}; the ledger beside {vectors} says why")
        pictures = pictures.filter(pl.Series(known))
    else:
        stored = picture_files(dataset / "images")
        splits_and_keys = list(pictures.select("split", "key").iter_rows())
        files = tuple(stored[picture] for picture in splits_and_keys if picture in stored)
        lost = [f"{key!r} has no picture in images/{split}" for split, key in splits_and_keys if (split, key) not in stored]
    faults += lost
    if faults:
        raise TesseraError("\n  ".join([f"{table} has {pluralize(len(faults), 'faults')}:", *truncate(faults, FAULTS_SHOWN)]))
    return Samples(pictures, _targets(pictures, labels), files, embedded)


def _label_faults(pictures: pl.DataFrame, labels: Labels) -> list[str]:
    faults: list[Message] = []
    rows = pictures.select("key", "label", "score").iter_rows()
    if isinstance(labels, ScoreRange):
        allowed = f"a number from {labels.least:g} to {labels.most:g} is expected"
        faults += [
            f"{key!r} has the score {score}, {allowed}"
            for key, _, score in rows
            if score is None or not labels.least <= score <= labels.most
        ]
    else:
        known, allowed = set(labels), ", ".join(labels)
        faults += [
            f"{key!r} has the class {label!r}, which is none of {allowed}" for key, label, _ in rows if label not in known
        ]
    return faults


def _group_faults(pictures: pl.DataFrame) -> list[str]:
    divided = (
        pictures.group_by("group").agg(pl.col("split").unique().sort()).filter(pl.col("split").list.len() > 1).sort("group")
    )
    return [f"the group {group!r} is in the splits {' and '.join(splits)}" for group, splits in divided.iter_rows()]


def _targets(pictures: pl.DataFrame, labels: Labels) -> np.ndarray:
    if isinstance(labels, ScoreRange):
        return ((pictures["score"].to_numpy() - labels.least) / (labels.most - labels.least)).astype(np.float32)
    numbers = {name: number for number, name in enumerate(labels)}
    return np.array([numbers[label] for label in pictures["label"]], np.int64)


def read_vectors(path: Path, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the vectors of `keys` from a table, float32 (N, features), which keys have one, bool (keys,), and the faults.

    The table has the columns `key` and `vector`, with lists or arrays of numbers of any precision, all of one length. A key
    without a vector is no fault: the rule that embeds has a row in its ledger, and stops if there are too many. A fault is a
    vector that is not finite. Raises `TesseraError` if it is no such table.
    """
    try:
        table = pl.read_parquet(path, columns=["key", "vector"]).filter(pl.col("key").is_in(keys)).drop_nulls()
        column = table["vector"].arr.to_list() if isinstance(table.schema["vector"], pl.Array) else table["vector"]
        lengths = column.list.len().unique()
        if len(lengths) > 1:
            raise TesseraError(f"{path}: its vectors differ in length; delete it and run again")
        vectors = column.cast(pl.Array(pl.Float32, lengths[0] if len(lengths) else 0)).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise TesseraError(f"{path} is no table of vectors ({error}); delete it and run again") from error
    row_of_key = {key: row for row, key in enumerate(table["key"])}
    known = [key for key in keys if key in row_of_key]
    chosen = vectors[[row_of_key[key] for key in known]]
    broken = np.flatnonzero(~np.isfinite(chosen).all(axis=1))
    faults = [f"{known[row]!r} has a vector that is not finite in {path}" for row in broken]
    return chosen, np.array([key in row_of_key for key in keys], bool), faults


def samples_digest(samples: Samples, dataset: Path) -> str:
    """Return a digest of all that a training reads of `samples`: rows and pictures, the latter as SHA256SUMS lists them."""
    if samples.vectors is not None:
        contents = [hashlib.sha256(np.ascontiguousarray(samples.vectors).tobytes()).hexdigest()]
    else:
        lines = (dataset / "SHA256SUMS").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        contents = [line for line in lines if line.split("  ", 1)[-1].startswith("images/")]
    return digest([samples.pictures.rows(), contents])


def check_pictures(dataset: Path, labels: Labels, report: Path, *, vectors: Path | None, threads: int) -> None:
    """Check the dataset of a classifier, and write its counts by split, class and source to `report`, JSON.

    Raises `TesseraError` that lists every fault: those of `read_samples`, a picture that cannot be decoded, a file that differs
    from its checksum, too few pictures to learn from. A class that the training or validation split lacks is reported only.
    """
    samples = read_samples(dataset, labels, vectors)
    faults: list[Message] = verify_checksums(dataset / "SHA256SUMS")
    with ThreadPoolExecutor(threads) as pool:
        faults += filter(None, pool.map(_picture_fault, progress(samples.files, unit="pictures")))
    trained = samples.targets[samples.indices("train")]
    if len(np.unique(trained)) < 2:
        there = pluralize(len(trained), "pictures")
        faults.append(
            f"the training split has {there}, and all of one label: there is nothing to learn; label more pictures, from more"
            " sources"
        )
    if faults:
        listed = [f"the dataset {dataset} has {pluralize(len(faults), 'faults')}:", *truncate(faults, FAULTS_SHOWN)]
        raise TesseraError("\n  ".join(listed) + "\nfix them and run again")
    for remark in remarks(samples, labels):
        tell(remark)
    content = {"digest": samples_digest(samples, dataset), **_counts(samples, labels)}
    report.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _picture_fault(file: Path) -> str:
    try:
        read_image(file)
    except Failed as error:
        return f"{file}: {error}"
    return ""


def remarks(samples: Samples, labels: Labels) -> list[str]:
    """Return what the user should know of a dataset from which a classifier can be trained, but not well."""
    pictures = samples.pictures
    warnings = (
        []
        if len(samples.indices("val"))
        else [
            "the validation split has no picture: the last weights count as the best, and the results are not calibrated;"
            " label pictures of more sources"
        ]
    )
    there = set(pictures["split"])
    for name in labels if isinstance(labels, tuple) else ():
        rows = pictures.filter(label=name)
        missing = [split for split in SPLITS if split in there and split not in set(rows["split"])]
        groups = rows["group"].n_unique()
        if rows.is_empty():
            warnings.append(f"no picture has the class {name!r}: it will not be learned; label some, or remove the class")
        elif "train" in missing:
            warnings.append(
                f"the class {name!r} has no picture in the training split: it will not be learned; set `split: train` for one"
                " of its sources"
            )
        elif missing:
            warnings.append(
                f"the class {name!r} has {pluralize(len(rows), 'pictures')} from {pluralize(groups, 'groups')}, and none in"
                f" {' and '.join(missing)}: there it is not measured; label pictures of more sources, or set"
                " `split_by: image` for its set"
            )
    return warnings


def _counts(samples: Samples, labels: Labels) -> dict[str, Any]:
    classes = labels if isinstance(labels, tuple) else ()
    content: dict[str, Any] = {"classes": list(classes), "splits": {}}
    for split in SPLITS:
        rows = samples.pictures.filter(split=split)
        if len(rows):
            by_class = Counter(rows["label"])
            content["splits"][split] = {
                "pictures": len(rows),
                "sources": rows["source"].n_unique(),
                **({"classes": {name: by_class[name] for name in classes}} if classes else {}),
            }
    return content
