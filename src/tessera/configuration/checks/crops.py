"""Checks of crops, and of the tagger of crops."""

from tessera.catalogue import trained_models
from tessera.configuration.sections import DETECTORS, Sections
from tessera.extras.crops.settings import crop_faults
from tessera.extras.tagging.settings import tagger_faults


def faults_in_crops(settings: Sections) -> list[str]:
    """Return what is wrong with the steps of crops as a whole, and with the pictures of the tagger."""
    steps = settings.crops.steps
    trained = [name for name in trained_models(settings.model_dump(mode="json")) if name in DETECTORS] if steps else []
    classes = settings.annotations.classes if settings.annotations.frame_labels else ()
    return crop_faults(steps, trained, classes) + tagger_faults(settings.tagger, [step.name for step in steps])
