"""Settings of watermarks."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from tessera.core.settings import Settings
from tessera.imaging.watermark.settings import DrawSettings
from tessera.records.label_sets import ANY, Format, LabelledSet, names_differ

LABEL = "watermark"  # the one class, whatever kind of watermark it is


class WatermarkSet(LabelledSet):
    """A set of images with visible watermarks: by default in YOLO layout, such as PITA, with independent images."""

    format: Format = "yolo"
    classes: dict[str, str | None] = Field({ANY: LABEL})
    split_by: Literal["set", "image"] = "image"

    @field_validator("classes", mode="before")
    @classmethod
    def _listed_are_watermarks(cls, value: Any) -> Any:
        # A list has the names of all classes; each of them is a watermark, and an empty one stands for any.
        return (
            dict.fromkeys(map(str, range(len(value))) if value else [ANY], LABEL) if isinstance(value, list | tuple) else value
        )


class WatermarkSettings(Settings):
    """Where images with watermarks come from."""

    sets: Annotated[tuple[WatermarkSet, ...], AfterValidator(names_differ)] = ()
    """List of sets of images with visible watermarks, such as PITA, with the keys of `annotations.labels`. By default, a set is
    in YOLO layout, each of its images is a source of its own, and all of its labels mean a watermark. For example:
    - name: pita-train
      path: downloads/train-yolo.zip
      content: general
      rights: CC-BY-4.0
    """
    draw: DrawSettings = DrawSettings()
    """Watermarks that are drawn on sampled frames."""
