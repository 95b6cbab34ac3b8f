"""What a classifier is, and how it is applied: the content of the metadata of its file, and the settings of tiling."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from tessera.core.settings import Settings
from tessera.learning.preprocessing import Preprocessing

LAST = "down.5"  # the last layer of a head
HEAD = "head"  # the architecture that classifies vectors of an embedding, not pictures
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(map(repr, doubled))} stands twice; name each class once")
    return names


Classes = Annotated[tuple[Name, ...], Field(min_length=2), AfterValidator(_different)]


class ScoreRange(Settings):
    """The labels of a classifier that gives a score: numbers from `least` to `most`."""

    least: float = 0.0
    """Smallest score."""
    most: float = 1.0
    """Largest score."""

    @model_validator(mode="after")
    def _is_a_range(self) -> "ScoreRange":
        if self.least >= self.most:
            raise ValueError("`least` should be below `most`")
        return self


Labels = Classes | ScoreRange


class Description(Settings):
    """A classifier: its labels and its network.

    `architecture`: a name of timm, or `head` for a network of `hidden` units on vectors of `features` numbers from
    `embedding`. `preparation`: of its pictures, None for a head. Logits are divided by `temperature`.
    """

    labels: Labels
    architecture: str
    preparation: Preprocessing | None = None
    embedding: str | None = None
    features: int | None = Field(None, ge=1, le=65536)
    hidden: int | None = Field(None, ge=1, le=8192)
    temperature: PositiveFloat = 1.0

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; none for a score."""
        return self.labels if isinstance(self.labels, tuple) else ()

    @property
    def outputs(self) -> int:
        """The number of logits."""
        return len(self.classes) or 1


class Tiling(Settings):
    """How a large picture is divided into tiles, and how their results are combined."""

    tile: PositiveInt | None = None
    """Side of a tile in pixels. A picture whose shorter side exceeds it is divided into five tiles: the corners and the middle.
    `null` takes twice the side of the network's input.
    """
    side: PositiveInt = 1536
    """Longest shorter side in pixels. A larger picture is scaled down to it first; none is enlarged."""
    combine: Literal["mean", "median", "max", "min"] = "mean"
    """What the results of the tiles become: their `mean`, `median`, `max` or `min`."""

    @model_validator(mode="after")
    def _tiles_fit(self) -> "Tiling":
        if self.tile is not None and self.tile > self.side:
            raise ValueError("`tile` should not be above `side`, because a picture scaled to `side` holds no larger tile")
        return self
