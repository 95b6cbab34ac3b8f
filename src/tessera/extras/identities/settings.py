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
    """Folder of the pictures, IDENTITY/APPEARANCE/…/FILE. Those in folders whose names start with `noise` show what is to be
    rejected.
    """
    similarity: Cosine = 0.6
    """Smallest mean cosine of the vector of a crop with those of the pictures of an appearance."""
    certainty: Fraction = 0.1
    """Smallest margin to the next identity, as a fraction of what is possible."""
    add: NonNegativeInt = 0
    """Number of crops of each appearance, the most certain ones, that become pictures of it and decide on the others."""


class ClusterSettings(Settings):
    """How the crops that no reference decides are clustered.

    `rate`, `count`, `members` and `merge` are those of anime_screenshot_pipeline
    (https://github.com/cyber-meow/anime_screenshot_pipeline).
    """

    dense: Cosine = 0.8
    """Smallest cosine of the vectors of two neighbours in a cluster."""
    members: int = Field(5, ge=2)
    """Smallest number of neighbours that a crop has in the dense part of a cluster, and of members of a cluster."""
    same: Cosine = 0.7
    """Smallest cosine of the vectors of two crops that may show the same."""
    merge: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Smallest fraction of the pairs of two clusters that may show the same, for both to be one."""
    rate: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Smallest fraction of the members of a cluster that may show the same as a crop, for the crop to belong to it."""
    count: PositiveInt = 20
    """Number of members that is enough for that, whatever fraction it is."""


class IdentitySettings(Settings):
    """Who or what the crops of one step show."""

    embedding: str
    """Name in `embeddings` of the model of the vectors. Its `crops` name the step."""
    step: str
    """Step of `crops` whose crops are identified."""
    sources: tuple[str, ...] = ()
    """Ids of the sources whose crops are identified. An empty list means all with general content."""
    references: ReferenceSettings | None = None
    """Pictures of known identities. `null` has none."""
    clusters: ClusterSettings = ClusterSettings()
    """How the crops that no reference decides are clustered, for each series."""
    decisions: Path = DEFAULT
    """Table of what people decided."""
    shown: PositiveInt = Field(24, le=200)
    """Number of crops on the sheet of each identity."""
