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
    """Smallest score of a tag of what is shown."""
    character: Fraction = 0.85
    """Smallest score of the name of a character."""
    copyright: Fraction = 0.85
    """Smallest score of the name of a series."""
    artist: Fraction = 0.85
    """Smallest score of the name of an artist."""
    rating: Fraction = 0.0
    """Smallest score of a rating."""
    meta: Fraction = 0.35
    """Smallest score of a tag of the picture itself, such as its medium."""


class CharacterTagSettings(Settings):
    """Which tags describe a character, by whole words. The defaults are those of anime_screenshot_pipeline, levels 0 and 1.

    Singular and plural are the same at the end of `suffixes` and `exceptions`.
    """

    suffixes: tuple[Named, ...] = (
        *("man", "woman", "eyes", "skin", "hair", "bun", "bangs", "cut", "sidelocks", "twintails", "braid", "afro", "ahoge"),
        *("drill", "bald", "dreadlocks", "side up", "ponytail", "updo", "beard", "mustache", "goatee", "hair intake"),
        *("thick eyebrows", "otoko no ko", "bishounen", "short hair with long locks", "one eye covered"),
        *("fang", "mark", "freckles", "elf", "ear", "horn", "fur", "halo", "wings", "heterochromia", "tail"),
        *("animal ear fluff", "girl", "boy"),
    )
    """A tag that ends in one of these describes a character."""
    prefixes: tuple[Named, ...] = (
        *("hair over", "hair between", "dark-skinned", "mature", "old"),
        *("mole", "scar", "furry", "muscular"),
    )
    """A tag that begins with one of these does too."""
    exceptions: tuple[Named, ...] = ("drill", "pubic hair", "closed eyes", "half-closed eyes", "empty eyes", "fake tail")
    """Tags that end in one of these do not."""
    context: tuple[Named, ...] = (
        *("solo", "1girl", "1boy", "2girls", "2boys", "3girls", "3boys", "girls", "boys", "body", "background", "quality"),
        *("chibi", "monochrome", "comic", "looking", "text", "signature", "peeking", "focus", "smile", "mouth", "anime"),
        *("screenshot", "sky", "wall", "tree", "cloud", "day", "night", "indoors", "outdoors", "window", "curtains"),
    )
    """A tag with one of these words is never a core tag."""


def _as_list(value: Any) -> Any:
    return () if value is None else value if isinstance(value, list | tuple) else (value,)


class TagSettings(Settings):
    """Which tags a caption may have."""

    thresholds: TagThresholds = TagThresholds()
    """Smallest score of a tag of each category. It cannot undercut that of `tagger`."""
    blacklist: tuple[Named, ...] = ()
    """Tags that are left out."""
    blacklist_file: InputFile | None = None
    """File with such tags, one on each line or several between commas."""
    overlaps: Annotated[tuple[Literal["words"] | InputFile, ...], BeforeValidator(_as_list)] = ("words",)
    """Which of two tags of a picture is left out, any of these or a list. `words` leaves out a tag whose words are part
    of another. A path is a TSV with the columns `tag` and `beside`: `tag` is left out beside the other; or the `.json`
    of anime_screenshot_pipeline.
    """
    prune: Literal["character_core", "all_core", "character", "minimal", "none"] = "character_core"
    """What is left out because naming an identity says it. `character_core` leaves out its core tags if they describe a
    character, `all_core` all its core tags, and `character` all tags that describe a character. `minimal` only applies
    the blacklist and the overlaps, and `none` nothing.
    """
    core_frequency: float = Field(0.4, gt=0, le=1)
    """Core tags are those of at least this fraction of the pictures that show an identity, in one appearance, alone."""
    core: InputFile | None = None
    """TSV with the columns `identity`, `appearance` (optional) and `tag`, which states the core tags. `null` counts
    them.
    """
    character: CharacterTagSettings = CharacterTagSettings()
    """Which tags describe a character, by whole words, in singular or plural."""
    append_dropped: bool = False
    """Whether the tags that `prune` leaves out stand at the end, within `maximum`."""
    order: Literal["score", "number"] = "score"
    """`score`, or `number`, which is the order of the tag list. Tags of people come first in any case."""
    maximum: PositiveInt = 30
    """Largest number of tags."""
    escaped: bool = False
    """Whether parentheses in tags are written as `\\(` and `\\)`, which are no weights in prompts then."""

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
    """Probability of the number of people."""
    character: Fraction = 1.0
    """Probability of the identities, with their appearances."""
    copyright: Fraction = 0.0
    """Probability of the series, as tags name it."""
    image_type: Fraction = 1.0
    """Probability of the text for the step of the picture."""
    artist: Fraction = 0.0
    """Probability of the artist."""
    rating: Fraction = 1.0
    """Probability of the rating."""
    crop_info: Fraction = 1.0
    """Probability of what the crop shows."""
    tags: Fraction = 1.0
    """Probability of the tags."""
    text: Fraction = 1.0
    """Probability of the text of all pictures."""


Part = Literal["npeople", "character", "copyright", "image_type", "artist", "rating", "crop_info", "tags", "text"]


class SeparatorSettings(Settings):
    """What stands between the parts of a caption, and in them."""

    part: Line = ", "
    """What stands between two parts."""
    keep: Line = ""
    """What stands before the part `keep_before` in place of `part`, such as " ||| ", which
    `layouts.kohya.subset.keep_tokens_separator` should then be.
    """
    keep_before: Part = "tags"
    """Part that `keep` precedes."""
    copyright: Line = "from "
    """What precedes the part `copyright`."""
    artist: Line = "by "
    """What precedes the part `artist`."""
    tag: Line = ", "
    """What stands between two tags."""
    character: Line = ", "
    """What stands between two characters."""
    appearance: Line = " "
    """What stands between a character and its appearance."""


class CaptionSettings(Settings):
    """The captions of an image set."""

    table: InputFile | None = None
    """TSV with the columns `key` and `caption`, which goes before files and the template. Several rows of a key are its
    variants.
    """
    files: Literal["beside"] | Path | None = None
    """`beside` takes the captions beside the pictures of sources that are folders. A path is a folder of captions. Other
    pictures have the caption of the template.
    """
    variants: PositiveInt = Field(1, le=1000)
    """Number of captions per picture."""
    maximum: PositiveInt = 1000
    """Largest number of characters of a caption."""
    tags: TagSettings = TagSettings()
    """Which tags a caption may have."""
    parts: PartSettings = PartSettings()
    """Probability that a part is in a caption, if the picture has it."""
    order: tuple[str, ...] = tuple(PartSettings.model_fields)
    """Order of the parts."""
    separators: SeparatorSettings = SeparatorSettings()
    """What stands between the parts of a caption, and in them."""
    shuffle: bool = False
    """Whether the tags of each variant are shuffled."""
    text: Line = ""
    """The part `text`, the same for all pictures."""
    image_types: dict[str, Line] = Field(default_factory=dict)
    """Text of the part `image_type` for each step, such as {frame: film still, head: portrait}. A step without a text
    has no such part.
    """
    triggers: dict[str, Named] = Field(default_factory=dict)
    """Word that stands for an identity, by its name. By default, it is the name."""
    ratings: tuple[Named, ...] = ("explicit",)
    """Ratings that are written."""

    @model_validator(mode="after")
    def _orders_each_part(self) -> Self:
        if sorted(self.order) != sorted(PartSettings.model_fields):
            raise ValueError(f"`order` should have each of these once: {', '.join(PartSettings.model_fields)}")
        return self
