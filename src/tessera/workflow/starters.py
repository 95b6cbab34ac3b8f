"""Which models find and restore the mosaics in videos: those that are trained here or, without them, the starter models."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from tessera.catalogue import MODELS, RESTORER, model_for, part_of
from tessera.configuration.confidences import CONFIDENCES, targets_in
from tessera.learning.weights.declare import with_source
from tessera.learning.weights.known import DETECTOR_STARTER, RESTORER_STARTER


class Used(NamedTuple):
    """A model that videos are restored with."""

    section: str  # the path of the settings that name its weights
    model: str  # the model that `weights: trained` means there
    starter: str  # the name of the starter model in resources/weights.tsv


USED = {
    "detector": Used("restore.detect", model_for("mosaic"), DETECTOR_STARTER),
    "restorer": Used("restore", next(model.name for model in MODELS if model.kind is RESTORER), RESTORER_STARTER),
}


def use_starters(config: dict[str, Any], trained: Collection[str]) -> None:
    """Let starter models restore videos where the settings mean models that are trained, and that are none of `trained`.

    A detector stays as it is if its confidence is a target, which must be measured.
    """
    measured = {CONFIDENCES[target["place"]].detector for target in targets_in(config, "restore")}
    for section, model, starter in USED.values():
        settings = part_of(config, section)
        if settings["weights"] == "trained" and model not in trained and section not in measured:
            settings["weights"] = with_source(starter)


def used_starters(config: Mapping[str, Any]) -> list[str]:
    """Return which of `USED` are starter models."""
    return [name for name, used in USED.items() if part_of(config, used.section)["weights"] == with_source(used.starter)]
