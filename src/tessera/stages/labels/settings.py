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
    """A set of images that have one label or score each.

    `task` says what the labels are about; empty for the name of the set. `values` says whether they are names or numbers.
    """

    task: str = ""
    format: Literal["folders", "tsv", "labelme", "label_studio"] = "folders"
    values: Literal["label", "score"] = "label"


class AnnotationSettings(Settings):
    """Where labels come from, and which of them are used."""

    labels: Annotated[tuple[LabelledSet, ...], AfterValidator(names_differ)] = ()
    """List of sets of labelled images, each a folder or a zip file, for example:
    - name: studio              # unique; its images count as the source `labels:studio`
      path: labels/studio
      format: labelme           # or coco, yolo, masks, label_studio, cvat or voc, see docs/label_sets.md
      use: ""                   # the dataset that it feeds, such as mosaic_detection; empty means nsfw_detection
      classes: {}               # what its labels mean, such as {person: nsfw, dog: null}; see docs/label_sets.md
      content: adult            # or general
      rights: contract 2024-17  # licence or contract reference
      consent: release 2024-17  # required if content is adult: reference to the release of the people shown
      adults_verified: "yes"    # required if content is adult
      split: ""                 # train, val or test for all of its images; empty follows its folders or a hash
      split_by: set             # what a hash never divides: the whole set, or only each image
      own_splits: true          # keep the splits of its data.yaml, of lists such as train.txt, and of its folders
      lines: auto               # in yolo, what lines are: boxes, polygons, detections (boxes with confidence or track)
      pieces: separate          # in masks, whether the pieces of a class are separate objects, or joined to one
      unannotated: unknown      # what an image means that no label is about: unknown drops it; negative: it shows nothing
      empty: negative           # what an image means whose label states no region, such as an empty file: negative or unknown
      iscrowd: ""               # what a region marked as a crowd is: objects, one object each; ignore; empty drops its image
    """
    image_labels: Annotated[tuple[ImageLabelSet, ...], AfterValidator(names_differ)] = ()
    """List of sets of images that have one label or score each, as folders or zip files. `snakemake image_labels` imports them.
    For
    example:
    - name: blur                # unique; its images count as the source `image_labels:blur`
      path: labels/blur
      format: folders           # a folder per class; or tsv, labelme (flags) or label_studio (choices), see docs/classifiers.md
      task: ""                  # what the labels are about; empty is the name of the set
      values: label             # or score, if folders, columns or choices are numbers
      classes: {}               # what its labels mean, such as {soft: blurred, other: null}; empty takes every label
      content: general          # or adult
      rights: contract 2024-17  # licence or contract reference
      consent: ""               # required if content is adult: reference to the release of the people shown
      adults_verified: ""       # required if content is adult
      split: ""                 # train, val or test for all of its images; empty follows its folders or a hash
      split_by: set             # what a hash never divides: the whole set, or only each image
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
