"""Settings of the clips."""

from typing import Literal

from pydantic import Field

from tessera.imaging.crops import CropSettings
from tessera.imaging.encode import Preset


class ClipSettings(CropSettings):
    """How much is cut out around a region, and how clips are encoded."""

    crf: int = Field(13, ge=0, le=51)
    preset: Preset = "ultrafast"
    pixel_format: Literal["yuv444p", "yuv420p"] = "yuv444p"
