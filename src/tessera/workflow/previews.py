"""Previews of footage: detections and proposed labels."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from tessera.catalogue import Model, all_models
from tessera.configuration.confidences import targets_in
from tessera.core.errors import TesseraError
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.records.previews import check_ids, ids_of
from tessera.workflow.detectors import Targets
from tessera.workflow.labels import classes_of
from tessera.workflow.project import Given, Paths, Project, Wildcards, literal_param


@cache
def previewed(project: Project) -> dict[str, list[str]]:
    """Return the ids of the sources that are previewed, by shard.

    Raises `TesseraError` if the settings name a source that is not in the manifest.
    """
    settings = project.config["preview"]
    named = {"preview.sources": settings["sources"], "preview.proposals.frames": settings["proposals"]["frames"]}
    check_ids(named, [source.source for source in project.sources])
    wanted = set(settings["sources"])
    return ids_of(project.shards, lambda source: source.source in wanted or not wanted)


def previewed_model(project: Project) -> Model:
    """Return the entry of the model that is previewed."""
    return next(model for model in all_models(project.config) if model.name == project.config["preview"]["model"])


def preview_targets(project: Project) -> Targets:
    """Return the target of `preview.confidence`, if it is one, in a list."""
    return targets_in(project.config, "preview.confidence", previewed=project.config["preview"]["model"])


def declared_preview_weights(project: Project) -> Any:
    """Return the weights of the preview: those that it declares, those trained here, or those declared instead of a model."""
    if (declared := project.config["preview"]["weights"]) != "trained":
        return declared
    model = previewed_model(project)
    if model.name in project.models:
        return "trained"
    return project.config["regions"]["detectors"][model.finds]["weights"]


def preview_weights(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the weights of the preview."""
    weights, model = declared_preview_weights(project), project.config["preview"]["model"]
    if weights == "trained" and model not in project.models:
        raise TesseraError(
            f"`preview.model` is {model}, `models.{model}` is null, and `regions.detectors` declares no weights for it: name"
            " another model"
        )
    return weights_file(weights, model)


def meant_by_detector(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return what the detections of the preview mean for the dataset of its model; see `Meant`.

    Raises `TesseraError` if the settings name a class that the dataset does not have.
    """
    preview = project.config["preview"]
    classes = previewed_classes(project, wildcards) if preview["weights"] != "trained" else []
    for label, meant in preview["classes"].items():
        if classes and meant is not None and meant not in classes:
            raise TesseraError(
                f"`preview.classes` says that {label!r} is {meant!r}, which is no class of {preview['model']}. It should be one"
                f" of {', '.join(map(repr, classes))}, or null"
            )
    return {"stated": preview["classes"], "classes": classes, "outlines": preview["outlines"]}


def mosaics_in_previews(project: Project) -> dict[str, Any]:
    """Return which detections count as mosaics; an empty dictionary for the other detectors."""
    return project.config["preview"]["mosaics"] if previewed_model(project).finds == "mosaic" else {}


def preview_checksums(project: Project) -> Paths:
    """Return the checksums of the weights of the preview if they are trained here, else an empty list."""
    return weights_checksums(declared_preview_weights(project), project.config["preview"]["model"])


def preview_files(project: Project) -> list[str]:
    """Return what `snakemake preview` makes."""
    parts = ("overlays", "sheets", "proposals.tsv")
    return [
        "<results>/previews/summary.json",
        *(f"<results>/previews/{shard}/{part}" for shard in previewed(project) for part in parts),
    ]


def proposal_files(project: Project) -> list[str]:
    """Return what `snakemake propose` makes."""
    return ["<results>/previews/proposed.json", *(f"<results>/previews/{shard}/proposals.tsv" for shard in previewed(project))]


def sources_to_preview(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of the sources of a shard that are previewed."""
    return previewed(project)[wildcards.shard]


def sources_in(shards: Mapping[str, list[str]]) -> Given[list[str]]:
    """Return a function that returns the ids of the sources in `shards`."""
    return literal_param([source for ids in shards.values() for source in ids])


def previewed_classes(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the classes of the dataset of the previewed model."""
    return classes_of(project, previewed_model(project).dataset)


def free_of_previewed(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of the sources of a shard that are known to show nothing that the previewed model finds."""
    finds = previewed_model(project).finds
    return [source.source for source in project.shards[wildcards.shard] if finds in source.free_of]
