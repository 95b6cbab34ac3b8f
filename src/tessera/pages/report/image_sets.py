"""Show an image set: how it is balanced, and some of its pictures with their captions."""

import html
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tessera.core.messages import pluralize
from tessera.pages.report.pages import table, write_page
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import choose_shown, read_tile, tile_figure
from tessera.records.tables.image_sets import Arrangement, Captions, Distribution, ResizedPictures, SetPictures
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table

SPLITS = {"train": "Training split", "val": "Validation split", "test": "Test split"}
ROWS = 200  # folders and identities that are listed, each


def show_set(
    name: str,
    selected: Path,
    splits: Path,
    resized: Path,
    images: Path,
    captions: Path | None,
    arrangement: Path | None,
    distribution: Path | None,
    sources: Path,
    settings: ReportSettings,
    seed: int,
    page: Path,
) -> None:
    """Write an HTML page of the image set `name`.

    `selected`: `tables.SetPictures`. `splits`: `tables.Splits`. `resized`: `tables.ResizedPictures` of the pictures in the
    folder `images`. `captions`: `tables.Captions`; None if there are none. `arrangement`, `distribution`: `tables.Arrangement`
    and `tables.Distribution`; None if the set is not arranged. `choose_shown` describes the other parameters.
    """
    arranged = None if arrangement is None else read_table(arrangement, Arrangement)
    files = dict(read_table(resized, ResizedPictures).select("key", "file").iter_rows())
    lines = _lines(read_table(selected, SetPictures), arranged, captions)
    parts = []
    if arranged is not None and distribution is not None:
        trained = arranged.join(read_table(splits, Splits).filter(split="train").select("key"), on="key")
        parts.append(_balance(trained, read_table(distribution, Distribution)))
    for split, title in SPLITS.items():
        shown = choose_shown(splits, split, sources, {}, settings, seed, lines)
        if shown.keys:
            tiles = [read_tile(key, images / files[key], shown.clear, shown.captions[key], images) for key in shown.keys]
            parts.append(f"<h2>{html.escape(title)}</h2>\n<p>{html.escape(shown.heading)}</p>")
            parts.append(f'<div class="clips">{"".join(map(tile_figure, tiles))}</div>')
    write_page(page, f"Image set {name}", "\n".join(parts))


def _lines(selected: pl.DataFrame, arranged: pl.DataFrame | None, captions: Path | None) -> Mapping[str, str]:
    """Return what stands below each picture, by key: where it lies, who is in it, and its captions."""
    where = (
        {} if arranged is None else {key: values for key, *values in arranged.select("key", "folder", "repeats").iter_rows()}
    )
    texts: dict[str, list[str]] = {}
    if captions is not None:
        for key, caption in read_table(captions, Captions).sort("key", "variant").select("key", "caption").iter_rows():
            texts.setdefault(key, []).append(caption)
    lines = {}
    for key, people in selected.select("key", "identities").iter_rows():
        folder, repeats = where.get(key, ("", None))
        about = [
            f"folder: {folder}" if folder else "",
            f"repeats: {repeats:g}" if repeats else "",
            f"identities: {', '.join(people)}" if people else "",
        ]
        lines[key] = "\n".join([*filter(None, about), *(f"caption: {caption or 'none'}" for caption in texts.get(key, []))])
    return lines


def _balance(trained: pl.DataFrame, distribution: pl.DataFrame) -> str:
    """Return the part of the page about balance. `trained`: the rows of `tables.Arrangement` in the split train."""
    repeats = trained["repeats"].to_numpy()
    text = (
        f"An epoch has {round(repeats.sum()):,} appearances of {pluralize(trained.height, 'pictures')}, each"
        f" {repeats.min():g} to {repeats.max():g} times. Shares are fractions of the pictures of the split train: before, with"
        " each picture once; planned, by the weights; after, with the repeats, which their limits may cut."
    )
    parts = ["<h2>Balance</h2>", f"<p>{html.escape(text)}</p>"]
    folders = {name: values for name, *values in trained.select("folder", "repeats", "probability").unique().iter_rows()}
    for kind, title in (("folder", "By folder"), ("identity", "By identity")):
        of_kind = distribution.filter(kind=kind).sort(-pl.col("after"), "name")
        rows = []
        for _, name, pictures, before, after in of_kind.head(ROWS).iter_rows():
            more = [f"{folders[name][0]:g}", folders[name][1]] if kind == "folder" else []
            rows.append([name or "the split itself", pictures, *more[:1], before, *more[1:], after])
        if rows:
            columns = ["repeats", "before", "planned", "after"] if kind == "folder" else ["before", "after"]
            parts += [f"<h3>{title}</h3>", table([kind, "pictures", *columns], rows)]
        if of_kind.height > len(rows):
            parts.append(f"<p>These are the {len(rows):,} largest of {of_kind.height:,}; distribution.parquet has all.</p>")
    return "\n".join(parts)
