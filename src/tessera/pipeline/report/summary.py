"""The first screen of the report: what the models do to footage, and how good they are."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.pipeline.report.pages import table

FIGURE = re.compile(r"<figure>.*?</figure>", re.DOTALL)


def write_summary(metrics: Mapping[str, Path], footage: Path | None, path: Path) -> None:
    """Write the part of an HTML page that answers both questions.

    `metrics`: the JSON of the evaluation of each model, by its name. `footage`: the page of `show_footage`, whose first figure
    is shown; None if the settings name no footage.
    """
    parts = []
    shown = FIGURE.search(footage.read_text(encoding="utf-8")) if footage else None
    if shown:
        parts += ["<h2>What the models do to footage</h2>", shown[0].replace("<img ", '<img style="max-width: 100%" ')]
    read = {model: json.loads(file.read_text(encoding="utf-8")) for model, file in metrics.items()}
    measured = {model: content.get("splits", {}).get("val", {}) for model, content in read.items()}
    rows = [[model, *_rated(values)] for model, values in measured.items()]
    if rows:
        note = "In brackets are 95 % confidence intervals, by the bootstrap over sources."
        parts += ["<h2>How good they are</h2>", table(["model", "on the validation split", "", ""], rows), f"<p>{note}</p>"]
    path.write_text("\n".join(parts) or "<p>No model was trained.</p>", encoding="utf-8")


def _rated(measured: Mapping[str, Any]) -> list[str]:
    """Return the name of the measure that decides for a model, its value, and what it is compared with or was counted on."""
    if "all" in measured:
        return _rated_restorer(measured)
    if "box" not in measured:
        return ["see its metrics", "", ""]
    kind = "mask" if "mask" in measured else "box"
    found = measured["intervals"]
    ends = found if isinstance(found, str) else found.get(kind, {}).get("map50")
    value = measured[kind]["map50"]
    return [f"{kind} mAP50", _with(value, ends, ".3f"), f"{measured['objects']:,} objects in {measured['images']:,} images"]


def _rated_restorer(measured: Mapping[str, Any]) -> list[str]:
    if not measured["all"]["samples"]:
        return ["PSNR of the region", "no value", "no clip was measured"]
    methods = measured["intervals"]["methods"]
    restored, mosaicked = (methods[name]["psnr"] for name in ("restored", "mosaicked"))
    ends = [restored["low"], restored["high"]] if restored["low"] is not None else "too few sources for an interval"
    gain = restored["value"] - mosaicked["value"]
    clips = f"{measured['all']['samples']:,} clips" if measured["all"]["samples"] > 1 else "1 clip"
    return ["PSNR of the region", f"{_with(restored['value'], ends, '.2f')} dB", f"{gain:+.2f} dB over the mosaic, {clips}"]


def _with(value: float | None, ends: list[float] | str | None, form: str) -> str:
    """Return `value` with its interval, or why there is none."""
    if value is None:
        return "no value"
    if isinstance(ends, str):
        return f"{value:{form}} ({ends})"
    return f"{value:{form}}" + (f" ({ends[0]:{form}} to {ends[1]:{form}})" if ends else "")
