"""Checks of `ask`: whether people can be asked for labels."""

from pathlib import Path

from tessera.catalogue import MODELS
from tessera.configuration.sections import DETECTORS, Sections
from tessera.core.messages import Message


def faults_in_active_learning(settings: Sections) -> list[str]:
    """Return why no labels can be asked for."""
    if settings.ask.model is None:
        return []
    classifier = settings.classifiers.get(settings.ask.model)
    if classifier is None or not classifier.classes:
        named = [name for name, each in settings.classifiers.items() if each.classes]
        hint = "; for a detector, use `snakemake preview`" if settings.ask.model in DETECTORS else ""
        return [f"`ask.model` should be a classifier with classes: {', '.join(named) or 'there is none'}{hint}"]
    sets = {each.name: each for each in settings.annotations.image_labels}
    if settings.ask.answers not in sets:
        return [f"`ask.answers` should name a set in `annotations.image_labels`: {', '.join(sets) or 'there is none'}"]
    faults: list[Message] = []
    answers, pictures, path = sets[settings.ask.answers], classifier.pictures, f"classifiers.{settings.ask.model}.pictures"
    if answers.name not in pictures.sets:
        faults.append(f"`{path}.sets` should have {answers.name!r}, the set that `ask.answers` names")
    if answers.path.suffix.lower() == ".zip" or answers.values != "label" or answers.split:
        faults.append(f"`annotations.image_labels`: {answers.name!r} should be a folder, with labels and without `split`")
    no_folders = [label for label in classifier.classes if Path(label).name != label or label.startswith(".")]
    if answers.format == "folders" and no_folders:
        faults.append(
            f"`annotations.image_labels`: {answers.name!r}: `format` should not be folders, because none can be named"
            f" {', '.join(map(repr, no_folders))}"
        )
    if answers.split_by == "image" and (pictures.regions or pictures.degraded):
        faults.append(
            f"`annotations.image_labels`: {answers.name!r}: `split_by` should be `set` instead of `image`, because"
            f" `{path}` has other pictures of the same sources, which would be in two splits"
        )
    hard = settings.ask.hard_negatives
    if hard and hard.label not in classifier.classes:
        faults.append(f"`ask.hard_negatives.label` should be one of {', '.join(classifier.classes)}")
    if hard and hard.free_of not in (kinds := [model.finds for model in MODELS if model.finds]):
        faults.append(f"`ask.hard_negatives.free_of` should be one of {', '.join(kinds)}")
    if settings.ask.embedding is not None and settings.ask.embedding not in settings.embeddings:
        faults.append(f"`ask.embedding` should be one of `embeddings`: {', '.join(settings.embeddings) or 'there is none'}")
    return faults
