"""What people bring beside the manifest: folders of labels, and sets of images with watermarks."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from tessera.errors import TesseraError
from tessera.provenance import file_name
from tessera.settings import Settings


class Material(Settings):
    """Images under a name, and the rights to them, as the manifest states them for a source."""

    name: str = Field(min_length=1)
    path: Path
    content: Literal["general", "adult"]
    rights: str = Field(min_length=1)
    consent: str = ""
    adults_verified: Literal["yes", "no", ""] = ""
    split: Literal["train", "val", "test", ""] = ""

    @field_validator("adults_verified", mode="before")
    @classmethod
    def _yes_is_true(cls, value: Any) -> Any:
        # YAML takes an unquoted `yes` for a truth value.
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _adult_content_is_cleared(self) -> Self:
        if self.content == "adult" and not (self.adults_verified == "yes" and self.consent):
            raise ValueError("adult content needs `adults_verified: yes` and a reference in `consent`")
        return self


M = TypeVar("M", bound=Material)


def names_differ(materials: tuple[M, ...]) -> tuple[M, ...]:
    """Return `materials`. Raises `ValueError` where two have one name: some file systems do not tell cases apart."""
    names = [file_name(one.name).casefold() for one in materials]
    twice = [one.name for one in materials if names.count(file_name(one.name).casefold()) > 1]
    if twice:
        raise ValueError(f"the names {twice} must differ, and not in case alone")
    return materials


def check_there(setting: str, path: Path, *, folder: bool = False) -> None:
    """Raise `TesseraError` where there is nothing at the `path` that `setting` names or, where it must be one, no folder."""
    # Unlike `Path.is_dir` and `Path.exists`, these take whatever a setting may hold.
    there = os.path.isdir(path) if folder else os.path.exists(path)  # noqa: PTH110, PTH112
    if not there:
        raise TesseraError(f"{setting}: {str(path)!r} is {'no folder' if folder else 'not there'}; mend its path")


def files_below(path: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """Return the file `path`, or the files in the folder `path` and below by name; hidden ones left out.

    With `suffixes`, only those that end in one of them, in either case. Links to folders are not followed.
    """
    if Path(path).is_file():
        return [Path(path)]
    found = []
    for place, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(file for file in found if not suffixes or file.suffix.lower() in suffixes)
