"""Settings of the report."""

from pydantic import Field

from tessera.core.settings import Settings


class ReportSettings(Settings):
    """What the report shows."""

    blur: bool = Field(True, description="make the pictures unrecognisable, leaving the outlines of the masks")
    samples: int = Field(12, ge=1, le=100, description="pictures shown of each split")
