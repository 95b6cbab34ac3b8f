"""The page of an image set shows its balance, and its pictures with their folders, people and captions."""

import base64
import io
import re
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import skimage.data
from PIL import Image

from tessera.core.errors import TesseraError
from tessera.extras.image_sets.arrange import arrange_set
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings
from tessera.imaging.images import write_image
from tessera.pages.report.image_sets import show_set
from tessera.pages.report.settings import ReportSettings
from tessera.records.tables.footage import Sources
from tessera.records.tables.image_sets import Captions, ResizedPictures, SetPictures
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table

PEOPLE = {"a": ["alice"], "b": ["bob"], "c": ["alice", "bob"], "d": []}
COUNTS = {"a": 8, "b": 2, "c": 1, "d": 1}


def show(folder: Path, *, content: str = "general", is_arranged: bool = True, missing: str = "") -> str:
    """Return the page of a set with the pictures of `COUNTS`, of which the first of each source is in the split train."""
    (folder / "images").mkdir(parents=True)
    keys = [(f"{source}-{number}", source) for source, count in COUNTS.items() for number in range(count)]
    rows = []
    for number, (key, source) in enumerate(keys):
        if key != missing:
            write_image(folder / "images" / f"{key}.png", np.roll(skimage.data.astronaut()[:160, :200], 10 * number, axis=1))
        row = {"key": key, "source": source, "split": "", "series": "", "frame": key, "step": "frame", "path": key}
        row |= {"width": 200, "height": 160, "identities": PEOPLE[source], "appearances": [""] * len(PEOPLE[source])}
        rows.append(row | {"head": None, "is_regular": False})
    write_table(pl.DataFrame(rows, schema=types(SetPictures)), SetPictures, folder / "selected")
    made = [(key, f"{key}.png", 200, 160) for key, _ in keys]
    write_table(pl.DataFrame(made, schema=types(ResizedPictures), orient="row"), ResizedPictures, folder / "resized")
    divided = [(key, source, "val" if source == "d" else "train") for key, source in keys]
    write_table(pl.DataFrame(divided, schema=types(Splits), orient="row"), Splits, folder / "splits")
    texts = [(key, variant, f"caption {variant} of <{key}>" * (key != "b-1")) for key, _ in keys for variant in range(2)]
    write_table(pl.DataFrame(texts, schema=types(Captions), orient="row"), Captions, folder / "captions")
    stated = dict.fromkeys(["shard", "path", "reason", "consent", "series", "split", "kind", "sha256"], "")
    known = {**dict.fromkeys(types(Sources)), **stated, "content": content, "rights": "x"}
    sources = [{**known, "source": source, "use": [], "size": 1} for source in COUNTS]
    write_table(pl.DataFrame(sources, schema=types(Sources)), Sources, folder / "sources")
    arranged = [folder / name for name in ("arrangement", "distribution")] if is_arranged else [None, None]
    if is_arranged:
        settings = ArrangementSettings(folders=("character",), minimum_per_combination=1, max_multiply=4)
        arrange_set(folder / "selected", folder / "splits", None, settings, *arranged)
    show_set(
        name="portraits",
        selected=folder / "selected",
        splits=folder / "splits",
        resized=folder / "resized",
        images=folder / "images",
        captions=folder / "captions" if is_arranged else None,
        arrangement=arranged[0],
        distribution=arranged[1],
        sources=folder / "sources",
        settings=ReportSettings(samples=100),
        seed=0,
        page=folder / "page.html",
    )
    return (folder / "page.html").read_text(encoding="utf-8")


def texts_of(page: str) -> list[str]:
    """Return the text below each picture."""
    return re.findall("<figcaption>(.*?)</figcaption>", page)


def test_the_shares_of_folders_and_identities_are_tables(tmp_path: Path) -> None:
    page = show(tmp_path / "set")
    rows = [re.findall("<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(<td.*?)</tr>", page)]
    cells = {row[0]: [re.sub("<.*?>", "", cell) for cell in row[1:]] for row in rows}
    # Each of three folders should have a third of an epoch, and no picture may appear more than four times.
    assert cells["alice"] == ["9", "81.8%", "60.0%"]
    assert cells["bob"] == ["3", "27.3%", "60.0%"]
    assert cells["alice+bob"] == ["1", "4", "9.1%", "33.3%", "20.0%"]
    assert "An epoch has 20 appearances of 11 pictures, each 1 to 4 times." in page
    assert '<div style="width: 81.82%"></div>81.8%' in page


def test_each_picture_has_its_folder_repeats_people_and_captions(tmp_path: Path) -> None:
    page = show(tmp_path / "set")
    shown = texts_of(page)
    both = "c-0<br>folder: alice+bob<br>repeats: 4<br>identities: alice, bob"
    assert f"{both}<br>caption: caption 0 of &lt;c-0&gt;<br>caption: caption 1 of &lt;c-0&gt;" in shown
    assert "b-1<br>folder: bob<br>repeats: 4<br>identities: bob<br>caption: none<br>caption: none" in shown
    assert page.index("<h2>Training split</h2>") < page.index("c-0<br>") < page.index("<h2>Validation split</h2>")
    assert shown[-1].startswith("d-0<br>folder: no_character<br>repeats: 1<br>caption: caption 0 of")
    assert "Test split" not in page


def test_a_set_that_is_not_arranged_and_has_no_captions_shows_its_pictures(tmp_path: Path) -> None:
    page = show(tmp_path / "set", is_arranged=False)
    assert "Balance" not in page and "<table>" not in page
    assert texts_of(page)[:2] == ["a-0<br>identities: alice", "a-1<br>identities: alice"]


def test_adult_pictures_are_blurred_and_a_lost_picture_is_named(tmp_path: Path) -> None:
    def contrast(page: str) -> float:
        data = re.findall(r'src="data:image/jpeg;base64,(.*?)"', page)[0]
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        return float(cv2.Laplacian(picture, cv2.CV_32F).var())

    assert contrast(show(tmp_path / "adult", content="adult")) < contrast(show(tmp_path / "general")) / 10
    with pytest.raises(TesseraError, match=r"delete the folder .*/images and run again"):
        show(tmp_path / "lost", missing="c-0")
