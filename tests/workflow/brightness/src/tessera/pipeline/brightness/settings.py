"""The settings of the model that tells dark pictures from bright ones."""

from pydantic import Field

from tessera.core.settings import Settings


class BrightnessSettings(Settings):
    """`place`: where the threshold lies between the mean of the dark images (0) and that of the bright ones (1)."""

    place: float = Field(0.5, gt=0, lt=1)
