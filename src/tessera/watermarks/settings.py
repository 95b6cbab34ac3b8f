"""Settings of the watermarks."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from tessera.provenance import digest, file_name
from tessera.settings import Settings

Number = TypeVar("Number", int, float)


def _ascends(limits: tuple[Number, Number]) -> tuple[Number, Number]:
    if limits[0] > limits[1]:
        raise ValueError("the lower limit exceeds the upper one")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(gt=0, le=1)]
Parts = Annotated[tuple[Part, Part], AfterValidator(_ascends)]
Counts = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_ascends)]


class WatermarkSet(Settings):
    """Images with visible watermarks in YOLO layout, in a zip file or a folder."""

    name: str = Field(min_length=1)
    path: Path
    content: Literal["general", "adult"]
    rights: str = Field(min_length=1)
    consent: str = ""
    adults_verified: Literal["yes", "no", ""] = ""
    split: Literal["train", "val", "test", ""] = ""
    classes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _adult_content_is_cleared(self) -> Self:
        if self.content == "adult" and not (self.adults_verified == "yes" and self.consent):
            raise ValueError("adult content needs `adults_verified: yes` and a reference in `consent`")
        return self


class DrawSettings(Settings):
    """Which marks are drawn over frames. Sizes are fractions of the shorter side of the frame, shares are probabilities."""

    frames_per_source: NonNegativeInt = 200
    max_side: PositiveInt | None = 1280
    quality: int = Field(95, ge=1, le=100)
    clean: Share = 0.2
    marks: Counts = (1, 3)
    tiled: Share = 0.15
    logos: Path | None = None
    logo: Share = 0.5
    logo_size: Parts = (0.1, 0.6)
    fonts: Path | None = None
    texts: tuple[str, ...] = ()
    alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-_@&"
    length: Counts = (8, 23)
    text_size: Parts = (0.04, 0.2)
    stroke: Share = 0.2
    plate: Share = 0.2
    opacity: Parts = (0.25, 0.9)
    rotation: float = Field(10.0, ge=0, le=90)

    @field_validator("texts")
    @classmethod
    def _texts_show(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(text.isprintable() and text.strip() for text in texts):
            raise ValueError("a text is blank, or holds what cannot be printed on one line")
        return texts

    @field_validator("alphabet")
    @classmethod
    def _letters_show(cls, alphabet: str) -> str:
        if not (alphabet.isprintable() and alphabet.strip()):
            raise ValueError("there is no letter in it, or what cannot be printed")
        return alphabet


class WatermarkSettings(Settings):
    """Where images with watermarks come from."""

    sets: tuple[WatermarkSet, ...] = ()
    draw: DrawSettings = DrawSettings()

    @field_validator("sets")
    @classmethod
    def _names_differ(cls, sets: tuple[WatermarkSet, ...]) -> tuple[WatermarkSet, ...]:
        # Some file systems do not tell cases apart.
        names = [file_name(one.name).casefold() for one in sets]
        twice = [one.name for one in sets if names.count(file_name(one.name).casefold()) > 1]
        if twice:
            raise ValueError(f"the names {twice} must differ, and not in case alone")
        return sets


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


def fingerprint(paths: Iterable[Path | None]) -> str:
    """Return a digest of the names, sizes and times of the files in `paths`: it changes when one of them does."""
    files = [file for path in paths if path for file in files_below(path)]
    # Of a link that leads somewhere, what it leads to counts.
    states = [(os.fsencode(file).hex(), file.stat() if file.exists() else file.lstat()) for file in files]
    return digest([(name, state.st_size, state.st_mtime_ns) for name, state in states])[:16]
