"""The figures of the report follow from one table."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tessera.core.definitions import code_digest
from tessera.workflow.figures import (
    FIGURES,
    SECTIONS,
    constraints_of_figure,
    figure_flags,
    figures_with_function,
    files_of_figures,
    inputs_of_figure,
    log_of_figure,
    shown_figures,
)
from tessera.workflow.project import Project

WORKFLOW = Path(__file__).parents[3] / "workflow"
RULES = (WORKFLOW / "rules" / "pages" / "figures.smk").read_text(encoding="utf-8")
WILDCARDS: Any = SimpleNamespace()


def named(name: str) -> Any:
    return next(figure for figure in FIGURES if figure.name == name)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.name} {figure.title}")
def test_a_figure_has_a_caption_and_a_function_or_a_rule(figure: Any) -> None:
    assert (WORKFLOW / "report" / figure.caption).is_file()
    assert figure.section in SECTIONS
    in_rule = f'figure_flags("{figure.name}", "{figure.path}")' in RULES
    assert in_rule != bool(figure.function)
    if figure.function:
        assert code_digest(figure.function)


def test_every_caption_is_that_of_a_figure() -> None:
    assert {path.name for path in (WORKFLOW / "report").glob("*.rst")} == {figure.caption for figure in FIGURES} | {"blur.rst"}


def test_figures_are_shown_for_the_datasets_and_models_that_have_them(load: Callable[..., Project]) -> None:
    project = load(
        "one",
        models={"watermark_detection": None, "mosaic_detection": None},
        scores={"detectors": {"watermark": {"weights": None}, "mosaic": {"weights": None}}},
    )
    files = files_of_figures(project)
    assert len(set(files)) == len(files)
    assert "<results>/reports/datasets/mosaic_restoration/samples" in files
    assert "<results>/reports/models/nsfw_detection/where.html" in files
    assert "<results>/reports/models/mosaic_restoration/where.svg" in files
    assert "<results>/reports/models/mosaic_restoration/where.html" not in files
    assert not [file for file in files if "watermark_detection" in file or "footage.html" in file]
    assert "<results>/reports/footage.html" in files_of_figures(load("one", restore={"shown": ["one"]}))


def test_the_order_of_the_table_is_that_of_the_report(load: Callable[..., Project]) -> None:
    shown = shown_figures(load("one"), WILDCARDS)
    assert [each["path"] for each in shown] == [file.replace("<results>", "results") for file in files_of_figures(load("one"))]
    of_restorer = [each["label"] for each in shown if each["subcategory"] == "mosaic_restoration" and "3." in each["category"]]
    assert of_restorer == sorted(of_restorer)
    titles = [re.sub(r"^\d\d\. ", "", label) for label in of_restorer]
    assert titles[:3] == ["Card", "Metrics", "Curves of the stages"] and titles[-1] == "Restored, {split}"


def test_snakemake_shows_the_same_texts_and_files(load: Callable[..., Project]) -> None:
    shown = next(each for each in shown_figures(load("one"), WILDCARDS) if each["rule"] == "plot_restored")
    flags = figure_flags("plot_restored", "models/{model}/restored")
    assert flags["caption"] == "../../report/restored.rst" and flags["patterns"] == shown["patterns"] == ["{split}.html"]
    assert flags["labels"]["figure"] == shown["label"] and flags["category"] == shown["category"] == "3. Models"


def test_a_rule_is_made_of_an_entry_with_a_function(load: Callable[..., Project]) -> None:
    project, figure = load("one"), named("plot_baselines")
    assert figure in figures_with_function()
    assert log_of_figure(figure) == "plot_baselines/{model}"
    assert constraints_of_figure(project, figure) == {"model": "mosaic_restoration"}
    wildcards = {"model": "mosaic_restoration"}
    assert inputs_of_figure(project, wildcards, figure) == {"metrics": "<results>/metrics/mosaic_restoration.json"}
    assert log_of_figure(named("tabulate_refused")) == "tabulate_refused"
    assert constraints_of_figure(project, named("tabulate_refused")) == {}
