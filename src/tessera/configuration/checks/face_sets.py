"""Checks of face sets: their names."""

from tessera.catalogue import DATASETS, MODELS
from tessera.configuration.sections import Sections


def faults_in_face_sets(settings: Sections) -> list[str]:
    """Return which face sets have the name of another dataset."""
    taken = {*(entry.name for entry in (*DATASETS, *MODELS)), *settings.classifiers, *settings.image_sets}
    return [
        f"`face_sets.{name}`: there is a dataset, a model, a classifier or an image set of this name; give it another"
        for name in settings.face_sets
        if name in taken
    ]
