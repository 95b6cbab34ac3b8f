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


def tabulate_restorers(metrics: Path, speed: Path, files: Mapping[str, Path], path: Path) -> None:
    """Write an HTML page with a table per split: each model and simple method, with intervals, its size and its speed.

    `metrics`, `speed`: of the evaluation. `files`: the file of each model, by its name.
    """
    content, timed = (json.loads(file.read_text(encoding="utf-8")) for file in (metrics, speed))
    parts = []
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
            [
                _title(method),
                *(_cell(intervals["methods"][method].get(name), name, method) for name in names),
                *_costs(method, content["models"], files, timed["milliseconds"][split]),
            ]
            for method in order
        ]
        header = ["", *(MEASURES[name][0] for name in names), "parameters", "MB", "ms per frame"]
        parts.append(f'<div style="font-size: 13px">{table(header, rows)}</div>')
    parts.append(
        f"<p>The milliseconds are for a frame of {timed['pixels']} by {timed['pixels']} pixels. They were measured on the"
        f" machine that evaluated the models, on {html.escape(timed['device'])}, and differ from run to run.</p>"
    )
    write_page(path, "Restoration models compared", "\n".join(parts))


def _costs(method: str, models: Mapping[str, Any], files: Mapping[str, Path], speed: Mapping[str, float]) -> list[Any]:
    """Return the number of parameters of a model, the size of its file and its time per frame; nothing without a model."""
    if method not in models:
        return ["", "", ""]
    return [models[method]["parameters"], f"{files[method].stat().st_size / 1e6:.1f}", f"{speed[method]:.1f}"]


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
