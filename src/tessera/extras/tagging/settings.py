"""Settings of the tagger."""

from collections.abc import Collection
from typing import Annotated, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from tessera.core.settings import Settings
from tessera.learning.weights.declare import WeightsSettings

FRAMES = "frames"  # what `of` calls the sampled frames
Threshold = Annotated[float, Field(gt=0, le=1)] | None


class TagThresholds(Settings):
    """The smallest score of a tag of each category; null leaves the category out."""

    general: Threshold = 0.35
    """Smallest score of tags of what is shown."""
    character: Threshold = 0.85
    """Smallest score of names of characters."""
    copyright: Threshold = 0.35
    """Smallest score of names of series."""
    artist: Threshold = 0.35
    """Smallest score of names of artists."""
    rating: Threshold = 0.5
    """Smallest score of ratings."""
    meta: Threshold = None
    """Smallest score of tags of the picture itself, such as its medium."""


class TaggerSettings(Settings):
    """A tagger, and the pictures that it tags. The defaults of the thresholds are those of WD14."""

    weights: WeightsSettings
    """ONNX model, {source: a path or https://…, sha256: …}: one input (pictures, size, size, 3), and a score from 0 to 1 for
    each tag.
    """
    tags: WeightsSettings
    """List of its tags, {source: a path or https://…, sha256: …}: a CSV with the columns `name` and `category`."""
    of: tuple[str, ...] = Field((FRAMES,), min_length=1)
    """What is tagged: `frames`, the sampled ones, and names of steps in `crops`."""
    batch: PositiveInt = Field(8, le=1024)
    """Pictures at a time. Lower it if the GPU runs out of memory."""
    floor: float = Field(0.05, gt=0, le=1)
    """Smallest score that is recorded. No threshold can be lower."""
    thresholds: TagThresholds = TagThresholds()
    """Smallest score of a tag of each category. `null` leaves the category out."""

    @field_validator("weights")
    @classmethod
    def _is_onnx(cls, weights: WeightsSettings) -> WeightsSettings:
        if not weights.file.endswith(".onnx"):
            raise ValueError("should be an ONNX model (.onnx)")
        return weights

    @field_validator("tags")
    @classmethod
    def _is_a_tag_list(cls, tags: WeightsSettings) -> WeightsSettings:
        if not tags.file.endswith(".csv"):
            raise ValueError("should be the tag list of the model (.csv)")
        return tags

    @model_validator(mode="after")
    def _thresholds_are_recorded(self) -> Self:
        low = {name: value for name, value in self.thresholds if value is not None and value < self.floor}
        if low:
            listed = ", ".join(f"`thresholds.{name}: {value:g}`" for name, value in low.items())
            raise ValueError(f"{listed}, and nothing below {self.floor:g} is recorded: lower `floor`")
        return self


def tagger_faults(tagger: TaggerSettings | None, steps: Collection[str]) -> list[str]:
    """Return what is wrong with the settings of the `tagger` as a whole. `steps`: the names of those of crops."""
    unknown = [name for name in tagger.of if name not in {FRAMES, *steps}] if tagger else []
    allowed = ", ".join([FRAMES, *steps])
    return [f"`tagger.of` names {name!r}, which is no step of `crops.steps`; allowed: {allowed}" for name in unknown]
