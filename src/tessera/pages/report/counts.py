"""Count the items that each step takes in, passes on and leaves out, as figures and tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tessera.core.ledger import read_ledger, summarise
from tessera.imaging.figures import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, Bar, draw_bars, legend, new_figure, shorten
from tessera.pages.report.pages import table, write_page

SPLITS = ("train", "val", "test")


class Step(NamedTuple):
    """The counts of a step on the way from sources to samples: in = ok + dropped + failed.

    `partly` counts the ok items that have a reason, most of which lost a part. `partly`, `dropped` and `failed` are counts by
    reason.
    """

    name: str
    unit: str
    rows: int
    ok: int
    partly: dict[str, int]
    dropped: dict[str, int]
    failed: dict[str, int]


def draw_funnels(
    gates: Sequence[Path],
    ledgers: Sequence[Path],
    splits: Path,
    funnel: Path,
    table: Path,
    dropped: Path,
    counts: Path,
    *,
    steps: Sequence[tuple[str, str]],
    samples: str,
) -> None:
    """Draw and tabulate how many items each step on the way to a dataset passed on, and why it left out the others.

    `gates`: the summaries of the gates on the way, in order. `ledgers`: the ledgers of the steps after the gates. `steps`: the
    name and the unit of each of these steps. `splits`: `tables.Splits`. `samples`: the name of a sample, in the plural. The
    JSON file `counts` gets the numbers, for the first screen of the report: the fields of each `Step`, and the splits.
    """
    counted_steps = [
        count_step(name, summary["unit"], summary)
        for path in gates
        for name, summary in json.loads(path.read_text(encoding="utf-8")).items()
    ]
    counted_steps += [
        count_step(name, unit, summarise(read_ledger(path))) for (name, unit), path in zip(steps, ledgers, strict=True)
    ]
    of_splits = count_splits(splits)
    draw_funnel(counted_steps, of_splits, funnel, samples)
    draw_dropped(counted_steps, dropped)
    tabulate_steps(counted_steps, of_splits, table, samples)
    content = {"steps": [step._asdict() for step in counted_steps], "samples": samples, "splits": of_splits}
    counts.write_text(json.dumps(content, indent=2), encoding="utf-8")


def count_step(name: str, unit: str, summary: Mapping[str, Any]) -> Step:
    """Return the step `name`, which counts `unit`. `summary`: see `tessera.core.ledger.summarise`."""
    return Step(name, unit, summary["in"], summary["ok"], summary["partly"], summary["dropped"], summary["failed"])


def count_splits(splits: Path) -> dict[str, int]:
    """Return the number of samples in each split of the table `splits` (`tables.Splits`)."""
    from tessera.records.tables.splits import Splits
    from tessera.records.tables.table import read_table

    column = read_table(splits, Splits)["split"]
    return {split: int((column == split).sum()) for split in SPLITS}


def draw_funnel(steps: Sequence[Step], splits: dict[str, int], path: Path, unit: str = "images") -> None:
    """Draw how many items each of `steps` takes in, passes on and leaves out, and the sizes of the `splits`, as SVG.

    `unit`: the name of a sample, in the plural.
    """
    panels: dict[str, list[Bar]] = {}
    for step in steps:
        dropped, failed = sum(step.dropped.values()), sum(step.failed.values())
        text = f"{step.rows:,} = {step.ok:,} passed on + {dropped:,} dropped + {failed:,} failed"
        parts = [(step.ok, BLUE), (dropped, ORANGE), (failed, RED)]
        panels.setdefault(step.unit, []).append(Bar(step.name, parts, text))
    text = f"{sum(splits.values()):,} = {' + '.join(f'{splits[split]:,} {split}' for split in SPLITS)}"
    parts = [(splits["train"], SKY), (splits["val"], GREEN), (splits["test"], PURPLE)]
    panels.setdefault(unit, []).append(Bar("samples by split", parts, text))
    # There are many more images than sources, so each unit has its own scale.
    heights = [len(bars) for bars in panels.values()]
    with new_figure(path, 9.5, 0.9 + 0.55 * sum(heights) + 0.5 * len(panels)) as figure:
        rows_of_axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).flat
        for axes, (unit, bars) in zip(rows_of_axes, panels.items(), strict=True):
            axes.set_title(unit)
            draw_bars(axes, bars, 1.75)
        colours = {"passed on": BLUE, "dropped": ORANGE, "failed": RED, "train": SKY, "val": GREEN, "test": PURPLE}
        legend(figure, colours)


def draw_dropped(steps: Sequence[Step], path: Path) -> None:
    """Draw how many items each of `steps` left out or passed on with a remark, by reason, as SVG."""
    bars = [
        Bar(f"{step.name}: {shorten(reason, 70)}", [(count, colour)], f"{count:,}")
        for step in steps
        for reasons, colour in ((step.partly, SKY), (step.dropped, ORANGE), (step.failed, RED))
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    with new_figure(path, 9.5, 1.2 + 0.34 * max(len(bars), 2)) as figure:
        draw_bars(figure.subplots(), bars or [Bar("nothing was left out", [], "")], 1.15)
        legend(figure, {"passed on, with a remark": SKY, "dropped": ORANGE, "failed": RED})


def tabulate_steps(steps: Sequence[Step], splits: dict[str, int], path: Path, unit: str = "images") -> None:
    """Write the counts of `steps` and `splits` as an HTML table. `unit`: the name of a sample, in the plural."""
    rows: list[list[Any]] = []
    for step in steps:
        rows += [[step.name, step.unit, "in", "", step.rows], ["", "", "passed on", "", step.ok]]
        for became, reasons in (("of these, with a remark", step.partly), ("dropped", step.dropped), ("failed", step.failed)):
            rows += [["", "", became, reason, count] for reason, count in reasons.items()]
    rows += [["samples", unit, split, "", count] for split, count in splits.items()]
    write_page(path, "From sources to samples", table(["step", "items", "became", "reason", "count"], rows))
