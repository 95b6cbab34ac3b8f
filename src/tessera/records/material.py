"""Material that people add besides the manifest: folders of labels, and sets of images with watermarks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tessera.core.files import file_name, not_an_address
from tessera.core.settings import Settings
from tessera.records.rights import missing_rights

LABELS = "labels:"  # prefix of the source of an image in a folder of labels
WATERMARKS = "watermarks:"  # prefix of the source of an image in a set of watermarks
SETS = (LABELS, WATERMARKS)


class Material(Settings):
    """A named set of images. The fields on its rights are those of a source in the manifest."""

    name: str = Field(min_length=1)
    path: Annotated[Path, BeforeValidator(not_an_address)]
    content: Literal["general", "adult"]
    rights: str = Field(min_length=1)
    consent: str = ""
    adults_verified: Literal["yes", "no", ""] = ""
    split: Literal["train", "val", "test", ""] = ""

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


M = TypeVar("M", bound=Material)


def names_differ(materials: tuple[M, ...]) -> tuple[M, ...]:
    """Return `materials`. Raises `ValueError` if two names are equal or differ only in case, which some file systems ignore."""
    names = [file_name(one.name).casefold() for one in materials]
    twice = [one.name for one in materials if names.count(file_name(one.name).casefold()) > 1]
    if twice:
        raise ValueError(f"the names {twice} must differ in more than case")
    return materials


def set_of(source: str, sets: Iterable[str]) -> str:
    """Return the set, one of the names `sets`, whose images count as sources of their own and `source` is one of them.

    Of a source that belongs to no set, return its own id.
    """
    return next((name for name in sets if source.startswith(f"{name}/")), source)
