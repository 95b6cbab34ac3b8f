"""Limits of the scores of clips, and of what classifiers see: which clips and pictures are beyond them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.settings import Fraction, Settings

Positive = Annotated[float, Field(ge=0)]


class ScoreLimit(Settings):
    """The limits of what a classifier sees: of the probability of the class `label` or, if it is None, of the score."""

    label: str | None = None
    """Class whose probability is limited. A classifier that gives a score has none."""
    min: float | None = None
    """Smallest probability or score."""
    max: float | None = None
    """Largest probability or score."""
    even_if_chance: bool = False
    """Whether the limit also counts if the classifier, trained here, is no better than chance."""

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


IGNORED = "no better than chance: not filtered by"  # the reason of what only an ignored limit would leave out


def no_better_than_chance(measured: Mapping[str, Any]) -> str:
    """Return why a classifier is no better than chance, empty if it is better or nobody knows. `measured`: its metrics, JSON.

    The validation split decides; without one, the test split. Metrics of older versions do not say.
    """
    splits = measured.get("splits", {})
    chance = splits.get("val", splits.get("test", {})).get("chance", {})
    if chance.get("is_better") is not False:
        return ""
    reasons = [
        f"{metric.replace('_', ' ')} {low:.3f} to {high:.3f}, {chance['guessed'][metric]:.3f} by guessing"
        for metric, (low, high) in chance["intervals"].items()
        if low <= chance["guessed"][metric]
    ]
    return "; ".join(reasons)


def ignored_limits(limits: Mapping[str, ScoreLimit], metrics: Iterable[Path]) -> dict[str, str]:
    """Return which of `limits`, by classifier, are ignored because it is no better than chance, and why; each is logged.

    `metrics`: `CLASSIFIER.json` of the classifiers that were trained here; limits of others always count. So does a limit that
    is set `even_if_chance`.
    """
    ignored = {}
    for path in metrics:
        name = path.stem
        if not limits[name].even_if_chance and (why := no_better_than_chance(json.loads(path.read_text(encoding="utf-8")))):
            tell(f"{name} is no better than chance ({why}): it filters nothing; set `even_if_chance: true` beside its limit to")
            ignored[name] = why
    return ignored


class FilterSettings(Settings):
    """The limits of the scores of clips. A clip beyond a limit is dropped; null turns a filter off."""

    max_watermark: Fraction | None = 0.25
    """Largest fraction of the frames with a watermark."""
    max_mosaic: Fraction | None = 0.25
    """Largest fraction of the frames with a mosaic."""
    min_nsfw: Fraction | None = 0.1
    """Smallest fraction of the frames in which the second detector detects something."""
    max_clipped: Fraction | None = 0.95
    """Largest fraction of the pixels that are black or white."""
    min_brightness: Fraction | None = None
    """Smallest mean brightness, from 0 (black) to 1 (white)."""
    max_brightness: Fraction | None = None
    """Largest mean brightness, from 0 (black) to 1 (white)."""
    min_sharpness: Positive | None = None
    """Smallest variance of the Laplacian at 256 pixels a side. Below about 50, a picture looks blurred."""
    max_blockiness: Positive | None = None
    """Largest visibility of the 8 by 8 blocks of compression. 1 means invisible, 2 is a JPEG of quality 40, 3 one of quality
    20.
    """
    min_motion: Positive | None = None
    """Slowest motion, in sides of the picture per second. It leaves out stills."""
    max_motion: Positive | None = None
    """Fastest motion, in sides of the picture per second."""
    max_jump: Fraction | None = None
    """Largest change of the mask from one frame to the next: 1 minus the intersection over the union. A steady region stays
    below 0.5.
    """
    min_quality: Fraction | None = 0.1
    """Smallest overall quality as DOVER measures it, from 0 to 1."""
    duplicates: float | None = Field(6.0, ge=0, le=8)
    """Largest mean number of bits, of 64, in which the perceptual hashes of two clips differ that count as duplicates. 0 to 8.
    Re-encoded footage differs in 1 or 2 bits, and the same camera a little later in 12 or more. The clip with the most frames
    times pixels stays.
    """
    classifiers: dict[str, ScoreLimit] = Field({})
    """Limits of what the classifiers in `scores.classifiers` see, by their names, such as {compression: {label: compressed,
    max: 0.5}}: `label` is the class whose probability must be at most `max` and at least `min`. A classifier that gives a score
    has none, such as {sharpness: {min: 0.3}}. A classifier that was trained here and is no better than chance on the validation
    split filters nothing, unless its limit also has `even_if_chance: true`.
    """


# The first filter that a clip fails, in this order, gives its reason.
REASONS = {
    "max_watermark": "watermark",
    "max_mosaic": "already mosaicked",
    "min_nsfw": "second detector disagrees",
    "max_clipped": "black or white",
    "min_brightness": "too dark",
    "max_brightness": "too bright",
    "min_sharpness": "blurred",
    "max_blockiness": "blocky",
    "min_motion": "still",
    "max_motion": "too fast",
    "max_jump": "mask jumps",
    "min_quality": "poor quality",
}


def label_fault(label: str | None, classes: Sequence[str]) -> str:
    """Return why `label` is no label of a classifier with `classes`, none for a score; empty if it is one."""
    if label is None and classes:
        return f"it predicts classes: set `label` to one of {', '.join(classes)}"
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
