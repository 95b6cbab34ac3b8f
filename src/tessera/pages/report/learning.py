"""The learning curve of a classifier whose labels were asked for in rounds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tessera.imaging.figures import BLUE, new_figure
from tessera.records.rounds import reached
from tessera.records.tables.asking import Rounds
from tessera.records.tables.table import types, write_table

NAMES = {"accuracy": "accuracy", "mae": "mean absolute error"}


def draw_learning(rounds: Sequence[Mapping[str, Any] | None], metrics: Path, pictures: Path, table: Path, figure: Path) -> None:
    """Write what a classifier had reached after each round to `table` (`tables.Rounds`), and plot it to `figure`.

    `rounds`: what was recorded before each round, None if it was not trained yet, see `records.rounds.Reached`. `metrics` and
    `pictures`: see `records.rounds.reached`; they are the last row.
    """
    states = {number: state for number, state in enumerate([*rounds, vars(reached(metrics, pictures))]) if state}
    rows = pl.DataFrame([{"round": number, **state} for number, state in states.items()], schema=types(Rounds))
    write_table(rows, Rounds, table)
    with new_figure(figure, 6, 3.4) as drawn:
        axes = drawn.subplots()
        known = rows.drop_nulls("low")
        axes.vlines(known["labels"], known["low"], known["high"], color=BLUE, alpha=0.4, linewidth=3)
        axes.plot(rows["labels"], rows["value"], color=BLUE, marker="o", markersize=5)
        for number, labels, value in rows.select("round", "labels", "value").iter_rows():
            axes.annotate(f"round {number}", (labels, value), textcoords="offset points", xytext=(3, 5))
        metric = rows["metric"][-1]
        axes.set(xlabel="labelled pictures in the training split", ylabel=NAMES[metric])
        axes.set_ylim(0, 1.08 if metric == "accuracy" else None)
        axes.set_title(
            f"{NAMES[metric].capitalize()} after each round of answers, measured on {rows['measured'][-1]:,} pictures"
        )
