"""The restoration model: the stages of its training, and the models that it is compared with."""

from typing import Any

from tessera.catalogue import RESTORER, all_models
from tessera.learning.weights.resolve import weights_file
from tessera.workflow.project import Paths, Project, Wildcards


def stages(project: Project) -> dict[str, dict[str, Any]]:
    """Return the settings of the stages, by name, in their order."""
    return {stage["name"]: stage for stage in project.config["restoration"]["stages"]}


def compared_models(project: Project) -> dict[str, dict[str, Any]]:
    """Return the weights that restoration models are compared with, by name."""
    return {
        compared["name"]: compared
        for model in all_models(project.config)
        if model.kind is RESTORER
        for compared in project.config["comparisons"][model.name]
    }


def compared_weights(project: Project) -> list[Paths]:
    """Return the files of the weights that the model is compared with, in the order of the settings."""
    return [weights_file(weights) for weights in compared_models(project).values()]


def stage_settings(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of a stage."""
    return stages(project)[wildcards.stage]


def stage_weights(project: Project, wildcards: Wildcards) -> dict[str, Paths]:
    """Return the files of weights that the training of a stage depends on, by name; unused ones are empty lists."""
    stage = stages(project)[wildcards.stage]
    base, declared = stage["base"], project.config["restoration"]["weights"]
    used = {
        "load_from": not base,
        "spynet": not base and not declared["load_from"],
        "vgg19": stage["losses"]["perceptual"],
    }
    return {
        "base": f"<results>/training/{wildcards.model}/{base}/best.pth" if base else [],
        **{name: weights_file(declared[name] if is_used else None) for name, is_used in used.items()},
    }


def iterations_of(project: Project, wildcards: Wildcards) -> int:
    """Return the number of iterations of a stage."""
    return int(stages(project)[wildcards.stage]["iterations"])


def last_checkpoint(project: Project, wildcards: Wildcards) -> str:
    """Return the checkpoint of the last stage, which is measured and exported."""
    return f"<results>/training/{wildcards.model}/{list(stages(project))[-1]}/best.pth"


def perceptual_weights(project: Project) -> Paths:
    """Return the file of the weights for LPIPS, or an empty list."""
    return weights_file(project.config["restoration"]["metrics"]["lpips"])
