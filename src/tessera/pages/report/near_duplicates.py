"""Show the near-duplicates that an embedding finds, each beside the picture that is kept in its place."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tessera.core.messages import pluralize
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import Picture, draw_tiles, read_tile
from tessera.records.blurring import clear_keys


def show_near_duplicates(
    pairs: Path, tables: Sequence[Path], sources: Path, sets: Mapping[str, str], settings: ReportSettings, folder: Path
) -> None:
    """Draw the pairs with the largest and the smallest similarity as `strongest.html` and `weakest.html` in `folder`.

    `pairs`: `tables.NearDuplicates`. `tables`: files of `tables.Embeddings`. `find_clear` describes the other parameters. Of
    the pairs with the same picture that is kept, each figure shows one. If there are no pairs, no figure is drawn.
    """
    import polars as pl

    from tessera.records.tables.embeddings import Embeddings, NearDuplicates
    from tessera.records.tables.table import read_table, read_tables

    folder.mkdir()
    duplicates = read_tables([pairs], NearDuplicates)
    named = [read_table(path, Embeddings, without=["vector", "place", "sharpness"]) for path in tables]
    known = (
        pl.concat(named).filter(pl.col("key").is_in(duplicates["key"].append(duplicates["duplicate_of"]).implode()))
        if named
        else None
    )
    if known is None or not duplicates.height:
        return
    paths = dict(known.select("key", "path").iter_rows())
    clear = clear_keys(known.select("key", "source").iter_rows(), sources, sets, settings.blur)

    def tile(key: str, caption: str) -> Picture:
        return read_tile(key, Path(paths[key]), clear, caption)

    for order, is_strong in (("strongest", True), ("weakest", False)):
        ordered = duplicates.sort("similarity", "key", descending=[is_strong, False]).unique(
            "duplicate_of", keep="first", maintain_order=True
        )
        shown = ordered.head(settings.samples)
        tiles = []
        for row in shown.iter_rows(named=True):
            tiles += [
                tile(row["duplicate_of"], "kept"),
                tile(row["key"], f"left out, {row['found']}\nsimilarity {row['similarity']:.4f}"),
            ]
        count = pluralize(duplicates.height, "near-duplicates")
        heading = f"The {order} {shown.height:,} of {count}, each after the picture that is kept"
        draw_tiles(tiles, {}, heading, folder / f"{order}.html", nothing="")
