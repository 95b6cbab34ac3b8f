"""Checks of what is done with models: embeddings, searches and comparisons."""

from tessera.catalogue import DATASETS, MODELS, trained_models
from tessera.configuration.checks.datasets import class_faults
from tessera.configuration.sections import DETECTORS, Sections
from tessera.core.messages import Message
from tessera.extras.classifiers.settings import ClassifierSettings
from tessera.extras.near_duplicates.settings import embedding_faults
from tessera.learning.search import search_faults
from tessera.learning.weights.declare import compared_faults
from tessera.stages.detectors.library import task_of
from tessera.stages.detectors.settings import SEARCHED, ComparedDetector, DetectorSettings


def faults_in_embeddings(settings: Sections) -> list[str]:
    """Return what is wrong with the embeddings as a whole."""
    trained = [name for name in trained_models(settings.model_dump(mode="json")) if name in DETECTORS]
    steps = [step.name for step in settings.crops.steps]
    faults = embedding_faults(settings.embeddings, settings.duplicates.embeddings, trained, steps)
    if settings.scenes.detect.weights is None:
        faults += [
            f"`embeddings.{name}.clips` is {embedding.clips}, and `scenes.detect.weights: null` makes no clips: set it to 0"
            for name, embedding in settings.embeddings.items()
            if embedding.clips
        ]
    return faults


def faults_in_searches(settings: Sections) -> list[str]:
    """Return the searches of models that are not trained here, and their values that no training can have."""
    detectors = {name: model for name in DETECTORS if (model := getattr(settings.models, name))}
    models: dict[str, ClassifierSettings | DetectorSettings] = {**detectors, **settings.classifiers}
    faults: list[Message] = []
    for name, search in settings.search.items():
        path, model = f"search.{name}", models.get(search.model)
        if model is None:
            faults.append(f"{path}.model: should be one of {', '.join(models) or 'none'}; given: {search.model!r}")
        elif isinstance(model, DetectorSettings):
            search_errors = search_faults(path, search, model, SEARCHED)
            if (
                not search_errors
                and len({task_of(architecture) for architecture in (model.architecture, *search.space.get("architecture", ()))})
                > 1
            ):
                search_errors = [
                    f"{path}.space.architecture: all should find masks (-seg), or all boxes, as `models.{search.model}`"
                ]
            faults += search_errors
        else:
            faults += search_faults(path, search, model, model.searched)
    return faults


def faults_in_comparisons(settings: Sections) -> list[str]:
    """Return what is wrong with the weights of others that models are compared with."""
    config = settings.model_dump(mode="json")
    models = {model.name: model for model in MODELS}
    faults: list[Message] = []
    for name, compared in settings.comparisons:
        faults += compared_faults(name, compared, models[name].kind.reserved)
        known = next((dataset.classes(config) for dataset in DATASETS if dataset.name == models[name].dataset), [])
        for weights in compared:
            if isinstance(weights, ComparedDetector):
                path = f"`comparisons.{name}`: {weights.name!r}: `classes`"
                faults += class_faults(path, weights.classes, known, models[name].dataset)
    return faults
