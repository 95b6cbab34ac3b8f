"""Figures of the restoration model: its training, its quality, and restored clips."""

import csv
import json
from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.imaging.figures import BLUE, GREEN, INK, ORANGE, PURPLE, QUIET, RED, SKY, TINT, columns, legend, new_figure
from tessera.pages.report.clips import PREVIEW_SIDE, animate, in_motion
from tessera.pages.report.pages import write_page
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import PAPER, Picture, sheet_of, shrink_picture

METHODS = {"mosaicked": QUIET, "bicubic": SKY, "temporal_median": ORANGE, "restored": BLUE}
OTHERS = (GREEN, RED, PURPLE)  # colours of compared models
Measure = tuple[str, str]  # the area and the name of a metric
MEASURES: dict[Measure, str] = {
    ("region", "psnr"): "PSNR, dB",
    ("region", "ssim"): "SSIM",
    ("region", "lpips"): "LPIPS, lower is better",
}
WHERE: dict[Measure, str] = {
    ("region", "psnr"): "PSNR, dB",
    ("consistency", "warping"): "warping error, levels",
    ("consistency", "flicker"): "flicker, levels",
    ("consistency", "seam"): "seam, levels",
}
# How the groups of each kind are named in a figure.
KINDS = {"blocks": "blocks {}", "motion": "motion {}", "position": "{} frames", "degradations": "degraded: {}"}
WORST = "worst"  # the sheet of the samples that gain least, from all splits
GAP = 4  # pixels between the images of an animated triptych


def draw_stages(curves: Mapping[str, Path], path: Path) -> None:
    """Draw the training curves of all stages, one after another, as SVG.

    `curves`: for each stage, in order, a CSV file with the columns `iteration`, `psnr` (of restored clips), `mosaicked` (PSNR
    of the input) and one for each loss. Cells may be empty.
    """
    from matplotlib.ticker import MaxNLocator

    stages = [_read_curves(file) for file in curves.values()]
    # The PSNR comes first, because it matters most. That of the input is drawn into the same axes.
    names = sorted(dict.fromkeys(name for columns in stages for name in columns), key=lambda name: name != "psnr")
    names = [name for name in names if name != "mosaicked"]
    ends = np.cumsum([max((points[0, -1] for points in columns.values()), default=0) for columns in stages])
    starts = [0, *ends[:-1]]
    with new_figure(path, 9.5, 1.0 + 1.5 * max(len(names), 1)) as figure:
        if not names:
            figure.text(0.5, 0.5, "nothing was trained", ha="center")
            return
        rows_of_axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(rows_of_axes, names, strict=True):
            axes.set_title("PSNR over the region, on clips of val, dB" if name == "psnr" else f"{name} loss")
            for start, end, columns in zip(starts, ends, stages, strict=True):
                for column, colour in {name: BLUE, **({"mosaicked": ORANGE} if name == "psnr" else {})}.items():
                    iterations, values = columns.get(column, np.empty((2, 0)))
                    # Points are marked if there are few.
                    marker = "." if len(values) < 40 else None
                    axes.plot(start + iterations, values, color=colour, linewidth=1.2, marker=marker)
                axes.axvline(end, color=QUIET, linewidth=0.6)
        above = rows_of_axes[0].secondary_xaxis("top")
        above.set_xticks([(start + end) / 2 for start, end in zip(starts, ends, strict=True)], list(curves))
        above.tick_params(length=0)
        above.spines["top"].set_visible(False)
        # With room for the marker of the last point.
        rows_of_axes[-1].set_xlim(0, 1.01 * ends[-1])
        rows_of_axes[-1].set_xlabel("iteration")
        rows_of_axes[-1].xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        legend(figure, {"the model": BLUE, "its input, the mosaicked clips": ORANGE})


def draw_methods(metrics: Path, path: Path) -> None:
    """Draw the quality of each method in the mosaicked region, by block size, as SVG. `metrics`: of the evaluation."""
    _draw_groups(metrics, ("blocks",), MEASURES, path)


def draw_where(metrics: Path, path: Path) -> None:
    """Draw the quality and the consistency of each method by block size, motion, position and degradation, as SVG.

    `metrics`: of the evaluation.
    """
    _draw_groups(metrics, tuple(KINDS), WHERE, path)


def show_restored(folder: Path, sheet: str, clear: Collection[str], settings: ReportSettings, path: Path) -> None:
    """Write an HTML page with the samples of `sheet`: mosaicked, restored and clean, as animations and as pictures.

    `folder`: the pictures that the evaluation wrote. `sheet`: a split, or `worst`. Samples are blurred unless their keys are in
    `clear`.
    """
    from tessera.imaging.images import read_image
    from tessera.imaging.video import read_frames, read_packets

    parts, tiles = [], []
    for row in _read_index(folder, sheet, settings):
        video = folder / f"{row['name']}.mp4"
        images = []
        try:
            packets = read_packets(video)
            for frame in read_frames(video, packets, in_motion(packets.time).tolist()):
                panels = [Picture("", panel, []) for panel in _panels(frame.image())]
                is_blurred = row["key"] not in clear
                # Each pixel of a small clip several times, so that blocks keep their edges.
                times = max(1, PREVIEW_SIDE // max(panels[0].image.shape[:2]))
                left, middle, right = (
                    shrink_picture(panel, is_blurred, PREVIEW_SIDE).image.repeat(times, 0).repeat(times, 1) for panel in panels
                )
                gap = np.full((len(left), GAP, 3), PAPER, np.uint8)
                images.append(np.concatenate([left, gap, middle, gap, right], axis=1))
        except Failed as error:
            raise TesseraError(f"{video}: {error}; delete the folder {folder} and run again") from error
        before, after = row["psnr"]["mosaicked"], row["psnr"]["restored"]
        reached = f"mosaicked {before:.1f} dB, restored {after:.1f} dB, clean"
        parts.append(animate(images, [unquote(row["key"]), f"{_blocks(row)}: {reached}"], rank=after - before))
        try:
            triptych, mask = (read_image(folder / f"{row['name']}{suffix}") for suffix in (".png", ".mask.png"))
        except Failed as error:
            raise TesseraError(f"{folder / row['name']}: {error}; delete the folder {folder} and run again") from error
        titles = [(row["key"], f"mosaicked, {_blocks(row)}\n{before:.1f} dB"), ("restored", f"{after:.1f} dB"), ("clean", "")]
        for (name, caption), image in zip(titles, _panels(triptych), strict=True):
            tile = shrink_picture(Picture(name, image, [("mosaic", mask[..., 0])]), row["key"] not in clear)
            tiles.append(tile._replace(caption=caption))
    title = "The clips that gain least" if sheet == WORST else f"Restored clips of the split {sheet}"
    stills = f"<details><summary>A frame of each clip</summary>{sheet_of(tiles, {'mosaic': ORANGE}, 3)}</details>"
    write_page(path, title, f'<div class="triptychs">{"".join(parts)}</div>{stills}')


def shown_sheets(folder: Path) -> list[str]:
    """Return the sheets, splits and `worst`, of which the evaluation wrote pictures to `folder`."""
    return sorted({row["sheet"] for row in _read_pictures(folder)})


def _read_curves(path: Path) -> dict[str, np.ndarray]:
    """Return the iterations and the values of each column that has values, by its name: float64 (2, N)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([(float(row["iteration"]), float(row[name])) for row in rows if row[name]]).T
        for name in (rows[0] if rows else ())
        if name != "iteration"
    }
    return {name: points for name, points in columns.items() if points.size}


def _draw_groups(metrics: Path, kinds: Sequence[str], measures: Mapping[Measure, str], path: Path) -> None:
    """Draw the `measures` of each method as SVG: for each split, a line for all samples and for each group of the `kinds`."""
    from matplotlib.lines import Line2D

    splits = json.loads(metrics.read_text(encoding="utf-8"))["splits"]
    groups = {
        split: {
            name: group
            for name, group in [
                ("all", groups_of_split["all"]),
                *((KINDS[kind].format(name), group) for kind in kinds for name, group in groups_of_split[kind].items()),
            ]
            if group["samples"]
        }
        for split, groups_of_split in splits.items()
        if groups_of_split["all"]["samples"]
    }
    lines = sum(map(len, groups.values()))
    with new_figure(path, 9.5 if len(measures) < 4 else 13, 1.0 + 0.46 * max(lines, 2) + 0.5 * len(groups)) as figure:
        if not groups:
            figure.text(0.5, 0.5, "no clip was measured", ha="center")
            return
        reached = next(iter(groups.values()))["all"]
        shown = {(area, name): title for (area, name), title in measures.items() if name in reached[area]["restored"]}
        # Compared models have colours of their own. There may be more of them than colours.
        names = dict.fromkeys(name for area, _ in shown for name in reached[area])
        colours = {**METHODS, **dict(zip([name for name in names if name not in METHODS], cycle(OTHERS), strict=False))}
        if "clean" in colours:
            colours["clean"] = INK
        heights = [len(groups_of_split) for groups_of_split in groups.values()]
        rows_of_axes = figure.subplots(len(groups), len(shown), squeeze=False, sharey="row", height_ratios=heights)
        for row, (split, groups_of_split) in zip(rows_of_axes, groups.items(), strict=True):
            for axes, (measure, title) in zip(row, shown.items(), strict=True):
                axes.set_title(f"{split}: {title}")
                _draw_dots(axes, groups_of_split, measure, colours)
        handles = [
            Line2D([], [], linestyle="", marker="o", color=colour, label=method.replace("_", " "))
            for method, colour in colours.items()
        ]
        ncols = columns(figure, [str(handle.get_label()) for handle in handles])
        figure.legend(handles=handles, loc="outside lower left", ncols=ncols, fontsize=9)


def _draw_dots(axes: Any, groups: Mapping[str, Any], measure: Measure, colours: Mapping[str, str]) -> None:
    """Draw the values of a `measure` for each method: one line for each group of samples, the first on top."""
    area, name = measure
    for position, group in enumerate(groups.values()):
        axes.axhspan(position - 0.42, position + 0.42, color=TINT, zorder=0)
        values = {method: of_method.get(name) for method, of_method in group[area].items()}
        # Each method has its own height, so that equal values do not hide each other.
        steps = np.linspace(-0.3, 0.3, len(colours))
        for step, (method, colour) in zip(steps, colours.items(), strict=True):
            if values.get(method) is not None:
                axes.plot(values[method], position + step, "o", color=colour, markersize=5, zorder=2)
        if values["restored"] is not None:
            gain = values["restored"] - values["mosaicked"]
            text = f"{gain:+.3f}" if name in {"ssim", "lpips"} else f"{gain:+.1f}"
            side = (1, position), (4, 0)
            of_axes = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axes.annotate(text, *side, **of_axes, va="center", fontsize=9)
    names = [f"{group_name} ({group['samples']:,})" for group_name, group in groups.items()]
    axes.set_yticks(range(len(groups)), names)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _read_index(folder: Path, sheet: str, settings: ReportSettings) -> list[dict[str, Any]]:
    """Return the entries of the pictures of `sheet` that are shown.

    Of a split, they are evenly spread over block sizes, the smallest first. Of `worst`, they are those that gain least.
    """
    rows = [row for row in _read_pictures(folder) if row["sheet"] == sheet]
    if sheet == WORST:
        return rows[: settings.samples]
    numbers = np.linspace(0, len(rows) - 1, min(len(rows), settings.samples)).round().astype(int)
    return [rows[number] for number in numbers]


def _read_pictures(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "pictures.json").read_text(encoding="utf-8"))
    return rows


def _panels(triptych: np.ndarray) -> Sequence[np.ndarray]:
    """Return the three square panels of a triptych."""
    side, width = triptych.shape[:2]
    middle = (width - side) // 2
    return triptych[:, :side], triptych[:, middle : middle + side], triptych[:, width - side :]


def _blocks(row: Mapping[str, Any]) -> str:
    return f"blocks of {row['block']:.1f} px"
