"""Settings of concepts that are taught by degraded copies of clean frames."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from tessera.core.settings import Settings
from tessera.imaging.degradation.settings import Step


class Level(Settings):
    """A level of a concept: the class or the score of its copies, and the steps that degrade them."""

    label: str | None = Field(None, min_length=1)
    score: float | None = None
    steps: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _has_one_meaning(self) -> Self:
        if (self.label is None) == (self.score is None):
            raise ValueError("a level should have a `label` or a `score`, and not both")
        return self


class ConceptSettings(Settings):
    """The frames that are copied, and the levels: each frame gets one copy per level."""

    frames_per_source: PositiveInt = 50
    max_side: int | None = Field(512, ge=32)
    levels: tuple[Level, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _levels_are_of_one_kind(self) -> Self:
        if len({level.label is None for level in self.levels}) > 1:
            raise ValueError("all levels should have a `label`, or all a `score`")
        return self
