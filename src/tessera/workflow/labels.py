"""Labels that people drew or gave: of frames, of sets of images, and of whole images."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tessera.catalogue import all_datasets
from tessera.core.contents import contents_of
from tessera.core.errors import TesseraError
from tessera.core.files import check_exists, file_name, files_below
from tessera.records.annotation.label_files import frame_exports, frame_label_files
from tessera.records.decisions import Decision
from tessera.records.frame_keys import source_of
from tessera.workflow.project import Given, Paths, Project, Wildcards, literal_param
from tessera.workflow.sources import names_in_shard


def label_set(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of a set of labelled images."""
    return project.labels[wildcards.labels].values


def setting_of_set(project: Project, wildcards: Wildcards) -> str:
    """Return the setting that lists a set of labelled images."""
    return project.labels[wildcards.labels].setting


def source_of_set(project: Project, wildcards: Wildcards) -> str:
    """Return the id of a set of labelled images as a source."""
    return project.labels[wildcards.labels].source


def classes_of_set(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the classes of the dataset that a set of labelled images feeds."""
    return classes_of(project, project.labels[wildcards.labels].dataset)


def classes_of(project: Project, name: str) -> list[str]:
    """Return the classes of the dataset `name`, which need not be made."""
    return next(dataset.classes(project.config) for dataset in all_datasets(project.config) if dataset.name == name)


def watched_labels(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the files of a set of labelled images.

    The set must exist. An input function would not do: with results that need its job, Snakemake hides its errors.
    """
    labels = project.labels[wildcards.labels]
    check_exists(f"{labels.setting}: {labels.values['name']!r}", labels.values["path"])
    return contents_of(files_below(labels.values["path"]))


@cache
def exports_of_frames(project: Project) -> list[Path]:
    """Return the exports of Label Studio with labels of frames. They are searched once, and not for each shard."""
    return frame_exports(project.config["annotations"]["frame_labels"])


def frame_labels_of_shard(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the labels of the frames of a shard. An export may have labels for any shard."""
    folder = project.config["annotations"]["frame_labels"]
    sources = project.shards[wildcards.shard]
    files = [file for source in sources for file in frame_label_files(folder, source.source)]
    return contents_of([*files, *exports_of_frames(project)])


def watched_frame_labels(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the label files of the frames of a shard.

    Raises `TesseraError` if there were labels, and their folder is missing.
    """
    folder = project.config["annotations"]["frame_labels"]
    if folder and any(ledger.stat().st_size for ledger in Path(project.results).glob("labels/frames/*/ledger.jsonl")):
        check_exists("annotations.frame_labels", folder, folder=True)
    return frame_labels_of_shard(project, wildcards)


def negatives_of_shard(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the decisions that frames of a shard show no region."""
    names = names_in_shard(project, wildcards.shard)
    return [
        decision.model_dump()
        for key, decision in project.decided.frames.items()
        if decision.decision == "negative" and source_of(key) in names
    ]


def labelled_images(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the images that people labelled. Of several near-duplicates, such an image is kept."""
    return [
        *project.of_labelled_sets("images.parquet", project.without_duplicates),
        *project.expand_shards("<results>/labels/frames/{labelled}/images.parquet"),
    ]


def image_label_set(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of a set of images with labels of their own."""
    return project.image_labels[wildcards.image_labels]


def watched_image_labels(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the files of a set of images with labels, which must exist."""
    label_set = project.image_labels[wildcards.image_labels]
    if wildcards.image_labels not in project.readable_image_labels:
        raise TesseraError(
            f"annotations.image_labels: {label_set['name']!r}: {str(label_set['path'])!r} has no pictures yet: run"
            " `snakemake ask`, and label those that it writes there"
        )
    check_exists(f"annotations.image_labels: {label_set['name']!r}", label_set["path"])
    return contents_of(files_below(label_set["path"]))


def sources_of_answers(project: Project, wildcards: Wildcards) -> Paths:
    """Return the table of the admitted sources for a set that holds frames that were asked for; they belong to these."""
    is_asked = image_label_set(project, wildcards) is project.answers
    return "<results>/sources/admitted.parquet" if is_asked else []


def given_answers(project: Project, wildcards: Wildcards) -> dict[str, str]:
    """Return the labels that people gave on the review page to the pictures of a set, by the key of the picture."""
    return answers_by_key(project) if image_label_set(project, wildcards) is project.answers else {}


@cache
def answers_by_key(project: Project) -> dict[str, str]:
    """Return the labels that people gave on the review page to the pictures that were asked for, by their keys."""
    if not project.answers:
        return {}
    prefix, model = f"{file_name(project.answers['name'])}+", project.config["ask"]["model"]
    return {
        decision.key: decision.label
        for decision in project.decisions.samples
        if (decision.decision, decision.classifier) == ("relabel", model) and decision.key.startswith(prefix)
    }


def decisions_on_folders(project: Project) -> list[dict[str, Any]]:
    """Return the decisions on pictures of folders, and on regions in them."""
    return [
        decision.model_dump()
        for key, decision in {**project.decided.frames, **project.decided.regions}.items()
        if source_of(key.partition("+")[0]) in project.folders
    ]


def decisions_on_pictures(project: Project, classifier: str, *kinds: str) -> list[dict[str, Any]]:
    """Return the decisions of these kinds on the pictures of a classifier."""
    return [
        decision.model_dump()
        for decision in project.decisions.samples
        if decision.classifier == classifier and decision.decision in kinds
    ]


def rows_of(decisions: Mapping[str, Decision]) -> Given[list[dict[str, Any]]]:
    """Return the content of `decisions` for params, so that a comment in their file reruns nothing."""
    return literal_param([decision.model_dump() for decision in decisions.values()])
