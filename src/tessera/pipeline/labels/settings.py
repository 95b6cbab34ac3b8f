"""Settings of annotations, and the files that they name."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, Field, PositiveInt, field_validator

from tessera.core.files import IMAGE_SUFFIXES, file_name, files_below
from tessera.core.settings import Settings
from tessera.records.material import Material, names_differ

LABEL_SUFFIX = ".json"


class LabelSet(Material):
    """A folder of images with labelme files."""


class AnnotationSettings(Settings):
    """Where labels come from, and which of them are used."""

    labels: Annotated[tuple[LabelSet, ...], AfterValidator(names_differ)] = ()
    frame_labels: Path | None = None
    classes: tuple[str, ...] = Field(("nsfw",), min_length=1)
    min_area: PositiveInt = 16

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError("a class is listed twice; remove one")
        return classes


def label_files(folder: Path, suffixes: Collection[str] = (LABEL_SUFFIX, *IMAGE_SUFFIXES)) -> list[Path]:
    """Return the files with one of `suffixes` in `folder` and below, sorted by name, without hidden files and broken links."""
    return [file for file in files_below(folder, suffixes) if file.exists()]


def frame_label_folders(source: str) -> list[str]:
    """Return the names that a folder with labels for frames of `source` may have.

    These are the escaped id, as in the results, and the id itself. The id is left out if it is not a valid folder name, or is
    the escaped id of another source.
    """
    escaped = file_name(source)
    is_name = source not in {".", ".."} and not {"/", "\0"} & set(source)
    return [escaped, source] if is_name and source not in {escaped, file_name(unquote(source))} else [escaped]


def frame_label_files(folder: Path | None, source: str) -> list[Path]:
    """Return the label files for frames of `source` in `folder`, sorted by name; none if `folder` is None."""
    places = [Path(folder, name) for name in frame_label_folders(source)] if folder else []
    return [file for place in places for file in label_files(place, [LABEL_SUFFIX])]


def unclaimed_labels(folder: Path | None, sources: Iterable[str], others: Iterable[Path]) -> dict[Path, int]:
    """Return the entries of `folder` that belong to none of `sources`, each with its number of label files.

    Entries without label files, hidden entries, and entries that are or contain one of `others` are left out.
    """
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
