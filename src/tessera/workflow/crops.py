"""Crops of the sampled frames, and the tags of frames and crops."""

from typing import Any

from tessera.core.errors import TesseraError
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.workflow.project import Paths, Project, Wildcards, require_sources


def of_cropped_shards(project: Project, path: str) -> list[str]:
    """Return `path` for each shard of which crops are made: all or, without steps, none."""
    return project.of_shards(path) if project.config["crops"]["steps"] else []


def of_tagged_shards(project: Project, path: str) -> list[str]:
    """Return `path` for each shard whose pictures are tagged: all or, without a tagger, none."""
    return project.of_shards(path) if project.config["tagger"] else []


def labels_of_crops(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the table of the labels of the frames of a shard if a step cuts out what people drew, else an empty list."""
    is_drawn = any(step["annotations"] for step in project.config["crops"]["steps"])
    return [f"<results>/labels/frames/{wildcards.shard}/annotations.parquet"] if is_drawn else []


def crop_weights(project: Project) -> list[Paths]:
    """Return the files of the detectors of the steps."""
    steps = project.config["crops"]["steps"]
    return [weights_file(step["weights"], step["detector"]) for step in steps if step["weights"]]


def crop_checksums(project: Project) -> list[Paths]:
    """Return the checksums of those detectors of the steps that are trained here."""
    steps = project.config["crops"]["steps"]
    return [weights_checksums(step["weights"], step["detector"]) for step in steps if step["weights"] == "trained"]


def crop_storage(project: Project) -> dict[str, Any]:
    """Return how crops are stored: as frames are, unless the settings say more."""
    return {key: project.config["crops"][key] or project.config["frames"][key] for key in ("format", "quality")}


def crop_targets(project: Project) -> list[str]:
    """Return everything that is made of crops alone."""
    gate = ["<results>/gates/crops.json"] if project.config["crops"]["steps"] else []
    return [*of_cropped_shards(project, "<results>/crops/{shard}/crops.parquet"), *gate]


def require_crops(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if there is nothing to cut out, or no footage."""
    if not project.config["crops"]["steps"]:
        raise TesseraError("no step cuts crops out: add one to `crops.steps`")
    return require_sources(project, wildcards)


def tagged_crops(project: Project, path: str) -> list[str]:
    """Return `path` in a list if crops are tagged, else an empty list."""
    tagger = project.config["tagger"]
    steps = {step["name"] for step in project.config["crops"]["steps"]}
    return [path] if tagger and steps.intersection(tagger["of"]) else []


def tagger(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of the tagger without the thresholds. Raises `TesseraError` if there is none."""
    settings = project.config["tagger"]
    if not settings:
        raise TesseraError("`tagger` is null: declare a model and its tag list (see docs/crops.md)")
    return {name: value for name, value in settings.items() if name != "thresholds"}


def tagger_file(project: Project, part: str) -> Paths:
    """Return the file that the settings of the tagger declare as `part`: `weights` or `tags`."""
    settings = project.config["tagger"]
    return weights_file(settings and settings[part])


def tag_targets(project: Project) -> list[str]:
    """Return everything that is made of tags alone."""
    return ["<results>/tags/tags.parquet"] if project.config["tagger"] else []


def require_tagger(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if there is no tagger, or no footage."""
    tagger(project, wildcards)
    return require_sources(project, wildcards)
