"""Settings of annotations, and the files that they name."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, field_validator

from tessera.core.files import file_name
from tessera.core.settings import Settings
from tessera.records.annotation.label_files import LABEL_SUFFIX, frame_label_folders, frame_source, label_files
from tessera.records.label_sets import LabelledSet, PictureSet, names_differ
from tessera.records.manifest import BUCKET


class ImageLabelSet(PictureSet):
    """A set of images that have one label or score each."""

    task: str = ""
    """What the labels are about. Empty is the name of the set."""
    format: Literal["folders", "tsv", "labelme", "label_studio"] = "folders"
    """Format: `folders`, one per class; `tsv`; `labelme` (flags) or `label_studio` (choices), see docs/classifiers.md."""
    values: Literal["label", "score"] = "label"
    """What the names of folders, columns or choices are: a `label` or, if they are numbers, a `score`."""


class AnnotationSettings(Settings):
    """Where labels come from, and which of them are used."""

    labels: Annotated[tuple[LabelledSet, ...], AfterValidator(names_differ)] = ()
    """List of sets of labelled images, each a folder or a zip file, for example:
    - name: studio
      path: labels/studio
      format: labelme
      use: ""
      classes: {}
      content: adult
      rights: contract 2024-17
      consent: release 2024-17
      adults_verified: "yes"
      split: ""
      split_by: set
      own_splits: true
      lines: auto
      pieces: separate
      unannotated: unknown
      empty: negative
      iscrowd: ""
    """
    image_labels: Annotated[tuple[ImageLabelSet, ...], AfterValidator(names_differ)] = ()
    """List of sets of images that have one label or score each, as folders or zip files. `snakemake image_labels` imports them.
    For
    example:
    - name: blur
      path: labels/blur
      format: folders
      task: ""
      values: label
      classes: {}
      content: general
      rights: contract 2024-17
      consent: ""
      adults_verified: ""
      split: ""
      split_by: set
    """
    frame_labels: Path | None = None
    """Folder with the label files of sampled frames, FOLDER/SOURCE/FRAME.json or FOLDER/shard-NUMBER/FRAME.json, named like the
    frames in results/frames, and with exports of Label Studio, FOLDER/NAME.json. `null` means that there are none.
    """
    classes: tuple[str, ...] = Field(("nsfw",), min_length=1)
    """Labels that are used, in the order of their class numbers. Capital letters do not matter. Shapes with other labels are
    left out, and the run says how many.
    """
    min_area: PositiveInt = 16
    """Smallest area of a region in square pixels. Smaller regions are taken for mistakes and ignored."""

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError("a class is listed twice; remove one")
        return classes


def unclaimed_labels(folder: Path | None, sources: Iterable[str], others: Iterable[Path]) -> dict[Path, list[Path]]:
    """Return the entries of `folder` with label files that belong to none of `sources`, each with these files.

    Entries without label files, hidden entries, and entries that are or contain one of `others` are left out.
    """
    if folder is None or not Path(folder).is_dir():
        return {}
    sources = list(sources)
    claimed = {name for source in sources for name in frame_label_folders(source)}
    elsewhere = [Path(other).resolve() for other in others]
    files = {
        entry: label_files(entry, [LABEL_SUFFIX]) if entry.is_dir() else [entry][: entry.suffix.lower() == LABEL_SUFFIX]
        for entry in sorted(Path(folder).iterdir())
        if entry.name not in claimed
        and not entry.name.startswith(".")
        and not any(other.is_relative_to(entry.resolve()) for other in elsewhere)
    }
    frames = {file_name(source) for source in sources}
    unclaimed = {
        entry: [file for file in inside if not (entry.name.startswith(BUCKET) and frame_source(file) in frames)]
        for entry, inside in files.items()
    }
    return {entry: inside for entry, inside in unclaimed.items() if inside}
