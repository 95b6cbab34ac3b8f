"""A page of a search: how good its trials are, and what they tell of each setting."""

import base64
import html
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.core.messages import pluralize
from tessera.imaging.figures import BLUE, INK, ORANGE, QUIET, RED, Bar, draw_bars, legend, new_figure, shorten
from tessera.pages.report.pages import in_box, table, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"complete": BLUE, "pruned": ORANGE, "failed": RED}
COLUMNS = 3  # figures of settings in a row
SHOWN = 0.9  # fraction of the trials, the best ones, to which the axes of the metric are fitted
NAME = 28  # characters of a value on an axis


@dataclass(frozen=True)
class _Trials:
    """The trials of a search. `rows`: `tables.Trials`, with `parameters` decoded."""

    rows: Sequence[dict[str, Any]]
    metric: str
    is_more_better: bool
    best: int
    logarithmic: Sequence[str]
    importances: dict[str, float]

    @property
    def paths(self) -> list[str]:
        return list(self.rows[0]["parameters"])

    @property
    def varied(self) -> list[str]:
        """The settings that were tried with several values, the most important first."""
        tried = {path: {_text(row["parameters"][path]) for row in self.measured} for path in self.paths}
        return sorted((path for path in tried if len(tried[path]) > 1), key=lambda path: -self.importances.get(path, 0))

    @property
    def measured(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["state"] != "failed"]

    def limits(self) -> tuple[float, float]:
        """Return the ends of the axis of the metric, beyond which the worst trials may lie."""
        values = sorted((row["metric"] for row in self.measured), reverse=self.is_more_better)
        shown = values[: max(round(SHOWN * len(values)), 2)]
        margin = 0.06 * (max(shown) - min(shown)) or 0.05
        return min(shown) - margin, max(shown) + margin

    def shown(self, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Return the metric of `rows`, moved to the ends of its axis where it lies beyond."""
        least, most = self.limits()
        return [min(max(row["metric"], least), most) for row in rows]


def show_search(title: str, trials: Path, summary: Path, best: Path, page: Path) -> None:
    """Write a search as an HTML page with a `title`: the best settings, figures, and a row for each trial.

    `trials`: `tables.Trials`. `summary`, `best`: as `write_search` writes them.
    """
    from tessera.records.tables.search import Trials
    from tessera.records.tables.table import read_table

    content = json.loads(summary.read_text(encoding="utf-8"))
    rows = [{**row, "parameters": json.loads(row["parameters"])} for row in read_table(trials, Trials).iter_rows(named=True)]
    model = content.pop("model")
    results = _Trials(rows, **content)
    counts = ", ".join(f"{sum(row['state'] == state for row in rows):,} {state}" for state in COLOURS)
    parts = [
        f"<p>{pluralize(len(rows), 'trials')} of <code>{html.escape(model)}</code>: {counts}. The metric is"
        f" {html.escape(results.metric)} on the validation split, of which {'more' if results.is_more_better else 'less'} is"
        " better.</p>",
        f"<h2>The best settings</h2>\n<pre>{html.escape(best.read_text(encoding='utf-8'))}</pre>",
    ]
    for heading, text, figure in _figures(results):
        parts.append(f"<h2>{heading}</h2>\n<p>{text}</p>\n{figure}")
    parts.append(f"<h2>All trials</h2>\n{_table(results)}")
    write_page(page, title, "\n".join(parts))


def _figures(results: _Trials) -> Iterator[tuple[str, str, str]]:
    """Yield the heading, the caption and the image of each figure."""
    ranked = results.varied
    yield (
        "The trials in their order",
        "The line is the best complete trial so far. The worst tenth of the trials may lie beyond the axis; they are drawn at"
        " its end.",
        _image(8, 3.2, lambda figure: _draw_order(figure, results)),
    )
    yield (
        "Learning curves",
        "The metric of the weights that a training would have kept, if it had ended after each epoch. The thick line is the"
        " best trial.",
        _image(8, 3.6, lambda figure: _draw_curves(figure, results)),
    )
    if results.importances and ranked:
        yield (
            "Importance",
            "The fraction of the variance of the metric of complete trials that each setting accounts for (fANOVA). With few"
            " trials it is a guess.",
            _image(8, 0.6 + 0.35 * len(ranked), lambda figure: _draw_importances(figure, results, ranked)),
        )
    lines = -(-len(ranked) // COLUMNS)
    if ranked:
        yield (
            "Each setting",
            "Settings that had one value in all trials are left out. The best trial is circled.",
            _image(9.5, 2.8 * lines, lambda figure: _draw_settings(figure, results, ranked, lines)),
        )
    if len(ranked) > 1:
        yield (
            "All settings together",
            "Each line is a trial; the stronger, the better.",
            _image(9.5, 3.8, lambda figure: _draw_parallel(figure, results, ranked)),
        )


def _image(width: float, height: float, draw: "Callable[[Figure], None]") -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "figure.svg")
        with new_figure(path, width, height) as figure:
            draw(figure)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    return in_box(f'<img alt="" src="data:image/svg+xml;base64,{data}">', "picture")


def _draw_order(figure: "Figure", results: _Trials) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    best: list[float] = []
    for row in results.rows:
        values = [*best[-1:], *([row["metric"]] if row["state"] == "complete" else [])]
        best.append((max if results.is_more_better else min)(values, default=float("nan")))
    axes.step([row["number"] for row in results.rows], best, where="post", color=INK, linewidth=1)
    for state in ("complete", "pruned"):
        rows = [row for row in results.rows if row["state"] == state]
        axes.plot([row["number"] for row in rows], results.shown(rows), "o", color=COLOURS[state], markersize=5, clip_on=False)
    least, most = results.limits()
    failed = [row["number"] for row in results.rows if row["state"] == "failed"]
    # An empty line that is not clipped would move the axes.
    if failed:
        axes.plot(failed, [least if results.is_more_better else most] * len(failed), "x", color=RED, clip_on=False)
    axes.set(xlabel="trial", ylabel=results.metric, ylim=(least, most))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    states = {row["state"] for row in results.rows}
    legend(figure, {state: colour for state, colour in COLOURS.items() if state in states})


def _draw_curves(figure: "Figure", results: _Trials) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    for row in sorted(results.measured, key=lambda row: row["number"] == results.best):
        is_best = row["number"] == results.best
        epochs = range(1, len(row["values"]) + 1)
        colour = INK if is_best else COLOURS[row["state"]]
        axes.plot(epochs, row["values"], ".-", color=colour, alpha=1 if is_best else 0.4, linewidth=2 if is_best else 1)
    axes.set(xlabel="epoch", ylabel=results.metric, ylim=results.limits())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, {state: COLOURS[state] for state in ("complete", "pruned")})


def _draw_importances(figure: "Figure", results: _Trials, paths: Sequence[str]) -> None:
    values = {path: results.importances.get(path, 0) for path in paths}
    bars = [Bar(path, [(value, BLUE)], f"{100 * value:.0f} %") for path, value in values.items()]
    draw_bars(figure.subplots(), bars, 1.1)


def _draw_settings(figure: "Figure", results: _Trials, paths: Sequence[str], lines: int) -> None:
    grid = figure.subplots(lines, COLUMNS, squeeze=False, sharey=True).flat
    for axes, path in zip(grid, [*paths, *[""] * (lines * COLUMNS - len(paths))], strict=True):
        if not path:
            axes.set_visible(False)
            continue
        _draw_setting(axes, results, path)


def _draw_setting(axes: "Axes", results: _Trials, path: str) -> None:
    from matplotlib.ticker import NullFormatter

    rows = results.measured
    values, names = _numbers([row["parameters"][path] for row in rows])
    colours = [COLOURS[row["state"]] for row in rows]
    axes.scatter(values, results.shown(rows), c=colours, s=18, clip_on=False)
    best = next(best for best, row in enumerate(rows) if row["number"] == results.best)
    axes.plot(values[best], rows[best]["metric"], "o", markersize=10, markerfacecolor="none", markeredgecolor=INK)
    axes.set(title=path, ylabel=results.metric, ylim=results.limits())
    if path in results.logarithmic:
        axes.set_xscale("log")
        # By default, they are formulas, which the style does not read.
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if names:
        axes.set_xticks(range(len(names)), [shorten(name, NAME) for name in names], rotation=20, ha="right", fontsize=8)
        axes.set_xlim(-0.5, len(names) - 0.5)


def _draw_parallel(figure: "Figure", results: _Trials, paths: Sequence[str]) -> None:
    import math

    axes = figure.subplots()
    rows = results.measured
    columns = []
    ticks: list[tuple[float, float, str]] = []
    for position, path in enumerate([*paths, results.metric]):
        is_metric = position == len(paths)
        given = [row["metric"] if is_metric else row["parameters"][path] for row in rows]
        values, names = _numbers(given)
        if path in results.logarithmic:
            values = [math.log(value) for value in values]
        if is_metric:
            values = results.shown(rows)
        least, most = min(values), max(values)
        column = [(value - least) / ((most - least) or 1) for value in values]
        columns.append(column)
        shown = dict(zip(column, map(_text, given), strict=True))
        ends = shown if names else [min(shown), max(shown)]
        ticks += [(position, each, shorten(shown[each], NAME)) for each in ends]
    for row, line in sorted(
        zip(rows, zip(*columns, strict=True), strict=True), key=lambda each: each[0]["number"] == results.best
    ):
        merit = line[-1] if results.is_more_better else 1 - line[-1]
        is_best = row["number"] == results.best
        axes.plot(range(len(line)), line, color=BLUE, alpha=0.15 + 0.85 * merit, linewidth=2.5 if is_best else 1)
    for at, height, text in ticks:
        axes.annotate(text, (at, height), (4, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    for position in range(len(columns)):
        axes.axvline(position, color=QUIET, linewidth=0.8)
    axes.set_xticks(range(len(columns)), [*paths, results.metric], rotation=12, fontsize=8)
    axes.set_xlim(-0.1, len(columns) - 0.6)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)


def _numbers(values: Sequence[Any]) -> tuple[list[float], list[str]]:
    """Return `values` as numbers, and their names if they are no numbers: then each is the place of its name."""
    if all(type(value) in {int, float} for value in values):
        return [float(value) for value in values], []
    names = sorted({_text(value) for value in values})
    return [float(names.index(_text(value))) for value in values], names


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _table(results: _Trials) -> str:
    ordered = sorted(
        results.rows,
        key=lambda row: (
            list(COLOURS).index(row["state"]),
            (-1 if results.is_more_better else 1) * (row["metric"] or 0),
            row["number"],
        ),
    )
    rows = [
        [
            row["number"],
            row["state"] + (f": {row['reason']}" if row["reason"] else ""),
            "" if row["metric"] is None else _text(row["metric"]),
            row["epochs"],
            f"{row['seconds']:,.1f}",
            *(_text(row["parameters"][path]) for path in results.paths),
        ]
        for row in ordered
    ]
    return table(["trial", "state", results.metric, "epochs", "seconds", *results.paths], rows)
