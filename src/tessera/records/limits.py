"""Limits of what classifiers see: which pictures and clips are beyond them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import model_validator

from tessera.core.errors import TesseraError
from tessera.core.settings import Settings


class ScoreLimit(Settings):
    """The limits of what a classifier sees: of the probability of the class `label` or, if it is None, of the score."""

    label: str | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> "ScoreLimit":
        if self.min is None and self.max is None:
            raise ValueError("should have a `min` or a `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` should not be above `max`")
        return self

    def complaint(self, classifier: str, value: float) -> tuple[str, str]:
        """Return reason and detail, for a ledger, if `value` is beyond a limit; two empty texts if it is not."""
        reason = f"classifier {classifier}" if self.label is None else f"classifier {classifier}: {self.label}"
        if self.max is not None and value > self.max:
            return reason, f"{value:g} > {self.max:g}"
        if self.min is not None and value < self.min:
            return reason, f"{value:g} < {self.min:g}"
        return "", ""


def label_fault(label: str | None, classes: Sequence[str]) -> str:
    """Return why `label` is no label of a classifier with `classes`, none for a score; empty if it is one."""
    if label is None and classes:
        return f"it tells classes apart: set `label` to one of {', '.join(classes)}"
    if label is not None and not classes:
        return "it gives a score: leave `label` out"
    if label is not None and label not in classes:
        return f"it has no class {label!r}: set `label` to one of {', '.join(classes)}"
    return ""


def values_of(tables: Iterable[Path], classifier: str, label: str | None) -> dict[str, float]:
    """Return the probability of the class `label`, or the score, of each item in `tables` (`tables.Scored`), by its key.

    Raises `TesseraError` if the `classifier` has no such class.
    """
    from tessera.records.tables.classification import Scored
    from tessera.records.tables.table import read_table

    values = {}
    for table in tables:
        for row in read_table(table, Scored).iter_rows(named=True):
            if fault := label_fault(label, row["classes"]):
                raise TesseraError(f"a limit of the classifier {classifier!r} does not fit it: {fault}")
            values[row["key"]] = row["score"] if label is None else row["probabilities"][row["classes"].index(label)]
    return values
