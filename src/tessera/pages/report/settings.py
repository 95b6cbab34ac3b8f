"""Settings of the report."""

from pydantic import Field

from tessera.core.settings import Settings
from tessera.records.blurring import Blur


class ReportSettings(Settings):
    """What the report shows."""

    blur: Blur = "adult"
    """Pictures that are blurred beyond recognition; the outlines of their regions remain. `adult` blurs those of sources whose
    `content` is adult or not known, `all` blurs every picture, `none` blurs no picture.
    """
    samples: int = Field(12, ge=1, le=100, description="pictures shown of each split")
    """Number of pictures of each split, from 1 to 100."""
