"""The files and the page of a search, for trials of every kind."""

import csv
import html
from pathlib import Path

import pytest
import yaml

from tessera.learning.search import Search, SearchSettings, Trial
from tessera.pages.report.searches import show_search
from tessera.records.searches import write_search
from tessera.records.tables.search import Trials
from tessera.records.tables.table import read_table

SETTINGS = SearchSettings(
    model="marks",
    space={"training.rate": {"log": [1e-4, 1]}, "training.amp": [True, False, "fp16"], "architecture": ["a & b", None]},
)


def drawn(rate: float, amp: bool | str, architecture: str | None) -> dict[str, bool | int | float | str | None]:
    return {"training.rate": rate, "training.amp": amp, "architecture": architecture}


TRIALS = [
    Trial(0, "complete", drawn(0.1, True, "a & b"), (3.0, 2.0), 1.5),
    Trial(1, "failed", drawn(1.0, False, None), (), 0.5, "the loss is not finite"),
    Trial(2, "pruned", drawn(0.5, "fp16", None), (1e9,), 0.7),
    Trial(3, "complete", drawn(0.01, "fp16", "a & b"), (2.0, 0.5), 1.5),
]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        "trials": tmp_path / "trials.parquet",
        "sheet": tmp_path / "trials.tsv",
        "summary": tmp_path / "search.json",
        "best": tmp_path / "best.yaml",
    }


def show(files: dict[str, Path]) -> str:
    page = files["best"].with_name("search.html")
    show_search("Search one", files["trials"], files["summary"], files["best"], page)
    return page.read_text()


def test_a_search_is_a_table_a_page_and_settings_to_paste(files: dict[str, Path]) -> None:
    importances = {"training.rate": 0.7, "training.amp": 0.2, "architecture": 0.1}
    write_search(Search("loss", False, TRIALS, importances), SETTINGS, "classifiers", **files)
    rows = read_table(files["trials"], Trials)
    assert rows["metric"].to_list() == [2.0, None, 1e9, 0.5] and rows["epochs"].to_list() == [2, 0, 1, 2]
    with files["sheet"].open(newline="") as file:
        sheet = list(csv.reader(file, delimiter="\t"))
    assert sheet[0] == ["number", "state", *SETTINGS.space, "loss", "epochs", "seconds", "reason"]
    assert sheet[2] == ["1", "failed", "1.0", "false", "null", "", "0", "0.5", "the loss is not finite"]
    text = files["best"].read_text()
    best = {"training": {"rate": 0.01, "amp": "fp16"}, "architecture": "a & b"}
    assert yaml.safe_load(text) == {"classifiers": {"marks": best}}
    assert "# Trial 3, the best of 4 trials: loss 0.5 on the" in text and "space contains them: 2.\n" in text
    page = show(files)
    assert html.escape(text) in page and "2 complete, 1 pruned, 1 failed" in page
    assert page.count("data:image/svg+xml") == 5 and page.count("<tr>") == 1 + len(TRIALS)
    assert page.index("<td>complete</td><td>0.5") < page.index("<td>pruned") < page.index("failed: the loss is not finite")
    assert show(files) == page, "equal searches are equal pages"


def test_a_search_of_one_trial_has_a_page(files: dict[str, Path]) -> None:
    settings = SearchSettings(model="marks", space={"training.rate": {"log": [0.01, 1]}}, trials=1)
    trial = Trial(0, "complete", {"training.rate": 0.1}, (0.5,), 1.0)
    write_search(Search("accuracy", True, [trial], {}), settings, "models", **files)
    assert show(files).count("data:image/svg+xml") == 2 and "before" not in files["best"].read_text()
