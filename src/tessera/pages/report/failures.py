"""Where detectors fail: what they find and miss, by size, mosaic and source; the worst cases; and what a confidence decides."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.messages import pluralize
from tessera.imaging.figures import BLUE, GREEN, ORANGE, PURPLE, QUIET, RED, SKY, new_figure
from tessera.imaging.images import read_image
from tessera.imaging.polygons import Part, rasterize, rectangle
from tessera.pages.report.pages import table, write_page
from tessera.pages.report.tiles import Picture, draw_tiles, shrink_picture
from tessera.pages.report.videos import stated
from tessera.records.confidence import ConfidenceTarget, confidence_for, decisive
from tessera.records.tables.evaluation import Detections, Objects, WatchedVideos
from tessera.records.tables.mosaics import PROPERTIES, Mosaics
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, read_tables

SIDES = (16, 32, 64, 128, 256)  # pixels, shorter side of a region
BLOCKS = (6, 8, 12, 16, 24)  # pixels, shorter side of a block
SOURCES = 20  # sources with a row of their own
WORST = 10  # pictures of each model
TITLES = {"val": "Validation split", "test": "Test split"}


class Cases(NamedTuple):
    """What detectors found and missed.

    `objects`: of `tables.Objects`. If mosaics were drawn, it also has the columns `block`, `type`, those of `PROPERTIES`, and
    `degradation`: a list of the degradations of the image, or `none` in it. `detections`: of `tables.Detections`. Both hold one
    row per model: compared by masks or, if the model finds only boxes, by boxes. `images`: `tables.Splits` of the splits val
    and test.
    """

    objects: pl.DataFrame
    detections: pl.DataFrame
    images: pl.DataFrame

    @property
    def models(self) -> list[str]:
        """The names of the models, the one that was trained here first."""
        return self.objects["model"].unique(maintain_order=True).to_list()

    def backgrounds(self, split: str) -> pl.DataFrame:
        """Return the images of a split that show no object."""
        return self.images.filter(pl.col("split") == split).join(self.objects, on="key", how="anti")


def read_cases(objects: Path, detections: Path, splits: Path, mosaics: Sequence[Path], ledger: Path) -> Cases:
    """Return what detectors found and missed.

    `splits`: `tables.Splits` of the dataset. `mosaics`: files of `tables.Mosaics`, none if its samples have none. `ledger`:
    that of the labels, with a row `KEY#NUMBER` for each region, and `ok` for those that are in the label files.
    """
    labelled, detected = (decisive(read_table(*each)) for each in ((objects, Objects), (detections, Detections)))
    images = read_table(splits, Splits).filter(pl.col("split") != "train")
    if mosaics:
        drawn = _drawn(read_tables(list(mosaics), Mosaics), ledger)
        labelled = labelled.join(drawn, on=["key", "number"], how="left", maintain_order="left")
    return Cases(labelled, detected, images)


def _drawn(mosaics: pl.DataFrame, ledger: Path) -> pl.DataFrame:
    """Return the mosaic under each object. Its number is the line in the label file, which lacks regions that were left out."""
    lines: dict[str, int] = {}
    rows = []
    for row in read_ledger(ledger):
        if row["status"] == "ok":
            key, _, number = row["key"].rpartition("#")
            lines[key] = lines.get(key, -1) + 1
            rows.append({"key": key, "region": int(number), "number": lines[key]})
    of_region = pl.DataFrame(rows, schema={"key": pl.String, "region": pl.Int64, "number": pl.Int64})
    drawn = mosaics.select(
        "key",
        "type",
        region="number",
        block=pl.min_horizontal("block_width", "block_height"),
        degradation=pl.when(pl.col("degradations").list.len() == 0).then(pl.lit(["none"])).otherwise(pl.col("degradations")),
        **{name: pl.when(has).then(pl.lit("yes")).otherwise(pl.lit("no")) for name, has in PROPERTIES.items()},
    )
    return of_region.join(drawn, on=["key", "region"]).drop("region")


def tabulate_failures(cases: Cases, confidence: float, videos: str, path: Path) -> None:
    """Write what each detector finds and misses as an HTML page. Detections count from `confidence`.

    `videos`: the part about videos, see `describe_videos`.
    """
    parts = [
        "<p>An object is found if a detection overlaps it with an intersection over union of 0.5 or more, by masks where the"
        f" model finds masks. Detections with a confidence of {confidence:g} or more count, the setting"
        " <code>preview.confidence</code>. Sizes are those of the shorter side.</p>"
        "<p>In brackets are exact 95 % intervals (Clopper and Pearson), as if objects were independent. Those of one source"
        " resemble each other, so a group of few sources is less certain than its interval says.</p>"
    ]
    if "degradation" in cases.objects.columns:
        parts.append(
            "<p>An object in an image with several degradations counts under each of them: those groups overlap. Under"
            " <code>none</code> are objects in images without any.</p>"
        )
    for split in cases.images["split"].unique().sort(descending=True):
        images = cases.images.filter(pl.col("split") == split)
        shown = f"{pluralize(len(images), 'images')} of {pluralize(images['source'].n_unique(), 'sources')}"
        parts.append(f"<h2>{TITLES[split]}</h2>\n<p>{shown}.</p>")
        parts += ["<h3>Recall: the fraction of the objects that is found</h3>", _recall_table(cases, split, confidence)]
        parts += [
            "<h3>Precision: the fraction of the detections that is right</h3>",
            _precision_table(cases, split, confidence),
        ]
        parts += ["<h3>Images that show nothing</h3>", _background_table(cases, split, confidence)]
    write_page(path, "Where it fails", "\n".join([*parts, videos]))


def recall_rows(cases: Cases, split: str, confidence: float) -> Iterator[tuple[str, str, int, dict[str, float]]]:
    """Yield groups of objects: what they are grouped by, the group, its objects, and the fraction that each model finds.

    Each grouping divides all objects of the split, but for `degradation`: an object counts once for each that its image has.
    """
    objects = cases.objects.filter(pl.col("split") == split).with_columns(found=pl.col("score").fill_null(-1) >= confidence)
    groupings = {"": pl.lit("all"), "size": in_bins("side", SIDES), "class": pl.col("label")}
    if "block" in objects.columns:
        unknown = pl.lit("not drawn here")
        groupings |= {
            "blocks": pl.when(pl.col("type").is_null())
            .then(unknown)
            .when(pl.col("block").is_null())
            .then(pl.lit("a bar"))
            .otherwise(in_bins("block", BLOCKS)),
            **{name: pl.col(name).fill_null(unknown) for name in ("type", *PROPERTIES)},
            "degradation": pl.col("degradation").fill_null(pl.concat_list(unknown)),
        }
    for title, group in {**groupings, "source": _of_sources(objects)}.items():
        grouped = objects.with_columns(group=group)
        if grouped.schema["group"] == pl.List:
            grouped = grouped.explode("group")
        groups = grouped.group_by("group", "model").agg(pl.len(), pl.col("found").mean())
        for name in sorted(groups["group"].unique(), key=_by_number):
            rows = {row["model"]: row for row in groups.filter(group=name).iter_rows(named=True)}
            yield title, name, rows[cases.models[0]]["len"], {model: rows[model]["found"] for model in cases.models}


def in_bins(column: str, edges: Sequence[int]) -> pl.Expr:
    """Return the bin of each value of `column`, in pixels, as text."""
    value = pl.col(column)
    group = pl.lit(f"{edges[-1]} px and more")
    for low, high in reversed(list(pairwise(edges))):
        group = pl.when(value < high).then(pl.lit(f"{low} to {high} px")).otherwise(group)
    return pl.when(value < edges[0]).then(pl.lit(f"below {edges[0]} px")).otherwise(group)


def _by_number(name: str) -> tuple[int, str]:
    if name.startswith("below "):
        return -1, name
    first = name.split(" ")[0]
    return (int(first) if first.isdecimal() and name.endswith(("px", "px and more")) else 0), name


def _of_sources(objects: pl.DataFrame) -> pl.Expr:
    """Return the source of each object. Sources beyond the first `SOURCES` by their missed objects count as one."""
    missed = objects.group_by("source").agg((~pl.col("found")).sum()).sort("found", "source", descending=[True, False])
    others = missed["source"][SOURCES:]
    return pl.when(pl.col("source").is_in(others.implode())).then(pl.lit(f"{len(others):,} others")).otherwise(pl.col("source"))


def _recall_table(cases: Cases, split: str, confidence: float) -> str:
    rows: list[list[Any]] = [
        [title, name, count, *(stated(round(recalls[model] * count), count) for model in cases.models)]
        for title, name, count, recalls in recall_rows(cases, split, confidence)
    ]
    return table(["by", "", "objects", *cases.models], rows) if rows else "<p>There is no object.</p>"


def _precision_table(cases: Cases, split: str, confidence: float) -> str:
    side = pl.min_horizontal(pl.col("x1") - pl.col("x0"), pl.col("y1") - pl.col("y0"))
    confident = cases.detections.filter((pl.col("split") == split) & (pl.col("score") >= confidence)).with_columns(side=side)
    rows: list[list[Any]] = []
    for title, group in {"": pl.lit("all"), "size": in_bins("side", SIDES), "class": pl.col("label")}.items():
        groups = confident.group_by(group.alias("group"), "model").agg(pl.len(), (pl.col("matched") >= 0).sum())
        cells = {(name, model): f"{stated(right, count)} of {count:,}" for name, model, count, right in groups.iter_rows()}
        names = sorted(groups["group"].unique(), key=_by_number)
        rows += [[title, name, *(cells.get((name, model), "no detection") for model in cases.models)] for name in names]
    return table(["by", "", *cases.models], rows) if rows else "<p>There is no detection.</p>"


def _background_table(cases: Cases, split: str, confidence: float) -> str:
    backgrounds = cases.backgrounds(split)
    if backgrounds.is_empty():
        return "<p>Every image of the split shows an object, so that false detections in others cannot be counted.</p>"
    false = cases.detections.filter(pl.col("score") >= confidence).join(backgrounds, on="key", how="semi")
    rows = [
        [
            model,
            f"{1000 * len(of_model) / len(backgrounds):.0f}",
            len(of_model),
            of_model["key"].n_unique(),
            stated(of_model["key"].n_unique(), len(backgrounds)),
        ]
        for model in cases.models
        for of_model in [false.filter(model=model)]
    ]
    header = ["model", "false detections per 1,000 images", "false detections", "images with one", "fraction of the images"]
    return f"<p>Without an object: {pluralize(len(backgrounds), 'images')}.</p>" + table(header, rows)


def count_false_positives(cases: Cases, videos: Path, confidence: float, path: Path) -> None:
    """Write what the detector that was trained here finds where there is nothing to `path`, JSON: of videos and of images.

    `videos`: `tables.WatchedVideos`, of which those known to show nothing count. Those of no split of the dataset count to its
    test split: nothing was chosen on them either. Detections in images count from `confidence`. Both are by split.
    """
    free = read_table(videos, WatchedVideos).filter("known_free").with_columns(pl.col("split").replace("", "test"))
    columns = ("seconds", "frames", "with_detection", "tracks")
    confident = cases.detections.filter(pl.col("score") >= confidence, model=cases.models[0])
    counts: dict[str, dict[str, Any]] = {"videos": {}, "images": {}}
    for split in TITLES:
        watched, backgrounds = free.filter(split=split), cases.backgrounds(split)
        counts["videos"][split] = {"videos": len(watched), **watched.select(pl.col(columns).sum()).row(0, named=True)}
        hit = backgrounds.join(confident, on="key", how="semi")
        counts["images"][split] = {"images": len(backgrounds), "with_detection": len(hit)}
    path.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")


def draw_thresholds(cases: Cases, settings: Mapping[str, tuple[float | Mapping[str, Any], float]], path: Path) -> None:
    """Draw what the confidence decides on the validation split, as SVG, and mark those of `settings`, by name.

    A setting is a confidence, or the values of a `ConfidenceTarget`, and the smallest confidence of the detections that are
    recorded where it is used. Precision is the fraction of the detections that is right, recall the fraction of the objects
    that is kept.
    """
    model = cases.models[0]
    labelled, detected = (rows.filter(model=model, split="val") for rows in (cases.objects, cases.detections))
    objects = labelled["score"].fill_null(-1).to_numpy()
    levels = {
        name: confidence_for(ConfidenceTarget(**level), labelled, detected, lowest) if isinstance(level, Mapping) else level
        for name, (level, lowest) in settings.items()
    }
    reached = {name: level for name, level in levels.items() if level is not None}
    scores, right = detected["score"].to_numpy(), detected["matched"].to_numpy() >= 0
    backgrounds = cases.backgrounds("val")
    highest = detected.join(backgrounds, on="key", how="semi").group_by("key").agg(pl.col("score").max())["score"].to_numpy()
    with new_figure(path, 9.5, 4.6 + 0.25 * len(settings)) as figure:
        axes = figure.subplots()
        shown = f"{pluralize(len(objects), 'objects')}, {pluralize(len(backgrounds), 'images')} that show nothing"
        axes.set_title(f"{model}, validation split: {shown}")
        grid = np.linspace(0, 1, 501)
        axes.plot(grid, [at(scores, right, level) for level in grid], color=BLUE, label="precision")
        axes.plot(grid, [(objects >= level).mean() for level in grid], color=ORANGE, label="recall: objects kept")
        if len(backgrounds):
            lost = [(highest >= level).sum() / len(backgrounds) for level in grid]
            axes.plot(grid, lost, color=QUIET, label="images that show nothing, with a false detection")
        for (name, level), colour in zip(reached.items(), (RED, GREEN, PURPLE, SKY) * len(settings), strict=False):
            kept, precision = (objects >= level).sum(), at(scores, right, level)
            stated = "no detection" if math.isnan(precision) else f"precision {precision:.3f}"
            text = f"{name} {level:.3g}: {stated}, {pluralize(kept, 'objects')} kept, {len(objects) - kept:,} lost"
            axes.axvline(level, color=colour, linestyle="--", linewidth=1.4, label=text)
        axes.set(xlabel="confidence", xlim=(0, 1), ylim=(0, 1.02))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=1, fontsize=9)


def at(scores: np.ndarray, right: np.ndarray, level: float) -> float:
    """Return the precision of the detections with a confidence of `level` or more; NaN if there are none."""
    counts = scores >= level
    return float(right[counts].mean()) if counts.any() else math.nan


def draw_failures(cases: Cases, confidence: float, images: Path, clear: Collection[str], path: Path) -> None:
    """Draw the worst cases of each detector as an HTML page: the largest missed objects, the most confident false detections.

    `images`: the images of the dataset as `SPLIT/KEY.SUFFIX`. Those that are not in `clear` are blurred.
    """
    files = {file.stem: file for split in ("val", "test") for file in (images / split).glob("*")}
    tiles = []
    for model in cases.models:
        for row, caption in worst_cases(cases, model, confidence):
            try:
                image = read_image(files[row["key"]])
            except Failed as error:
                raise TesseraError(f"{error}; delete the folder {images} and run again") from error
            labelled = cases.objects.filter(model=model, key=row["key"]).iter_rows(named=True)
            confident = cases.detections.filter((pl.col("score") >= confidence), model=model, key=row["key"]).iter_rows(
                named=True
            )
            size = image.shape[:2]
            regions = [("labelled", _box_mask(each, *size)) for each in labelled]
            regions += [("detected", _box_mask(each, *size)) for each in confident]
            regions.append(("this case", _box_mask(row, *size)))
            tile = shrink_picture(Picture(row["key"], image, regions), row["key"] not in clear)
            tiles.append(tile._replace(caption=f"{model}\n{caption}" if len(cases.models) > 1 else caption))
    heading = "The worst cases: largest missed objects, most confident false detections" if tiles else "Nothing was missed"
    draw_tiles(tiles, {"labelled": SKY, "detected": ORANGE, "this case": PURPLE}, heading, path)


def worst_cases(cases: Cases, model: str, confidence: float) -> list[tuple[dict[str, Any], str]]:
    """Return the worst cases of a model, at most `WORST`: rows of objects and of detections, each with what is wrong.

    Half of them are missed objects and half false detections, unless there are too few of one.
    """
    missed = cases.objects.filter((pl.col("score").fill_null(-1) < confidence) & (pl.col("model") == model))
    false = cases.detections.filter((pl.col("matched") < 0) & (pl.col("score") >= confidence) & (pl.col("model") == model))
    largest = missed.sort("area", "key", "number", descending=[True, False, False])
    surest = false.sort("score", "key", "number", descending=[True, False, False])
    many = max(WORST // 2, WORST - len(surest))
    missed_cases = [(row, _missed(row)) for row in largest.head(many).iter_rows(named=True)]
    rest = surest.head(WORST - len(missed_cases)).iter_rows(named=True)
    return missed_cases + [(row, f"{row['split']}: false\nconfidence {row['score']:.2f}") for row in rest]


def _missed(row: Mapping[str, Any]) -> str:
    reason = "no detection" if row["score"] is None else f"confidence {row['score']:.2f}"
    return f"{row['split']}: missed, {row['area']:,.0f} px²\n{reason}"


def _box_mask(row: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    return rasterize([Part(rectangle((row["x0"], row["y0"], row["x1"], row["y1"])))], height, width)
