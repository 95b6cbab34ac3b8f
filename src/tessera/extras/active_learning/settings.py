"""Settings of active learning."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tessera.core.settings import Settings


class HardNegativeSettings(Settings):
    """Pictures of footage that shows none of `free_of`, its column in the manifest, and should thus have the class `label`."""

    free_of: str
    """What the footage shows none of, as its column `free_of` in the manifest says."""
    label: str
    """Class that such pictures should have."""
    fraction: float = Field(0.2, gt=0, le=1)
    """Largest part of a round that they may be, from 0 to 1."""


class AskSettings(Settings):
    """Which pictures people are asked to label.

    `model`: a classifier. `answers`: the set in `annotations.image_labels` whose folder gets the pictures. `candidates`: for
    each picture that is taken; the least certain pictures are candidates, and those that differ most are taken. `embedding`:
    what they differ in; None for perceptual hashes. `order`: which pictures are candidates.
    """

    model: str | None = None
    """Classifier with classes that learns from the answers. `null` asks for nothing."""
    answers: str = "asked"
    """Name of the set in `annotations.image_labels` that the answers belong to. Its folder gets a folder for each round, and
    its `format` decides how you answer, see docs/active_learning.md.
    """
    count: PositiveInt = 100
    """Number of pictures to train on in each round."""
    validation: NonNegativeInt = 50
    """Number of pictures to measure the classifier on. The first round asks for them, drawn at random."""
    candidates: float = Field(3.0, ge=1, le=1000)
    """Number of candidates for each picture that is taken. The candidates are the pictures that the classifier is least certain
    about; of these, the ones that differ most are taken. 1 takes the least certain ones, even if they look alike.
    """
    embedding: str | None = None
    """Name of one of `embeddings`, in whose vectors the pictures differ. `null` compares perceptual hashes."""
    order: Literal["uncertain", "certain", "random"] = "uncertain"
    """Which pictures are candidates: those that the classifier is `uncertain` about, those that it is `certain` about, to check
    what it knows, or none of both: `random` draws the pictures.
    """
    hard_negatives: HardNegativeSettings | None = None
    """Pictures that the classifier gets wrong with certainty, in footage that shows none of what the column `free_of` of the
    manifest names. `fraction` is the largest part of a round. For example: {free_of: watermark, label: clean, fraction: 0.2}.
    """
