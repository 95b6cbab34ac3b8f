"""Captions beside pictures are found by the names of the pictures, and what cannot be used is a row."""

import json
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from label_sets import write_folder

from tessera.core.archives import file_of_folder
from tessera.core.files import files_below
from tessera.core.ledger import read_ledger
from tessera.extras.image_sets.caption_settings import CAPTION_SUFFIXES, CaptionSettings
from tessera.extras.image_sets.captions import caption_set
from tessera.extras.image_sets.written import MAX_BYTES, Written, captions_in, captions_of_frames
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.image_sets import Captions, SetPictures
from tessera.records.tables.table import read_table, types, write_table


def read(folder: Path, *names: str) -> Written:
    return captions_in(
        [file_of_folder(path, folder) for path in files_below(folder, CAPTION_SUFFIXES)], [(name, name) for name in names]
    )


def metadata(**captions: object) -> str:
    return "".join(json.dumps({"file_name": name, "text": text}) + "\n" for name, text in captions.items())


def test_every_kind_of_file_has_the_caption_of_the_picture_of_its_name(tmp_path: Path) -> None:
    everydream = "main_prompt: a house\ntags:\n  - red\n  - tag: tall\n    weight: 0.5\nmultiply: 2\n"
    files: dict[str, bytes | str] = {
        "a.txt": "a house by the sea\n",
        "sub/a.caption": b"\xef\xbb\xbfanother\r\nhouse",
        "sub/b.yaml": everydream,
        "c.yml": "caption: a tree, green",
        "sub/metadata.jsonl": metadata(**{"d.webp": "a door"}),
        "metadata.jsonl": metadata(**{"./sub/e.JPG": "an egg"}),
    }
    found = read(
        write_folder(tmp_path / "set", files), "a.jpg", "sub/a.png", "sub/b.jpg", "c.jpg", "sub/d.webp", "sub/e.JPG", "f.png"
    )
    assert found.texts == {
        "a.jpg": "a house by the sea",
        "sub/a.png": "another house",
        "sub/b.jpg": "a house, red, tall",
        "c.jpg": "a tree, green",
        "sub/d.webp": "a door",
        "sub/e.JPG": "an egg",
    }
    assert found.remarks.keys() == {"sub/a.png"} and not found.faults


def test_the_first_kind_of_file_counts_and_the_others_are_named(tmp_path: Path) -> None:
    files = {"a.txt": "one", "a.caption": "two", "a.yaml": "caption: one", "metadata.jsonl": metadata(**{"a.jpg": "three"})}
    folder = write_folder(tmp_path / "set", files)
    found = read(folder, "a.jpg")
    assert found.texts == {"a.jpg": "one"} and not found.faults
    reason, detail = found.remarks["a.jpg"]
    assert reason == "several captions" and "a.caption" in detail and "line 1" in detail and "a.yaml" not in detail
    (folder / "a.txt").unlink()
    assert read(folder, "a.jpg").texts == {"a.jpg": "two"}


def test_a_name_is_equal_or_looks_the_same_and_is_never_guessed(tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    folder = write_folder(
        tmp_path / "set", {f"{nfd}.txt": "coffee", "x.txt": "of two", f"b/{nfd}.txt": "d", f"b/{nfc}.txt": "c"}
    )
    found = read(folder, f"{nfc}.jpg", "x.jpg", "x.png", f"b/{nfc}.jpg", "caf.jpg")
    assert found.texts == {f"{nfc}.jpg": "coffee", f"b/{nfc}.jpg": "c"}
    assert {(key, reason) for key, reason, _ in found.faults} == {
        ("x", "several pictures of one name"),
        (f"b/{nfd}", "caption of no picture"),
    }


def test_hostile_files_are_rows_with_their_line(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\ntags: [*b, *b, tag]\n"
    files: dict[str, bytes | str] = {
        "a.txt": b"\xff\xfe",
        "b.txt": "x" * (MAX_BYTES + 1),
        "c.yaml": "a: [",
        "d.yaml": "[" * 5000,
        "e.yaml": bomb,
        "f.yaml": "rating: 1",
        "metadata.jsonl": '{"file_name": "g.jpg", "text": "ok"}\nnone\n[1]\n{"file_name": "h.jpg"}\n'
        + metadata(**{"../../etc/x.jpg": "out", "gone.jpg": "x", "h.jpg": 1})
        + "[" * 100_000
        + "\n"
        + metadata(**{"i.jpg": "one"})
        + metadata(**{"i.jpg": "two"}),
    }
    folder = write_folder(tmp_path / "set", files)
    (folder / "j.txt").symlink_to("/etc/hostname")
    found = read(folder, *(f"{name}.jpg" for name in "abcdefghij"))
    assert found.texts == {"e.jpg": "tag", "g.jpg": "ok"}
    reasons = {key: reason for key, reason, _ in found.faults}
    assert reasons == {
        "a.txt": "broken caption",
        "b.txt": "file too large",
        "c.yaml": "broken caption",
        "d.yaml": "broken caption",
        "f.yaml": "broken caption",
        **{f"metadata.jsonl#{line}": "broken caption" for line in (2, 3, 4, 7, 8)},
        "metadata.jsonl#5": "path leaves the folder",
        "gone.jpg": "caption of no picture",
        "i.jpg": "several captions of one name",
        "j.txt": "link leaves the set",
    }
    details = {key: detail for key, _, detail in found.faults}
    assert details["metadata.jsonl#2"].endswith("metadata.jsonl', line 2: no JSON; correct it")


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text("ab/é.", min_size=1, max_size=6).filter(lambda name: "//" not in name), st.text("xy ", max_size=4), max_size=5
    )
)
@example({".": "x"})
def test_each_caption_is_found_whatever_the_names(tmp_path_factory: pytest.TempPathFactory, captions: dict[str, str]) -> None:
    folder = tmp_path_factory.mktemp("captions")
    lines = [json.dumps({"file_name": f"p/{name}.png", "text": text}) for name, text in captions.items()]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    names = {Path(f"p/{name}.png").as_posix(): text for name, text in captions.items() if ".." not in Path(name).parts}
    if len(names) == len(captions):
        found = read(folder, *names)
        assert found.texts == {name: " ".join(text.split()) for name, text in names.items()} and not found.faults


def test_a_folder_of_captions_has_one_for_each_source_or_is_for_all(tmp_path: Path) -> None:
    frames = pl.DataFrame({"key": ["1", "2", "3"], "source": ["a", "b", "film"], "name": ["x.jpg", "x.jpg", None]})
    folders = {"a": tmp_path / "none", "b": tmp_path / "none"}
    write_folder(tmp_path / "own", {"a/x.txt": "first", "x.txt": "second"})
    assert captions_of_frames(frames, folders, tmp_path / "own").texts == {"1": "first", "2": "second"}
    write_folder(tmp_path / "all", {"x.txt": "of both"})
    found = captions_of_frames(frames, folders, tmp_path / "all")
    assert not found.texts and [fault[:2] for fault in found.faults] == [("all/x", "several pictures of one name")]


def test_a_caption_is_that_of_the_table_then_of_the_file_then_of_the_template(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "album", {"a.txt": "file a", "b.txt": "file b, long", "other.txt": "of none", "d.txt": ""})
    blank = {name: kind.to_python()() if kind in (pl.String, pl.Int64) else None for name, kind in types(Sources).items()}
    source = blank | {"source": "album", "path": str(folder), "content": "general", "kind": "folder"}
    write_table(pl.DataFrame([source | {"use": []}], schema=types(Sources)), Sources, tmp_path / "sources")
    frame = {"source": "album", "index": 0, "pts": None, "time": None, "file": "x", "width": 1, "height": 1, "phash": 0}
    rows = [{**frame, "key": f"k{name}", "name": f"{name}.png"} for name in "abcd"]
    known = dict.fromkeys(types(Frames))
    write_table(pl.DataFrame([known | row for row in rows], schema=types(Frames)), Frames, tmp_path / "frames")
    picture = {"source": "album", "split": "", "series": "", "step": "frame", "path": "x", "width": 1, "height": 1}
    picture |= {"identities": [], "appearances": [], "head": None, "is_regular": False}
    pictures = [{**picture, "key": f"k{name}", "frame": f"k{name}"} for name in "abcd"]
    write_table(pl.DataFrame(pictures, schema=types(SetPictures)), SetPictures, tmp_path / "selected")
    (tmp_path / "table.tsv").write_text("key\tcaption\nka\ttable a\nka\ttable a again\n")
    made = {name: tmp_path / name for name in ("captions", "core", "wildcards", "ledger")}
    given = {"frames": [tmp_path / "frames"], "sources": tmp_path / "sources"}
    for table, first in ((tmp_path / "table.tsv", ["table a", "table a again"]), (None, ["file a"])):
        own = CaptionSettings(files="beside", table=table, text="template", maximum=8 if table is None else 100)
        caption_set(tmp_path / "selected", [], [], own, 0, **made, **given)
        captions = read_table(made["captions"], Captions).sort("key", "variant")
        assert captions.filter(key="ka")["caption"].to_list() == first
        others = captions.filter(pl.col("key") != "ka")["caption"].to_list()
        assert others == ["file b" if table is None else "file b, long", "template", ""]
        ledger = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(made["ledger"])}
        assert ledger == {
            "ka": ("ok", "caption of the table used" if table else ""),
            "kb": ("ok", "" if table else "caption cut"),
            "kc": ("ok", "no caption file"),
            "kd": ("ok", "empty caption"),
            "album/other": ("dropped", "caption of no picture"),
        }
