"""The report says what changed since the last run that was different."""

import json
from pathlib import Path
from typing import Any

import pytest

from tessera.pages.report.changes import compare_runs

FIGURES = {"finder": {"mask mAP50": {"form": ".3f", "values": {"val": 0.8, "test": 0.5}}}}
RUN: dict[str, Any] = {
    "figures": FIGURES,
    "samples": {"clips": {"train": 1200, "val": 5}},
    "settings": {"frames": {"every": 8}, "name": "https://me:secret@site"},
    "decisions": 2,
}


def run(folder: Path, made: str, **changes: Any) -> dict[str, Any]:
    """Compare a run that is `RUN` but for `changes` with the last run in `folder`."""
    stated = RUN | changes
    (folder / "figures.json").write_text(json.dumps(stated.pop("figures")))
    found = compare_runs(folder / "figures.json", **stated, former=folder / "runs.json", path=folder / "new.json", made=made)
    (folder / "new.json").rename(folder / "runs.json")
    return {"since": found["since"], **{title: lines for title, lines in found["parts"].items() if lines}}


def measured(model: str = "finder", **values: float) -> dict[str, Any]:
    return {"figures": {model: {"mask mAP50": {"form": ".3f", "values": values}}}}


def test_the_first_run_is_compared_with_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "monday") == {"since": ""}
    assert "secret" not in (tmp_path / "runs.json").read_text()


@pytest.mark.parametrize(
    ("changes", "title", "line"),
    [
        ({"settings": {"frames": {"every": 4}, "name": RUN["settings"]["name"]}}, "1 setting", "frames.every: 4, before 8"),
        ({"settings": {"name": RUN["settings"]["name"]}}, "1 setting", "frames.every: the default, before 8"),
        (
            {"samples": {"clips": {"train": 1199, "val": 5}}},
            "1 dataset",
            "clips: 1,204 samples (1,199 train, 5 val), before 1,205 samples (1,200 train, 5 val)",
        ),
        ({"decisions": 1000}, "decisions of people", "1,000, before 2"),
        (measured(val=0.75, test=0.5), "1 model", "finder: mask mAP50 validation -0.050"),
        (measured(val=0.8), "1 model", "finder: mask mAP50 test not measured any more"),
    ],
)
def test_what_changed_is_said_with_what_was_before(changes: Any, title: str, line: str, tmp_path: Path) -> None:
    run(tmp_path, "monday")
    assert run(tmp_path, "tuesday", **changes) == {"since": "monday", title: [line]}


def test_a_new_model_and_one_that_is_gone_are_named(tmp_path: Path) -> None:
    run(tmp_path, "monday")
    lines = ["sharp: mask mAP50 validation 0.500, new", "finder: no model any more"]
    assert run(tmp_path, "tuesday", **measured("sharp", val=0.5)) == {"since": "monday", "2 models": lines}


def test_a_report_that_is_made_again_is_compared_with_the_same_run(tmp_path: Path) -> None:
    run(tmp_path, "monday")
    changed = run(tmp_path, "tuesday", decisions=3)
    again = (tmp_path / "runs.json").read_bytes()
    assert run(tmp_path, "wednesday", decisions=3) == changed
    assert (tmp_path / "runs.json").read_bytes() == again
    assert run(tmp_path, "thursday", decisions=4)["since"] == "tuesday"
