"""The review page: what is made here and can be decided on."""

import sys
from typing import Any

from tessera.catalogue import CLIPS, IMAGE_SETS, fed_by, sets_of
from tessera.configuration.confidences import targets_in
from tessera.core.files import file_name
from tessera.stages.mosaics.choose import CANDIDATES
from tessera.workflow.active_learning import asked_classifiers
from tessera.workflow.classifiers import label_checks
from tessera.workflow.detectors import Targets, used_detectors
from tessera.workflow.labels import labelled_images
from tessera.workflow.project import Paths, Project, Wildcards


def shards_of_clips(project: Project) -> list[str]:
    """Return the shards whose clips are shown: all or, if no dataset of clips is made, none."""
    return list(project.shards) if datasets_of_clips(project) else []


def datasets_of_clips(project: Project) -> list[str]:
    """Return the datasets of clips that are made."""
    return [name for name, each in project.datasets.items() if each.layout == CLIPS]


def shown_detector(project: Project) -> str | None:
    """Return the detector whose regions are shown in the sampled frames, the first; None without any."""
    return next(iter(used_detectors(project, "regions")), None)


def shown_detectors(project: Project) -> list[str]:
    """Return the detectors whose detections can become regions."""
    return [name for name in used_detectors(project, "regions") if name in CANDIDATES]


def shards_of_regions(project: Project) -> list[str]:
    """Return the shards whose regions are shown: all or, if they feed no dataset that is made, none."""
    is_fed = shown_detector(project) and not project.datasets.keys().isdisjoint(fed_by("regions"))
    return list(project.shards) if is_fed else []


def shows_pairs(project: Project) -> bool:
    """Return whether near-duplicates are shown."""
    return not project.datasets.keys().isdisjoint(project.without_duplicates)


def datasets_without_duplicates(project: Project) -> list[str]:
    """Return the datasets that leave out near-duplicates, if these are shown."""
    return [
        name
        for name, each in project.datasets.items()
        if shows_pairs(project) and (each.drops_duplicates or each.layout.rules == IMAGE_SETS.rules)
    ]


def datasets_of_labelled_frames(project: Project) -> list[str]:
    """Return the datasets of images that people label in sampled frames."""
    return [
        name
        for name, each in project.datasets.items()
        if project.labelled_shards and any("{labelled}" in path for path in each.samples)
    ]


def labelled_pairs(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the images that people labelled, if near-duplicates are shown."""
    return labelled_images(project, wildcards) if shows_pairs(project) else []


def review_targets(project: Project) -> Targets:
    """Return the confidences that are targets of what is shown."""
    return [
        *(targets_in(project.config, "regions") if shards_of_regions(project) else []),
        *(targets_in(project.config, "scenes", "scores") if shards_of_clips(project) else []),
    ]


def checked_datasets(project: Project) -> list[str]:
    """Return the dataset of each classifier whose labels are checked."""
    return [project.models[model].dataset for model in label_checks(project)]


def asked_labels(project: Project) -> Paths:
    """Return the table of the labels of the pictures that were asked for, if there are any, else an empty list."""
    if not asked_classifiers(project):
        return []
    name = file_name(project.answers["name"])
    return f"<results>/labels/images/{name}/labels.parquet" if name in project.readable_image_labels else []


def answers_of_page(project: Project) -> dict[str, str] | None:
    """Return the set of images that the page writes answers to; None if nothing was asked."""
    if not asked_classifiers(project):
        return None
    answers = project.answers
    return {"name": answers["name"], "layout": answers["format"], "folder": str(answers["path"])}


def content_of_all_sets(project: Project, wildcards: Wildcards) -> dict[str, str]:
    """Return the `content` of each set of images that the settings name, by the id that its sources start with."""
    return {
        source: each["content"]
        for dataset in project.datasets.values()
        for source, each in sets_of(dataset, project.config).items()
    }


def page_settings(project: Project, wildcards: Wildcards, workflow: Any) -> dict[str, Any]:
    """Return where the page writes decisions, and what they may say. `workflow`: the object of Snakemake."""
    config = project.config
    identities = config["identities"]
    return {
        **config["review"],
        "classes": config["annotations"]["classes"],
        "decisions": str(config["decisions"]),
        "identities": str(identities["decisions"]) if identities else None,
        "classifiers": {name: each["labels"] for name, each in config["classifiers"].items()},
        "labels": str(config["annotations"]["frame_labels"] or "") or None,
        "results": project.results,
        "command": _command(workflow),
    }


def _command(workflow: Any) -> list[str]:
    """Return the command of Snakemake with the options of this run that decide what there is to do, but for its targets."""
    stated = workflow.config_settings
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", str(workflow.main_snakefile)]
    if stated.configfiles:
        command += ["--configfile", *map(str, stated.configfiles)]
    if stated.config_args:
        command += ["--config", *stated.config_args]
    return command
