"""A datasheet describes its dataset, and its numbers add up."""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st

from tessera.core import log
from tessera.imaging.masks import encode_rle
from tessera.learning.weights.known import known_weights
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.classification import Pictures
from tessera.records.tables.footage import Sources
from tessera.records.tables.labels import LabelCounts
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table
from tessera.stages.datasets.datasheets import (
    describe_dataset,
    describe_samples,
    render,
    render_samples,
    write_datasheet,
    write_plain_datasheet,
)

SETTINGS = {"splits": {"val": 0.2}}
SQUARE = [0.0, 0.0, 20.0, 0.0, 20.0, 20.0, 0.0, 20.0]
HOLE = [5.0, 5.0, 18.0, 5.0, 18.0, 18.0, 5.0, 18.0]


def image(key: str, source: str, width: int = 100, height: int = 80) -> dict[str, Any]:
    return {"key": key, "source": source, "path": f"anywhere/{key}", "width": width, "height": height, "phash": 0} | {
        "split": "",
        "rights": "CC0",
    }


def region(key: str, number: int, label: str = "nsfw", **shape: Any) -> dict[str, Any]:
    box = {"x0": 0.0, "y0": 0.0, "x1": 20.0, "y1": 20.0}
    return {
        "key": key,
        "number": number,
        "label": label,
        "polygons": None,
        "rle": None,
        **box,
        "crowd": False,
        "score": None,
    } | shape


def source(name: str, rights: str = "contract 7") -> dict[str, Any]:
    known = {
        "source": name,
        "shard": name,
        "path": "x",
        "content": "adult",
        "rights": rights,
    }
    return (
        dict.fromkeys(types(Sources))
        | known
        | {"consent": "release 3", "use": [], "split": "", "series": "", "kind": "video", "sha256": "", "size": 1}
    )


def rows(*reasons: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"key": str(place), "status": status, "reason": reason} for place, (status, reason) in enumerate(reasons)]


def sheet(images: list[Any], regions: list[Any], splits: dict[str, str], sources: list[Any], **others: Any) -> dict[str, Any]:
    origin = {row["key"]: row["source"] for row in images}
    return describe_dataset(
        "nsfw_detection",
        pl.DataFrame(images, schema=types(Images)),
        pl.DataFrame(regions, schema=types(Annotations)),
        pl.DataFrame([(key, origin[key], split) for key, split in splits.items()], schema=types(Splits), orient="row"),
        pl.DataFrame(sources, schema=types(Sources)),
        others.get("sets", {}),
        others.get("selection", []),
        others.get("writing", []),
        others.get("settings", SETTINGS),
    )


def small() -> dict[str, Any]:
    mask = np.zeros((80, 100), dtype=np.uint8)
    mask[10:20, 10:40] = 255
    return sheet(
        [image("a", "film"), image("b", "film"), image("c", "labels:mine", 64, 64), image("d", "labels:mine", 64, 64)],
        [
            region("a", 0, polygons=[[SQUARE, HOLE]]),
            region("a", 1, polygons=[[SQUARE], [HOLE]]),
            region("b", 0, rle=encode_rle(mask)),
            region("c", 0, "other", crowd=True),
        ],
        {"a": "train", "b": "train", "c": "val", "d": "val"},
        [source("film"), source("unused")],
        sets={
            "labels:mine": {"name": "mine", "content": "general", "rights": "CC BY 4.0", "consent": "", "path": "labels/mine"}
        },
        selection=rows(("ok", ""), ("ok", ""), ("ok", ""), ("ok", ""), ("dropped", "near-duplicate of a sample")),
        writing=rows(("ok", ""), ("ok", "YOLO labels have no score"), ("ok", ""), ("dropped", "YOLO has no crowd regions")),
    )


def test_weights_that_a_dataset_descends_from_are_listed_with_their_licences() -> None:
    known = known_weights()["nudenet"]
    mine = {"source": "/home/someone/mine.pt", "sha256": hashlib.sha256(b"mine").hexdigest()}
    detectors = {"nsfw": {"weights": {"source": known.source, "sha256": known.sha256}}, "face": {"weights": mine}}
    made = sheet([image("a", "film")], [], {"a": "train"}, [source("film")], settings={"regions": {"detectors": detectors}})
    named = {"source": known.source, "sha256": known.sha256, "licence": known.licence}
    assert made["weights"] == [
        {"setting": "regions.detectors.nsfw.weights", **named},
        {"setting": "regions.detectors.face.weights", **mine, "source": "mine.pt"},
    ]
    page = render(made)
    assert f"| regions.detectors.nsfw.weights | {known.source} | {known.sha256} | {known.licence} |" in page
    assert f"| regions.detectors.face.weights | mine.pt | {mine['sha256']} | not known |" in page
    assert "weights" not in small() and "not known" not in render(small())


def test_images_of_a_set_are_counted_by_set_and_split() -> None:
    sources = ["watermarks:pita/1", "watermarks:pita/2", "watermarks:pita/3", "watermarks:pita too/1"]
    stated = {"content": "general", "rights": "MIT", "consent": ""}
    made = sheet(
        [image(source, source) for source in sources],
        [region("watermarks:pita/1", 0, rle=None)],
        dict(zip(sources, ["train", "val", "train", "train"], strict=True)),
        [],
        sets={"watermarks:pita": stated, "watermarks:pita too": stated},
    )
    origins = [(row["source"], row["split"], row["images"], row["regions"]) for row in made["origins"]]
    assert origins == [
        ("watermarks:pita", "train", 2, 1),
        ("watermarks:pita", "val", 1, 0),
        ("watermarks:pita too", "train", 1, 0),
    ]


def test_images_regions_and_sources_are_counted() -> None:
    made = small()
    assert made["splits"]["train"] == {"images": 2, "without_regions": 0, "sources": 1, "regions": {"nsfw": 3}}
    assert made["splits"]["val"] == {"images": 2, "without_regions": 1, "sources": 1, "regions": {"other": 1}}
    assert made["splits"]["test"] == {"images": 0, "without_regions": 0, "sources": 0, "regions": {}}
    assert made["image_sizes"] == [{"width": 100, "height": 80, "images": 2}, {"width": 64, "height": 64, "images": 2}]
    assert {name: count for name, count in made["regions"].items() if not name.startswith("area")} == {
        "polygons": 2,
        "masks": 1,
        "boxes": 1,
        "of_several_parts": 1,
        "with_holes": 1,
        "crowds": 1,
    }


def test_areas_are_those_of_the_regions() -> None:
    # 400 less a hole of 169, 569 in two parts, 300 set pixels, a box of 400; the images have 8000 and 4096 pixels.
    made = small()["regions"]
    assert {(row["from"], row["to"]): row["regions"] for row in made["area_pixels"] if row["regions"]} == {
        (0, 256): 1,
        (256, 1024): 3,
    }
    assert {(row["from"], row["to"]): row["regions"] for row in made["area_fraction"] if row["regions"]} == {
        (0.01, 0.03): 1,
        (0.03, 0.1): 3,
    }


def test_origins_state_the_rights() -> None:
    assert small()["origins"] == [
        {
            "source": "film",
            "images": 2,
            "split": "train",
            "regions": 3,
            "content": "adult",
            "rights": "contract 7",
            "consent": "release 3",
        },
        {
            "source": "labels:mine",
            "images": 2,
            "split": "val",
            "regions": 1,
            "content": "general",
            "rights": "CC BY 4.0",
            "consent": "",
        },
    ]


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3), st.integers(1, 2000)), max_size=20))
def test_every_count_adds_up(given_images: list[tuple[str, int, int]]) -> None:
    images = [image(f"k{i}", origin, 2000, 2000) for i, (origin, _, _) in enumerate(given_images)]
    regions = [
        region(f"k{i}", number, x1=float(side), y1=float(side))
        for i, (_, count, side) in enumerate(given_images)
        for number in range(count)
    ]
    splits = {row["key"]: {"x": "train", "y": "val", "z": "test"}[row["source"]] for row in images}
    made = sheet(images, regions, splits, [source(name) for name in "xyz"])
    for count in (
        sum(split["images"] for split in made["splits"].values()),
        sum(row["images"] for row in made["origins"]),
        sum(row["images"] for row in made["image_sizes"]),
    ):
        assert count == len(images)
    for count in (
        sum(sum(split["regions"].values()) for split in made["splits"].values()),
        sum(row["regions"] for row in made["origins"]),
        sum(row["regions"] for row in made["regions"]["area_pixels"]),
        sum(row["regions"] for row in made["regions"]["area_fraction"]),
    ):
        assert count == len(regions)
    assert sum(split["without_regions"] for split in made["splits"].values()) == sum(
        1 for _, count, _ in given_images if count == 0
    )
    render(made)


def test_a_dataset_of_any_kind_has_a_datasheet() -> None:
    rows = [("a", "film", "train"), ("b", "film", "train"), ("c", "labels:x/1", "val"), ("d", "labels:x/2", "val")]
    splits = pl.DataFrame(rows, schema=types(Splits), orient="row")
    sets = {"labels:x": {"content": "general", "rights": "<b>", "consent": ""}}
    made = describe_samples(
        "any", "sounds", splits, pl.DataFrame([source("film")], schema=types(Sources)), sets, {"splits": {"val": 0.2}}
    )
    assert made == json.loads(json.dumps(made))
    assert made["splits"] == {
        "train": {"samples": 2, "sources": 1},
        "val": {"samples": 2, "sources": 2},
        "test": {"samples": 0, "sources": 0},
    }
    assert made["origins"] == [
        {"source": "film", "samples": 2, "split": "train", "content": "adult", "rights": "contract 7", "consent": "release 3"},
        {"source": "labels:x", "samples": 2, "split": "val", "content": "general", "rights": "<b>", "consent": ""},
    ]
    text = render_samples(made)
    assert "| sounds | 2 | 2 | 0 |" in text
    assert r"| labels:x | val | 2 | general | \<b\> |  |" in text


SOURCES = [source("film"), source("show"), source("club")]
SETS = {"labels:x": {"content": "general", "rights": "CC0", "consent": ""}}


def test_classes_and_negatives_that_a_split_lacks_are_named_with_the_fix() -> None:
    images = [image("a", "film"), image("b", "show"), image("c", "labels:x/1"), image("d", "labels:x/2")]
    regions = [region("a", 0, rle=None), region("b", 0, "other", rle=None), region("b", 1, rle=None)]
    made = sheet(images, regions, {"a": "train", "b": "val", "c": "val", "d": "val"}, SOURCES, sets=SETS)
    assert made["missing"] == [
        f"no sample {what} is in the split 'train', so that nothing is learned from such samples; all are of {name!r}: add such"
        " samples of another source, with `split: train`"
        for what, name in (("of 'other'", "show"), ("without a region", "labels:x"))
    ]
    assert "## Missing\n\n- no sample of 'other' is in the split 'train'" in render(made)
    both = sheet(
        [*images, image("e", "club")],
        regions,
        {"a": "train", "b": "val", "c": "val", "d": "val", "e": "val"},
        SOURCES,
        sets=SETS,
    )
    assert both["missing"][1].endswith(
        "set `split: train` for some of their sources, in the manifest or in the settings of a set ('club', 'labels:x')"
    )
    whole = sheet(images, regions[::2], {"a": "train", "b": "val", "c": "val", "d": "train"}, SOURCES, sets=SETS)
    assert not whole["missing"] and "Missing" not in render(whole)
    without_val = sheet(images, regions, dict.fromkeys("abcd", "train"), SOURCES, sets=SETS)
    assert not without_val["missing"], "a split without samples is not wanted"


def test_a_class_that_a_split_of_pictures_lacks_is_in_the_log_and_in_the_datasheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    known = {"group": "x", "score": None, "weight": 1.0}
    rows = [("a", "film", "train", "soft"), ("b", "film", "train", "sharp"), ("c", "show", "val", "soft")]
    pictures = [{"key": key, "source": name, "split": split, "label": label, **known} for key, name, split, label in rows]
    write_table(pl.DataFrame(pictures, schema=types(Pictures)), Pictures, tmp_path / "pictures")
    write_table(pl.DataFrame([row[:3] for row in rows], schema=types(Splits), orient="row"), Splits, tmp_path / "splits")
    write_table(pl.DataFrame([source("film"), source("show")], schema=types(Sources)), Sources, tmp_path / "sources")
    made = {"data": tmp_path / "data", "text": tmp_path / "text"}
    write_plain_datasheet(
        "tone", "pictures", tmp_path / "splits", tmp_path / "sources", {}, {}, **made, pictures=tmp_path / "pictures"
    )
    missing = "no sample of 'sharp' is in the split 'val', so that nothing is measured on such samples"
    assert f"the dataset 'tone': {missing}" in terminal.getvalue() and missing in made["text"].read_text()
    assert json.loads(made["data"].read_text())["missing"][0].startswith(missing)


def test_a_datasheet_is_plain_json_without_paths() -> None:
    made = small()
    text = json.dumps(made)
    assert json.loads(text) == made
    assert "anywhere" not in text
    assert "labels/mine" not in text


def test_a_datasheet_is_readable() -> None:
    text = render(small())
    assert text == render(small())
    for line in (
        "| images | 2 | 2 | 0 |",
        "| images without a region | 0 | 1 | 0 |",
        "| regions of nsfw | 3 | 0 | 0 |",
        "| images with labels | 5 |",
        "| left out: near-duplicate of a sample | 1 |",
        "| images in the dataset | 4 |",
        "| kept in part: YOLO labels have no score | 1 |",
        "| 16² px to 32² px | 3 |",
        "| 3 % to 10 % | 3 |",
        "| 512² px and more | 0 |",
        "| film | train | 2 | 3 | adult | contract 7 | release 3 |",
        "| 100 x 80 | 2 |",
    ):
        assert f"{line}\n" in text, line
    columns = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(columns) >= 3


@pytest.mark.parametrize(
    ("rights", "licence"),
    [
        (["CC0"], ["cc0-1.0"]),
        (["CC BY 4.0", "cc-by-nc-sa-4.0"], ["cc-by-4.0", "cc-by-nc-sa-4.0"]),
        (["CC0", "contract 7"], "other"),
        (["CC BY 3.0"], "other"),
    ],
)
def test_hubs_of_datasets_read_what_a_datasheet_states(rights: list[str], licence: Any, tmp_path: Path) -> None:
    names = [f"film {number}" for number in range(len(rights))]
    admitted = pl.DataFrame([source(*each) for each in zip(names, rights, strict=True)], schema=types(Sources), orient="row")
    write_table(admitted, Sources, tmp_path / "sources")
    rows = [(f"{name} {number}", name, "train") for name in names for number in range(600)]
    write_table(pl.DataFrame(rows, schema=types(Splits), orient="row"), Splits, tmp_path / "splits")
    made = tmp_path / "datasheet.json", tmp_path / "datasheet.md"
    write_plain_datasheet("birds", "pictures", tmp_path / "splits", tmp_path / "sources", {}, {}, *made)
    shown = DatasetCard.load(made[1])
    assert shown.text.strip().startswith("# Dataset birds")
    assert (shown.data.pretty_name, shown.data.license) == ("birds", licence)
    assert shown.data.size_categories == ["n<1K" if len(names) == 1 else "1K<n<10K"]
    assert shown.data.tags == ["tessera", "not-for-all-audiences"]


@pytest.mark.parametrize("name", ["a|b", "two\nlines", "<script>", "`x`", "[a](b)", "\\|"])
def test_names_cannot_break_the_page(name: str) -> None:
    text = render(sheet([image("a", name)], [], {"a": "train"}, [source(name, rights="x | y")]))
    line = next(line for line in text.splitlines() if "contract" not in line and "x \\| y" in line)
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 8
    assert not re.search(r"(?<!\\)[<\[`]", line)


def test_a_long_table_says_that_it_was_cut() -> None:
    images = [image(f"k{i}", f"s{i:03}") for i in range(60)]
    text = render(sheet(images, [], {row["key"]: "train" for row in images}, [source(row["source"]) for row in images]))
    assert "| s049 |" in text
    assert "| s050 |" not in text
    assert "and 10 more, see the JSON beside this file" in text


def test_the_labels_of_sets_are_shown_with_what_they_mean(tmp_path: Path) -> None:
    counts = [
        ("labels:mine", "label", 0, "person", None, 0, 0, 2),
        ("labels:mine", "label", 1, "naked", "nsfw", 5, 4, 1),
        ("labels:mine", "label", None, "logo", "", 3, 2, 0),
        ("labels:mine", "negative", None, "labels state no region", None, 0, 7, 0),
        ("labels:mine", "left out", None, "region lost: unknown label", None, 0, 2, 0),
    ]
    write_table(pl.DataFrame(counts, schema=types(LabelCounts), orient="row"), LabelCounts, tmp_path / "counts")
    empty = {Images: "images", Annotations: "annotations", Splits: "splits", Sources: "sources"}
    for schema, name in empty.items():
        write_table(pl.DataFrame(schema=types(schema)), schema, tmp_path / name)
    (tmp_path / "ledger").write_text("")
    inputs = {name: tmp_path / name for name in empty.values()}
    outputs = {"data": tmp_path / "sheet.json", "text": tmp_path / "sheet.md"}
    ledgers = {"selection": tmp_path / "ledger", "writing": tmp_path / "ledger"}
    stated = {"mosaics": [], "labels": [tmp_path / "counts"], "sets": {}, "settings": {}}
    write_datasheet("nsfw_detection", **inputs, **ledgers, **stated, **outputs)  # type: ignore[arg-type]
    text = outputs["text"].read_text()
    for line in (
        "| labels:mine | 0 | person | unknown | 0 | 0 | 2 |",
        "| labels:mine | 1 | naked | nsfw | 5 | 4 | 1 |",
        "| labels:mine |  | logo | not wanted | 3 | 2 | 0 |",
        "| labels:mine | negative: labels state no region | 7 |",
        "| labels:mine | left out: region lost: unknown label | 2 |",
    ):
        assert line in text
    assert json.loads(outputs["data"].read_text())["labels"][1]["name"] == "naked"
