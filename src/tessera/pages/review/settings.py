"""Settings of the review page."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from tessera.core.settings import Settings


class OwnKey(Settings):
    """What a key decides, and the reason that is written beside the decision."""

    decision: Literal["keep", "drop"]
    """`keep` or `drop`."""
    reason: str = Field(min_length=1)
    """Reason that is written beside the decision."""


class ReviewSettings(Settings):
    """The review page. `keys`: keys of one's own. They replace what the page uses these keys for.

    `proxies`: gigabytes of disk that the small videos may take that the page plays.
    """

    keys: dict[str, OwnKey] = Field({})
    """Keys of your own, such as `g: {decision: drop, reason: logo}`: each decides `keep` or `drop`, and writes the reason
    beside it.
    """
    proxies: float = Field(20.0, gt=0)
    """Gigabytes of disk that the small videos may take that the page plays, those first whose decision is worth most. The page
    makes others when it shows them.
    """

    @field_validator("keys")
    @classmethod
    def _are_typed(cls, keys: dict[str, OwnKey]) -> dict[str, OwnKey]:
        wrong = [key for key in keys if len(key) != 1 or not key.isalnum() or key != key.lower()]
        if wrong:
            raise ValueError(f"{wrong[0]!r} should be a small letter or a digit, such as g")
        return keys


class PageSettings(ReviewSettings):
    """What the workflow tells the server.

    `decisions`, `identities`: tables of decisions, the latter None if nobody is identified. `classifiers`: the classes of each,
    or the range of its scores. `labels`: folder with the labels of frames, or None. `classes`: of these labels. `results`: the
    folder of the results. `command`: Snakemake with the options of this run, but for the targets.
    """

    decisions: Path
    identities: Path | None
    classifiers: dict[str, tuple[str, ...] | dict[str, float]]
    labels: Path | None
    classes: tuple[str, ...]
    results: Path
    command: tuple[str, ...] = ()
