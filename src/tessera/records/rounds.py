"""The rounds of `snakemake ask`: folders of pictures whose labels were asked for, which are written once and never changed."""

import json
import re
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tessera.core.errors import TesseraError
from tessera.core.settings import Settings

ROUND = re.compile(r"round-\d{3,6}")  # the name of the folder of a round
RECORD = ".round.json"  # a file in it, hidden from those who read labels
METRICS = ("accuracy", "mae")  # of classes, and of scores


class Reached(Settings):
    """What a classifier had reached: with how many labelled pictures it was trained, and a metric with its interval.

    `measured`: the number of other pictures that it was measured on. `low` and `high`: None if these are of too few sources.
    """

    labels: int
    measured: int
    metric: str
    value: float
    low: float | None = None
    high: float | None = None


class AskedPicture(Settings):
    """A picture whose label was asked for. `key`: of its frame. `margin`: None if there was no classifier yet."""

    key: str
    split: Literal["train", "val"]
    why: str
    predicted: str | None = None
    margin: float | None = None


class Round(Settings):
    """A round: its classifier, what that had reached before, None if it was not trained yet, and the pictures."""

    model: str
    reached: Reached | None
    asked: tuple[AskedPicture, ...]


def round_name(number: int) -> str:
    """Return the name of the folder of a round, the first of which has the number 1."""
    return f"round-{number:03d}"


def read_rounds(folder: Path) -> list[Round]:
    """Return the rounds in `folder`, in the order in which they were asked. Raises `TesseraError` if a record is damaged."""
    if not folder.is_dir():
        return []
    folders = [path for path in folder.iterdir() if ROUND.fullmatch(path.name) and (path / RECORD).is_file()]
    return [_read(path / RECORD) for path in sorted(folders, key=lambda path: int(path.name.rpartition("-")[2]))]


def _read(path: Path) -> Round:
    try:
        return Round.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise TesseraError(f"{path} is damaged ({error.errors()[0]['msg']}); restore it, or delete its folder") from None


def reached(metrics: Path, pictures: Path) -> Reached:
    """Return what a classifier has reached, on the split test if it has one, else on val.

    `metrics`: the JSON file that `evaluate_classifier` writes. `pictures`: its dataset, `tables.Pictures`.
    """
    from tessera.records.tables.classification import Pictures
    from tessera.records.tables.table import read_table

    splits = json.loads(metrics.read_text(encoding="utf-8"))["splits"]
    measured = splits["test" if "test" in splits else "val"]
    metric = next(name for name in METRICS if name in measured)
    ends = measured["intervals"].get(metric) if isinstance(measured["intervals"], dict) else None
    low, high = ends or (None, None)
    count = read_table(pictures, Pictures).filter(split="train").height
    return Reached(labels=count, measured=measured["pictures"], metric=metric, value=measured[metric], low=low, high=high)
