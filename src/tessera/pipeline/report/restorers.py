"""The page that compares restoration models."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.core.intervals import LEAST
from tessera.pipeline.report.pages import table, write_page

TRAINED = "restored"
WITHOUT_MODEL = ("mosaicked", "bicubic", "temporal_median", "clean")
# For each metric its title, its decimals, and whether higher is better.
MEASURES = {
    "psnr": ("PSNR, dB", 2, True),
    "ssim": ("SSIM", 3, True),
    "lpips": ("LPIPS", 3, False),
    "warping": ("warping error, levels", 2, False),
    "flicker": ("flicker, levels", 2, False),
    "seam": ("seam, levels", 2, False),
}


def tabulate_restorers(metrics: Path, files: Mapping[str, Path], path: Path) -> None:
    """Write an HTML page with a table per split: each model and simple method, with intervals, and its size.

    `metrics`: of the evaluation. `files`: the file of each model, by its name.
    """
    content = json.loads(metrics.read_text(encoding="utf-8"))
    parts = [_sizes(content["models"], files)]
    for split, found in content["splits"].items():
        intervals = found["intervals"]
        parts.append(f"<h2>{html.escape(split)}</h2>")
        if not intervals["methods"]:
            parts.append("<p>No clip was measured.</p>")
            continue
        sources, clips = intervals["sources"], found["all"]["samples"]
        said = f"Clips: {clips:,}. Sources: {sources:,}."
        if sources < LEAST:
            said += f" These are too few sources for an interval ({sources}); at least {LEAST} are needed."
        parts.append(f"<p>{said}</p>")
        names = [name for name in MEASURES if name in intervals["methods"][TRAINED]]
        order = sorted(intervals["methods"], key=lambda name: (name != TRAINED, name in WITHOUT_MODEL))
        rows = [
            [_title(method), *(_cell(intervals["methods"][method].get(name), name, method) for name in names)]
            for method in order
        ]
        parts.append(table(["", *(MEASURES[name][0] for name in names)], rows))
    write_page(path, "Restoration models compared", "\n".join(parts))


def _sizes(models: Mapping[str, Any], files: Mapping[str, Path]) -> str:
    """Return a table of the number of parameters of each of `models`, and of the size of its file."""
    rows = [[_title(name), values["parameters"], f"{files[name].stat().st_size / 1e6:.1f}"] for name, values in models.items()]
    return table(["model", "parameters", "file, MB"], rows) if rows else ""


def _title(method: str) -> str:
    named = {TRAINED: "the model trained here", "clean": "the clean clips", "mosaicked": "the mosaicked clips, its input"}
    return named.get(method, method.replace("_", " ") if method in WITHOUT_MODEL else method)


def _cell(values: Mapping[str, float | None] | None, name: str, method: str) -> str:
    """Return the mean of a metric and its interval, and in a second line the difference to the model trained here."""
    if values is None or values["value"] is None:
        return "no value"
    _, digits, is_higher_better = MEASURES[name]
    text = f"{values['value']:.{digits}f}{_interval(values['low'], values['high'], f'.{digits}f')}"
    difference, low, high = values["difference"], values["difference_low"], values["difference_high"]
    if method == TRAINED or difference is None:
        return text
    text += f"\n{difference:+.{digits}f}{_interval(low, high, f'+.{digits}f')}"
    if low is None or high is None or low <= 0 <= high:
        return text
    return f"{text} {'better' if (low > 0) == is_higher_better else 'worse'}"


def _interval(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"
