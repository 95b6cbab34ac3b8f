"""Pages and figures of detectors: comparisons, where they fail, and the confidences that the settings choose."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.core.messages import pluralize
from tessera.pages.report.pages import table, write_page

METRICS = {"map50": "mAP50", "precision": "precision", "recall": "recall"}
SPLITS = {"val": "Validation split", "test": "Test split"}
KINDS = {"mask": "masks", "box": "boxes"}


def tabulate_comparison(comparison: Path, speed: Path, path: Path) -> None:
    """Write the comparison of a detector with others as an HTML page. `comparison`, `speed`: JSON of `compare_detectors`."""
    compared, milliseconds = (json.loads(Path(file).read_text(encoding="utf-8")) for file in (comparison, speed))
    trained = next(iter(compared["models"]))
    parts = []
    for split, measured in compared["splits"].items():
        shown = f"{pluralize(measured['images'], 'images')} of {pluralize(measured['sources'], 'sources')}"
        parts.append(f"<h2>{SPLITS[split]}</h2>\n<p>{shown}.</p>")
        if "intervals" in measured:
            parts.append(f"<p>There are {html.escape(measured['intervals'])}.</p>")
        kinds = [kind for kind in KINDS if kind in measured]
        if not kinds:
            parts.append("<p>None of the images shows a region, so nothing can be measured.</p>")
        for kind in kinds:
            rows = []
            for name, model in compared["models"].items():
                values = measured[kind].get(name)
                cells = (
                    ["not comparable"] * 6
                    if values is None
                    else [cell for metric in METRICS for cell in _cells(values[metric], name == trained)]
                )
                size = f"{model['bytes'] / 1e6:.1f}"
                rows.append([name, *cells, size, f"{milliseconds[split][name]:.1f}", f"{model['image_size']} px"])
            names = [cell for title in METRICS.values() for cell in (title, "difference")]
            parts.append(f"<h3>By {KINDS[kind]}</h3>")
            shown = table(["model", *names, "MB", "ms per image", "images"], rows)
            parts.append(f'<div style="font-size: 13px">{shown}</div>')
    remarks = [f"{name}: {remark}" for name, model in compared["models"].items() for remark in model["remarks"]]
    if remarks:
        parts.append("<h2>Remarks</h2>\n<ul>" + "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks) + "</ul>")
    parts.append(
        "<p>Precision and recall are those at the confidence with the best F1 of each model. The milliseconds were measured on"
        " the machine that compared the models, with batches of 8 images, and differ from run to run.</p>"
    )
    write_page(path, "Comparison", "\n".join(parts))


def _cells(values: Mapping[str, Any], is_trained: bool) -> list[str]:
    """Return a metric and its difference to the trained model, each with its interval."""
    difference = "" if is_trained else f"{values['difference']:+.3f}{_ends(values['interval_of_difference'], '+.3f')}"
    return [f"{values['value']:.3f}{_ends(values['interval'], '.3f')}", difference]


def _ends(interval: list[float] | None, form: str) -> str:
    return f" ({interval[0]:{form}} to {interval[1]:{form}})" if interval else ""
