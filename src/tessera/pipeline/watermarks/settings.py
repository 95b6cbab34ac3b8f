"""Settings of watermarks."""

from typing import Annotated

from pydantic import AfterValidator

from tessera.core.settings import Settings
from tessera.imaging.watermark.settings import DrawSettings
from tessera.records.material import Material, names_differ


class WatermarkSet(Material):
    """A zip file or folder of images with visible watermarks, in YOLO layout."""

    classes: tuple[str, ...] = ()


class WatermarkSettings(Settings):
    """Where images with watermarks come from."""

    sets: Annotated[tuple[WatermarkSet, ...], AfterValidator(names_differ)] = ()
    draw: DrawSettings = DrawSettings()
