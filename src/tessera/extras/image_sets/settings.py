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
    """Tags that a picture must have."""
    none: tuple[Named, ...] = ()
    """Tags that a picture must not have."""

    def stated(self, image_set: str) -> dict[str, tuple[str, ...]]:
        """Return the tags by their settings. `image_set`: the setting of the image set."""
        return {f"{image_set}.select.tags.all": self.all, f"{image_set}.select.tags.none": self.none}


class SelectionSettings(Settings):
    """Which pictures are in a set."""

    of: tuple[Named, ...] = Field((FRAMES,), min_length=1)
    """What the pictures are: `frames`, which are whole, and names of steps in `crops`."""
    minimum: PositiveInt = 256
    """Smallest shorter side in pixels."""
    maximum: PositiveInt | None = None
    """Largest longer side in pixels. `null` sets no limit."""
    contains: tuple[Named, ...] = ()
    """Steps in `crops`, such as head. A picture contains a crop of each."""
    sharpness: NonNegativeFloat = 0.0
    """Smallest variance of the Laplacian at 256 pixels a side. 0 measures nothing."""
    scores: dict[Named, ScoreLimit] = Field(default_factory=dict)
    """Limits of what classifiers see, by their names, as in `filters.classifiers`. A crop has the scores of its frame."""
    tags: TagRules = TagRules()
    """Tags that a picture must have, and those that it must not have."""
    identities: Literal["any"] | tuple[Named, ...] | None = None
    """`any` asks for a picture that shows an identity, and a list of names for one that shows one of these. `null` asks for
    none.
    """
    keep_unnamed: bool = False
    """Whether clusters that nobody named count as identities."""
    series: tuple[Named, ...] | None = None
    """Series in the manifest whose pictures are used. `null` uses all pictures."""
    sources: tuple[Named, ...] | None = None
    """Ids of the sources whose pictures are used. `null` uses those of all."""
    unique: bool = True
    """Whether only one of several pictures that look alike is used."""
    others: NonNegativeInt = 0
    """Number of pictures for regularisation, drawn from those that only `tags` or `identities` leave out."""


class PictureSettings(Settings):
    """The size and the format of the pictures of a set."""

    shorter: PositiveInt | None = 768
    """Shorter side in pixels. `null` keeps the size, or uses `area`."""
    area: PositiveInt | None = None
    """Number of pixels of the whole picture, such as 1048576, in place of `shorter`."""
    multiple_of: PositiveInt = 1
    """Both sides are multiples of this number. The rest is cut off around the middle."""
    format: Literal["webp", "jpeg", "png"] = "webp"
    """File format: `webp`, `jpeg`, or `png`, which is lossless."""
    quality: int = Field(95, ge=1, le=100)
    """Quality of WebP and JPEG, from 1 to 100."""

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
    """Pictures beside text files with their captions. It has no settings."""
    everydream2: EveryDream2Settings | None = None
    """Folders for EveryDream2."""
    kohya: KohyaSettings | None = None
    """Folders and a file for sd-scripts of kohya."""
    onetrainer: OneTrainerSettings | None = None
    """Folders and concepts for OneTrainer."""
    imagefolder: ImageFolderSettings | None = None
    """ImageFolder of Hugging Face. It has no settings."""
    webdataset: WebDatasetSettings | None = None
    """Tar files for WebDataset."""

    @model_validator(mode="after")
    def _is_written(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError(f"should name a layout: {', '.join(type(self).model_fields)}")
        return self


class ImageSetSettings(Settings):
    """An image set."""

    each_series: bool = False
    """Whether each series in the manifest gets a set of its own, NAME-SERIES."""
    select: SelectionSettings = SelectionSettings()
    """Rules that all pictures meet."""
    pictures: PictureSettings = PictureSettings()
    """How the pictures are written. None is enlarged."""
    captions: CaptionSettings | None = None
    """Captions of the pictures: from a template, a table or files. `null` leaves them empty."""
    arrangement: ArrangementSettings | None = None
    """Folders of the pictures, and the balance between them. `null` makes one folder, without repeats."""
    layouts: LayoutSettings = LayoutSettings(plain=PlainSettings())
    """Layouts that the set is written in, any number of these. Others are not written."""

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
