"""The confidences in the settings that may be targets: where each is set, and which detector it is for."""

from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

from tessera.catalogue import model_for


class Measured(NamedTuple):
    """The detector that a confidence is for."""

    finds: str  # what it finds, see `model_for`; empty: it is that of `preview.model`
    detector: str  # the path of its settings
    records: str  # the path of the smallest confidence of its detections that are recorded; empty: all are


# The confidences from which detections of a model that is trained here count. Each may be a `ConfidenceTarget`.
CONFIDENCES = {
    "preview.confidence": Measured("", "preview", "preview.predict.confidence"),
    "regions.choose.confidence.nsfw": Measured("nsfw", "regions.detectors.nsfw", "regions.detectors.nsfw.confidence"),
    "regions.choose.confidence.watermark": Measured(
        "watermark", "regions.detectors.watermark", "regions.detectors.watermark.confidence"
    ),
    "scenes.choose.confidence": Measured("nsfw", "scenes.detect", "scenes.detect.confidence"),
    "scores.detectors.watermark.confidence": Measured("watermark", "scores.detectors.watermark", ""),
    "scores.detectors.mosaic.confidence": Measured("mosaic", "scores.detectors.mosaic", ""),
    "restore.choose.confidence": Measured("mosaic", "restore.detect", "restore.detect.confidence"),
}


def setting(config: Mapping[str, Any], path: str) -> Any:
    """Return the setting at the path `path`, such as `scenes.choose.confidence`."""
    return reduce(getitem, path.split("."), config)


def targets_in(config: Mapping[str, Any], *parts: str, previewed: str = "") -> list[dict[str, Any]]:
    """Return the confidences in `parts` of the settings that are targets, each with what `with_confidences` needs to know.

    `parts`: paths of settings, such as `scenes`. `previewed`: the model that `preview.confidence` is for.
    """
    return [
        {
            "place": path,
            "model": model_for(finds) if finds else previewed,
            "lowest": setting(config, records) if records else 0.0,
        }
        for path, (finds, _, records) in CONFIDENCES.items()
        if any(f"{path}.".startswith(f"{part}.") for part in parts) and isinstance(setting(config, path), Mapping)
    ]
