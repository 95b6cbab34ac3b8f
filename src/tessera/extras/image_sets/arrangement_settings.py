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
    """Levels of folders: `n_characters`, `character`, `fh_ratio` (height of the highest head), `character_string` (with
    appearances), `image_type` (the step), `series`, `source` and `split`.
    """
    maximum_characters: PositiveInt = 6
    """Largest number of characters with a folder of its own: 6 makes `6+_characters` of more."""
    minimum_per_combination: PositiveInt = 10
    """Smallest number of pictures of a combination of characters. Those of others are in `character_others`."""
    weights: InputFile | None = None
    """Table of the weights of folders, with the columns `pattern` and `weight`, or the CSV of anime_screenshot_pipeline.
    Other weights are 1.
    """
    is_balanced: bool = True
    """Whether pictures are repeated so that an epoch shows the folders by their weights."""
    repeats: Literal["integer", "real"] = "real"
    """Whether a picture is repeated a `real` or an `integer` number of times."""
    min_multiply: PositiveFloat = 1.0
    """Smallest number of times that an epoch shows a picture."""
    max_multiply: PositiveFloat = Field(100.0)
    """Largest number of times that an epoch shows a picture."""

    @model_validator(mode="after")
    def _has_bounds(self) -> Self:
        if len(set(self.folders)) < len(self.folders):
            raise ValueError("`folders` should name each level once")
        if self.max_multiply < self.min_multiply:
            raise ValueError("`max_multiply` should be at least `min_multiply`")
        if self.repeats == "integer" and min(self.min_multiply, self.max_multiply) < 1:
            raise ValueError("`min_multiply` should be at least 1, because `repeats` are whole numbers")
        return self
