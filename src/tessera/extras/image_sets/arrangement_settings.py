"""Settings of the arrangement of image sets in folders, and of the balance between these."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from tessera.core.files import InputFile
from tessera.core.settings import Settings

Level = Literal["n_characters", "character", "fh_ratio", "character_string", "image_type", "series", "source", "split"]
OF_IDENTITIES = {"n_characters", "character", "character_string"}  # levels that are made of identities


class ArrangementSettings(Settings):
    """In which folders pictures are placed, and how often those of each folder are repeated."""

    folders: tuple[Level, ...] = ()
    maximum_characters: PositiveInt = 6
    minimum_per_combination: PositiveInt = 10
    weights: InputFile | None = None
    is_balanced: bool = True
    repeats: Literal["integer", "real"] = "real"
    min_multiply: PositiveFloat = 1.0
    max_multiply: PositiveFloat = Field(100.0)

    @model_validator(mode="after")
    def _has_bounds(self) -> Self:
        if len(set(self.folders)) < len(self.folders):
            raise ValueError("`folders` should name each level once")
        if self.max_multiply < self.min_multiply:
            raise ValueError("`max_multiply` should be at least `min_multiply`")
        if self.repeats == "integer" and min(self.min_multiply, self.max_multiply) < 1:
            raise ValueError("`min_multiply` should be at least 1, because `repeats` are whole numbers")
        return self
