"""Detectors: their trainings, the confidences that are targets, and their use in frames, videos and previews."""

from collections.abc import Mapping
from typing import Any

from tessera.catalogue import DETECTOR, FOR_LADA, model_for
from tessera.configuration.confidences import CONFIDENCES, setting, targets_in
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.records.frame_keys import source_of
from tessera.workflow.active_learning import free_sources
from tessera.workflow.datasets import drawn_on
from tessera.workflow.project import Paths, Project, Wildcards
from tessera.workflow.sources import names_in_shard

Targets = list[dict[str, Any]]  # see `configuration.confidences.targets_in`


def evaluations(targets: Targets) -> list[str]:
    """Return the tables that `targets`, confidences to reach, are measured by: for each its objects and its detections."""
    return [
        f"<results>/evaluation/{target['model']}/{table}.parquet" for target in targets for table in ("objects", "detections")
    ]


def used_detectors(project: Project, section: str) -> dict[str, Any]:
    """Return the weights of the detectors in `section` of the settings that have some, by what they find."""
    detectors = project.config[section]["detectors"]
    return {name: settings["weights"] for name, settings in detectors.items() if settings["weights"]}


def detector_files(project: Project, section: str) -> list[Paths]:
    """Return the file of the weights of each detector in `section` of the settings."""
    return [weights_file(weights, model_for(name)) for name, weights in used_detectors(project, section).items()]


def detector_checksums(project: Project, section: str) -> list[Paths]:
    """Return the checksums of those detectors in `section` of the settings that are trained here."""
    return [
        weights_checksums(weights, model_for(name))
        for name, weights in used_detectors(project, section).items()
        if weights == "trained"
    ]


def region_decisions_of_shard(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the decisions on regions in the frames of a shard."""
    names = names_in_shard(project, wildcards.shard)
    return [
        decision.model_dump() for key, decision in project.decided.regions.items() if source_of(key.rpartition("+")[0]) in names
    ]


def parts_of_dataset(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the folders that a trainer reads."""
    dataset = project.models[wildcards.model].dataset
    return [f"<results>/datasets/{dataset}/{part}" for part in ("images", "labels")]


def initial_weights_of_detector(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the initial weights of a model, or an empty list."""
    return weights_file(project.config["models"][wildcards.model]["weights"])


def weights_for_lada(project: Project, wildcards: Wildcards) -> Paths:
    """Return the weights of a model for Lada's application, or an empty list if they are not wanted."""
    model = wildcards.model
    is_wanted = project.config["models"][model]["export"]["lada"]
    return f"<results>/exports/{model}/{FOR_LADA.format(model=model)}.pt" if is_wanted else []


def inference_size(project: Project, wildcards: Wildcards) -> int:
    """Return the size in pixels that images are scaled to for a model."""
    settings = project.config["models"][wildcards.model]
    return int(settings["export"]["image_size"] or settings["training"]["imgsz"])


def empty_hint_of_dataset(project: Project, wildcards: Wildcards) -> str:
    """Return the advice if the dataset of a model is empty."""
    return project.datasets[project.models[wildcards.model].dataset].empty_hint


def target_of_model(project: Project, wildcards: Wildcards) -> str | None:
    """Return what a detector finds, such as `nsfw`; None for other models."""
    return project.models[wildcards.model].finds


def known_free(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of the sources that are known to show nothing that a model finds."""
    return free_sources(project, target_of_model(project, wildcards))


def epochs_of_detector(project: Project, wildcards: Wildcards) -> int:
    """Return the number of epochs of a training."""
    return int(project.config["models"][wildcards.model]["training"]["epochs"])


def preview_target(project: Project, wildcards: Wildcards) -> Targets:
    """Return the target of `preview.confidence` for a model, if it is one, in a list."""
    return targets_in(project.config, "preview.confidence", previewed=wildcards.model)


def preview_evaluation(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables that the target of `preview.confidence` is measured by."""
    return evaluations(preview_target(project, wildcards))


def compared_detectors(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Return the weights that each detector is compared with, by its name; detectors without are left out."""
    return {
        name: compared
        for name, compared in project.config["comparisons"].items()
        if compared and name in project.models and project.models[name].kind is DETECTOR
    }


def compared_with(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the weights that a detector is compared with."""
    return compared_detectors(project)[wildcards.model]


def compared_detector_files(project: Project, wildcards: Wildcards) -> list[Paths]:
    """Return the files of the weights that a detector is compared with."""
    return [weights_file(each) for each in compared_with(project, wildcards)]


def cases_of(project: Project, wildcards: Wildcards, table: str) -> str:
    """Return the table of what a model found and missed; also of the models that it is compared with, if there are any."""
    folder = "comparisons" if wildcards.model in compared_detectors(project) else "evaluation"
    return f"<results>/{folder}/{wildcards.model}/{table}.parquet"


def mosaics_of_model(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the mosaics on the samples of the dataset of a model, or an empty list."""
    return drawn_on(project, project.datasets[project.models[wildcards.model].dataset], "mosaics")


def confidences_of(project: Project, wildcards: Wildcards) -> dict[str, tuple[Any, Any]]:
    """Return the confidences from which the detections of a model count somewhere, by the path of the setting.

    Each has its value, and the smallest confidence of the detections that are recorded there.
    """
    config: Mapping[str, Any] = project.config
    return {
        path: (setting(config, path), setting(config, records) if records else 0.0)
        for path, (finds, detector, records) in CONFIDENCES.items()
        if not finds or (finds == target_of_model(project, wildcards) and setting(config, detector)["weights"] == "trained")
    }
