"""Settings of image sets: which pictures, at which size, in which layouts."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from tessera.core.settings import Settings
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings
from tessera.extras.image_sets.caption_settings import CaptionSettings
from tessera.extras.image_sets.layouts.everydream2 import EveryDream2Settings
from tessera.extras.image_sets.layouts.imagefolder import ImageFolderSettings
from tessera.extras.image_sets.layouts.kohya import KohyaSettings
from tessera.extras.image_sets.layouts.onetrainer import OneTrainerSettings
from tessera.extras.image_sets.layouts.plain import PlainSettings
from tessera.extras.image_sets.layouts.webdataset import WebDatasetSettings
from tessera.records.limits import ScoreLimit

FRAMES = "frames"  # in `of`: whole frames
Named = Annotated[str, Field(min_length=1)]


class TagRules(Settings):
    """The tags that a picture must have, and those that it must not have."""

    all: tuple[Named, ...] = ()
    none: tuple[Named, ...] = ()

    def stated(self, image_set: str) -> dict[str, tuple[str, ...]]:
        """Return the tags by their settings. `image_set`: the setting of the image set."""
        return {f"{image_set}.select.tags.all": self.all, f"{image_set}.select.tags.none": self.none}


class SelectionSettings(Settings):
    """Which pictures are in a set."""

    of: tuple[Named, ...] = Field((FRAMES,), min_length=1)
    minimum: PositiveInt = 256
    maximum: PositiveInt | None = None
    contains: tuple[Named, ...] = ()
    sharpness: NonNegativeFloat = 0.0
    scores: dict[Named, ScoreLimit] = Field(default_factory=dict)
    tags: TagRules = TagRules()
    identities: Literal["any"] | tuple[Named, ...] | None = None
    keep_unnamed: bool = False
    series: tuple[Named, ...] | None = None
    sources: tuple[Named, ...] | None = None
    unique: bool = True
    others: NonNegativeInt = 0


class PictureSettings(Settings):
    """The size and the format of the pictures of a set."""

    shorter: PositiveInt | None = 768
    area: PositiveInt | None = None
    multiple_of: PositiveInt = 1
    format: Literal["webp", "jpeg", "png"] = "webp"
    quality: int = Field(95, ge=1, le=100)

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.shorter is not None and self.area is not None:
            raise ValueError("should have `shorter` or `area`; set the other to null")
        size = self.shorter or (self.area and self.area**0.5)
        if size and size < self.multiple_of:
            raise ValueError("`multiple_of` should not be larger than the pictures")
        return self


class LayoutSettings(Settings):
    """The layouts that a set is written in, each with its settings; None: not in this one."""

    plain: PlainSettings | None = None
    everydream2: EveryDream2Settings | None = None
    kohya: KohyaSettings | None = None
    onetrainer: OneTrainerSettings | None = None
    imagefolder: ImageFolderSettings | None = None
    webdataset: WebDatasetSettings | None = None

    @model_validator(mode="after")
    def _is_written(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError(f"should name a layout: {', '.join(type(self).model_fields)}")
        return self


class ImageSetSettings(Settings):
    """An image set."""

    each_series: bool = False
    select: SelectionSettings = SelectionSettings()
    pictures: PictureSettings = PictureSettings()
    captions: CaptionSettings | None = None
    arrangement: ArrangementSettings | None = None
    layouts: LayoutSettings = LayoutSettings(plain=PlainSettings())

    def stated_tags(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return the tags that the settings of the image set `name` state, by their settings."""
        path = f"image_sets.{name}"
        return self.select.tags.stated(path) | (self.captions.tags.stated(path) if self.captions else {})

    @model_validator(mode="after")
    def _captions_part_where_their_trainer_parts_them(self) -> Self:
        if self.captions and self.layouts.kohya:
            for name, key, usual in (("keep", "keep_tokens_separator", ""), ("tag", "caption_separator", ",")):
                written = getattr(self.captions.separators, name).strip()
                read = getattr(self.layouts.kohya.subset, key)
                if written not in (usual, (usual if read is None else read).strip()):
                    raise ValueError(
                        f"`layouts.kohya.subset.{key}` should be {written!r}, as `captions.separators.{name}` is: the trainer"
                        " would learn it as a word"
                    )
        return self

    @model_validator(mode="after")
    def _no_side_vanishes(self) -> Self:
        if self.select.minimum < self.pictures.multiple_of:
            raise ValueError("`select.minimum` should be at least `pictures.multiple_of`, because no picture is enlarged")
        if self.each_series and self.select.series is not None:
            raise ValueError("`each_series` makes a set of each series: leave `select.series` out")
        return self
