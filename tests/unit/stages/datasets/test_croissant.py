import json
from pathlib import Path
from typing import Any

import cv2
import mlcroissant
import numpy as np
import polars as pl
import pytest

from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file, write_checksums
from tessera.stages.datasets.croissant import write_croissant
from tessera.stages.datasets.settings import CroissantSettings

FILES = (
    *("images/train/a.jpg", "images/val/b.JPG", "labels/train/a.txt", "coco.json"),
    *(
        "train/1_character/x/c.webp",
        "val/1_character/x/d.webp",
        "test/2_characters/e.png",
        "train/other/f.bmp",
        "val/other/g.tif",
        "imagefolder/train/x/h.webp",
        "imagefolder/validation/x/i.webp",
    ),
)
SHADE = 77


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if Path(name).suffix in (".jpg", ".JPG", ".webp", ".png", ".bmp", ".tif"):
            cv2.imwrite(str(folder / name), np.full((4, 6, 3), SHADE, np.uint8))
        else:
            (folder / name).write_text("[]")
    rows = {
        "key": ["a", "b"],
        "split": ["train", "val"],
        "phash": [1, 2],
        "sharpness": [0.5, None],
        "rings": [[[1.0]], [[2.0]]],
    }
    pl.DataFrame(rows).write_parquet(folder / "pictures.parquet")
    files = [file for file in folder.rglob("*") if file.is_file()]
    write_checksums(files, folder, folder / "SHA256SUMS")
    origins = [
        {"source": "meadow", "rights": "CC0"},
        {"source": "lake", "rights": "contract 7"},
        {"source": "sea", "rights": "CC0"},
    ]
    (folder / "datasheet.json").write_text(json.dumps({"origins": origins}), encoding="utf-8")
    return folder


def describe(dataset: Path, **settings: str) -> dict[str, Any]:
    write_croissant(
        "birds",
        "Made of frames.",
        dataset / "SHA256SUMS",
        dataset / "datasheet.json",
        CroissantSettings(**settings),
        dataset / "c",
    )
    return json.loads((dataset / "c").read_text(encoding="utf-8"))


def test_every_file_is_described_and_with_its_checksum_if_it_lies_at_the_top(dataset: Path) -> None:
    sheet = describe(dataset)
    parts = {part["@id"]: part for part in sheet["distribution"]}
    objects = {name: part["sha256"] for name, part in parts.items() if part["@type"] == "cr:FileObject"}
    assert objects == {name: sha256_file(dataset / name) for name in ("coco.json", "pictures.parquet")}
    patterns = [part["includes"] for part in parts.values() if part["@type"] == "cr:FileSet"]
    found = {file for pattern in patterns for file in dataset.glob(pattern)}
    assert found == {file for file in dataset.glob("*/**/*") if file.is_file()}
    assert parts["train/*/*/*.webp"]["encodingFormat"] == ["image/png", "image/webp"]


def test_mlcroissant_loads_every_table_and_every_picture_of_every_format(dataset: Path) -> None:
    sheet = describe(dataset)
    loaded = mlcroissant.Dataset(dataset / "c")
    names = [each["name"] for each in sheet["recordSet"]]
    rows = {name: list(loaded.records(name)) for name in names}
    assert [row["pictures/key"] for row in rows["pictures"]] == [b"a", b"b"]
    pictures = [
        {field.rpartition("/")[2]: value for field, value in row.items()} for name in names if ":" in name for row in rows[name]
    ]
    known = {row["key"].decode(): row.get("split", b"").decode() for row in pictures}
    expected = {"a": "train", "b": "val", "c": "train", "d": "val", "e": "test", "f": "train", "g": "val"}
    assert known == expected | {"h": "train", "i": "val"}
    for row in pictures:
        assert row["picture"].size == (6, 4) and abs(int(np.asarray(row["picture"]).mean()) - SHADE) < 3


def test_the_rights_of_all_sources_are_its_licence_and_what_the_publisher_leaves_open_is_not_stated(dataset: Path) -> None:
    sheet = describe(dataset, creator="lab")
    assert sheet["license"] == ["CC0", "contract 7"]
    assert sheet["creator"]["name"] == "lab"
    assert not sheet.keys() & {"url", "datePublished", "citeAs"}


def test_the_columns_of_a_table_are_fields_with_their_types(dataset: Path) -> None:
    sets = {each["name"]: each for each in describe(dataset)["recordSet"]}
    fields = {field["@id"]: field for field in sets["pictures"]["field"]}
    types = {name: field["dataType"] for name, field in fields.items()}
    assert types == {
        "pictures/key": "sc:Text",
        "pictures/split": "sc:Text",
        "pictures/phash": "sc:Integer",
        "pictures/sharpness": "sc:Float",
        "pictures/rings": "sc:Float",
    }
    assert fields["pictures/rings"]["arrayShape"] == "-1,-1"
    assert sets["pictures:images/*/*.jpg"]["field"][-1]["references"] == {"field": {"@id": "split/name"}}


def test_the_same_dataset_gives_the_same_bytes(dataset: Path) -> None:
    describe(dataset)
    first = (dataset / "c").read_bytes()
    describe(dataset)
    assert (dataset / "c").read_bytes() == first


def test_checksums_of_another_format_are_refused(dataset: Path) -> None:
    (dataset / "SHA256SUMS").write_text("<html>\n", encoding="utf-8")
    with pytest.raises(TesseraError, match="SHA256SUMS:1: not a line of sha256sum"):
        describe(dataset)
