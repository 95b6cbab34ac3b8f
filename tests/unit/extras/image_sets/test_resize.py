"""Pictures of a set have exactly the size that is asked for, are never enlarged, and are encoded once."""

from fractions import Fraction
from io import BytesIO
from math import floor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tessera.core.errors import TesseraError
from tessera.extras.image_sets.resize import encode, resize_set, resized
from tessera.extras.image_sets.settings import PictureSettings
from tessera.imaging.images import write_image
from tessera.records.tables.image_sets import ResizedPictures, SetPictures
from tessera.records.tables.table import read_table, types, write_table

SIDES = st.integers(64, 20_000)


def settings(**values: object) -> PictureSettings:
    return PictureSettings(**{"shorter": None, **values})  # type: ignore[arg-type]


def test_the_shorter_side_of_every_larger_picture_is_exactly_as_asked() -> None:
    for side in range(769, 4321):
        assert resized(side, side * 2, settings(shorter=768)) == (768, 1536)
        longer = side + 333
        assert resized(longer, side, settings(shorter=768)) == (floor(Fraction(768, side) * longer), 768)


@given(SIDES, SIDES, st.integers(64, 2048))
def test_an_area_is_the_largest_of_the_same_shape(width: int, height: int, side: int) -> None:
    area = side**2
    new = resized(width, height, settings(area=area))
    if width * height <= area:
        assert new == (width, height)
        return
    exact = Fraction(area * width, height), Fraction(area * height, width)  # the squares of the exact sides
    assert all(number**2 <= square < (number + 1) ** 2 for number, square in zip(new, exact, strict=True))


@given(SIDES, SIDES, st.sampled_from([1, 8, 64]), st.booleans())
def test_no_side_grows_and_both_are_multiples(width: int, height: int, multiple: int, is_area: bool) -> None:
    size = {"area": 512**2} if is_area else {"shorter": 512}
    new = resized(width, height, settings(**size, multiple_of=multiple))
    assert new[0] <= width and new[1] <= height
    assert not new[0] % multiple and not new[1] % multiple


def test_a_multiple_cuts_the_rest_off_and_distorts_nothing() -> None:
    # A circle stays round, and stays in the middle.
    y, x = np.mgrid[:300, :437]
    image = np.where(((x - 218) ** 2 + (y - 149.5) ** 2 < 100**2)[..., None], 255, 0).astype(np.uint8).repeat(3, 2)
    content, width, height = encode(image, settings(shorter=150, multiple_of=64, format="png"))
    assert (width, height) == (192, 128)
    found = np.asarray(Image.open(BytesIO(content)))[..., 0] > 127
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    assert abs(rows.mean() - 63.5) <= 1 and abs(columns.mean() - 95.5) <= 1


@pytest.mark.parametrize("wrong", [{"shorter": 768, "area": 768**2}, {"shorter": 32, "multiple_of": 64}, {"shorter": 0}])
def test_a_size_that_means_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"shorter|multiple_of"):
        PictureSettings(**wrong)  # type: ignore[arg-type]


def select(folder: Path, count: int, height: int = 60, width: int = 90) -> Path:
    """Write `count` pictures and the table of them; return the table."""
    rows = []
    for number in range(count):
        file = folder / f"p{number}.png"
        write_image(file, np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8))
        row = {"key": f"a-{number}", "source": "a", "split": "", "series": "", "frame": f"a-{number}", "step": "frame"}
        rows.append(row | {"path": str(file), "width": width, "height": height, "identities": [], "is_regular": False})
        rows[-1] |= {"appearances": [], "head": None}
    write_table(pl.DataFrame(rows, schema=types(SetPictures)), SetPictures, folder / "selected.parquet")
    return folder / "selected.parquet"


def resize(folder: Path, threads: int = 1, code: str = "", **values: object) -> dict[str, tuple[int, bytes]]:
    """Resize the selected pictures; return the inode and the content of each file."""
    out = folder / f"out{len(list(folder.glob('out*')))}"
    out.mkdir()
    made = {"images": out / "images", "table": out / "resized.parquet"}
    given = settings(**{"shorter": 40, **values})
    resize_set(folder / "selected.parquet", folder / "kept", given, code=code, threads=threads, **made)
    for row in read_table(out / "resized.parquet", ResizedPictures).iter_rows(named=True):
        assert Image.open(out / "images" / row["file"]).size == (row["width"], row["height"])
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in sorted((out / "images").iterdir())}


@pytest.mark.parametrize(("name", "kind"), [("webp", "WEBP"), ("jpeg", "JPEG"), ("png", "PNG")])
def test_pictures_have_the_format_that_is_asked_for_and_equal_bytes_on_any_threads(
    tmp_path: Path, name: str, kind: str
) -> None:
    select(tmp_path, 3)
    first = resize(tmp_path, format=name)
    again = resize(tmp_path, threads=3, code="other", format=name)
    assert [content for _, content in first.values()] == [content for _, content in again.values()]
    assert {Image.open(BytesIO(content)).format for _, content in first.values()} == {kind}


def test_a_picture_is_encoded_again_only_if_it_or_a_setting_changes(tmp_path: Path) -> None:
    select(tmp_path, 3)
    first = resize(tmp_path)
    write_image(tmp_path / "p1.png", np.zeros((60, 90, 3), np.uint8))
    second = resize(tmp_path)
    assert [name for name in first if first[name][0] != second[name][0]] == ["a-1.webp"]
    assert all(second[name][0] != inode for name, (inode, _) in resize(tmp_path, quality=80).items())


def test_a_missing_or_damaged_picture_is_named_and_a_side_too_long_for_webp_too(tmp_path: Path) -> None:
    select(tmp_path, 2)
    (tmp_path / "p1.png").write_text("no picture")
    with pytest.raises(TesseraError, match=r"'a-1'.*p1\.png.*run again"):
        resize(tmp_path)
    (tmp_path / "p1.png").unlink()
    with pytest.raises(TesseraError, match="it is missing"):
        resize(tmp_path)
    select(tmp_path, 1, height=10, width=17_000)
    with pytest.raises(TesseraError, match=r"webp has at most 16383.*pictures\.format: png"):
        resize(tmp_path)
