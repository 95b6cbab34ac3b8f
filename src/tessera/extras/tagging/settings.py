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
    character: Threshold = 0.85
    copyright: Threshold = 0.35
    artist: Threshold = 0.35
    rating: Threshold = 0.5
    meta: Threshold = None


class TaggerSettings(Settings):
    """A tagger, and the pictures that it tags. The defaults of the thresholds are those of WD14."""

    weights: WeightsSettings
    tags: WeightsSettings
    of: tuple[str, ...] = Field((FRAMES,), min_length=1)
    batch: PositiveInt = Field(8, le=1024)
    floor: float = Field(0.05, gt=0, le=1)
    thresholds: TagThresholds = TagThresholds()

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
