"""Show the crops of each identity, those that are least certain first."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from tessera.core.files import file_name
from tessera.core.ledger import described, read_ledger, summarise
from tessera.core.messages import pluralize
from tessera.pages.report.pages import table, write_page
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import draw_tiles, read_tile
from tessera.records.blurring import clear_keys
from tessera.records.tables.embeddings import Embeddings
from tessera.records.tables.identities import Identities
from tessera.records.tables.table import read_table


def show_identities(
    identities: Path,
    tables: Sequence[Path],
    ledgers: Mapping[str, Path],
    sources: Path,
    settings: ReportSettings,
    shown: int,
    folder: Path,
    page: Path,
) -> None:
    """Draw up to `shown` crops of each identity as a page in `folder`, and of noise, and write the numbers to `page`.

    `identities`: `tables.Identities`. `tables`: files of `tables.Embeddings` with the paths of the crops. `ledgers`: those of
    `crops` and of `decisions`. `find_clear` describes `sources` and `settings`.
    """
    folder.mkdir()
    identified = read_table(identities, Identities).sort("certainty", "key")
    known = pl.concat(
        [pl.DataFrame(schema={"key": pl.String, "path": pl.String})]
        + [read_table(path, Embeddings, without=["vector", "place", "sharpness", "source"]) for path in tables]
    )
    paths = dict(known.iter_rows())
    clear = clear_keys(identified.select("key", "source").iter_rows(), sources, {}, settings.blur)
    rows = []
    for (name,), of_identity in sorted(identified.group_by("identity"), key=lambda each: str(each[0][0])):
        tiles = [
            read_tile(row["key"], Path(paths[row["key"]]), clear, f"certainty {row['certainty']:.3f}, {row['origin']}")
            for row in of_identity.sort("certainty", "key").head(shown).iter_rows(named=True)
        ]
        title = str(name) or "noise"
        heading = f"{title}: the least certain {len(tiles):,} of {pluralize(of_identity.height, 'crops')}"
        draw_tiles(tiles, {}, heading, folder / f"{file_name(str(name) or ' noise')}.html", nothing="")
        # The mean of nothing is null, and an identity has at least one crop.
        rows.append(
            [title, of_identity.height, of_identity["source"].n_unique(), f"{of_identity['certainty'].to_numpy().mean():.3f}"]
        )
    crops = {**summarise(read_ledger(ledgers["crops"])), "unit": "crops"}
    made = {**summarise(read_ledger(ledgers["decisions"])), "unit": "decisions"}
    lost = [[row["key"], row["detail"]] for row in read_ledger(ledgers["decisions"]) if row["status"] == "dropped"]
    parts = [f"<p>{html.escape(described(*each))}</p>" for each in (("identified", crops), ("applied", made))]
    parts.append(table(["identity", "crops", "sources", "mean certainty"], rows))
    parts += ["<h2>Decisions that match nothing</h2>", table(["target", "why"], lost)] if lost else []
    write_page(page, "Identities", "\n".join(parts))
