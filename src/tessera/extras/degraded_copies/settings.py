"""Settings of concepts that are taught by degraded copies of clean frames."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from tessera.core.settings import Settings
from tessera.imaging.degradation.settings import Step


class Level(Settings):
    """A level of a concept: the class or the score of its copies, and the steps that degrade them."""

    label: str | None = Field(None, min_length=1)
    """Class of the copies at this level. A level has a `label` or a `score`."""
    score: float | None = None
    """Score of the copies at this level."""
    steps: tuple[Step, ...] = ()
    """Steps that degrade the copies, in order. They are those of the section `degradations`. Without steps, they are not
    degraded.
    """

    @model_validator(mode="after")
    def _has_one_meaning(self) -> Self:
        if (self.label is None) == (self.score is None):
            raise ValueError("a level should have a `label` or a `score`, and not both")
        return self


class ConceptSettings(Settings):
    """The frames that are copied, and the levels: each frame gets one copy per level."""

    frames_per_source: PositiveInt = 50
    """Largest number of frames per source, evenly spaced."""
    max_side: int | None = Field(512, ge=32)
    """Longest side of a frame in pixels. Larger frames are scaled down. `null` keeps the size."""
    levels: tuple[Level, ...] = Field(min_length=2)
    """Levels of the degradation, at least two. Each frame gets one copy per level."""

    @model_validator(mode="after")
    def _levels_are_of_one_kind(self) -> Self:
        if len({level.label is None for level in self.levels}) > 1:
            raise ValueError("all levels should have a `label`, or all a `score`")
        return self
