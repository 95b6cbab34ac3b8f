"""What all models have in common: their exported files, cards and publication; and the weights that settings declare."""

from functools import cache
from pathlib import Path
from typing import Any

from tessera.catalogue import Kind, Model, all_models, sets_of, settings_on_card
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.resolve import check_declared, declared_weights
from tessera.workflow.project import Paths, Project, Wildcards, any_of


@cache
def _declared(project: Project) -> list[tuple[str, WeightsSettings]]:
    return list(declared_weights(project.config))


def weights_with_digest(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the declared weights with the digest of a job. A path must be as declared, unless they were fetched before."""
    declared = [(setting, weights) for setting, weights in _declared(project) if weights.sha256 == wildcards.sha256]
    for setting, weights in declared:
        if not Path(weights.file).exists():
            check_declared(setting, weights)
    return declared[0][1].model_dump()


def exported_names(project: Project, model: Model) -> tuple[str, ...]:
    """Return the patterns of the names of the exported files of `model`, with those that its settings add."""
    added = [
        name
        for name, setting in model.kind.optional_exports
        if project.config[model.kind.section][model.name]["export"][setting]
    ]
    return (*model.kind.exports, *added)


def exported_files(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the exported files of a model, which are not published yet."""
    model = wildcards.model
    names = exported_names(project, project.models[model])
    return [f"<results>/exports/{model}/{name.format(model=model)}" for name in names]


def export_report(project: Project, wildcards: Wildcards) -> Paths:
    """Return the comparison of the exported with the trained model, or an empty list if its kind has none."""
    compares = project.models[wildcards.model].kind.compares_export
    return f"<results>/metrics/{wildcards.model}.export.json" if compares else []


def card_settings(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings that the card of a model states."""
    return settings_on_card(project.models[wildcards.model], project.config)


def purpose(project: Project, wildcards: Wildcards) -> str:
    """Return the purpose of a model, for its card."""
    return project.models[wildcards.model].purpose


def forbidden_uses(project: Project, wildcards: Wildcards) -> tuple[str, ...]:
    """Return the uses that the card of a model forbids."""
    return project.models[wildcards.model].kind.not_for


def published_names(project: Project) -> list[tuple[Kind, tuple[str, ...]]]:
    """Return the lists of names of exported files that models of each kind have or, with other settings, could have."""
    plain = ((model.kind, model.kind.exports) for model in all_models(project.config))
    used = ((model.kind, exported_names(project, model)) for model in project.models.values())
    return list(dict.fromkeys([*plain, *used]))


def publishing_rule(kind: Kind, names: tuple[str, ...]) -> str:
    """Return the name of the rule that publishes the exported files of models of `kind` with these patterns of `names`."""
    added = dict.fromkeys(dict(kind.optional_exports)[name] for name in names[len(kind.exports) :])
    return "_".join(["publish", kind.rules, *added])


def published_models(project: Project, kind: Kind, names: tuple[str, ...]) -> str:
    """Return the pattern of the models of `kind` with these patterns of `names` of exported files."""
    return any_of(
        model.name for model in project.models.values() if (model.kind, exported_names(project, model)) == (kind, names)
    )


def content_of_sets(project: Project, wildcards: Wildcards) -> dict[str, str]:
    """Return the `content` of each set of images in the dataset of a job, by the id that its sources start with.

    It decides which pictures the report blurs.
    """
    is_of_model = not hasattr(wildcards, "dataset")
    dataset = project.models[wildcards.model].dataset if is_of_model else wildcards.dataset
    return {source: each["content"] for source, each in sets_of(project.datasets[dataset], project.config).items()}
