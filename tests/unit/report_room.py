"""A small report for tests, with a figure of each kind and hostile names."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tessera.pipeline.report.clips import animate
from tessera.pipeline.report.pages import render_markdown, table, write_page
from tessera.pipeline.report.report import write_report

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
CONTEXT = {"config": {"report": {"blur": "adult"}, "preview": {"restore": {"shown": []}}}, "stories": {"a": "A ``story``."}}
HOSTILE = "<b>&\"'{x}</b>"


def figure(path: Path, **changes: Any) -> dict[str, Any]:
    """Return a figure of the report, with the fields of `Figure`."""
    stated = {"category": "3. Models", "subcategory": "a", "label": "1. Card", "caption": "card.rst", "made_by": "render_card"}
    return {"path": str(path), "wildcards": {"dataset": "a", "model": "a"}, "patterns": [], **stated, **changes}


def report(folder: Path, figures: list[dict[str, Any]], decided: list[tuple[str, str, str, int]]) -> str:
    """Write a report of `figures` to `folder/report.html`, and return its text."""
    write_page(folder / "summary.html", "Summary", "<h2>How good the models are</h2>")
    step = {"name": "admission", "unit": "sources", "rows": 4, "ok": 3, "partly": {}, "dropped": {}, "failed": {}}
    counts = {"steps": [step], "samples": "images", "splits": {"train": 5, "val": 6, "test": 0}}
    (folder / "counts.json").write_text(json.dumps(counts))
    funnels = {"a": folder / "counts.json"}
    write_report(figures, folder / "summary.html", funnels, ["a"], decided, CAPTIONS, CONTEXT, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def some_figures(folder: Path) -> list[dict[str, Any]]:
    """Write a figure of each kind to `folder`, and return them."""
    for name in ("funnel", "timings"):
        (folder / f"{name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "card.md").write_text(f"# A card\n\n## Uses\n\n{HOSTILE}\n\n| a | |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n")
    render_markdown(folder / "card.md", folder / "card.html")
    samples = folder / "samples"
    samples.mkdir()
    (samples / ".snakemake_timestamp").touch()
    pixels = Image.new("RGB", (8, 8))
    for split in ("val", "train"):
        pixels.save(samples / f"{split}.jpg")
    write_page(samples / "val.html", "Clips", animate([np.asarray(pixels)] * 2, [HOSTILE]) + table(["", "b"], [["c", HOSTILE]]))
    folders = {"caption": "clips.rst", "patterns": ["{split}.{format}"], "label": "2. Clips, {split}"}
    return [
        figure(folder / "funnel.svg", category="1. Footage", label="Funnel", caption="funnel.rst"),
        figure(folder / "card.html", subcategory=HOSTILE),
        figure(samples, category="2. Samples", **folders),
        figure(folder / "timings.svg", category="4. Cost", subcategory="", label="Time", caption="timings.rst"),
    ]
