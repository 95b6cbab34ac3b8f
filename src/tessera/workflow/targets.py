"""The targets that make one model or image set, each with its name."""

from tessera.catalogue import Model, all_models, image_set_of_part, trained_models
from tessera.core.errors import TesseraError
from tessera.workflow.crops import crop_targets, tag_targets
from tessera.workflow.embeddings import embedding_targets
from tessera.workflow.identities import identity_targets
from tessera.workflow.project import Given, Project, Wildcards, require_sources
from tessera.workflow.restore import refused_but_restored


def targets(project: Project) -> dict[str, Given[list[str]]]:
    """Return a function that returns what each target makes, by the path of the setting that names the target."""
    models = {f"{model.kind.section}.{model.name}": project.of_job(_finished, model) for model in all_models(project.config)}
    sets = {f"image_sets.{name}": project.of_job(_parts_of_set, name) for name in project.config["image_sets"]}
    return {**models, **sets}


def extra_targets(project: Project) -> list[str]:
    """Return what is made besides datasets and models; nothing if only earlier results are removed."""
    if project.is_emptied:
        return []
    extras = [*embedding_targets(project), *crop_targets(project), *tag_targets(project), *identity_targets(project)]
    return [*extras, *refused_but_restored(project)]


def _finished(project: Project, wildcards: Wildcards, model: Model) -> list[str]:
    """Return the last file of `model`. Raises `TesseraError` if it is not trained."""
    if model.name not in project.models:
        if model.name in trained_models(project.config):
            require_sources(project, wildcards)
            raise TesseraError(f"{project.config['manifest']} lists no source that feeds a dataset: `use` is `restore` in all")
        raise TesseraError(model.untrained_hint)
    return [f"<results>/weights/{model.name}/SHA256SUMS"]


def _parts_of_set(project: Project, wildcards: Wildcards, name: str) -> list[str]:
    """Return the last file of the image set `name`, or of each of its parts with one series."""
    parts = [each for each in project.datasets if image_set_of_part(each) == name]
    require_sources(project, wildcards)
    return [f"<results>/datasets/{part}/croissant.json" for part in parts]
