"""Settings of the report."""

from pydantic import Field

from tessera.core.settings import Settings
from tessera.records.blurring import Blur


class ReportSettings(Settings):
    """What the report shows."""

    blur: Blur = "adult"
    samples: int = Field(12, ge=1, le=100, description="pictures shown of each split")
