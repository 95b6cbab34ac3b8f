"""Settings of the captions of image sets."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from tessera.core.files import InputFile
from tessera.core.settings import Settings

BESIDE = "beside"  # where captions are looked for: beside the pictures of sources that are folders
Probability = Annotated[float, Field(ge=0, le=1)]


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1 or any(character in text for character in "\0\n\r"):
        raise ValueError("should be one line without NUL characters")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
Named = Annotated[Line, Field(min_length=1)]


class TagThresholds(Settings):
    """The least score of a tag of each category; the table of tags has its own thresholds, which are not undercut."""

    general: Probability = 0.35
    character: Probability = 0.85
    copyright: Probability = 0.85
    artist: Probability = 0.85
    rating: Probability = 0.0
    meta: Probability = 0.35


class TagSettings(Settings):
    """Which tags a caption may have."""

    thresholds: TagThresholds = TagThresholds()
    blacklist: tuple[Named, ...] = ()
    overlaps: Literal["words"] | InputFile | None = "words"
    prune: Literal["character_core", "character", "minimal", "none"] = "character_core"
    core_frequency: float = Field(0.4, gt=0, le=1)
    character_words: tuple[Named, ...] = (
        "hair",
        "eyes",
        "bangs",
        "ponytail",
        "twintails",
        "braid",
        "ahoge",
        "skin",
        "ears",
        "tail",
    )
    order: Literal["score", "number"] = "score"
    maximum: PositiveInt = 30
    escaped: bool = False

    def stated(self, image_set: str) -> dict[str, tuple[str, ...]]:
        """Return the tags by their settings. `image_set`: the setting of the image set."""
        return {f"{image_set}.captions.tags.blacklist": self.blacklist}


class PartSettings(Settings):
    """How often each part is in a caption, if the picture has it."""

    npeople: Probability = 0.0
    character: Probability = 1.0
    copyright: Probability = 0.0
    image_type: Probability = 1.0
    artist: Probability = 0.0
    rating: Probability = 1.0
    crop_info: Probability = 1.0
    tags: Probability = 1.0
    text: Probability = 1.0


class SeparatorSettings(Settings):
    """What stands between parts, between tags, between characters, and between a character and its appearance."""

    part: Line = ", "
    tag: Line = ", "
    character: Line = ", "
    appearance: Line = " "


class CaptionSettings(Settings):
    """The captions of an image set."""

    table: InputFile | None = None
    files: Literal["beside"] | Path | None = None
    variants: PositiveInt = Field(1, le=1000)
    maximum: PositiveInt = 1000
    tags: TagSettings = TagSettings()
    parts: PartSettings = PartSettings()
    order: tuple[str, ...] = tuple(PartSettings.model_fields)
    separators: SeparatorSettings = SeparatorSettings()
    shuffle: bool = False
    text: Line = ""
    image_types: dict[str, Line] = Field(default_factory=dict)
    triggers: dict[str, Named] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _orders_each_part(self) -> Self:
        if sorted(self.order) != sorted(PartSettings.model_fields):
            raise ValueError(f"`order` should have each of these once: {', '.join(PartSettings.model_fields)}")
        return self
