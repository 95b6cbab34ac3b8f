"""The report shows which faces a set has, sheets of its sorts, and what was refused."""

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tessera.core.ledger import Ledger
from tessera.imaging.images import write_image
from tessera.pages.report.face_sets import show_face_set, tabulate_face_sets
from tessera.pages.report.settings import ReportSettings
from tessera.records.tables.faces import FaceOrders
from tessera.records.tables.table import types, write_table


def show(folder: Path, unranked: set[str], **settings: Any) -> str:
    """Return the page of a set of five faces; the sorts in `unranked` rank none of them."""
    (folder / "sheets").mkdir()
    sorts = ["area", "best", "blur", "hue", "histogram_similarity", "pixel_difference", "brightness", "yaw"]
    rows = [(sort, "a-face-0", 1.0, None if sort in unranked else 0, "") for sort in sorts]
    write_table(pl.DataFrame(rows, schema=types(FaceOrders), orient="row"), FaceOrders, folder / "orders")
    for number, sort in enumerate(sorts):
        write_image(folder / "sheets" / f"{sort}.jpg", np.full((8, 8, 3), 20 * number, np.uint8))
    with Ledger(folder / "selection") as ledger:
        for number, reason in enumerate(("", "", "accepted by a person")):
            ledger.row(str(number), "ok", reason)
        ledger.row("3", "dropped", "blurred", "0.1 < 0.2")
        ledger.row("4", "dropped", "rejected by a person")
    show_face_set(
        "ada", folder / "selection", folder / "orders", folder / "sheets", ReportSettings(**settings), folder / "page.html"
    )
    return (folder / "page.html").read_text(encoding="utf-8")


def table(page: str) -> list[list[str]]:
    rows = [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    return [row for row in rows if row]


def test_the_faces_of_a_set_are_counted_by_reason(tmp_path: Path) -> None:
    page = show(tmp_path, set())
    assert "3 of 5 faces are in the set" in page
    assert table(page) == [
        ["selected", "2", "in the set"],
        ["accepted by a person", "1", "in the set"],
        ["blurred", "1", "left out"],
        ["rejected by a person", "1", "left out"],
    ]


@pytest.mark.parametrize(
    ("unranked", "expected"),
    [
        (set(), ["blur", "yaw", "histogram_similarity", "best"]),
        ({"blur", "yaw", "best"}, ["histogram_similarity", "brightness", "pixel_difference", "area"]),
    ],
)
def test_sheets_of_sorts_that_rank_the_faces_are_shown_as_they_are(
    tmp_path: Path, unranked: set[str], expected: list[str]
) -> None:
    page = show(tmp_path, unranked)
    assert re.findall("<summary>(.*?)</summary>", page) == [sort.replace("_", " ") for sort in expected]
    pictures = [base64.b64decode(each) for each in re.findall('src="data:image/jpeg;base64,(.*?)"', page)]
    assert pictures == [(tmp_path / "sheets" / f"{sort}.jpg").read_bytes() for sort in expected]


def test_no_sheet_is_shown_if_every_picture_is_blurred(tmp_path: Path) -> None:
    page = show(tmp_path, set(), blur="all")
    assert "<img" not in page and f"see <code>{tmp_path}/sheets</code>" in page


def test_refused_sets_and_sources_are_listed_with_the_reason(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.row("ada", "ok")
        ledger.row("ada/film", "ok")
        ledger.row("ada/<x>/y", "dropped", "adult source", "its content is adult")
        ledger.row("bob", "dropped", "consent revoked", "on 2026-01-31")
    tabulate_face_sets(tmp_path / "ledger", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Admitted: 1 of 2 face sets, and 1 of 2 of their sources." in page
    assert table(page) == [
        ["ada", "&lt;x&gt;/y", "adult source", "its content is adult"],
        ["bob", "the whole set", "consent revoked", "on 2026-01-31"],
    ]
