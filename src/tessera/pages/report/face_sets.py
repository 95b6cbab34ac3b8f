"""Show face sets: who may not be in them, which faces were selected, and sheets of their sorts."""

import html
from pathlib import Path

import polars as pl

from tessera.core.ledger import read_ledger, summarise
from tessera.core.messages import pluralize
from tessera.pages.report.pages import data_uri, in_box, table, write_page
from tessera.pages.report.settings import ReportSettings
from tessera.records.tables.faces import FaceOrders
from tessera.records.tables.table import read_table

# The sorts whose sheets are shown: the first `SHEETS` that rank a face. Without 68 landmarks, some rank none.
SHOWN = ("blur", "yaw", "histogram_similarity", "best", "brightness", "pixel_difference", "area")
SHEETS = 4


def tabulate_face_sets(ledger: Path, path: Path) -> None:
    """Write what was admitted to face sets, and what was refused and why, the rows of `ledger`, as an HTML page."""
    rows = read_ledger(ledger)
    refused, counts = [], {"face sets": [0, 0], "of their sources": [0, 0]}
    for row in rows:
        name, _, source = row["key"].partition("/")
        is_admitted = row["status"] == "ok"
        count = counts["of their sources" if source else "face sets"]
        count[:] = count[0] + is_admitted, count[1] + 1
        if not is_admitted:
            refused.append([name, source or "the whole set", row["reason"], row["detail"]])
    text = ", and ".join(f"{admitted:,} of {all_rows:,} {unit}" for unit, (admitted, all_rows) in counts.items())
    listed = table(["face set", "source", "why it is refused", "details"], refused) if refused else ""
    write_page(path, "Face sets", f"<p>Admitted: {text}.</p>\n{listed}")


def show_face_set(name: str, selection: Path, orders: Path, sheets: Path, settings: ReportSettings, page: Path) -> None:
    """Write an HTML page of the face set `name`: which faces were selected, and sheets of some sorts.

    `selection`: the ledger of the selection. `orders`: `tables.FaceOrders`, whose `sheets` are pictures of all faces, the first
    and the last of each sort. They are of general content, and are left out only if `settings` blur every picture.
    """
    counts = summarise(read_ledger(selection))
    selected = {"selected": counts["ok"] - sum(counts["partly"].values()), **counts["partly"]}
    rows = [[reason, count, "in the set"] for reason, count in selected.items()]
    rows += [[reason, count, "left out"] for reason, count in counts["dropped"].items()]
    parts = [
        f"<p>{counts['ok']:,} of {pluralize(counts['in'], 'faces')} are in the set.</p>",
        table(["reason", "faces", "they are"], rows),
        "<h2>Sheets</h2>",
    ]
    if settings.blur == "all":
        parts.append(f"<p>They are not shown, because <code>report.blur</code> is <code>all</code>: see {_code(sheets)}.</p>")
    else:
        ranked = set(read_table(orders, FaceOrders).filter(pl.col("rank").is_not_null())["sort"])
        parts += [_sheet(name, sort, sheets) for sort in [sort for sort in SHOWN if sort in ranked][:SHEETS]]
        parts.append(f"<p>The sheets of all sorts are in {_code(sheets)}.</p>")
    write_page(page, f"Faces of {name}", "\n".join(parts))


def _sheet(name: str, sort: str, sheets: Path) -> str:
    words = sort.replace("_", " ")
    alt = html.escape(f"The first and the last faces of {name}, sorted by {words}")
    picture = in_box(f'<img alt="{alt}" src="{data_uri((sheets / f"{sort}.jpg").read_bytes(), "image/jpeg")}">', "picture")
    return f"<details><summary>{words}</summary>{picture}</details>"


def _code(path: Path) -> str:
    return f"<code>{html.escape(path.as_posix())}</code>"
