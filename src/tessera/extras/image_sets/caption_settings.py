"""Settings of the captions of image sets."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from tessera.core.files import InputFile
from tessera.core.settings import Fraction, Settings

CAPTION_SUFFIXES = (".txt", ".caption", ".yaml", ".yml", ".jsonl")  # of the files with captions
BESIDE = "beside"  # where captions are looked for: beside the pictures of sources that are folders


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1 or any(character in text for character in "\0\n\r"):
        raise ValueError("should be one line without NUL characters")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
Named = Annotated[Line, Field(min_length=1)]


class TagThresholds(Settings):
    """The least score of a tag of each category; the table of tags has its own thresholds, which are not undercut."""

    general: Fraction = 0.35
    character: Fraction = 0.85
    copyright: Fraction = 0.85
    artist: Fraction = 0.85
    rating: Fraction = 0.0
    meta: Fraction = 0.35


class CharacterTagSettings(Settings):
    """Which tags describe a character: those that end in one of `suffixes` or begin with one of `prefixes`, by whole words.

    `exceptions` do not. Singular and plural are the same at the end of `suffixes` and `exceptions`. A tag with one of the words
    `context` is never a core tag. The defaults are those of anime_screenshot_pipeline, its levels 0 and 1 together.
    """

    suffixes: tuple[Named, ...] = (
        *("man", "woman", "eyes", "skin", "hair", "bun", "bangs", "cut", "sidelocks", "twintails", "braid", "afro", "ahoge"),
        *("drill", "bald", "dreadlocks", "side up", "ponytail", "updo", "beard", "mustache", "goatee", "hair intake"),
        *("thick eyebrows", "otoko no ko", "bishounen", "short hair with long locks", "one eye covered"),
        *("fang", "mark", "freckles", "elf", "ear", "horn", "fur", "halo", "wings", "heterochromia", "tail"),
        *("animal ear fluff", "girl", "boy"),
    )
    prefixes: tuple[Named, ...] = (
        *("hair over", "hair between", "dark-skinned", "mature", "old"),
        *("mole", "scar", "furry", "muscular"),
    )
    exceptions: tuple[Named, ...] = ("drill", "pubic hair", "closed eyes", "half-closed eyes", "empty eyes", "fake tail")
    context: tuple[Named, ...] = (
        *("solo", "1girl", "1boy", "2girls", "2boys", "3girls", "3boys", "girls", "boys", "body", "background", "quality"),
        *("chibi", "monochrome", "comic", "looking", "text", "signature", "peeking", "focus", "smile", "mouth", "anime"),
        *("screenshot", "sky", "wall", "tree", "cloud", "day", "night", "indoors", "outdoors", "window", "curtains"),
    )


def _as_list(value: Any) -> Any:
    return () if value is None else value if isinstance(value, list | tuple) else (value,)


class TagSettings(Settings):
    """Which tags a caption may have."""

    thresholds: TagThresholds = TagThresholds()
    blacklist: tuple[Named, ...] = ()
    blacklist_file: InputFile | None = None
    overlaps: Annotated[tuple[Literal["words"] | InputFile, ...], BeforeValidator(_as_list)] = ("words",)
    prune: Literal["character_core", "all_core", "character", "minimal", "none"] = "character_core"
    core_frequency: float = Field(0.4, gt=0, le=1)
    core: InputFile | None = None
    character: CharacterTagSettings = CharacterTagSettings()
    append_dropped: bool = False
    order: Literal["score", "number"] = "score"
    maximum: PositiveInt = 30
    escaped: bool = False

    @property
    def files(self) -> list[Path]:
        """The files that are read: the blacklist, the table of core tags, and the tables of overlaps."""
        return [*filter(None, (self.blacklist_file, self.core)), *(each for each in self.overlaps if each != "words")]

    def stated(self, image_set: str) -> dict[str, tuple[str, ...]]:
        """Return the tags by their settings. `image_set`: the setting of the image set."""
        return {f"{image_set}.captions.tags.blacklist": self.blacklist}


class PartSettings(Settings):
    """How often each part is in a caption, if the picture has it."""

    npeople: Fraction = 0.0
    character: Fraction = 1.0
    copyright: Fraction = 0.0
    image_type: Fraction = 1.0
    artist: Fraction = 0.0
    rating: Fraction = 1.0
    crop_info: Fraction = 1.0
    tags: Fraction = 1.0
    text: Fraction = 1.0


Part = Literal["npeople", "character", "copyright", "image_type", "artist", "rating", "crop_info", "tags", "text"]


class SeparatorSettings(Settings):
    """What stands between parts, between tags, between characters, and between a character and its appearance.

    `keep`: what stands before the part `keep_before` in place of `part`, for trainers that shuffle only what follows it; empty:
    nothing else. `copyright` and `artist` precede these parts.
    """

    part: Line = ", "
    keep: Line = ""
    keep_before: Part = "tags"
    copyright: Line = "from "
    artist: Line = "by "
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
    ratings: tuple[Named, ...] = ("explicit",)

    @model_validator(mode="after")
    def _orders_each_part(self) -> Self:
        if sorted(self.order) != sorted(PartSettings.model_fields):
            raise ValueError(f"`order` should have each of these once: {', '.join(PartSettings.model_fields)}")
        return self
