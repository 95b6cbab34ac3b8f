"""Settings of active learning."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tessera.core.settings import Settings


class HardNegativeSettings(Settings):
    """Pictures of footage that shows none of `free_of`, its column in the manifest, and should thus have the class `label`."""

    free_of: str
    label: str
    fraction: float = Field(0.2, gt=0, le=1)


class AskSettings(Settings):
    """Which pictures people are asked to label.

    `model`: a classifier. `answers`: the set in `annotations.image_labels` whose folder gets the pictures. `candidates`: for
    each picture that is taken; the least certain pictures are candidates, and those that differ most are taken. `embedding`:
    what they differ in; None for perceptual hashes. `order`: which pictures are candidates.
    """

    model: str | None = None
    answers: str = "asked"
    count: PositiveInt = 100
    validation: NonNegativeInt = 50
    candidates: float = Field(3.0, ge=1, le=1000)
    embedding: str | None = None
    order: Literal["uncertain", "certain", "random"] = "uncertain"
    hard_negatives: HardNegativeSettings | None = None
