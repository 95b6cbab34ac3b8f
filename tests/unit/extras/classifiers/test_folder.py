"""Any folder is scored: each file has a row, the pictures are placed by score, and the folder stays as it is."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from classification_dataset import write_untrained
from tessera.core.errors import TesseraError
from tessera.core.files import check_apart
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.extras.classifiers.folder import TILE, bracket_of, score_folder, show_scores
from tessera.extras.classifiers.predict import Use
from tessera.extras.classifiers.settings import ScoreSettings
from tessera.imaging.images import read_image, write_image
from tessera.imaging.sheets import GAP, LINE
from tessera.records.tables.classification import Scored
from tessera.records.tables.table import read_table, types, write_table

NAMES = ["a.png", "deep/er/a.png", 'tab\t"quote"\nline {x}.png', "zoë <b>.PNG"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of pictures with all kinds of names, and of files that are none."""
    folder = tmp_path / "my {pictures}"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / "made.png", np.full((30, 40, 3), 60 * number, np.uint8))
        (folder / "made.png").rename(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / "page.jpg").write_text("<html>gone</html>")
    (folder / "broken.png").symlink_to("nowhere.png")
    (folder / ".hidden.png").write_text("")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes((folder / "a.png").read_bytes())
    os.mkfifo(folder / "pipe.png")
    return folder


@pytest.mark.slow
def test_each_file_of_a_folder_has_a_row_and_pictures_have_scores(folder: Path, tmp_path: Path) -> None:
    model = write_untrained(tmp_path / "classifier.safetensors")
    outputs = {"scored": tmp_path / "s", "ledger": tmp_path / "l"}
    (tmp_path / "blocklist.tsv").write_text("sha256\tphash\treason\n")
    score_folder(folder, Use(model, sha256_file(model)), tmp_path / "blocklist.tsv", 8, threads=2, **outputs)
    assert read_table(tmp_path / "s", Scored)["key"].to_list() == sorted(NAMES)
    rows = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(tmp_path / "l")}
    assert rows == dict.fromkeys(NAMES, ("ok", "")) | {
        "notes.txt": ("dropped", "not a picture"),
        "page.jpg": ("failed", "image is HTML"),
        "broken.png": ("failed", "missing"),
        "pipe.png": ("failed", "not a regular file"),
        "\udcff.png": ("failed", "name is not UTF-8"),
    }


def show(folder: Path, rows: list[dict[str, Any]], out: Path, **settings: Any) -> tuple[list[list[str]], list[str], set[str]]:
    """Return the rows of the table, the files in the brackets and the sheets that `show_scores` makes of `rows` in `out`."""
    out.mkdir()
    whole = [{"label": None, "classes": [], "probabilities": [], "score": None, **row} for row in rows]
    write_table(pl.DataFrame(whole, schema=types(Scored)), Scored, out / "s")
    show_scores(folder, out / "s", ScoreSettings(**settings), out / "t.tsv", out / ".1.brackets", out / "sheets")
    # As a job does at its end.
    (out / ".1.brackets").rename(out / "brackets")
    with (out / "t.tsv").open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file, delimiter="\t"))
    placed = [path.relative_to(out / "brackets").as_posix() for path in (out / "brackets").rglob("*") if path.is_file()]
    return table, sorted(placed), {path.name for path in (out / "sheets").iterdir()}


def test_pictures_are_copied_by_the_bracket_of_their_score(folder: Path, tmp_path: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    rows = [{"key": name, "score": value} for name, value in zip(NAMES, [0.1, 0.5, 1.0, 1.5], strict=True)]
    table, placed, sheets = show(folder, rows, tmp_path / "out", brackets=(0, 0.5, 1), place="copy")
    assert table == [["path", "score"], *([row["key"], str(row["score"])] for row in rows)]
    assert placed == sorted(["0-0.5/a.png", "0.5-1/deep/er/a.png", f"0.5-1/{NAMES[2]}"]), "1.5 is in no bracket"
    copy = tmp_path / "out" / "brackets" / "0-0.5" / "a.png"
    assert (
        not copy.is_symlink() and not copy.samefile(folder / "a.png") and copy.read_bytes() == (folder / "a.png").read_bytes()
    )
    assert sheets == {"highest.jpg", "lowest.jpg", "least-certain.jpg"}
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before


def test_pictures_are_linked_by_the_probability_of_each_class(folder: Path, tmp_path: Path) -> None:
    classes = ["in/door", "out"]
    rows = [
        {"key": name, "label": "out", "classes": classes, "probabilities": [1 - value, value]}
        for name, value in zip(NAMES, [0.0, 0.55, 0.75, 1.0], strict=True)
    ]
    real = tmp_path / "disk"
    real.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "results").symlink_to(real)
    out = tmp_path / "elsewhere" / "results" / "out"
    table, placed, sheets = show(folder, rows, out, brackets=(0.5, 1), place="link")
    assert table[0] == ["path", "label", "probability of in/door", "probability of out"] and table[2][1:] == [
        "out",
        "0.45",
        "0.55",
    ]
    assert placed == sorted(["in%2Fdoor/0.5-1/a.png", *(f"out/0.5-1/{name}" for name in NAMES[1:])])
    for link in (out / "brackets").rglob("*.png"):
        assert not link.readlink().is_absolute()
        assert link.samefile(folder / Path(*link.relative_to(out / "brackets").parts[2:]))
    assert sheets == {f"{word}-{name}.jpg" for word in ("highest", "lowest") for name in ("in%2Fdoor", "out")} | {
        "least-certain.jpg"
    }
    _, placed, sheets = show(folder, rows, tmp_path / "one", brackets=(0.5, 1), place="link", label="out", shown=2)
    assert placed == sorted(f"0.5-1/{name}" for name in NAMES[1:])
    assert sheets == {"highest.jpg", "lowest.jpg", "least-certain.jpg"}
    orders = {"lowest": [0, 60], "highest": [180, 120], "least-certain": [60, 120]}
    for name, levels in orders.items():
        assert np.allclose(levels_on(tmp_path / "one" / "sheets" / f"{name}.jpg"), levels, atol=2), name
    with pytest.raises(TesseraError, match="it has no class 'other': set `label` to one of in/door, out"):
        show(folder, rows, tmp_path / "two", label="other")


def levels_on(sheet: Path) -> list[int]:
    """Return the level in the middle of each picture of the first row."""
    first = 2 * LINE + LINE + GAP + 15, GAP + TILE // 2
    levels: list[int] = read_image(sheet)[first[0], first[1] :: TILE + GAP, 0].tolist()
    return levels


def test_nothing_is_shown_of_a_folder_without_pictures(tmp_path: Path) -> None:
    assert show(tmp_path, [], tmp_path / "out", place="copy") == ([["path", "score"]], [], set())


def test_a_value_on_an_edge_belongs_to_the_upper_bracket() -> None:
    edges = (0.0, 0.2, 0.4, 1.0)
    found = [bracket_of(value, edges) for value in (-0.1, 0.0, 0.19, 0.2, 0.4, 1.0, 1.1, float("nan"))]
    assert found == [None, 0, 0, 1, 2, 2, None, None]


def test_a_folder_that_is_mixed_up_with_the_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    check_apart("score.folder", tmp_path / "pictures", tmp_path / "results")
    for folder in (tmp_path, tmp_path / "link", tmp_path / "results" / "brackets"):
        with pytest.raises(TesseraError, match="must not contain, or lie inside, the results"):
            check_apart("score.folder", folder, tmp_path / "results")
