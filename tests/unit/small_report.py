"""A small report for tests, with a figure of each kind and hostile names."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tessera.imaging.figures import ORANGE
from tessera.pages.report.clips import animate
from tessera.pages.report.pages import render_markdown, table, write_page
from tessera.pages.report.report import write_report
from tessera.pages.report.tiles import Picture, draw_tiles

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
CONTEXT = {
    "config": {"report": {"blur": "adult"}, "restore": {"shown": []}},
    "descriptions": {"a": "A ``story``."},
}
HOSTILE = "<b>&\"'{x}</b>"


def figure(path: Path, **changes: Any) -> dict[str, Any]:
    """Return a figure of the report, with the fields of `Figure`."""
    stated = {"category": "3. Models", "subcategory": "a", "label": "1. Card", "caption": "card.rst", "rule": "render_card"}
    return {"path": str(path), "wildcards": {"dataset": "a", "model": "a"}, "patterns": [], **stated, **changes}


def report(
    folder: Path, figures: list[dict[str, Any]], decided: list[tuple[str, str, str, int]], captions: Path = CAPTIONS
) -> str:
    """Write a report of `figures` to `folder/report.html`, and return its text."""
    write_page(folder / "summary.html", "Summary", "<h2>How good the models are</h2>")
    step = {"name": "admission", "unit": "sources", "rows": 4, "ok": 3, "partly": {}, "dropped": {}, "failed": {}}
    counts = {"steps": [step], "samples": "images", "splits": {"train": 5, "val": 6, "test": 0}}
    (folder / "counts.json").write_text(json.dumps(counts))
    funnels = {"a": folder / "counts.json"}
    origin = {"source": HOSTILE, "images": 3, "split": "val", "content": "general", "rights": "CC0", "consent": ""}
    (folder / "datasheet.json").write_text(json.dumps({"origins": [origin]}))
    (folder / "numbers.json").write_text("{}")
    ran = {"began": "2026-01-31 10:00", "ended": "2026-01-31 11:00", "wall": "30:00 min", "worked": "45:00 min", "jobs": 7}
    (folder / "run.json").write_text(json.dumps(ran))
    write_report(
        figures,
        folder / "summary.html",
        folder / "numbers.json",
        funnels,
        {"a": folder / "datasheet.json"},
        ["a"],
        decided,
        2,
        folder / "run.json",
        "2026-01-31 11:01",
        HOSTILE,
        ["config/config.yaml", HOSTILE],
        {"frames": {"every": 8}, "name": HOSTILE},
        {"frames": {"every": 30}},
        captions,
        CONTEXT,
        folder / "runs.json",
        folder / "new_runs.json",
        folder / "report.html",
    )
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
    pixels = np.zeros((8, 8, 3), np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = 255
    tile = Picture(HOSTILE, pixels, [("region", mask)], "8 frames")
    draw_tiles([tile, Picture("", np.zeros((1, 1, 3), np.uint8), [])], {"region": ORANGE}, "1 of 1", samples / "train.html")
    write_page(samples / "val.html", "Clips", animate([pixels] * 2, [HOSTILE]) + table(["", "b"], [["c", HOSTILE]]))
    folders = {"caption": "clips.rst", "patterns": ["{split}.html"], "label": "2. Clips, {split}"}
    return [
        figure(folder / "funnel.svg", category="1. Footage", label="Funnel", caption="funnel.rst"),
        figure(folder / "card.html", subcategory=HOSTILE),
        figure(samples, category="2. Samples", **folders),
        figure(folder / "timings.svg", category="4. Cost", subcategory="", label="Time", caption="timings.rst"),
    ]


def pictures(page: Path) -> list[np.ndarray]:
    """Return the still pictures of an HTML page, RGB uint8 (H, W, 3)."""
    encoded = re.findall(r'src="data:image/jpeg;base64,(.*?)"', page.read_text(encoding="utf-8"))
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")) for data in encoded]


def detail(image: np.ndarray) -> float:
    """Return the mean difference of neighbouring columns."""
    return float(np.abs(np.diff(image.astype(int), axis=1)).mean())
