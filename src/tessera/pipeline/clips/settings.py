"""Settings of the clips."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tessera.core.settings import Settings

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


class ClipSettings(Settings):
    """How much is cut out around a region, and how clips are encoded."""

    border: NonNegativeInt = 20
    border_fraction: float = Field(0.08, ge=0, le=1)
    size: PositiveInt = 256
    growth: float = Field(1.0, ge=0, le=10)
    compat: Literal["lada"] | None = None
    crf: int = Field(13, ge=0, le=51)
    preset: Preset = "ultrafast"
    pixel_format: Literal["yuv444p", "yuv420p"] = "yuv444p"
