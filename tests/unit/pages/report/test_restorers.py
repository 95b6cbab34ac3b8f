"""The comparison states every value with its interval, or why there is none, and the figure shows every group."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from restoration_clips import write_moving_clip
from tessera.pages.report.restoration import draw_where
from tessera.pages.report.restorers import TRAINED, WITHOUT_MODEL, tabulate_restoration, tabulate_restorers
from tessera.stages.restoration.evaluate import evaluate
from tessera.stages.restoration.settings import BASELINES, CLEAN, RESTORED, DataSettings, MetricsSettings


def value(mean: float, difference: float, half: float | None = 0.5) -> dict[str, float | None]:
    limits = [None] * 4 if half is None else [mean - half, mean + half, difference - half, difference + half]
    found = dict(zip(("low", "high", "difference_low", "difference_high"), limits, strict=True))
    return {"value": mean, "difference": difference, **found}


def cells(page: Path) -> dict[str, list[str]]:
    """Return the cells of each row of the tables in `page`, by the first one."""
    rows = [re.findall(r"<td.*?>(.*?)</td>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", page.read_text("utf-8"), re.S)]
    return {row[0]: row[1:] for row in rows if row}


def compared(tmp_path: Path, sources: int, half: float | None = 0.5) -> Path:
    """Write the page of a comparison of three models, and return it."""
    methods = {
        "mosaicked": {"psnr": value(20, -2, half), "warping": value(3, -0.2, half)},
        RESTORED: {"psnr": value(22, 0, half), "warping": value(3.2, 0, half)},
        "theirs <1>": {"psnr": value(23, 1, half), "warping": value(5.2, 2, half)},
        CLEAN: {"warping": value(4, 0.8, half)},
    }
    models = {RESTORED: {"parameters": 1_234_567}, "theirs <1>": {"parameters": 7}}
    intervals = {"sources": sources, "methods": methods}
    splits = {
        "val": {"all": {"samples": 9}, "intervals": intervals, "unchanged": {}},
        "test": {"all": {"samples": 0}, "intervals": {"sources": 0, "methods": {}}, "unchanged": {}},
    }
    (tmp_path / "metrics.json").write_text(json.dumps({"models": models, "splits": splits}), encoding="utf-8")
    files = {RESTORED: tmp_path / "a", "theirs <1>": tmp_path / "b"}
    for name, size in (("a", 2_500_000), ("b", 100_000)):
        (tmp_path / name).write_bytes(bytes(size))
    speed = {"pixels": 96, "device": "cpu", "milliseconds": {"val": {RESTORED: 12.34, "theirs <1>": 5.0}}}
    (tmp_path / "speed.json").write_text(json.dumps(speed), encoding="utf-8")
    tabulate_restorers(tmp_path / "metrics.json", tmp_path / "speed.json", files, tmp_path / "comparison.html")
    return tmp_path / "comparison.html"


def test_each_value_has_its_interval_and_its_difference_and_says_which_is_better(tmp_path: Path) -> None:
    page = compared(tmp_path, 6)
    found = cells(page)
    assert found["the model trained here"][:2] == ["22.00 (21.50 to 22.50)", "3.20 (2.70 to 3.70)"]
    assert found["theirs &lt;1&gt;"][:2] == [
        "23.00 (22.50 to 23.50)\n+1.00 (+0.50 to +1.50) better",
        "5.20 (4.70 to 5.70)\n+2.00 (+1.50 to +2.50) worse",
    ]
    assert found["the mosaicked clips, its input"][0].endswith("-2.00 (-2.50 to -1.50) worse")
    # An interval with zero in it says neither.
    assert found["the mosaicked clips, its input"][1].endswith("-0.20 (-0.70 to +0.30)")
    assert found["the clean clips"][0] == "no value"
    text = page.read_text(encoding="utf-8")
    assert "too few" not in text and "No clip was measured." in text


def test_the_row_of_a_model_has_its_size_and_its_speed(tmp_path: Path) -> None:
    page = compared(tmp_path, 6)
    found = cells(page)
    assert found["the model trained here"][2:] == ["1,234,567", "2.5", "12.3"]
    assert found["theirs &lt;1&gt;"][2:] == ["7", "0.1", "5.0"]
    assert found["the clean clips"][2:] == ["", "", ""]
    assert "a frame of 96 by 96 pixels" in page.read_text(encoding="utf-8")


def test_too_few_sources_are_stated_in_words(tmp_path: Path) -> None:
    page = compared(tmp_path, 3, half=None)
    assert "too few sources for an interval (3); at least 5 are needed" in page.read_text(encoding="utf-8")
    assert cells(page)["theirs &lt;1&gt;"][:2] == ["23.00\n+1.00", "5.20\n+2.00"]


def test_the_names_of_methods_are_those_of_the_evaluation() -> None:
    assert TRAINED == RESTORED and set(WITHOUT_MODEL) == {*BASELINES, CLEAN}


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """The metrics of a model that changes nothing beside a darker one, for one clip."""
    write_moving_clip(tmp_path / "val", "clip", 8)
    (tmp_path / "test").mkdir()
    files = [tmp_path / name for name in ("metrics.json", "frames.jsonl", "ledger.jsonl", "pictures", "speed.json")]
    settings: dict[str, Any] = {"data": DataSettings(size=64), "settings": MetricsSettings(frames=6, pictures=0)}
    folders = {split: tmp_path / split for split in ("val", "test")}
    generators = {RESTORED: lambda frames: frames, "theirs": lambda frames: 0.9 * frames}
    counts = {RESTORED: 1, "theirs": 2}
    evaluate(folders, generators, *files, **settings, sources={"clip": "a"}, parameters=counts, seed=0, threads=2)
    return files[0]


def test_the_output_of_the_evaluation_is_drawn_by_group_and_tabulated(evaluated: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_where(evaluated, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    texts = [text.strip() for text in re.findall(r"<!-- (.*?) -->", (tmp_path / "a.svg").read_text(encoding="utf-8"))]
    groups = {"all (1)", "first and last 2 frames (1)", "middle frames (1)"}
    titles = {"val: PSNR, dB", "val: warping error, levels", "val: seam, levels"}
    assert groups | titles | {"theirs", "clean", "restored"} <= set(texts)
    assert any(text.startswith("degraded: ") for text in texts)
    assert any(text.startswith("motion ") for text in texts) and any(text.startswith("blocks ") for text in texts)
    files = {RESTORED: evaluated, "theirs": evaluated}
    tabulate_restorers(evaluated, evaluated.with_name("speed.json"), files, tmp_path / "comparison.html")
    found = cells(tmp_path / "comparison.html")
    assert {"the model trained here", "theirs", "bicubic", "temporal median", "the clean clips"} <= found.keys()
    text = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert "Clips: 1. Sources: 1." in text and "Left as they were: the model trained here (1)." in text


def test_the_metrics_of_each_method_and_group_are_in_a_table(evaluated: Path, tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text(json.dumps({"differences": {"a.pth": 0.5}}))
    tabulate_restoration(evaluated, tmp_path / "export.json", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    rows = [re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", text, re.S)]
    methods, groups, *_ = (place for place, row in enumerate(rows) if row[0] in {"", "by"})
    content = json.loads(evaluated.read_text())["splits"]["val"]
    # Every value is where its row and its column say.
    wanted = dict(zip(rows[methods], next(row for row in rows if row[0] == "theirs"), strict=True))
    assert wanted["PSNR, dB"] == f"{content['all']['region']['theirs']['psnr']:.2f}"
    assert wanted["whole frame: SSIM"] == f"{content['all']['frame']['theirs']['ssim']:.3f}"
    assert wanted["seam, levels"] == f"{content['all']['consistency']['theirs']['seam']:.2f}"
    own = next(row for row in rows if row[:2] == ["position in the window", "middle frames"])
    wanted = dict(zip(rows[groups], own, strict=True))
    middle = content["position"]["middle"]
    assert wanted["clips"] == "1"
    assert wanted["PSNR of its input"] == f"{middle['region']['mosaicked']['psnr']:.2f}"
    assert wanted["warping error, levels"] == f"{middle['consistency'][RESTORED]['warping']:.2f}"
    assert "Clips: 1, of which 1 were measured." in text and "Clips: 0, of which 0 were measured." in text
    assert "<h2>Exported model</h2>" in text and "a.pth" in text


def test_without_clips_the_figure_says_so(tmp_path: Path) -> None:
    groups = {key: {"any": {"samples": 0}} for key in ("blocks", "motion", "position", "degradations")}
    (tmp_path / "metrics.json").write_text(json.dumps({"splits": {"val": {"all": {"samples": 0}, **groups}}}), encoding="utf-8")
    draw_where(tmp_path / "metrics.json", tmp_path / "where.svg")
    assert "no clip was measured" in (tmp_path / "where.svg").read_text(encoding="utf-8")
