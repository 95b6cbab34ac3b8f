"""Checks of where detectors are used: for mosaics, for clips, and with a confidence that is a target."""

from collections.abc import Mapping
from typing import Any

from tessera.catalogue import made_datasets, model_for, trained_models
from tessera.configuration.confidences import CONFIDENCES, setting
from tessera.configuration.sections import DETECTORS, Sections
from tessera.core.messages import Message
from tessera.records.confidence import ConfidenceTarget


def faults_in_mosaics(settings: Sections) -> list[str]:
    """Return why no mosaics can be drawn on frames, if a dataset needs them."""
    config = settings.model_dump(mode="json")
    covered = [dataset.name for dataset in made_datasets(config).values() if "regions" in dataset.gates]
    if not covered:
        return []
    detectors = settings.regions.detectors
    off = ", ".join(f"`models.{model.name}: null`" for model in trained_models(config).values() if model.dataset in covered)
    detectors_by_path = {f"regions.detectors.{name}": (name, detector.weights) for name, detector in detectors}
    faults: list[Message] = _untrained(settings, detectors_by_path, f"{off} needs none of the detectors in `regions`")
    if not (detectors.nsfw.weights or detectors.face.weights or detectors.head.weights):
        faults.append(
            "one of `regions.detectors.nsfw`, `.face` and `.head` needs `weights`, or there is nothing to cover"
            f" ({off} covers nothing)"
        )
    for name, confidence in settings.regions.choose.confidence:
        detector = getattr(detectors, name)
        if not isinstance(confidence, ConfidenceTarget) and confidence < detector.confidence:
            faults.append(
                f"`regions.choose.confidence.{name}` is {confidence:g}, and nothing below {detector.confidence:g} is found:"
                f" lower `regions.detectors.{name}.confidence`"
            )
    return faults


def faults_in_clips(settings: Sections) -> list[str]:
    """Return why no clips can be made, unless they are switched off."""
    if settings.scenes.detect.weights is None:
        return []
    scored = {f"scores.detectors.{name}": (name, detector.weights) for name, detector in settings.scores.detectors}
    detectors = {"scenes.detect": ("nsfw", settings.scenes.detect.weights), **scored}
    return _untrained(settings, detectors, "`scenes.detect.weights: null` makes no clips at all")


def faults_in_targets(settings: Sections) -> list[str]:
    """Return the confidences that are targets of detectors whose precision and recall nothing here measures."""
    config = settings.model_dump(mode="json")
    faults: list[Message] = []
    for path, (finds, detector, _) in CONFIDENCES.items():
        wanted = setting(config, path)
        model = model_for(finds) if finds else settings.preview.model
        if not isinstance(wanted, dict) or model not in DETECTORS:
            continue
        reason = f"`{path}` is a {wanted['target']}, which is measured only of a model that is trained here: state a confidence"
        if detector and setting(config, detector)["weights"] != "trained":
            faults.append(f"{reason}, or set `{detector}.weights: trained`")
        elif getattr(settings.models, model) is None:
            faults.append(f"{reason}, or train `models.{model}`, which is null")
    return faults


def _untrained(settings: Sections, detectors: Mapping[str, tuple[str, Any]], way_out: str) -> list[str]:
    """Return a fault for each of `detectors` that needs the weights of a model that is not trained here.

    `detectors`: name of the detector and its weights, by the path of its setting. `way_out`: how to need none of them.
    """
    return [
        f"`{path}.weights` is `trained`, and `models.{model_for(finds)}` is null: name weights, or null ({way_out})"
        for path, (finds, weights) in detectors.items()
        if weights == "trained" and getattr(settings.models, model_for(finds)) is None
    ]
