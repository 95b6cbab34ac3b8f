"""The first screen of the report: how good the models are, and what they do to footage."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.core.intervals import LEAST
from tessera.core.messages import counted
from tessera.pipeline.report.pages import table, write_page

FIGURE = re.compile(r"<figure>.*?</figure>", re.DOTALL)


def write_summary(metrics: Mapping[str, Path], footage: Path | None, path: Path) -> None:
    """Write an HTML page that answers both questions.

    `metrics`: the JSON of the evaluation of each model, by its name. `footage`: the page of `show_footage`, whose first figure
    is shown; None if the settings name no footage.
    """
    parts = []
    read = {model: json.loads(file.read_text(encoding="utf-8")) for model, file in metrics.items()}
    measured = {model: content.get("splits", {}).get("val", {}) for model, content in read.items()}
    rows = [[model, _rated(values)] for model, values in measured.items()]
    if rows:
        note = f"In brackets are 95 % confidence intervals, by the bootstrap over sources. They need {LEAST} sources or more."
        parts += ["<h2>How good the models are</h2>", table(["model", "on the validation split"], rows), f"<p>{note}</p>"]
    else:
        parts.append("<p>No model was trained.</p>")
    shown = FIGURE.search(footage.read_text(encoding="utf-8")) if footage else None
    if shown:
        parts += ["<h2>What the models do to footage</h2>", f'<div class="triptychs">{shown[0]}</div>']
    write_page(path, "Summary", "\n".join(parts))


def _rated(measured: Mapping[str, Any]) -> str:
    """Return the measure that decides for a model, with its interval, and what it was counted on."""
    if "all" in measured:
        return _rated_restorer(measured)
    if "pictures" in measured:
        return _rated_classifier(measured)
    if "box" not in measured:
        return "see its metrics"
    kind = "mask" if "mask" in measured else "box"
    found = measured["intervals"]
    ends = None if isinstance(found, str) else found.get(kind, {}).get("map50")
    objects, images, sources = (counted(measured[name], name) for name in ("objects", "images", "sources"))
    return f"{kind} mAP50 {_with(measured[kind]['map50'], ends, '.3f')}; {objects} in {images} of {sources}"


def _rated_classifier(measured: Mapping[str, Any]) -> str:
    metric, name = ("mae", "mean absolute error") if "mae" in measured else ("balanced_accuracy", "balanced accuracy")
    found = measured["intervals"]
    ends = None if isinstance(found, str) else found[metric]
    pictures, sources = (counted(measured[each], each) for each in ("pictures", "sources"))
    return f"{name} {_with(measured[metric], ends, '.3f')}; {pictures} of {sources}"


def _rated_restorer(measured: Mapping[str, Any]) -> str:
    if not measured["all"]["samples"]:
        return "no clip was measured"
    methods = measured["intervals"]["methods"]
    restored, mosaicked = (methods[name]["psnr"] for name in ("restored", "mosaicked"))
    ends = None if restored["low"] is None else [restored["low"], restored["high"]]
    gain = restored["value"] - mosaicked["value"]
    clips = counted(measured["all"]["samples"], "clips")
    return (
        f"PSNR of the region {_with(restored['value'], ends, '.2f')} dB, {gain:+.2f} dB over the mosaic; {clips} of"
        f" {counted(measured['intervals']['sources'], 'sources')}"
    )


def _with(value: float | None, ends: list[float] | None, form: str) -> str:
    """Return `value` with its interval, if there is one."""
    if value is None:
        return "no value"
    return f"{value:{form}}" + (f" ({ends[0]:{form}} to {ends[1]:{form}})" if ends else "")
