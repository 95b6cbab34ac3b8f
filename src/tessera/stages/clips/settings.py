"""Settings of the clips."""

from typing import Literal

from pydantic import Field

from tessera.imaging.crops import CropSettings
from tessera.imaging.encode import Preset


class ClipSettings(CropSettings):
    """How much is cut out around a region, and how clips are encoded."""

    crf: int = Field(13, ge=0, le=51)
    """Constant rate factor of x264, from 0 to 51. Lower is better and larger. Masks are stored without loss."""
    preset: Preset = "ultrafast"
    """Preset of x264, from `ultrafast` to `veryslow`. Slower ones make smaller files, which also take longer to read.
    `superfast` takes twice the time to write and to read, for two thirds of the size.
    """
    pixel_format: Literal["yuv444p", "yuv420p"] = "yuv444p"
    """Pixel format: `yuv444p` keeps the colour of every pixel, and `yuv420p` is read by more players."""
