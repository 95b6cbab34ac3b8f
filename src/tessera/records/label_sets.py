"""Material that people add besides the manifest: folders of labels, and sets of images with watermarks."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tessera.core.files import file_name, not_an_address, without_suffix
from tessera.core.names import Names
from tessera.core.settings import Settings
from tessera.records.rights import missing_rights

LABELS = "labels:"  # prefix of the source of an image in a folder of labels
WATERMARKS = "watermarks:"  # prefix of the source of an image in a set of watermarks
IMAGE_LABELS = "image_labels:"  # prefix of the source of an image in a set whose images have labels as a whole
SETS = (LABELS, WATERMARKS, IMAGE_LABELS)


class Material(Settings):
    """A named set of images. The fields on its rights are those of a source in the manifest."""

    name: str = Field(min_length=1)
    """Unique name. Its images count as the source `labels:NAME`, `image_labels:NAME` or `watermarks:NAME/IMAGE`."""
    path: Annotated[Path, BeforeValidator(not_an_address)]
    """Folder, or zip file."""
    content: Literal["general", "adult"]
    """`general` or `adult`."""
    rights: str = Field(min_length=1)
    """Licence or contract reference. Without it, the set is refused."""
    consent: str = ""
    """Reference to the release of the people shown. Adult content needs it."""
    adults_verified: Literal["yes", "no", ""] = ""
    """`"yes"`, in quotes, if all people shown were verified to be adults. Adult content needs it."""
    split: Literal["train", "val", "test", ""] = ""
    """`train`, `val` or `test` for all of its images. If empty, its folders or a hash decide."""

    @field_validator("adults_verified", mode="before")
    @classmethod
    def _yes_is_true(cls, value: Any) -> Any:
        # An unquoted `yes` in YAML is a boolean.
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _may_be_used(self) -> Self:
        if missing := missing_rights(self):
            raise ValueError("; ".join(each.fix for each in missing))
        return self


Format = Literal["labelme", "coco", "yolo", "masks", "label_studio", "cvat", "voc"]
Lines = Literal["auto", "boxes", "polygons", "detections"]
Absence = Literal["negative", "unknown"]  # what it means that an image has no region: it shows nothing, or nobody knows
Crowd = Literal["objects", "ignore", ""]  # what a region marked as a crowd is: an object, or left out; empty: nobody knows


class PictureSet(Material):
    """A folder or zip file of images and labels."""

    classes: dict[str, str | None] = Field(default_factory=dict)
    """What its labels mean, such as {person: nsfw, dog: null}: `null` leaves them out. One that is not named means what is
    called the same, and `*` stands for all others.
    """
    split_by: Literal["set", "image"] = "set"
    """What a hash never divides: the whole `set`, or only each `image`."""

    @field_validator("classes", mode="before")
    @classmethod
    def _numbers_are_names(cls, value: Any) -> Any:
        # YAML reads the number of a class as a number.
        return {str(name): meaning for name, meaning in value.items()} if isinstance(value, dict) else value


class LabelledSet(PictureSet):
    """A folder or zip file of images and the labels of their regions.

    Readers follow `unannotated` and `empty` by `layouts.item.unannotated` and `layouts.item.check_not_empty`.
    """

    use: str = ""
    """Dataset that it feeds, such as mosaic_detection. Empty means nsfw_detection, and in `watermarks.sets`
    watermark_detection.
    """
    format: Format = "labelme"
    """Format: `labelme`, `coco`, `yolo`, `masks`, `label_studio`, `cvat` or `voc`, see docs/label_sets.md."""
    unannotated: Absence = "unknown"
    """What an image means that no label is about: `unknown` drops it; `negative`: it shows nothing."""
    empty: Absence = "negative"
    """What an image means whose label states no region, such as an empty file: `negative` or `unknown`."""
    iscrowd: Crowd = ""
    """What a region that is marked as a crowd is: `objects` makes one object of each, and `ignore` leaves it out. Empty drops
    its image.
    """
    own_splits: bool = True
    """Whether the splits of its data.yaml, of lists such as train.txt and of its folders are kept."""
    lines: Lines = "auto"
    """What the lines in YOLO files are: `boxes`, `polygons`, or `detections`, which are boxes with a confidence or a track.
    `auto` finds out.
    """
    pieces: Literal["separate", "joined"] = "separate"
    """Whether the pieces of a class in a mask are `separate` objects, or `joined` to one."""


ANY = "*"  # the key in `classes` for all labels that it does not name


def class_of(label: str, classes: Sequence[str]) -> str | None:
    """Return the one of `classes` that `label` means, if it is clear: see `Names.find`. Spaces around it do not matter."""
    if label in classes:
        return label
    matches = set(Names((name.strip(), name) for name in classes).find(label.strip()))
    return matches.pop() if len(matches) == 1 else None


def meaning(label: str, stated: Mapping[str, str | None], classes: Sequence[str]) -> str | None:
    """Return the one of `classes` that a `label` of a set means, or None if regions with it are not wanted.

    `stated`: the setting `classes` of the set. It goes before equal names; `ANY` comes last. Raises `KeyError` if the label is
    unknown.
    """
    if (name := class_of(label, list(stated))) is not None:
        return stated[name]
    if (same := class_of(label, classes)) is not None:
        return same
    return stated[ANY]


M = TypeVar("M", bound=Material)


def names_differ(materials: tuple[M, ...]) -> tuple[M, ...]:
    """Return `materials`. Raises `ValueError` if two names are equal or differ only in case, which some file systems ignore."""
    names = [file_name(material.name).casefold() for material in materials]
    twice = [material.name for material in materials if names.count(file_name(material.name).casefold()) > 1]
    if twice:
        raise ValueError(f"the names {twice} must differ in more than case")
    return materials


def set_of(source: str, sets: Iterable[str]) -> str:
    """Return the set, one of the names `sets`, whose images count as sources of their own and `source` is one of them.

    Of a source that belongs to no set, return its own id.
    """
    return next((name for name in sets if source.startswith(f"{name}/")), source)


def name_in_set(layout: str, picture: PurePosixPath) -> str:
    """Return the name of a `picture`, a path below the top of a set whose labels have the format `layout`.

    It has no suffix where labels lie in files beside the pictures, or in tasks.
    """
    return (picture if layout in {"folders", "tsv"} else without_suffix(picture)).as_posix()


def key_in_set(label_set: str, name: str) -> str:
    """Return the key of the picture with this `name` in a set of labelled images."""
    return f"{file_name(label_set)}+{file_name(name)}"
