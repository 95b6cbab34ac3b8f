"""Pages and figures of classifiers: their metrics, and pictures that they are right and wrong about, with heat maps."""

import html
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import pluralize
from tessera.imaging.images import read_image, resize
from tessera.learning.classification.classifier import Classifier
from tessera.learning.classification.explain import heat_map, overlay
from tessera.learning.intervals import LEAST
from tessera.pages.report.pages import TITLES, table, write_page
from tessera.pages.report.tiles import Picture, draw_tiles, shrink_picture
from tessera.records.tables.classification import Predictions, picture_files
from tessera.records.tables.table import read_table

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "average_precision": "average precision",
    "auroc": "AUROC",
    "brier": "Brier score (lower is better)",
    "calibration_error": "calibration error (lower is better)",
    "mae": "mean absolute error (lower is better)",
    "spearman": "rank correlation",
}
OF_CLASS = {
    "precision": "precision",
    "recall": "recall",
    **{name: METRICS[name] for name in ("f1", "average_precision", "auroc")},
}
PAIRS = 2  # pictures in a row of the sheet, each with its heat map


def tabulate_results(metrics: Path, exported: Path, path: Path) -> None:
    """Write what a classifier reaches on each split, of each class and of its worst sources as an HTML page.

    `metrics`: the JSON of `evaluate_classifier`. `exported`: how much the exported files differ.
    """
    content = json.loads(metrics.read_text(encoding="utf-8"))
    made = f"{pluralize(content['epochs'], 'epochs')} of training, {content['temperature']:.3g} as temperature of calibration."
    parts = [f"<p>{made if content['task'] == 'classes' else made.partition(',')[0] + '.'}</p>"]
    for split, measured in content["splits"].items():
        shown = f"{pluralize(measured['pictures'], 'pictures')} of {pluralize(measured['sources'], 'sources')}"
        parts.append(f"<h2>{TITLES[split]}</h2>\n<p>{shown}.</p>")
        ends = measured["intervals"]
        if isinstance(ends, str):
            parts.append(f"<p>There are {html.escape(ends)}.</p>")
            ends = {}
        rows = [
            [title, _cell(measured[name]), _interval(ends.get(name))] for name, title in METRICS.items() if name in measured
        ]
        parts.append(table(["", "value", "95 % interval"], rows))
        parts.append(f"<p>{html.escape(judged(measured))}</p>")
        if "classes" in measured:
            rows = [
                [name, values["pictures"], *(_cell(values[metric]) for metric in OF_CLASS)]
                for name, values in measured["classes"].items()
            ]
            header = ["class", "pictures", *OF_CLASS.values()]
            parts += ["<h3>Each class against the others</h3>", table(header, rows)]
        worst = measured["worst_sources"]
        metric = "mae" if "mae" in measured else "accuracy"
        rows = [[each["source"], each["pictures"], _cell(each[metric])] for each in worst]
        parts += [
            "<h3>Sources, the worst first</h3>",
            table(["source", "pictures", METRICS[metric]], rows),
        ]
    if not content["splits"]:
        parts.append("<p>All pictures are in the training split, so nothing was measured.</p>")
    parts.append(f"<p>The intervals are by the bootstrap over sources. They need {LEAST} sources or more.</p>")
    compared = json.loads(exported.read_text(encoding="utf-8"))
    parts += [
        "<h2>Exported files</h2>",
        f"<p>Compared with the trained model on {pluralize(compared['pictures'], 'pictures')}. A result may differ by"
        f" {compared['tolerance']['result']:g}.</p>",
        table(["file", "largest difference"], [[name, f"{value:.1e}"] for name, value in compared["differences"].items()]),
    ]
    write_page(path, "Metrics", "\n".join(parts))


def judged(measured: Mapping[str, Any]) -> str:
    """Return a sentence that says whether a classifier is better than chance on a split. `measured`: of `measure`."""
    chance = measured.get("chance", {"is_better": None})
    if chance["is_better"] is None:
        return "Nobody knows whether it is better than chance: no interval could be computed."
    comparisons = ", ".join(
        f"{METRICS[metric]} {low:.3f} to {high:.3f}, {chance['guessed'][metric]:.3f} by guessing"
        for metric, (low, high) in chance["intervals"].items()
    )
    by = "" if chance["by"] == "sources" else " With so few sources, these intervals are as if pictures were independent."
    return f"{'Better' if chance['is_better'] else 'No better'} than chance: {comparisons}.{by}"


def _cell(value: float | None) -> str:
    return "no value" if value is None else f"{value:.3f}"


def _interval(ends: list[float] | None) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else ""


def draw_examples(
    classifier: Classifier, predictions: Path, images: Path, clear: Collection[str], count: int, path: Path
) -> None:
    """Draw pictures that `classifier` is wrong and right about, each with the heat map of what it takes the picture for.

    `predictions`: `tables.Predictions`. `images`: the folder of the pictures of its dataset. `clear`: the keys of pictures
    that are not blurred. Of the validation split, or of the test split without one, `count` pictures are shown: the same number
    of those that it is wrong about and sure, wrong and unsure, right and unsure, and right and sure; of scores, of those with
    the largest and with the smallest error. Networks that have no heat maps are drawn without.

    Raises `TesseraError` if a picture cannot be read.
    """
    rows = read_table(predictions, Predictions)
    split = "val" if "val" in rows["split"] else "test"
    rows = rows.filter(split=split)
    chosen = choose_examples(rows, count)
    files = picture_files(images)
    classes = classifier.description.classes
    tiles = []
    for row in chosen.iter_rows(named=True):
        file = files.get((row["split"], row["key"]), images / row["split"] / row["key"])
        try:
            picture = read_image(file)
        except Failed as error:
            raise TesseraError(f"{file}: {error}; delete the folder {images.parent} and run again") from error
        tile = shrink_picture(Picture(row["key"], picture, []), row["key"] not in clear)
        tiles.append(tile._replace(caption=_caption(row)))
        heat = heat_map(classifier, picture, classes.index(row["predicted"]) if classes else 0)
        if heat is not None:
            speaks = f"heat map: what speaks for\n{row['predicted'] if classes else 'a high score'}"
            tiles.append(Picture("", overlay(tile.image, resize(heat, *tile.image.shape[:2])), [], speaks))
    heading = f"{TITLES[split]}: {chosen.height:,} of {pluralize(rows.height, 'pictures')}"
    if len(tiles) > chosen.height:
        heading += "; in heat maps, red speaks for it, blue does not"
    draw_tiles(tiles, {}, heading, path, columns=2 * PAIRS, nothing="")


def choose_examples(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return about `count` of `rows` (`tables.Predictions`), each once, with the column `group` that says why. See above."""
    if rows["score"].is_null().all():
        sure, is_right = pl.col("probabilities").list.max(), pl.col("label") == pl.col("predicted")
        groups = {
            "wrong and sure": (~is_right, -sure),
            "wrong and unsure": (~is_right, sure),
            "right and unsure": (is_right, sure),
            "right and sure": (is_right, -sure),
        }
    else:
        error = (pl.col("score") - pl.col("predicted_score")).abs()
        groups = {"large error": (pl.lit(True), -error), "small error": (pl.lit(True), error)}
    examples = rows.clear().with_columns(group=pl.lit(""))
    for name, (belongs, order) in groups.items():
        left = rows.filter(belongs, ~pl.col("key").is_in(examples["key"].implode()))
        examples = examples.vstack(left.sort(order, "key").head(-(-count // len(groups))).with_columns(group=pl.lit(name)))
    return examples


def _caption(row: Mapping[str, Any]) -> str:
    if row["predicted"] is None:
        return f"{row['group']}\n{row['score']:.3g}, predicted {row['predicted_score']:.3g}"
    is_right = row["label"] == row["predicted"]
    shown = row["label"] if is_right else f"{row['label']}, taken for {row['predicted']}"
    return f"{row['group']}\n{shown}: {100 * max(row['probabilities']):.1f} %"
