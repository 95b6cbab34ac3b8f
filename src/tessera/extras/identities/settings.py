"""Settings of identities."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from tessera.core.files import InputFile
from tessera.core.settings import Fraction, Settings
from tessera.records.identities import DEFAULT

Cosine = Annotated[float, Field(gt=0, lt=1)]


class ReferenceSettings(Settings):
    """Pictures of known identities, and how close a crop must be to them.

    `add`: the crops of each appearance that become pictures of it, the most certain ones; what is left is compared with both.
    """

    folder: InputFile
    similarity: Cosine = 0.6
    certainty: Fraction = 0.1
    add: NonNegativeInt = 0


class ClusterSettings(Settings):
    """How the crops that no reference decides are clustered.

    `rate`, `count`, `members` and `merge` are those of anime_screenshot_pipeline
    (https://github.com/cyber-meow/anime_screenshot_pipeline).
    """

    dense: Cosine = 0.8
    members: int = Field(5, ge=2)
    same: Cosine = 0.7
    merge: Annotated[float, Field(gt=0, le=1)] = 0.85
    rate: Annotated[float, Field(gt=0, le=1)] = 0.6
    count: PositiveInt = 20


class IdentitySettings(Settings):
    """Who or what the crops of one step show."""

    embedding: str
    step: str
    sources: tuple[str, ...] = ()
    references: ReferenceSettings | None = None
    clusters: ClusterSettings = ClusterSettings()
    decisions: Path = DEFAULT
    shown: PositiveInt = Field(24, le=200)
