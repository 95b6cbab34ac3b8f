"""The pages about how good restoration models are."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.core.messages import format_counts
from tessera.learning.intervals import LEAST
from tessera.pages.report.pages import table, tables_of, write_page

TITLES = {"val": "Validation split", "test": "Test split"}
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


# By what the samples are grouped, and how a group is named.
GROUPS = {
    "blocks": ("size of the blocks", "{} px"),
    "motion": ("true motion per frame", "{} px"),
    "position": ("position in the window", "{} frames"),
    "degradations": ("degradation", "{}"),
}


def tabulate_restoration(metrics: Path, exported: Path, path: Path) -> None:
    """Write an HTML page with the means of each metric: for each method, and for the model by groups of samples.

    `metrics`: of the evaluation. `exported`: how much the exported model differs.
    """
    content = json.loads(metrics.read_text(encoding="utf-8"))
    parts = [
        f"<p>Means over clips, of windows of {content['frames']} frames. PSNR, SSIM and LPIPS are those of the mosaicked"
        " region, unless the whole frame is named. Of LPIPS, warping error, flicker and seam, lower is better. “Compared with"
        " other models” explains the metrics, and gives their intervals.</p>"
    ]
    for split, results in content["splits"].items():
        parts += [f"<h2>{TITLES.get(split, html.escape(split))}</h2>", f"<p>{html.escape(_counts(results['samples']))}</p>"]
        if not results["all"]["samples"]:
            continue
        areas = results["all"]
        shown = [(area, name) for area in ("region", "consistency") for name in areas[area][TRAINED]]
        columns = shown + [("frame", name) for name in areas["frame"][TRAINED]]
        header = [f"{'whole frame: ' if area == 'frame' else ''}{MEASURES[name][0]}" for area, name in columns]
        methods = dict.fromkeys(method for area, _ in columns for method in areas[area])
        rows = [
            [_title(method), *(_mean(areas, *column, method) for column in columns)]
            for method in sorted(methods, key=lambda name: (name != TRAINED, name in WITHOUT_MODEL))
        ]
        parts += ["<h3>Each method, on all clips</h3>", _values(["", *header], rows)]
        groups: list[list[Any]] = [
            [
                title,
                named.format(name),
                group["samples"],
                _mean(group, "region", "psnr", "mosaicked"),
                *(_mean(group, *column, TRAINED) for column in shown),
            ]
            for kind, (title, named) in GROUPS.items()
            for name, group in results[kind].items()
            if group["samples"]
        ]
        header = ["by", "", "clips", "PSNR of its input", *header[: len(shown)]]
        parts += ["<h3>The model trained here, on groups of clips or of their frames</h3>", _values(header, groups)]
    write_page(path, "Metrics", "\n".join([*parts, tables_of("Exported model", exported)]))


def _counts(samples: Mapping[str, Any]) -> str:
    """Return in words what became of the clips of a split. `samples`: a summary of their ledger."""
    text = f"Clips: {samples['in']:,}, of which {samples['ok']:,} were measured."
    left_out = {**samples["dropped"], **samples["failed"]}
    return f"{text} Left out: {format_counts(left_out)}." if left_out else text


def _mean(areas: Mapping[str, Any], area: str, name: str, method: str) -> str:
    """Return the mean of a metric of a `method`; nothing if it is not measured of it."""
    values = areas[area].get(method, {})
    if name not in values:
        return ""
    return "no value" if values[name] is None else f"{values[name]:.{MEASURES[name][1]}f}"


def _values(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table of many narrow columns."""
    return f'<div class="values">{table(header, rows)}</div>'


def tabulate_restorers(metrics: Path, speed: Path, files: Mapping[str, Path], path: Path) -> None:
    """Write an HTML page with a table per split: each model and simple method, with intervals, its size and its speed.

    `metrics`, `speed`: of the evaluation. `files`: the file of each model, by its name.
    """
    content, timed = (json.loads(file.read_text(encoding="utf-8")) for file in (metrics, speed))
    parts = []
    for split, results in content["splits"].items():
        intervals = results["intervals"]
        parts.append(f"<h2>{html.escape(split)}</h2>")
        if not intervals["methods"]:
            parts.append("<p>No clip was measured.</p>")
            continue
        sources, clips = intervals["sources"], results["all"]["samples"]
        said = f"Clips: {clips:,}. Sources: {sources:,}."
        if sources < LEAST:
            said += f" These are too few sources for an interval ({sources}); at least {LEAST} are needed."
        if unchanged := {_title(method): count for method, count in results["unchanged"].items()}:
            said += f" Left as they were: {format_counts(unchanged)}."
        parts.append(f"<p>{html.escape(said)}</p>")
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
        parts.append(_values(header, rows))
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
