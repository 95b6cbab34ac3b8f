"""Sets of labelled images: every layout is read, every image and every fault has a row, and hostile content is harmless."""

import io
import json
import os
import stat
import unicodedata
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_sets import HEIGHT, WIDTH, picture, write_folder, write_zip
from PIL import Image
from pydantic import ValidationError

from tessera.core import archives
from tessera.core.contents import contents_of
from tessera.core.errors import Failed, TesseraError
from tessera.core.files import files_below
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.hashing import perceptual_hash
from tessera.records.annotation.annotation_tables import read_annotations
from tessera.records.annotation.formats.yolo import Shape, parse_yolo, write_yolo
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.label_sets import LabelledSet
from tessera.records.tables.annotation import Images
from tessera.records.tables.table import read_table
from tessera.stages.labels import pictures
from tessera.stages.labels.sets import import_labels
from tessera.stages.watermarks.settings import WatermarkSet, WatermarkSettings

LINE = "1 0.5 0.5 0.5 0.4\n"
BOX = (10, 9, 30, 21)


class Imported:
    """An imported set."""

    def __init__(self, path: Path, blocklist: str = "", min_area: int = 1, **settings: Any) -> None:
        out = path.parent / f"out of {path.name}"
        out.mkdir()
        (out / "blocklist.tsv").write_text(f"sha256\tphash\treason\n{blocklist}")
        given = {"name": "s", "path": path, "content": "general", "rights": "CC0"} | settings
        tables = out / "images.parquet", out / "annotations.parquet"
        place = Path("results/images")
        import_labels(
            LabelledSet(**WatermarkSet(**given).model_dump()),
            *("watermarks.sets", "watermarks:s", ["watermark"], min_area, out / "blocklist.tsv", 8, place),
            *(*tables, out / "images", out / "ledger.jsonl", out / "counts.parquet"),
        )
        self.rows = {image["key"]: image for image in read_table(out / "images.parquet", Images).to_dicts()}
        self.boxes = {image.key: [one.box for one in image.annotations] for image in read_annotations(tables[1], tables[0])}
        self.labels = {one.label for image in read_annotations(tables[1], tables[0]) for one in image.annotations}
        self.ledger = read_ledger(out / "ledger.jsonl")
        self.reasons = {row["key"]: row["reason"] or row["status"] for row in self.ledger}
        self.details = {row["key"]: row["detail"] for row in self.ledger}
        self.files = {file.name: file.read_bytes() for file in (out / "images").iterdir()}
        used = {Path(row["path"]) for row in self.rows.values()}
        assert {file.name for file in used if not path.is_dir()} == set(self.files)
        assert len(self.reasons) == len(self.ledger)
        # The images of a folder stay there.
        self.files |= {file.name: file.read_bytes() for file in used if path.is_dir()}


LAYOUTS = {
    "pita": ("train-yolo/images/{}.png", "train-yolo/labels/{}.txt", "train"),
    "roboflow": ("my set/valid/images/{}.png", "my set/valid/labels/{}.txt", "val"),
    "ultralytics": ("images/test2017/{}.png", "labels/test2017/{}.txt", "test"),
    "beside": ("val/{}.png", "val/{}.txt", "val"),
    "plain": ("images/{}.png", "labels/{}.txt", ""),
    "flat": ("{}.png", "{}.txt", ""),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_layout_is_read_and_its_split_is_kept(tmp_path: Path, layout: str, packed: bool) -> None:
    image, label, split = LAYOUTS[layout]
    names = {"a.b c": LINE, "c": ""}
    files: dict[str, bytes | str] = {image.format(name): picture(number) for number, name in enumerate(names)}
    files |= {label.format(name): text for name, text in names.items()} | {"README.txt": "hello", "data.yaml": "names: [a, b]"}
    path = write_zip(tmp_path / "set.zip", files) if packed else write_folder(tmp_path / "set", files)
    imported = Imported(path)
    assert sorted(imported.boxes.values()) == [[], [BOX]] and imported.labels == {"watermark"}
    assert set(imported.reasons.values()) == {"ok"} and len(imported.reasons) == 2
    assert set(imported.files.values()) == {picture(0), picture(1)}
    for row in imported.rows.values():
        assert row["split"] == split and row["rights"] == "CC0"
    sources = {row["source"] for row in imported.rows.values()}
    assert sources == ({f"watermarks:s/{split}"} if split else {f"watermarks:s/{image.format(name)}" for name in names})


def test_a_split_in_the_settings_applies_to_the_whole_set(tmp_path: Path) -> None:
    files = {"train/images/a.png": picture(0), "train/labels/a.txt": "", "b.png": picture(1), "b.txt": ""}
    rows = Imported(write_zip(tmp_path / "set.zip", files), split="val").rows.values()
    assert {(row["source"], row["split"]) for row in rows} == {("watermarks:s", "val")}


def test_a_folder_with_a_name_similar_to_a_split_is_not_a_split(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {}
    for number, folder in enumerate(("trains", "train stations", "values", "test_drive")):
        files |= {f"{folder}/a.png": picture(number), f"{folder}/a.txt": ""}
    assert {row["split"] for row in Imported(write_zip(tmp_path / "set.zip", files)).rows.values()} == {""}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_lines_end_as_in_ultralytics(tmp_path: Path, end: str) -> None:
    label = end.join(["0 0.5 0.5 0.5 0.4", "0 0.2 0.2 0.1 0.1", "1 0.8 0.8 0.1 0.1"])
    assert len(Imported(write_zip(tmp_path / "set.zip", {"a.png": picture(0), "a.txt": label})).boxes["s+a"]) == 3


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("x 0.5 0.5 0.1 0.1", "class 'x'; it should be a number"),
        ("-1 0.5 0.5 0.1 0.1", "class '-1'"),
        ("9" * 5000 + " 0.5 0.5 0.1 0.1", "limit"),
        ("0 0.5 0.5 0.1 1.2", "outside the image"),
        ("0 0.5 0.5 0.1 -0.1", "outside the image"),
        ("0 0.5 0.5 nan 0.1", "outside the image"),
        ("0 0.5 0.5 0.1", "3 numbers"),
        ("0 0.5 0.5 0.1 0.1 0.3", "5 numbers"),
        ("0 0.5 0.5 0 0.1", "without area"),
        ("0 x y w h", "could not convert"),
    ],
)
def test_an_invalid_line_is_a_row_that_names_it(tmp_path: Path, line: str, fault: str) -> None:
    files = {"images/a.png": picture(0), "labels/a.txt": f"\n{LINE}{line}\n"}
    imported = Imported(write_zip(tmp_path / "set.zip", files))
    assert imported.reasons == {"s+images%2Fa": "broken YOLO label"} and not imported.rows and not imported.files
    assert imported.details["s+images%2Fa"].startswith("labels/a.txt:3: ") and fault in imported.details["s+images%2Fa"]


def test_polygons_are_kept_clipped_boxes_are_noted_and_equal_boxes_merged(tmp_path: Path) -> None:
    label = "0 0.5 0.5 0.5 0.4\n" + LINE + "0 0.25 0.3 0.75 0.3 0.5 0.7 0.5 0.7\n1 0.9 0.5 0.4 0.2\r\n"
    imported = Imported(write_zip(tmp_path / "set.zip", {"a.png": picture(0), "a.txt": "\ufeff" + label}))
    assert [tuple(round(edge, 6) for edge in box) for box in imported.boxes["s+a"]] == [BOX, BOX, (28, 12, 40, 18)]
    assert imported.ledger[0] | {"seconds": 0} == {
        "key": "s+a",
        "status": "ok",
        "reason": "a box was clipped",
        "detail": "s+a: a box was clipped a.txt: line 4",
        "seconds": 0,
    }


# In thousandths, because boxes that differ by less than the written digits would be equal.
@given(st.lists(st.tuples(*[st.integers(0, 1000).map(lambda part: part / 1000)] * 4), max_size=4))
def test_written_boxes_are_read_back(tmp_path_factory: pytest.TempPathFactory, numbers: list[tuple[float, ...]]) -> None:
    corners = [(min(a, c) * WIDTH, min(b, d) * HEIGHT, max(a, c) * WIDTH, max(b, d) * HEIGHT) for a, b, c, d in numbers]
    boxes = [box for box in corners if box[2] - box[0] > 0.01 and box[3] - box[1] > 0.01]
    path = tmp_path_factory.mktemp("labels") / "a.txt"
    annotations = tuple(Annotation("a", None, None, box) for box in boxes)
    write_yolo(ImageAnnotations("a", WIDTH, HEIGHT, annotations), ["a"], "detect", path)
    found, clipped = parse_yolo(path.read_bytes(), "a.txt", "a", WIDTH, HEIGHT, {0: "a"}.get, Shape("boxes"))
    assert [one.box for one in found.annotations] == [pytest.approx(box, abs=1e-6) for box in boxes] and not clipped


@given(st.binary(max_size=60) | st.text("0123456789. -\nexn", max_size=60).map(str.encode))
def test_no_bytes_crash_the_reader(content: bytes) -> None:
    try:
        found, _ = parse_yolo(content, "a.txt", "a", WIDTH, HEIGHT, {0: "a", 1: "b"}.get, Shape())
    except Failed:
        return
    boxes = [one.box for one in found.annotations]
    assert all(0 <= x0 <= x1 <= WIDTH and 0 <= y0 <= y1 <= HEIGHT for x0, y0, x1, y1 in boxes)


@pytest.mark.parametrize(
    ("description", "settings", "classes"),
    [
        ({"data.yaml": "names: [a, b, c]"}, {}, 3),
        ({"sub/data.yaml": "names: [a]", "metadata.yml": "names: {0: logo, 1: text, 2: c}"}, {}, 3),
        ({"data.yaml": "names: [a, b, c]"}, {"classes": ["a"]}, 1),
        ({"data.yaml": "train: images"}, {}, 4),
        ({}, {}, 4),
        ({}, {"classes": ["a", "b"]}, 2),
    ],
)
def test_the_number_of_classes_is_that_of_the_set(
    tmp_path: Path, description: dict[str, str], settings: dict[str, Any], classes: int
) -> None:
    files: dict[str, bytes | str] = dict(description)
    for number in range(4):
        files |= {f"{number}.png": picture(number), f"{number}.txt": f"{number} 0.5 0.5 0.1 0.1"}
    assert len(Imported(write_zip(tmp_path / "set.zip", files), **settings).rows) == classes


def test_a_broken_description_stops_the_set(tmp_path: Path) -> None:
    for number, text in enumerate(("names: [a", "a: *b", "\x00", "[" * 5000)):
        with pytest.raises(TesseraError, match=r"watermarks\.sets: 's': 'data\.yaml' in .*set `classes`"):
            Imported(write_zip(tmp_path / f"{number}.zip", {"a.png": picture(0), "data.yaml": text}))


def test_only_the_number_of_classes_is_read_from_a_description(tmp_path: Path) -> None:
    bomb = "".join(f"n{number}: &n{number} [{', '.join(9 * [f'*n{number - 1}'])}]\n" for number in range(1, 12))
    merged = "".join(f"n{number}: &n{number} {{<<: [{', '.join(9 * [f'*n{number - 1}'])}]}}\n" for number in range(1, 12))
    for number, text in enumerate(
        (
            f"n0: &n0 [x]\n{bomb}names: [*n11, b, c]",
            f"n0: &n0 {{x: x}}\n{merged}names: [a, b, c]",
            "names: [!!bool a, !!python/object/apply:os.abort [], !!timestamp c]",
            f"names: [a, b, {'1:' * 400_000}1]",
        )
    ):
        files = {"a.png": picture(0), "a.txt": "2 0.5 0.5 0.1 0.1", "data.yaml": text}
        assert Imported(write_zip(tmp_path / f"{number}.zip", files)).reasons == {"s+a": "ok"}


def test_images_without_labels_and_labels_without_images_are_rows(tmp_path: Path) -> None:
    files = {"images/a.png": picture(0), "labels/b.txt": LINE, "labels/classes.txt": "logo\ntext", "requirements.txt": "x"}
    files |= {"images/c.png": picture(1), "labels/c.txt": LINE}
    imported = Imported(write_zip(tmp_path / "set.zip", files))
    assert imported.reasons == {"s+images%2Fa": "unlabelled", "s+images%2Fc": "ok", "s+labels%2Fb": "label without an image"}
    assert [row["status"] for row in imported.ledger] == ["dropped", "ok", "failed"]


def test_a_set_without_any_label_is_an_error_that_names_an_expected_file(tmp_path: Path) -> None:
    files = {"images/a.png": picture(0), "images/b.png": picture(1), "annotations/a.txt": LINE}
    with pytest.raises(TesseraError, match=r"'s': none of its 2 images has a label .*, 'labels/a.txt' is missing"):
        Imported(write_zip(tmp_path / "set.zip", files))


def test_images_of_unsupported_formats_are_rows(tmp_path: Path) -> None:
    files = {"a.JXL": b"jxl", "a.txt": LINE, "b.svg": b"<svg/>", "b.txt": LINE, "c.png": picture(1), "c.txt": ""}
    imported = Imported(write_folder(tmp_path / "set", files))
    unread = "image of a kind that is not read"
    assert imported.reasons == {"s+a": unread, "s+b": unread, "s+c": "ok"}


def test_bad_images_are_rows(tmp_path: Path) -> None:
    bad: dict[str, bytes] = {
        "html.jpg": b"\n<!DOCTYPE html><html><body>404</body></html>",
        "text.png": b"no image",
        "empty.png": b"",
        "cut.png": picture(0)[:-200],
        "tiny.png": picture(1, 9, 20),
    }
    files: dict[str, bytes | str] = {"good.webp": picture(3, kind="webp"), "good.txt": LINE} | bad
    files |= {f"{Path(name).stem}.txt": LINE for name in bad}
    imported = Imported(write_folder(tmp_path / "set", files))
    assert imported.reasons == {
        "s+good": "ok",
        "s+html": "image is HTML",
        "s+text": "image cannot be decoded",
        "s+empty": "empty file",
        "s+cut": "image cannot be decoded",
        "s+tiny": "image too small",
    }
    assert all(name.split(".")[0] in imported.details[f"s+{name.split('.')[0]}"] for name in bad)
    assert not any("out of" in detail for detail in imported.details.values()), "its temporary place"


def test_an_image_that_is_too_large_for_memory_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT // 2)  # Pillow allows twice as many
    monkeypatch.setattr(pictures, "MAX_IMAGE_BYTES", len(picture(0)))
    files = {"a.png": picture(0), "a.txt": "", "wide.jpg": picture(1, WIDTH + 1, kind="jpg"), "wide.txt": ""}
    files |= {"long.png": picture(0) + b"x", "long.txt": ""}
    imported = Imported(write_zip(tmp_path / "set.zip", files))
    assert imported.reasons == {"s+a": "ok", "s+wide": "image too large", "s+long": "file too large"}


def test_equal_images_and_equal_names_are_rows_and_the_image_for_validation_is_kept(tmp_path: Path) -> None:
    files = {"train/a.png": picture(0), "train/a.txt": LINE, "val/z.png": picture(0), "val/z.txt": LINE}
    files |= {"B.png": picture(1), "b.JPG": picture(2), "b.txt": LINE}
    files |= {"c.png": picture(3), "c.jpg": picture(4), "c.txt": LINE}
    imported = Imported(write_zip(tmp_path / "set.zip", files))
    assert imported.reasons == {
        "s+val%2Fz": "ok",
        "s+train%2Fa": "the same image twice",
        "s+b": "ok",
        "s+B": "unlabelled",
        "s+c": "several images of one name",
    }


def test_an_image_with_a_broken_label_does_not_replace_a_copy_with_a_good_one(tmp_path: Path) -> None:
    files = {"a.png": picture(0), "a.txt": "0 nan", "b.png": picture(0), "b.txt": LINE, "c.png": picture(0), "c.txt": LINE}
    imported = Imported(write_zip(tmp_path / "set.zip", files))
    assert imported.reasons == {"s+a": "broken YOLO label", "s+b": "ok", "s+c": "the same image twice"}


def test_a_duplicate_name_in_a_zip_file_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in [("./a.png", picture(0)), (".//a.txt", LINE), ("a.txt", ""), ("b.png", b"1"), ("b.png", b"2")]:
            archive.writestr(name, content)
    imported = Imported(path)
    assert imported.reasons == {"s+a": "several labels of one name", "s+b": "several images of one name"}
    assert imported.boxes == {}


def test_images_on_the_blocklist_are_dropped(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {name: picture(n) for n, name in enumerate(("a.png", "b.png", "c.png"))})
    write_folder(folder, {"a.txt": "", "b.txt": "", "c.txt": ""})
    phash = perceptual_hash(np.array(Image.open(folder / "b.png")))
    imported = Imported(folder, f"{sha256_file(folder / 'a.png')}\t\tfirst\n\t{phash:016x}\tsecond\n")
    assert imported.reasons == {
        "s+a": "on the blocklist",
        "s+b": "looks like a picture on the blocklist",
        "s+c": "ok",
    }


HOSTILE = ("../../escape.png", "/etc/escape.png", "a/../../escape.png", "C:\\escape.png", "..\\escape.png", "C:escape.png")


def test_names_that_lead_out_of_a_zip_file_are_rows_and_write_nothing(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {name: picture(number) for number, name in enumerate(HOSTILE)}
    files |= {"ok\n Ω {x} *.png": picture(90), "ok\n Ω {x} *.txt": LINE, "win\\images\\b.png": picture(91)}
    files |= {"win\\labels\\b.txt": LINE, "__MACOSX/ok.png": b"x", ".hidden/a.png": b"x", "._a.png": b"x"}
    imported = Imported(write_zip(tmp_path / "set.zip", files))
    reasons = list(imported.reasons.values())
    assert reasons.count("path leaves the set") == len(HOSTILE) and reasons.count("ok") == 2 == len(imported.files)
    assert imported.boxes["s+win%2Fimages%2Fb"] == [BOX]
    assert not [path for path in tmp_path.rglob("*escape*") if path.suffix == ".png"]


def test_links_and_devices_in_a_zip_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, kind in {"link.png": stat.S_IFLNK, "device.png": stat.S_IFBLK, "pipe.txt": stat.S_IFIFO}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (kind | 0o644) << 16
            archive.writestr(entry, "/etc/passwd")
    assert Imported(path).reasons == dict.fromkeys(("s+link.png", "s+device.png", "s+pipe.txt"), "no plain file")


def test_links_out_of_a_folder_are_rows_and_pipes_do_not_block(tmp_path: Path) -> None:
    write_folder(tmp_path, {"outside/a.png": picture(0), "set/b.png": picture(1), "set/b.txt": LINE})
    (tmp_path / "set" / "a.png").symlink_to(tmp_path / "outside" / "a.png")
    (tmp_path / "set" / "all").symlink_to(tmp_path / "outside")
    (tmp_path / "set" / "c.png").symlink_to("b.png")
    (tmp_path / "set" / "c.txt").symlink_to("b.txt")
    (tmp_path / "set" / "lost.png").symlink_to("nowhere")
    (tmp_path / "set" / "lost.txt").write_text("")
    (tmp_path / "set" / "round.png").symlink_to("round.png")
    os.mkfifo(tmp_path / "set" / "d.png")
    (tmp_path / "set" / "d.txt").write_text("")
    assert Imported(tmp_path / "set").reasons == {
        "s+a.png": "link leaves the set",
        "s+b": "ok",
        "s+c": "the same image twice",
        "s+d": "not a regular file",
        "s+lost": "missing",
        "s+round": "unlabelled",
    }


def test_zip_bombs_are_refused_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"a.png": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(TesseraError, match=r"watermarks\.sets: 's': .* unpacks to 10,000,000 bytes"):
        Imported(path)
    monkeypatch.setattr(archives, "MAX_FILES", 1)
    for number, write in enumerate((write_zip, write_folder)):
        with pytest.raises(TesseraError, match="has 2 files, 1 are allowed"):
            Imported(write(tmp_path / f"many{number}", {"a.txt": "", "b.txt": ""}))


def test_a_false_declared_size_is_detected(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.png": picture(0), "a.txt": LINE}, zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    size = len(picture(0)).to_bytes(4, "little")
    path.write_bytes(content.replace(size, (100).to_bytes(4, "little")))
    assert Imported(path).reasons == {"s+a": "cannot be unpacked"}


def test_entries_that_cannot_be_unpacked_are_rows(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.png": picture(0), "a.txt": LINE, "b.png": picture(1), "b.txt": LINE})
    content = bytearray(path.read_bytes())
    content[content.index(picture(0)[40:60])] ^= 0xFF
    central = content.rindex(b"b.png") - 46
    content[central + 8] |= 1
    path.write_bytes(content)
    imported = Imported(path)
    assert imported.reasons == {"s+a": "cannot be unpacked", "s+b": "cannot be unpacked"}
    assert "CRC" in imported.details["s+a"] and "encrypted" in imported.details["s+b"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_entry_that_can_only_be_unpacked_at_once_is_a_row(tmp_path: Path, method: int) -> None:
    assert Imported(write_zip(tmp_path / "set.zip", {"a.png": picture(0)}, method)).reasons == {
        "s+a.png": "neither stored nor deflated"
    }


def test_a_set_without_an_image_is_named(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "train.zip", {"a.png": picture(0), "a.txt": LINE})
    for path in (
        write_zip(tmp_path / "both.zip", {"train.zip": inner.read_bytes()}),
        write_folder(tmp_path / "folder", {"a.txt": LINE}),
    ):
        with pytest.raises(TesseraError, match=rf"watermarks\.sets: 's': .*{path.name}' contains no image"):
            Imported(path)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"<!DOCTYPE html>"])
def test_a_path_that_is_not_a_set_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(content)
    with pytest.raises(TesseraError, match=r"watermarks\.sets: 's': .*set\.zip' is neither a folder nor a readable zip file"):
        Imported(path)


def test_a_missing_set_is_an_error_with_one_fix(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"'s': '.*set\.zip' is not there; fix the path$"):
        Imported(tmp_path / "set.zip")


def test_long_and_odd_names_have_keys_of_their_own(tmp_path: Path) -> None:
    names = ["x" * 200 + "1", "x" * 200 + "2", "a+b", "a b", "a%20b", "ä"]
    files: dict[str, bytes | str] = {f"{name}.png": picture(number) for number, name in enumerate(names)}
    files |= {f"{name}.txt": LINE for name in names}
    assert len(Imported(write_zip(tmp_path / "set.zip", files)).rows) == len(names)


def test_names_of_sets_must_differ() -> None:
    one = {"name": "pita", "path": "a", "content": "general", "rights": "CC0"}
    with pytest.raises(ValidationError, match="must differ"):
        WatermarkSettings(sets=[one, one | {"name": "PITA"}])


def test_the_fingerprint_changes_with_any_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {"a/b/c.png": b"1", "d.txt": b"1"})
    (folder / "nowhere").symlink_to("lost")
    first = contents_of(files_below(folder))
    assert first == contents_of(files_below(folder)) != contents_of([]) == contents_of(files_below(tmp_path / "none"))
    (folder / "a/b/c.png").write_bytes(b"12")
    second = contents_of(files_below(folder))
    (folder / "d.txt").rename(folder / "e.txt")
    assert len({first, second, contents_of(files_below(folder)), contents_of(files_below(folder / "e.txt"))}) == 4


@pytest.mark.parametrize("layout", ["yolo", "masks", "labelme", "coco"])
def test_labels_of_every_format_find_their_own_picture_of_names_that_look_alike(layout: str, tmp_path: Path) -> None:
    """Each picture has one region, whose left edge says which it is: 4, 8, 12 pixels."""
    names = ["A", "a", "caf\u00e9"]
    on_disk = {name: unicodedata.normalize("NFD", name) for name in names}
    files: dict[str, bytes | str] = {f"{on_disk[name]}.png": picture(number) for number, name in enumerate(names)}
    categories = [{"id": 1, "name": "watermark"}]
    document: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": categories}
    for number, name in enumerate(names, 1):
        left = 4 * number
        box = (left, 3, left + 8, 15)
        if layout == "yolo":
            place = (left + 4) / WIDTH, 9 / HEIGHT, 8 / WIDTH, 12 / HEIGHT
            files[f"{name}.txt"] = f"0 {' '.join(map(str, place))}\n"
        elif layout == "masks":
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[3:15, left : left + 8] = 255
            file = io.BytesIO()
            Image.fromarray(mask).save(file, "PNG")
            files[f"{name}_mask.png"] = file.getvalue()
        elif layout == "labelme":
            shape = {"label": "watermark", "shape_type": "rectangle", "points": [box[:2], box[2:]], "flags": {}}
            size = {"imageWidth": WIDTH, "imageHeight": HEIGHT, "imageData": None, "flags": {}}
            files[f"{name}.json"] = json.dumps({"shapes": [shape], "imagePath": f"{name}.png", **size})
        else:
            document["images"].append({"id": number, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT})
            region = {"id": number, "image_id": number, "category_id": 1, "bbox": [left, 3, 8, 12], "area": 96, "iscrowd": 0}
            document["annotations"].append(region)
    if layout == "coco":
        files["labels.json"] = json.dumps(document)
    imported = Imported(write_folder(tmp_path / "set", files), format=layout)
    assert Counter(imported.reasons.values()) == {"ok": 3}
    left_of = {Path(imported.rows[key]["path"]).stem: round(box[0][0]) for key, box in imported.boxes.items()}
    assert left_of == {on_disk[name]: 4 * number for number, name in enumerate(names, 1)}
