"""Choose the confidence of a detector by what it finds and misses on the validation split."""

import copy
import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.settings import Settings

if TYPE_CHECKING:
    import polars as pl


class ConfidenceTarget(Settings):
    """What a confidence must reach on the validation split: a precision, or a recall."""

    target: Literal["precision", "recall"]
    """What the confidence must reach on the validation split: a `precision` or a `recall`."""
    at_least: float = Field(gt=0, lt=1)
    """Smallest precision or recall, between 0 and 1."""


def decisive(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Return the rows of each model that compare by masks, if there are any, else those that compare by boxes.

    `rows`: of `tables.Objects` or `tables.Detections`.
    """
    import polars as pl

    return rows.filter(pl.col("kind") == pl.col("kind").max().over("model"))


def confidence_for(
    wanted: ConfidenceTarget, objects: "pl.DataFrame", detections: "pl.DataFrame", lowest: float
) -> float | None:
    """Return the confidence from `lowest` on that meets a target and keeps as much as possible besides it; None for none.

    For a precision, it is the lowest confidence from which so many of the detections are right; for a recall, the highest from
    which so many objects are found. `objects`, `detections`: rows of one model, split and kind.
    """
    if wanted.target == "recall":
        detected = np.sort(objects["score"].drop_nulls().to_numpy())[::-1]
        required = max(1, math.ceil(wanted.at_least * len(objects) - 1e-9))
        meets = detected[required - 1 : required]
    else:
        ordered = detections.sort("score", descending=True)
        scores = ordered["score"].to_numpy()
        precision = np.cumsum(ordered["matched"].to_numpy() >= 0) / np.arange(1, len(scores) + 1)
        # Detections of equal confidence count together: the last of them has the precision of all.
        last = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
        meets = scores[last & (precision >= wanted.at_least)]
    meets = meets[meets >= lowest]
    return float(meets[-1]) if len(meets) else None


def with_confidences(
    settings: Mapping[str, Any], part: str, targets: Sequence[Mapping[str, Any]], measured: Sequence[Path]
) -> dict[str, Any]:
    """Return `settings`, the `part` of the configuration, with a confidence in place of each of `targets` in it.

    `targets`: for each its `place`, a path of settings, and `lowest`, the confidence from which the detections are recorded
    where it is used. `measured`: for each its `tables.Objects` and its `tables.Detections`, one after the other. Raises
    `TesseraError` if no confidence from `lowest` on meets the target on the validation split.
    """
    stated = copy.deepcopy(dict(settings))
    for target, objects, detections in zip(targets, measured[::2], measured[1::2], strict=True):
        path = target["place"]
        if path.startswith(f"{part}."):
            *parents, name = path.removeprefix(f"{part}.").split(".")
            holder = reduce(getitem, parents, stated)
            holder[name] = _read_confidence(ConfidenceTarget(**holder[name]), path, objects, detections, target["lowest"])
            tell(f"{path} is {holder[name]:.3f}")
    return stated


def _read_confidence(wanted: ConfidenceTarget, setting: str, objects: Path, detections: Path, lowest: float) -> float:
    from tessera.records.tables.evaluation import Detections, Objects
    from tessera.records.tables.table import read_table

    labelled, detected = (
        decisive(read_table(path, schema).filter(split="val"))
        for path, schema in ((objects, Objects), (detections, Detections))
    )
    level = confidence_for(wanted, labelled, detected, lowest)
    if level is None:
        raise TesseraError(
            f"`{setting}` asks for a {wanted.target} of {wanted.at_least:g}, and no confidence from {lowest:g} on reaches that"
            " on the validation split; lower `at_least`, or state a confidence"
        )
    return level
