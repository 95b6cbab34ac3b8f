"""The page of doubtful labels shows the strongest findings first, and blurs pictures of adult sources."""

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from classification_dataset import write_pictures
from tessera.core.errors import TesseraError
from tessera.imaging.images import write_image
from tessera.pages.report.label_errors import show_label_errors
from tessera.pages.report.settings import ReportSettings
from tessera.records.tables.classification import CONTRADICTION, WRONG, LabelErrors
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import types, write_table

SET = "image_labels:mine"


def show(folder: Path, content: str = "general") -> str:
    """Show three wrong labels and two contradictions, two pictures of each; return the page."""
    (folder / "images" / "train").mkdir(parents=True)
    rows = []
    for number in range(5):
        write_image(
            folder / f"images/train/<{number}>.png", np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8)
        )
        rows.append({"key": f"<{number}>", "source": SET, "split": "train", "label": "a"})
    write_pictures(folder, rows)
    shared = {"source": SET, "label": "a", "score": None, "suggested_score": None}
    wrong = [
        {"key": f"<{number}>", "kind": WRONG, "suggested": "b & c", "strength": 0.9 - number / 10, "other": None, **shared}
        for number in range(3)
    ]
    twins = [
        {"key": f"<{one}>", "kind": CONTRADICTION, "suggested": None, "strength": 1.0, "other": f"<{other}>", **shared}
        for one, other in ((3, 4), (4, 3))
    ]
    write_table(pl.DataFrame([*wrong, *twins], types(LabelErrors)), LabelErrors, folder / "errors")
    write_table(pl.DataFrame(schema=types(Sources)), Sources, folder / "sources")
    measured = {"pictures": 5, "sources": 1, "accuracy": 0.875}
    (folder / "metrics").write_text(json.dumps({"splits": {"out_of_fold": measured}}))
    show_label_errors(
        folder / "errors",
        folder / "metrics",
        folder / "pictures.parquet",
        folder / "images",
        folder / "sources",
        {SET: content},
        ReportSettings(samples=2),
        "marks",
        folder / "page.html",
    )
    return (folder / "page.html").read_text()


def test_the_strongest_findings_come_first_each_with_its_near_duplicate(tmp_path: Path) -> None:
    page = show(tmp_path)
    captions = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert captions[:2] == [
        f"&lt;{number}&gt;<br>label: a<br>suggested: b &amp; c<br>strength 0.{9 - number}00" for number in (0, 1)
    ]
    assert [caption[:9] for caption in captions[2:]] == ["&lt;3&gt;", "&lt;4&gt;", "&lt;4&gt;", "&lt;3&gt;"]
    assert captions[3].endswith("the near-duplicate")
    assert "predict 5 pictures of 1 source with an accuracy of 0.875" in page
    assert '<th scope="col">suggested</th><th scope="col">strength</th></tr>' in page, (
        "nothing that no finding of a kind has is a column"
    )
    assert "Wrong label: 3" in page and "Outlier: 0" in page and page.count("<tr>") == 2 + 3 + 2


def test_pictures_of_adult_sets_are_blurred(tmp_path: Path) -> None:
    def contrast(page: str) -> float:
        data = base64.b64decode(re.findall('base64,([^"]*)', page)[0])
        return float(cv2.Laplacian(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.CV_32F).var())

    assert contrast(show(tmp_path / "adult", "adult")) < contrast(show(tmp_path / "general")) / 10


def test_a_picture_that_is_damaged_is_named(tmp_path: Path) -> None:
    show(tmp_path)
    (tmp_path / "images/train/<0>.png").write_bytes(b"nothing")
    with pytest.raises(TesseraError, match=r"<0>\.png.* delete the folder"):
        show_label_errors(
            *(tmp_path / name for name in ("errors", "metrics", "pictures.parquet", "images", "sources")),
            {},
            ReportSettings(),
            "marks",
            tmp_path / "page.html",
        )
