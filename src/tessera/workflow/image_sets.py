"""Image sets: what they are selected from, and their captions."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.catalogue import image_set_of_part
from tessera.core.contents import contents_of
from tessera.core.files import check_exists, files_below
from tessera.extras.image_sets.caption_settings import BESIDE, CAPTION_SUFFIXES, TagSettings
from tessera.extras.image_sets.settings import ImageSetSettings
from tessera.learning.weights.resolve import weights_file
from tessera.records.tags import read_tags, unknown_tags
from tessera.workflow.project import Paths, Project, Wildcards


def fetched_tags(project: Project) -> Paths:
    """Return the file of the tag list of the tagger if it is fetched, else an empty list.

    One that is fetched is not known before the jobs start, so that these compare the settings with it.
    """
    tagger = project.config["tagger"]
    return weights_file(tagger["tags"]) if tagger and "://" in tagger["tags"]["source"] else []


def check_files(project: Project) -> None:
    """Raise `TesseraError` if a file that the settings of an image set name is missing.

    Snakemake says nothing of it where the results of its job are there already.
    """
    for name, settings in project.config["image_sets"].items():
        _check_files(name, settings)


def _check_files(name: str, settings: Mapping[str, Any]) -> None:
    captions, arrangement = settings["captions"] or {}, settings["arrangement"] or {}
    named = [("captions.table", captions.get("table")), ("arrangement.weights", arrangement.get("weights"))]
    if captions:
        named += [("captions.tags", file) for file in TagSettings(**captions["tags"]).files]
    for setting, file in named:
        if file:
            check_exists(f"image_sets.{name}.{setting}", file)
    files = captions.get("files")
    if files and files != BESIDE:
        check_exists(f"image_sets.{name}.captions.files", files, folder=True)


def unknown_tags_of_sets(project: Project) -> list[str]:
    """Return a message for each tag in the settings of image sets that the tagger does not have."""
    stated = {
        setting: tags
        for name, settings in project.config["image_sets"].items()
        for setting, tags in ImageSetSettings(**settings).stated_tags(name).items()
        if tags
    }
    tagger = project.config["tagger"]
    if not stated or not tagger or fetched_tags(project):
        return []
    return unknown_tags(stated, read_tags(Path(tagger["tags"]["source"])))


def name_of_set(project: Project, wildcards: Wildcards) -> str:
    """Return the name in `image_sets` of the image set of a job."""
    return image_set_of_part(wildcards.dataset)


def settings_of_set(project: Project, wildcards: Wildcards, part: str) -> Any:
    """Return a part of the settings of the image set of a job."""
    return project.config["image_sets"][name_of_set(project, wildcards)][part]


def layout_settings(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of the layout of a job."""
    settings: dict[str, Any] = settings_of_set(project, wildcards, "layouts")[wildcards.layout]
    return settings


def tag_table(project: Project) -> list[str]:
    """Return the table of the tags of all pictures, if there is a tagger."""
    return ["<results>/tags/tags.parquet"] if project.config["tagger"] else []


def scores_of_set(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of what the classifiers of an image set see in frames: for each shard, one of each classifier."""
    classifiers = settings_of_set(project, wildcards, "select")["scores"]
    return project.of_shards("<results>/scores/frames/{shard}/{classifier}.parquet", classifier=classifiers)


def metrics_of_set(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the metrics of those classifiers of an image set that are trained here."""
    return project.metrics_of(settings_of_set(project, wildcards, "select")["scores"])


def made_of_set(project: Project, wildcards: Wildcards, part: str, table: str = "") -> Paths:
    """Return a table of an image set, if it has the settings `part`. `table`: its name; empty: `part`."""
    path = f"<results>/image_sets/{wildcards.dataset}/{table or part}.parquet"
    return path if settings_of_set(project, wildcards, part) else []


def weights_of_set(project: Project, wildcards: Wildcards) -> Paths:
    """Return the table of weights of an image set, if the settings name any."""
    return settings_of_set(project, wildcards, "arrangement")["weights"] or []


def texts_of_set(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of captions and of overlaps and the blacklist of an image set, if the settings name any."""
    captions = settings_of_set(project, wildcards, "captions")
    return [*([captions["table"]] if captions["table"] else []), *map(str, TagSettings(**captions["tags"]).files)]


def files_of_captions(project: Project, wildcards: Wildcards) -> str:
    """Return a digest of the files with captions, which may be too many for inputs of a rule; empty if none are read."""
    files = settings_of_set(project, wildcards, "captions")["files"]
    if not files:
        return ""
    folders = [source.path for source in project.sources] if files == BESIDE else [files]
    # Unlike `Path.is_dir`, this accepts any string that a manifest can contain.
    there = (Path(folder) for folder in folders if os.path.isdir(folder))  # noqa: PTH112
    return contents_of(file for folder in there for file in files_below(folder, CAPTION_SUFFIXES))


def needed_by_files(project: Project, wildcards: Wildcards, *paths: str) -> list[str]:
    """Return `paths` if the captions of a set are in files, else an empty list."""
    return list(paths) if settings_of_set(project, wildcards, "captions")["files"] else []
