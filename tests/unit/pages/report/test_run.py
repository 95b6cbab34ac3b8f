"""The report states the sources once, when the run was, and the settings that are not the defaults."""

import json
import os
import re
from pathlib import Path

from tessera.pages.report.run import list_sources, tabulate_settings
from tessera.pages.report.timings import measure_run


def test_each_source_is_listed_once_with_the_samples_of_all_datasets(tmp_path: Path) -> None:
    rights = {"content": "general", "rights": "CC0 & more", "consent": ""}
    origins = {
        "clips": [{"source": "film", "split": "val", "clips": 1200, "frames": 9, **rights}],
        "images": [
            {"source": "film", "split": "train", "images": 3, **rights},
            {"source": "album", "split": "train", "images": 2, "rights": None},
            {"source": "album", "split": "val", "images": 5, "rights": None},
        ],
    }
    for name, rows in origins.items():
        (tmp_path / name).write_text(json.dumps({"origins": rows}))
    page = list_sources({name: tmp_path / name for name in origins})
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    assert rows == [
        [],
        ["album", "", "", "", "train, val", "images 7"],
        ["film", "general", "CC0 &amp; more", "", "val, train", "clips 1,200, images 3"],
    ]


def test_settings_that_are_not_the_defaults_are_yaml_by_section_without_passwords() -> None:
    changed = {
        "off": True,
        "frames": {"every": 0.25, "modes": ["a", "b"]},
        "sets": [{"name": "mine", "path": "https://me:secret@site/x"}],
    }
    defaults = {"off": None, "frames": {"every": 1.5, "modes": ["a"]}, "sets": [], "weights": {"x": 1}}
    assert tabulate_settings(changed, defaults) == [
        ("off", "true", ""),
        ("frames", "every: 0.25\nmodes: [a, b]", "every: 1.5\nmodes: [a]"),
        ("sets", "- {name: mine, path: 'https://***@site/x'}", ""),
        ("weights", "", "x: 1"),
    ]


def test_the_wall_time_counts_a_second_once_however_many_jobs_ran(tmp_path: Path) -> None:
    noon = 1_769_860_800  # 2026-01-31 12:00 UTC
    for name, ended, seconds in (("a", 100, 100), ("b", 90, 40), ("c", 130, 60), ("later", 1000, 10), ("gone", 5000, 999)):
        path = tmp_path / "cut" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"s": seconds}) + "\n")
        os.utime(path, (noon + ended, noon + ended))
    measure_run(tmp_path, {"cut": True, "never": False}, ["a", "b", "c", "later"], tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "began": "2026-01-31 12:00",
        "ended": "2026-01-31 12:16",
        "wall": "2:20 min",
        "worked": "3:30 min",
        "jobs": 4,
    }


def test_without_jobs_nothing_is_said_of_when_they_ran(tmp_path: Path) -> None:
    measure_run(tmp_path, {"cut": True}, ["a"], tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text()) == {"wall": "0.0 s", "worked": "0.0 s", "jobs": 0}
