"""The starter restorer is learned from the pictures of its table, and measured on others."""

import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from tessera.demo.packages import Picture
from tessera.demo.restorer import learn_starter_restorer
from tessera.imaging.images import write_image
from tessera.learning.block_regression import read_regression

SPLITS = {"coffee": "train", "chelsea": "val", "astronaut": "test"}


def table(folder: Path, splits: dict[str, str], kind: str = "photograph") -> list[Picture]:
    """Write photographs of 260 pixels, and return their rows in the table of pictures."""
    rows = []
    for number, (name, split) in enumerate(splits.items()):
        row = {"kind": kind, "split": split, "package": "walls=1", "file": "a.png", "licence": "CC0", "author": ""}
        rows.append(Picture.model_validate({**row, "sha256": f"{number:x}" * 64}))
        picture = getattr(data, name)()
        scale = 260 / max(picture.shape[:2])
        write_image(folder / rows[-1].name, cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return rows


def test_it_is_written_and_its_psnr_on_other_pictures_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    monkeypatch.setattr("tessera.demo.restorer.LENGTHS", (160, 240))
    rows = table(tmp_path, SPLITS)
    # Pictures of other kinds are not looked at: their files need not be there.
    rows.append(rows[0].model_copy(update={"kind": "pattern", "sha256": "f" * 64}))
    for name in ("one", "other"):
        learn_starter_restorer(rows, tmp_path, tmp_path / name, patterns=4, seed=1)
    regression = read_regression(tmp_path / "one")
    assert regression is not None and len(regression.patterns) == 4
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    found = re.search(
        r"2 pictures that it did not learn from, each at up to 2 sizes: ([\d.]+) dB pixelated, ([\d.]+) dB by bicubic"
        r" interpolation, ([\d.]+) dB restored\n",
        terminal.getvalue(),
    )
    assert found
    pixelated, interpolated, restored = map(float, found.groups())
    assert 10 < pixelated < interpolated < restored < 40


def test_the_pictures_that_it_is_measured_on_do_not_change_it(tmp_path: Path) -> None:
    learn_starter_restorer(table(tmp_path, SPLITS), tmp_path, tmp_path / "one", patterns=4, seed=1)
    others = {"coffee": "train", "rocket": "val"}
    learn_starter_restorer(table(tmp_path, others), tmp_path, tmp_path / "other", patterns=4, seed=1)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert np.isfinite(read_regression(tmp_path / "one").regressions).all()  # type: ignore[union-attr]
