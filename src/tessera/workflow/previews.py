"""Previews of footage: detections, proposed labels, and restored videos."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from tessera.catalogue import RESTORER, Model, all_models, model_for
from tessera.configuration.confidences import targets_in
from tessera.core.errors import TesseraError
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.records.previews import previewed_sources
from tessera.workflow.detectors import Targets, evaluations
from tessera.workflow.labels import classes_of
from tessera.workflow.project import Given, Paths, Project, Wildcards, literal_param


@cache
def previewed(project: Project) -> dict[str, list[str]]:
    """Return the ids of the sources that are previewed, by shard.

    Raises `TesseraError` if the settings name a source that is not in the manifest.
    """
    settings = project.config["preview"]
    named = {
        "preview.proposals.frames": settings["proposals"]["frames"],
        "preview.restore.shown": settings["restore"]["shown"],
        "preview.restore.spans": settings["restore"]["spans"],
    }
    return previewed_sources(project.shards, settings["sources"], named)


def previewed_model(project: Project) -> Model:
    """Return the entry of the model that is previewed."""
    return next(model for model in all_models(project.config) if model.name == project.config["preview"]["model"])


def preview_targets(project: Project) -> Targets:
    """Return the target of `preview.confidence`, if it is one, in a list."""
    return targets_in(project.config, "preview.confidence", previewed=project.config["preview"]["model"])


def is_restored(project: Project) -> bool:
    """Return whether the preview is restored footage."""
    return previewed_model(project).kind is RESTORER


def declared_preview_weights(project: Project) -> Any:
    """Return the weights of the preview: those trained here or, if the model is not trained, those declared instead."""
    model = previewed_model(project)
    if model.name in project.models or is_restored(project):
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


def preview_checksums(project: Project) -> Paths:
    """Return the checksums of the weights of the preview if they are trained here, else an empty list."""
    return weights_checksums(declared_preview_weights(project), project.config["preview"]["model"])


def preview_files(project: Project) -> list[str]:
    """Return what `snakemake preview` makes."""
    if is_restored(project):
        return ["<results>/restored/summary.json"]
    parts = ("overlays", "sheets", "proposals.tsv")
    return [
        "<results>/previews/summary.json",
        *(f"<results>/previews/{shard}/{part}" for shard in previewed(project) for part in parts),
    ]


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


def restorer(project: Project) -> str:
    """Return the name of the restoration model."""
    return next(model.name for model in all_models(project.config) if model.kind is RESTORER)


@cache
def restored(project: Project) -> dict[str, list[str]]:
    """Return the ids of the sources to restore, by shard: those that are previewed, and those that the report shows."""
    shown = project.config["preview"]["restore"]["shown"]
    wanted = previewed(project) if is_restored(project) else {}
    by_shard = {
        shard: [each.source for each in sources if each.source in shown or each.source in wanted.get(shard, [])]
        for shard, sources in project.shards.items()
    }
    return {shard: ids for shard, ids in by_shard.items() if ids}


def restored_targets(project: Project) -> Targets:
    """Return the confidences of the restored footage that are targets."""
    return targets_in(project.config, "preview.restore")


def restored_evaluations(project: Project) -> list[str]:
    """Return the tables that the targets of the restored footage are measured by."""
    return evaluations(restored_targets(project))


def sources_to_restore(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of the sources of a shard that are restored."""
    return restored(project)[wildcards.shard]


def _required(project: Project, setting: str, weights: Any, model: str, suffix: str) -> Paths:
    """Return the file of `weights`, the value of `setting`. Raises `TesseraError` if there are none."""
    if weights is None or (weights == "trained" and model not in project.models):
        raise TesseraError(
            f"`preview.restore.{setting}` is {weights or 'null'}, and no {model} is trained here: declare weights there,"
            " or restore no footage"
        )
    return weights_file(weights, model, suffix)


def mosaic_detector(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the detector of the mosaics in footage."""
    weights = project.config["preview"]["restore"]["detect"]["weights"]
    return _required(project, "detect.weights", weights, model_for("mosaic"), ".pt")


def mosaic_detector_checksums(project: Project) -> Paths:
    """Return the checksums of the detector of the mosaics in footage if it is trained here, else an empty list."""
    return weights_checksums(project.config["preview"]["restore"]["detect"]["weights"], model_for("mosaic"))


def restoration_weights(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the model that restores footage."""
    weights = project.config["preview"]["restore"]["weights"]
    return _required(project, "weights", weights, restorer(project), ".safetensors")


def restoration_checksums(project: Project) -> Paths:
    """Return the checksums of the model that restores footage if it is trained here, else an empty list."""
    return weights_checksums(project.config["preview"]["restore"]["weights"], restorer(project))


def restoration_settings(project: Project) -> dict[str, Any]:
    """Return the settings of restored footage, without those of finding the mosaics and of the report."""
    settings = project.config["preview"]["restore"]
    return {name: settings[name] for name in settings if name not in ("shown", "detect", "track", "choose")}


def of_shown(project: Project, name: str) -> list[str]:
    """Return the file `name` of each shard with a source that the report shows."""
    shown = project.config["preview"]["restore"]["shown"]
    return [
        f"<results>/restored/{shard}/{name}"
        for shard, sources in project.shards.items()
        if any(source.source in shown for source in sources)
    ]
