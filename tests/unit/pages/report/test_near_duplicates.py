"""The report shows the strongest and the weakest near-duplicates, and blurs those of adult sources."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_report import detail, pictures

from tessera.core.errors import TesseraError
from tessera.imaging.images import write_image
from tessera.pages.report.near_duplicates import show_near_duplicates
from tessera.pages.report.settings import ReportSettings
from tessera.records.tables.embeddings import Embeddings, NearDuplicates
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import types, write_table


def show(folder: Path, similarities: list[float], content: str = "general", missing: str = "") -> Path:
    """Show pairs of a source with this content; return the folder of the figures."""
    folder.mkdir()
    rows = []
    for number in range(2 * len(similarities)):
        path = folder / f"{number}.png"
        if str(number) != missing:
            write_image(path, np.random.default_rng(number).integers(0, 256, (90, 160, 3), np.uint8))
        row = {"key": str(number), "source": "a", "path": str(path), "place": None, "sharpness": 1.0, "vector": [1.0]}
        rows.append(row)
    write_table(pl.DataFrame(rows, schema=types(Embeddings)), Embeddings, folder / "table")
    pairs = [(str(2 * place), str(2 * place + 1), each, "across sources") for place, each in enumerate(similarities)]
    write_table(pl.DataFrame(pairs, schema=types(NearDuplicates), orient="row"), NearDuplicates, folder / "pairs")
    source = {**dict.fromkeys(types(Sources)), "source": "a", "shard": "s", "path": "", "reason": ""}
    source |= {
        "content": content,
        "rights": "x",
        "consent": "",
        "series": "",
        "use": [],
        "split": "",
        "kind": "",
        "sha256": "",
        "size": 1,
    }
    write_table(pl.DataFrame([source], schema=types(Sources)), Sources, folder / "sources")
    settings = ReportSettings(samples=2)
    show_near_duplicates(folder / "pairs", [folder / "table"], folder / "sources", {}, settings, folder / "figures")
    return folder / "figures"


def test_adult_pictures_are_blurred(tmp_path: Path) -> None:
    clear, blurred = (show(tmp_path / content, [0.99, 0.9, 0.95], content) for content in ("general", "adult"))
    for name in ("strongest.html", "weakest.html"):
        assert detail(pictures(blurred / name)[0]) < detail(pictures(clear / name)[0]) / 2


def test_no_pairs_give_no_figure_and_a_lost_picture_is_named(tmp_path: Path) -> None:
    assert not list(show(tmp_path / "none", []).iterdir())
    with pytest.raises(TesseraError, match=r"1\.png.* delete the folder"):
        show(tmp_path / "lost", [0.9], missing="1")
