"""Show the labels of a classifier that may be wrong, with their pictures."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.pages.report.pages import table, write_page
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import read_tile, tile_figure
from tessera.records.blurring import clear_keys
from tessera.records.tables.classification import CONTRADICTION, OUTLIER, WRONG, LabelErrors, Pictures, picture_files
from tessera.records.tables.table import read_table

ROWS = 200  # findings of each kind that are listed
MEANINGS = {
    WRONG: "A classifier that did not learn from the picture finds another label far more likely. The strength is 1 minus the"
    " probability of the given label or, of a score, the difference as a fraction of the range.",
    OUTLIER: "The picture looks like none of another source: perhaps it does not belong here. The strength is 1 minus the usual"
    " distance to the nearest pictures, divided by that of this picture.",
    CONTRADICTION: "Another picture looks the same, and has another label. The strength is the cosine of the angle between"
    " their vectors.",
}


def show_label_errors(
    errors: Path,
    metrics: Path,
    pictures: Path,
    images: Path,
    sources: Path,
    sets: Mapping[str, str],
    settings: ReportSettings,
    classifier: str,
    path: Path,
) -> None:
    """Write an HTML page of what may be wrong with the labels of `classifier`: by kind, the strongest first.

    `errors`: `tables.LabelErrors`. `metrics`: the JSON of `evaluate_folds`. `pictures`: `tables.Pictures`, whose files lie in
    the folder `images`. `find_clear` describes `sources`, `sets` and `settings`.
    """
    findings = read_table(errors, LabelErrors)
    known = {row["key"]: row for row in read_table(pictures, Pictures).iter_rows(named=True)}
    files = {key: file for (_, key), file in picture_files(images).items()}
    clear = clear_keys(((key, row["source"]) for key, row in known.items()), sources, sets, settings.blur)

    def shown(key: str, *lines: str) -> str:
        return tile_figure(read_tile(key, files[key], clear, "\n".join(lines), images))

    parts = [f"<p>{html.escape(_reached(json.loads(metrics.read_text(encoding='utf-8'))['splits']['out_of_fold']))}</p>"]
    for kind, meaning in MEANINGS.items():
        of_kind = findings.filter(pl.col("kind") == kind)
        parts.append(f"<h2>{html.escape(kind.capitalize())}: {of_kind.height:,}</h2>")
        if of_kind.is_empty():
            continue
        rows = of_kind.head(ROWS).to_dicts()
        gallery = []
        for row in rows[: settings.samples]:
            says = ([f"suggested: {_suggested(row)}"] if _suggested(row) else []) + [f"strength {row['strength']:.3f}"]
            each = shown(row["key"], f"label: {_given(row)}", *says)
            if row["other"]:
                each += shown(row["other"], f"label: {_given(known[row['other']])}", "the near-duplicate")
            gallery.append(f'<div class="pair">{each}</div>')
        columns = {
            "key": [row["key"] for row in rows],
            "label": list(map(_given, rows)),
            "suggested": list(map(_suggested, rows)),
            "strength": [f"{row['strength']:.3f}" for row in rows],
            "near-duplicate": [row["other"] or "" for row in rows],
        }
        columns = {name: cells for name, cells in columns.items() if any(cells)}
        parts += [
            f'<p>{html.escape(meaning)}</p>\n<div class="clips">{"".join(gallery)}</div>',
            table(list(columns), list(zip(*columns.values(), strict=True))),
        ]
        if of_kind.height > ROWS:
            parts.append(
                f"<p>These are {ROWS:,} of {pluralize(of_kind.height, 'findings')}; {html.escape(errors.name)} has all.</p>"
            )
    write_page(path, f"Labels of {classifier} that may be wrong", "\n".join(parts))
    tell(f"the findings, and the decisions that they suggest, are in {errors.parent}")


def _reached(measured: Mapping[str, Any]) -> str:
    name = "accuracy" if "accuracy" in measured else "mae"
    value = f"{'an accuracy' if name == 'accuracy' else 'a mean absolute error'} of {measured[name]:.3g}"
    shown = f"{pluralize(measured['pictures'], 'pictures')} of {pluralize(measured['sources'], 'sources')}"
    return (
        f"Classifiers that did not learn from them predict {shown} with {value}. The better they are, the more findings are"
        " right."
    )


def _given(row: Mapping[str, Any]) -> str:
    return str(row["label"]) if row["score"] is None else f"{row['score']:g}"


def _suggested(row: Mapping[str, Any]) -> str:
    return row["suggested"] or ("" if row["suggested_score"] is None else f"{row['suggested_score']:.3g}")
