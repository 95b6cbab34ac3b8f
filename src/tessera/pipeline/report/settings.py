"""Settings of the report."""

from typing import Literal

from pydantic import Field

from tessera.core.settings import Settings


class ReportSettings(Settings):
    """What the report shows."""

    blur: Literal["adult", "all", "none"] = "adult"
    samples: int = Field(12, ge=1, le=100, description="pictures shown of each split")
