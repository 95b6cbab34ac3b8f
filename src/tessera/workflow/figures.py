"""The figures of the report: what draws each, of what, and where and under which title the report shows it.

A new figure is a function and an entry of `FIGURES`, in the place where it shall stand, and a caption in workflow/report.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tessera.catalogue import CLASSIFIER, CLIPS, DETECTOR, FACE_SETS, IMAGE_SETS, IMAGES, RESTORER, Dataset, Model
from tessera.workflow.active_learning import asked_classifiers
from tessera.workflow.classifiers import label_checks
from tessera.workflow.detectors import compared_detectors
from tessera.workflow.embeddings import embeddings_with
from tessera.workflow.project import Project, Wildcards, any_of

SECTIONS = ("Footage", "Samples", "Models", "Cost")


@dataclass(frozen=True)
class Figure:
    """A file that the report shows, or a folder of such files.

    Without a `function`, the rule `name` stands in a rule file. With one, it is made of this entry.
    """

    name: str  # of the rule that draws it
    path: str  # below results/reports, with wildcards
    section: str
    group: str  # the heading in the section, with wildcards
    title: str
    caption: str  # the file in workflow/report
    shown: Callable[[Project], list[dict[str, str]]]  # the values of the wildcards for which there is such a figure
    files: tuple[str, ...] = ()  # of a folder, the names of its files, with wildcards
    function: str = ""  # what draws it, as `package.module:function`, which takes the inputs, the arguments and `path`
    inputs: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _of_datasets(which: Callable[[Dataset], bool] = lambda dataset: True) -> Callable[[Project], list[dict[str, str]]]:
    return lambda project: [{"dataset": name} for name, each in project.datasets.items() if which(each)]


def _of_models(
    which: Callable[[Project, Model], bool] = lambda project, model: True,
) -> Callable[[Project], list[dict[str, str]]]:
    return lambda project: [{"model": name} for name, each in project.models.items() if which(project, each)]


def _of_layout(*layouts: str) -> Callable[[Project], list[dict[str, str]]]:
    return _of_datasets(lambda dataset: dataset.layout.rules in layouts)


def _if(is_shown: Callable[[Project], Any]) -> Callable[[Project], list[dict[str, str]]]:
    return lambda project: [{}] if is_shown(project) else []


_of_detectors = _of_models(lambda project, model: model.kind is DETECTOR)
_of_restorers = _of_models(lambda project, model: model.kind is RESTORER)
_of_classifiers = _of_models(lambda project, model: model.kind is CLASSIFIER)


def _of_table(rule: str) -> Callable[[Project], list[dict[str, str]]]:
    return _of_models(lambda project, model: model.kind.table == rule)


def _of_dataset(name: str, file: str, section: str, title: str, shown: Any = None, **more: Any) -> Figure:
    return Figure(name, f"datasets/{{dataset}}/{file}", section, "{dataset}", title, shown=shown or _of_datasets(), **more)


def _of_model(name: str, file: str, title: str, shown: Any, **more: Any) -> Figure:
    return Figure(name, f"models/{{model}}/{file}", "Models", "{model}", title, shown=shown, **more)


METRICS = "<results>/metrics/{model}.json"
EXPORT = "<results>/metrics/{model}.export.json"
REPORT = "tessera.pages.report"
# In the order of the report. The figures of a group are numbered in this order.
FIGURES = (
    Figure(
        name="tabulate_refused",
        path="refused.html",
        section="Footage",
        group="refused sources",
        title="Refused sources",
        caption="refused.rst",
        shown=_if(lambda project: True),
        function=f"{REPORT}.pages:tabulate_refused",
        inputs={"refused": "<results>/sources/refused.tsv"},
    ),
    _of_dataset("plot_funnel", "funnel.svg", "Footage", "From sources to samples", caption="funnel.rst"),
    _of_dataset("plot_funnel", "counts.html", "Footage", "From sources to samples, as a table", caption="counts.rst"),
    _of_dataset("plot_funnel", "dropped.svg", "Footage", "Left out, by reason", caption="dropped.rst"),
    _of_dataset(
        "render_datasheet",
        "datasheet.html",
        "Samples",
        "Datasheet",
        caption="datasheet.rst",
        function=f"{REPORT}.pages:render_markdown",
        inputs={"text": "<results>/datasets/{dataset}/datasheet.md"},
    ),
    _of_dataset(
        "plot_samples",
        "samples",
        "Samples",
        "Samples, {split}",
        _of_layout(IMAGES.rules),
        caption="samples.rst",
        files=("{split}.html",),
    ),
    _of_dataset(
        "plot_clips",
        "samples",
        "Samples",
        "Samples, {split}",
        _of_layout(CLIPS.rules),
        caption="clips.rst",
        files=("{split}.html",),
    ),
    _of_dataset(
        "show_set",
        "pictures.html",
        "Samples",
        "Balance, pictures and captions",
        _of_layout(IMAGE_SETS.rules),
        caption="image_set.rst",
    ),
    _of_dataset(
        "show_face_set",
        "faces.html",
        "Samples",
        "Selection and sorts",
        _of_layout(FACE_SETS.rules),
        caption="face_set.rst",
    ),
    _of_model(
        "render_card",
        "card.html",
        "Card",
        _of_models(),
        caption="card.rst",
        function=f"{REPORT}.pages:render_markdown",
        inputs={"text": "<results>/weights/{model}/card.md"},
    ),
    _of_model("tabulate_metrics", "metrics.html", "Metrics", _of_table("tabulate_metrics"), caption="metrics.rst"),
    _of_model(
        "tabulate_results",
        "metrics.html",
        "Metrics",
        _of_table("tabulate_results"),
        caption="results.rst",
        function=f"{REPORT}.classifiers:tabulate_results",
        inputs={"metrics": METRICS, "exported": EXPORT},
    ),
    _of_model(
        "tabulate_restoration",
        "metrics.html",
        "Metrics",
        _of_table("tabulate_restoration"),
        caption="metrics.rst",
        function=f"{REPORT}.restorers:tabulate_restoration",
        inputs={"metrics": METRICS, "exported": EXPORT},
    ),
    _of_model(
        "show_curves",
        "curves.html",
        "Curves",
        _of_models(lambda project, model: model.kind in (DETECTOR, CLASSIFIER)),
        caption="curves.rst",
        function=f"{REPORT}.pages:show_pictures",
        inputs={"folder": "<results>/training/{model}/curves"},
        arguments={"title": "Curves"},
    ),
    _of_model("plot_predictions", "predictions.html", "Predictions", _of_detectors, caption="predictions.rst"),
    _of_model("plot_failures", "where.html", "Where it fails", _of_detectors, caption="where.rst"),
    _of_model("plot_failures", "failures.html", "Worst cases", _of_detectors, caption="failures.rst"),
    _of_model("plot_failures", "thresholds.svg", "Confidences", _of_detectors, caption="thresholds.rst"),
    _of_model(
        "tabulate_comparison",
        "comparison.html",
        "Comparison",
        _of_models(lambda project, model: model.name in compared_detectors(project)),
        caption="comparison.rst",
        function=f"{REPORT}.detectors:tabulate_comparison",
        inputs={"comparison": "<results>/metrics/{model}.comparison.json", "speed": "<results>/comparisons/{model}/speed.json"},
    ),
    _of_model(
        "plot_learning",
        "learning.svg",
        "Learning curve",
        _of_models(lambda project, model: model.name in asked_classifiers(project)),
        caption="learning.rst",
    ),
    _of_model("plot_examples", "examples.html", "Examples", _of_classifiers, caption="examples.rst"),
    _of_model(
        "show_label_errors",
        "label_errors.html",
        "Label errors",
        _of_models(lambda project, model: model.name in label_checks(project)),
        caption="label_errors.rst",
    ),
    _of_model("plot_stages", "stages.svg", "Curves of the stages", _of_restorers, caption="stages.rst"),
    _of_model(
        "plot_baselines",
        "methods.svg",
        "Beside simple methods",
        _of_restorers,
        caption="methods.rst",
        function=f"{REPORT}.restoration:draw_methods",
        inputs={"metrics": METRICS},
    ),
    _of_model("tabulate_restorers", "comparison.html", "Compared with other models", _of_restorers, caption="restorers.rst"),
    _of_model(
        "plot_breakdown",
        "where.svg",
        "Where it is good, and where it fails",
        _of_restorers,
        caption="where_restored.rst",
        function=f"{REPORT}.restoration:draw_where",
        inputs={"metrics": METRICS},
    ),
    _of_model("plot_restored", "restored", "Restored, {split}", _of_restorers, caption="restored.rst", files=("{split}.html",)),
    Figure(
        name="show_footage",
        path="footage.html",
        section="Models",
        group="restored footage",
        title="Before and after",
        caption="footage.rst",
        shown=_if(lambda project: project.config["restore"]["shown"]),
    ),
    Figure(
        name="show_near_duplicates",
        path="near_duplicates/{embedding}",
        section="Footage",
        group="near-duplicates",
        title="{embedding}: {order}",
        caption="near_duplicates.rst",
        shown=lambda project: [{"embedding": name} for name in embeddings_with(project, "near_duplicates")],
        files=("{order}.html",),
    ),
    Figure(
        name="show_identities",
        path="identities/identities.html",
        section="Footage",
        group="identities",
        title="Numbers",
        caption="identities.rst",
        shown=_if(lambda project: project.config["identities"]),
    ),
    Figure(
        name="show_identities",
        path="identities/sheets",
        section="Footage",
        group="identities",
        title="{identity}",
        caption="identities.rst",
        shown=_if(lambda project: project.config["identities"]),
        files=("{identity}.html",),
    ),
    Figure(
        name="tabulate_face_sets",
        path="face_sets.html",
        section="Footage",
        group="face sets",
        title="What is refused",
        caption="face_sets.rst",
        shown=_if(lambda project: project.config["face_sets"]),
        function=f"{REPORT}.face_sets:tabulate_face_sets",
        inputs={"ledger": "<results>/face_sets/ledger.jsonl"},
    ),
    Figure(
        name="plot_timings",
        path="timings.svg",
        section="Cost",
        group="",
        title="Time and memory",
        caption="timings.rst",
        shown=_if(lambda project: True),
    ),
)


def figures_with_function() -> list[Figure]:
    """Return the figures whose rules are made of their entries."""
    return [figure for figure in FIGURES if figure.function]


def figure_flags(name: str, path: str) -> dict[str, Any]:
    """Return the arguments of Snakemake's `report` for the output of the rule `name` at `path`, in workflow/rules/pages."""
    figure = next(each for each in FIGURES if (each.name, each.path) == (name, path))
    stated = _place(figure)
    return {
        "caption": f"../../report/{figure.caption}",
        "category": stated["category"],
        "subcategory": stated["subcategory"],
        "labels": {"figure": stated["label"]},
        **({"patterns": list(figure.files)} if figure.files else {}),
    }


def inputs_of_figure(project: Project, wildcards: Any, figure: Figure) -> dict[str, str]:
    """Return the inputs of a figure whose rule is made of its entry, by name."""
    return {name: _filled(path, dict(wildcards.items())) for name, path in figure.inputs.items()}


def log_of_figure(figure: Figure) -> str:
    """Return the name of the log and the benchmark of a figure, without a suffix, with the wildcards of its path."""
    return "/".join([figure.name, *re.findall(r"{\w+}", figure.path)])


def constraints_of_figure(project: Project, figure: Figure) -> dict[str, str]:
    """Return the pattern of each wildcard of `figure`, which excludes what has no such figure."""
    shown = figure.shown(project)
    names = re.findall(r"{(\w+)}", figure.path)
    return {name: any_of(values[name] for values in shown) for name in names}


def files_of_figures(project: Project) -> list[str]:
    """Return the files and folders that the report shows."""
    return [f"<results>/reports/{_filled(figure.path, values)}" for figure in FIGURES for values in figure.shown(project)]


def shown_figures(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the fields of `report.Figure` of each of `files_of_figures`.

    Wildcards are filled in, but for those of the files in folders.
    """
    return [
        {
            "path": f"{project.results}/reports/{_filled(figure.path, values)}",
            "caption": figure.caption,
            **{name: _filled(text, values) for name, text in _place(figure).items()},
            "wildcards": values,
            "patterns": list(figure.files),
            "rule": figure.name,
        }
        for figure in FIGURES
        for values in figure.shown(project)
    ]


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with its wildcards replaced by `values`. Others stay."""
    return re.sub(r"{(\w+)}", lambda wildcard: values.get(wildcard[1], wildcard[0]), text)


def _place(figure: Figure) -> dict[str, str]:
    """Return the category, the subcategory and the label of `figure`, with numbers that put them into their order."""
    neighbours = [each for each in FIGURES if (each.section, each.group) == (figure.section, figure.group)]
    # With two digits, so that the report of Snakemake, which sorts texts, has the same order.
    return {
        "category": f"{SECTIONS.index(figure.section) + 1}. {figure.section}",
        "subcategory": figure.group,
        "label": f"{neighbours.index(figure) + 1:02}. {figure.title}",
    }
