"""The settings of the brightness classifier."""

from pydantic import Field

from tessera.core.settings import Settings


class BrightnessSettings(Settings):
    """`place`: the threshold, from the mean of the dark images (0) to that of the bright ones (1)."""

    place: float = Field(0.5, gt=0, lt=1)
