"""Checks of image sets: their names, and what their rules need."""

from tessera.catalogue import DATASETS, MODELS
from tessera.configuration.sections import Sections
from tessera.core.messages import Message
from tessera.extras.image_sets.arrangement_settings import OF_IDENTITIES
from tessera.extras.image_sets.settings import FRAMES, ImageSetSettings
from tessera.records.limits import label_fault


def faults_in_image_sets(settings: Sections) -> list[str]:
    """Return which image sets have the name of another dataset, and which rules have nothing to go by."""
    faults: list[Message] = []
    taken = {*(entry.name for entry in (*DATASETS, *MODELS)), *settings.classifiers}
    steps = [FRAMES, *(step.name for step in settings.crops.steps)]
    classifiers = [*settings.classifiers, *settings.declared_classifiers]
    for name, image_set in settings.image_sets.items():
        path, select = f"image_sets.{name}", image_set.select
        if name in taken:
            faults.append(f"`{path}`: there is a dataset, a model or a classifier of this name; give it another")
        faults += [
            f"`{path}.select.contains` names {step!r}; it can name {', '.join(steps[1:]) or 'none, as `crops` has no steps'}"
            for step in select.contains
            if step not in steps[1:]
        ]
        faults += [
            f"`{path}.select.of` names {step!r}; it can name {', '.join(steps)}" for step in select.of if step not in steps
        ]
        if (select.tags.all or select.tags.none) and settings.tagger is None:
            faults.append(f"`{path}.select.tags` needs tags, and `tagger` is null; declare one")
        if settings.identities is None:
            faults += [f"`{path}.{use}` needs identities, and `identities` is null; set it" for use in _uses(image_set)]
        faults += [
            f"`{path}.select.scores` names {classifier!r}; `classifiers` and `declared_classifiers` have"
            f" {', '.join(classifiers) or 'none'}"
            for classifier in select.scores
            if classifier not in classifiers
        ]
        faults += [
            f"`{path}.select.scores.{classifier}` does not fit `classifiers.{classifier}`: {fault}"
            for classifier, limit in select.scores.items()
            if classifier in settings.classifiers
            and (fault := label_fault(limit.label, settings.classifiers[classifier].classes))
        ]
    return faults


def _uses(image_set: ImageSetSettings) -> list[str]:
    """Return the settings of `image_set` that mean something only if crops are identified."""
    levels = image_set.arrangement.folders if image_set.arrangement else ()
    named = [f"arrangement.folders: {level}" for level in levels if level in OF_IDENTITIES]
    return ["select.identities", *named] if image_set.select.identities is not None else named
