"""Settings of the annotations."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote

from pydantic import Field, PositiveInt, field_validator, model_validator

from tessera.errors import TesseraError
from tessera.manifest import IMAGE_SUFFIXES
from tessera.provenance import digest, file_name
from tessera.settings import Settings

LABEL_SUFFIX = ".json"


class LabelSet(Settings):
    """A folder of images that were labelled in labelme."""

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


class AnnotationSettings(Settings):
    """Where labels come from, and which of them count."""

    labels: tuple[LabelSet, ...] = ()
    frame_labels: Path | None = None
    classes: tuple[str, ...] = Field(("nsfw",), min_length=1)
    min_area: PositiveInt = 16

    @field_validator("labels")
    @classmethod
    def _names_differ(cls, labels: tuple[LabelSet, ...]) -> tuple[LabelSet, ...]:
        # Some file systems do not tell cases apart.
        names = [file_name(label_set.name).casefold() for label_set in labels]
        twice = [label_set.name for label_set in labels if names.count(file_name(label_set.name).casefold()) > 1]
        if twice:
            raise ValueError(f"the names {twice} must differ, and not in case alone")
        return labels

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError("a class is named twice")
        return classes


def label_files(folder: Path, suffixes: Collection[str] = (LABEL_SUFFIX, *IMAGE_SUFFIXES)) -> list[Path]:
    """Return the files with one of `suffixes` in `folder` and below, by name; hidden ones and links to nowhere left out."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in suffixes and path.exists()]
    return sorted(found)


def frame_label_folders(source: str) -> list[str]:
    """Return the names of a folder with labels for frames of `source`: that of its results, and its own.

    Its own is none where it is no name of a folder, or is that of the results of another.
    """
    escaped = file_name(source)
    is_name = source not in {".", ".."} and not {"/", "\0"} & set(source)
    return [escaped, source] if is_name and source not in {escaped, file_name(unquote(source))} else [escaped]


def frame_label_files(folder: Path | None, source: str) -> list[Path]:
    """Return the label files for frames of `source` in `folder`, by name; none where there is no folder."""
    places = [Path(folder, name) for name in frame_label_folders(source)] if folder else []
    return [file for place in places for file in label_files(place, [LABEL_SUFFIX])]


def unclaimed_labels(folder: Path | None, sources: Iterable[str], others: Iterable[Path]) -> dict[Path, int]:
    """Return what in `folder` is named as none of `sources`, and how many label files that is; `others` are left out."""
    if folder is None or not Path(folder).is_dir():
        return {}
    claimed = {name for source in sources for name in frame_label_folders(source)}
    elsewhere = [Path(other).resolve() for other in others]
    files = {
        entry: label_files(entry, [LABEL_SUFFIX]) if entry.is_dir() else [entry][: entry.suffix.lower() == LABEL_SUFFIX]
        for entry in sorted(Path(folder).iterdir())
        if entry.name not in claimed
        and not entry.name.startswith(".")
        and not any(other.is_relative_to(entry.resolve()) for other in elsewhere)
    }
    return {entry: len(found) for entry, found in files.items() if found}


def check_folder(setting: str, folder: Path) -> None:
    """Raise `TesseraError` where the `folder` that `setting` names is not there."""
    if not Path(folder).is_dir():
        raise TesseraError(f"{setting}: {str(folder)!r} is no folder; mend its path")


def fingerprint(files: Iterable[Path]) -> str:
    """Return a digest of the names, sizes and times of `files`: it changes when one of them does.

    So that a rule need not name each file as an input, where Snakemake would take braces in it for wildcards.
    """
    states = [(str(file), file.stat()) for file in files]
    return digest([(name, state.st_size, state.st_mtime_ns) for name, state in states])[:16]
