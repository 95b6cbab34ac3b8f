"""The first screen states what decides of each model, with its interval or why it has none."""

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.pipeline.report.summary import write_summary

DETECTOR = {"images": 20, "objects": 31, "box": {"map50": 0.5}, "mask": {"map50": 0.8123}}


def summary(folder: Path, metrics: dict[str, dict[str, Any]], footage: str = "") -> str:
    files = {}
    for model, measured in metrics.items():
        files[model] = folder / f"{model}.json"
        files[model].write_text(json.dumps({"splits": {"val": measured}}))
    page = folder / "footage.html"
    page.write_text(footage)
    write_summary(files, page if footage else None, folder / "summary.html")
    return (folder / "summary.html").read_text()


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ({"mask": {"map50": [0.7, 0.9]}, "box": {"map50": [0.1, 0.2]}}, "0.812 (0.700 to 0.900)"),
        ("too few sources for an interval (3)", "0.812"),
    ],
)
def test_a_detector_is_rated_by_its_masks(intervals: Any, expected: str, tmp_path: Path) -> None:
    text = summary(tmp_path, {"nsfw_detection": DETECTOR | {"sources": 9, "intervals": intervals}})
    assert f"<td>nsfw_detection</td><td>mask mAP50 {expected}; 31 objects in 20 images of 9 sources</td>" in text


@pytest.mark.parametrize(("low", "expected"), [(29.0, "30.00 (29.00 to 31.00) dB"), (None, "30.00 dB")])
def test_a_restorer_is_rated_beside_its_input(low: float | None, expected: str, tmp_path: Path) -> None:
    high = None if low is None else 31.0
    methods = {"restored": {"psnr": {"value": 30.0, "low": low, "high": high}}, "mosaicked": {"psnr": {"value": 28.5}}}
    measured = {"all": {"samples": 4}, "intervals": {"sources": 4, "methods": methods}}
    text = summary(tmp_path, {"mosaic_restoration": measured})
    assert f"PSNR of the region {expected}, +1.50 dB over the mosaic; 4 clips of 4 sources</td>" in text


def test_the_first_footage_is_shown(tmp_path: Path) -> None:
    text = summary(tmp_path, {}, "<p>x</p><figure><img src=a></figure><figure><img src=b></figure>")
    assert "src=a" in text and "src=b" not in text


def test_without_models_it_says_so(tmp_path: Path) -> None:
    assert "<p>No model was trained.</p>" in summary(tmp_path, {})
