"""A dataset has exactly the images that may feed it, once each, in the format of ultralytics."""

import errno
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from chance_metrics import write_chance
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.imaging.polygons import Part, rectangle
from tessera.learning.detection.offline import offline
from tessera.records.annotation.annotation_tables import Origin, write_annotations
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.decisions import Decision
from tessera.records.limits import ScoreLimit
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.classification import Scored
from tessera.records.tables.footage import Duplicates, Sources
from tessera.records.tables.splits import SourceSplits, Splits
from tessera.records.tables.table import types, write_table
from tessera.stages.datasets.images import (
    keep_one_of_each,
    select_samples,
    surplus_backgrounds,
    write_coco_dataset,
    write_yolo_dataset,
)

REGION = Annotation.of_parts("nsfw", (Part(rectangle((2, 2, 10, 8))),))
OTHER = Annotation.of_parts("other", (Part(rectangle((12, 2, 20, 8))),))


def write_tables(
    folder: Path, rows: list[tuple[str, str, tuple[Annotation, ...]]], image_folder: str = ""
) -> tuple[Path, Path]:
    """Write tables of images: key, source, regions."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [
        (ImageAnnotations(key, 32, 24, regions), Origin(source, f"{image_folder}{key}.PNG", 0, rights="CC0"))
        for key, source, regions in rows
    ]
    write_annotations(folder / "annotations.parquet", folder / "images.parquet", images)
    return folder / "images.parquet", folder / "annotations.parquet"


def admitted(path: Path, uses: dict[str, list[str]], refused: tuple[str, ...] = ()) -> Path:
    empty: dict[str, Any] = {name: None for name, column in Sources.to_schema().columns.items() if column.nullable}
    common = {
        **empty,
        "shard": "",
        "path": "",
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "split": "",
        "series": "",
        "size": 1,
    }
    rows = [{**common, "source": name, "use": use} for name, use in uses.items()]
    rows = [{**row, "kind": "video", "sha256": ""} for row in rows]
    write_table(pl.DataFrame(rows, schema=types(Sources)), Sources, path)
    return path


def duplicates(path: Path, rows: dict[str, str]) -> Path:
    frame = pl.DataFrame([(*row, 3) for row in rows.items()], schema=types(Duplicates), orient="row")
    write_table(frame, Duplicates, path)
    return path


def source_splits(path: Path, rows: dict[str, str]) -> Path:
    write_table(
        pl.DataFrame([(*row, row[0]) for row in rows.items()], schema=types(SourceSplits), orient="row"), SourceSplits, path
    )
    return path


def scores(path: Path, values: dict[str, float]) -> Path:
    rows = [{"key": key, "label": None, "classes": [], "probabilities": [], "score": value} for key, value in values.items()]
    write_table(pl.DataFrame(rows, schema=types(Scored)), Scored, path)
    return path


class Selection:
    """One call of `select_samples` in `folder`."""

    def __init__(
        self,
        folder: Path,
        tables: list[tuple[Path, Path]],
        links: dict[str, str] | list[dict[str, str]] | None,
        sources: Path,
        words: dict[str, Literal["keep", "drop"]] | None = None,
        splits: dict[str, str] | None = None,
        backgrounds: float = 1.0,
        frame_filters: dict[str, ScoreLimit] | None = None,
        values: dict[str, float] | None = None,
        metrics: Sequence[Path] = (),
    ) -> None:
        decisions = [
            Decision(key=key, decision=word, reason="seen", who="Ada", when="2026-01-31") for key, word in (words or {}).items()
        ]
        measures = [] if links is None else links if isinstance(links, list) else [links]
        self.images, self.annotations, self.ledger = folder / "images", folder / "annotations", folder / "ledger"
        select_samples(
            [images for images, _ in tables],
            [annotations for _, annotations in tables],
            [duplicates(folder / f"duplicates{number}", each) for number, each in enumerate(measures)],
            {name: [scores(folder / "scores", values or {})] for name in frame_filters or {}},
            frame_filters or {},
            metrics,
            sources,
            {decision.key: decision for decision in decisions},
            None if splits is None else source_splits(folder / "splits", splits),
            backgrounds,
            ["nsfw"],
            "segment",
            "nsfw_detection",
            "Label more frames",
            self.images,
            self.annotations,
            self.ledger,
        )

    @property
    def keys(self) -> list[str]:
        return pl.read_parquet(self.images)["key"].to_list()

    @property
    def left_out(self) -> dict[str, tuple[str, str]]:
        return {row["key"]: (row["reason"], row["detail"]) for row in read_ledger(self.ledger) if row["status"] == "dropped"}


def test_images_that_must_not_feed_the_dataset_are_dropped_with_the_reason(tmp_path: Path) -> None:
    table = write_tables(
        tmp_path / "all",
        [
            ("d", "open", (REGION,)),
            ("c", "chosen", (REGION,)),
            ("b", "elsewhere", (REGION,)),
            ("a", "refused", (REGION,)),
            ("e", "withdrawn", (REGION,)),
            ("f", "labels:mine", ()),
        ],
    )
    uses = {"open": [], "chosen": ["mosaic_detection", "nsfw_detection"], "elsewhere": ["mosaic_detection"]}
    selection = Selection(tmp_path, [table], {}, admitted(tmp_path / "sources", uses))
    assert selection.keys == ["c", "d", "f"], "an image without a region is kept"
    assert selection.left_out == {
        "a": ("source not admitted", ""),
        "b": ("source not for nsfw_detection", ""),
        "e": ("source not admitted", ""),
    }
    assert pl.read_parquet(selection.annotations)["key"].to_list() == ["c", "d"]
    assert [row["key"] for row in read_ledger(selection.ledger)] == list("abcdef"), "every image has its row"


def test_a_decision_overrides_the_duplicate_check_but_not_the_rights(tmp_path: Path) -> None:
    rows = [(key, source, (REGION,)) for key, source in (("a", "open"), ("b", "open"), ("c", "open"), ("d", "refused"))]
    sources = admitted(tmp_path / "sources", {"open": []})
    links = {"b": "a", "c": "a"}
    words: dict[str, Literal["keep", "drop"]] = {"b": "keep", "d": "keep", "gone": "drop"}
    selection = Selection(tmp_path, [write_tables(tmp_path / "all", rows)], links, sources, words)
    assert selection.keys == ["a", "b"]
    assert selection.left_out == {"c": ("near-duplicate of a sample", "a"), "d": ("source not admitted", "")}
    (row,) = [row for row in read_ledger(selection.ledger) if row["key"] == "b"]
    assert (row["status"], row["reason"], row["detail"]) == ("ok", "kept by decision", "Ada, 2026-01-31: seen")
    selection = Selection(tmp_path, [write_tables(tmp_path / "all", rows)], links, sources, {"a": "drop"})
    assert selection.left_out["a"] == ("dropped by decision", "Ada, 2026-01-31: seen")
    assert selection.keys == ["b"], "its near-duplicate replaces it"


def test_frames_beyond_the_limit_of_a_classifier_are_dropped_unless_a_decision_keeps_them(tmp_path: Path) -> None:
    table = write_tables(tmp_path / "all", [(key, "open", (REGION,)) for key in "abcde"])
    sources = admitted(tmp_path / "sources", {"open": []})
    values = {"a": 0.5, "b": 0.75, "c": 0.75, "d": 0.25}
    selection = Selection(
        tmp_path,
        [table],
        {"a": "b"},
        sources,
        {"c": "keep"},
        frame_filters={"clean": ScoreLimit(max=0.5, min=0.3)},
        values=values,
    )
    assert selection.keys == ["a", "c", "e"], (
        "the near-duplicate of a dropped frame takes its place, and what has no score stays"
    )
    assert selection.left_out == {"b": ("classifier clean", "0.75 > 0.5"), "d": ("classifier clean", "0.25 < 0.3")}


def test_frames_beyond_the_limit_of_a_classifier_that_guesses_stay_and_say_so(tmp_path: Path) -> None:
    table = write_tables(tmp_path / "all", [(key, "open", (REGION,)) for key in "ab"])
    sources = admitted(tmp_path / "sources", {"open": []})
    frame_filters, metrics = {"clean": ScoreLimit(max=0.5)}, [write_chance(tmp_path / "clean.json", False)]
    selection = Selection(
        tmp_path, [table], {}, sources, frame_filters=frame_filters, values={"a": 0.25, "b": 0.75}, metrics=metrics
    )
    assert selection.keys == ["a", "b"]
    reasons = [row["reason"] for row in read_ledger(selection.ledger)]
    assert reasons == ["", "no better than chance: not filtered by clean"]


def test_of_near_duplicates_the_chosen_one_is_kept_and_the_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    table = write_tables(tmp_path / "all", [(key, "open", (REGION,)) for key in "abc"])
    selection = Selection(tmp_path, [table], {"a": "c", "b": "c"}, admitted(tmp_path / "sources", {"open": []}))
    assert selection.keys == ["c"]
    assert selection.left_out["a"] == ("near-duplicate of a sample", "c")
    assert terminal.getvalue() == "selection: 1 of 3 images passed; 2 dropped: near-duplicate of a sample (2)\n"


def test_near_duplicates_of_every_measure_are_left_out(tmp_path: Path) -> None:
    table = write_tables(tmp_path / "all", [(key, "open", (REGION,)) for key in "abcd"])
    # "b" is out by the first measure, so that "c" stays in its place by the second.
    measures = [{"b": "a"}, {"c": "b", "d": "a"}]
    selection = Selection(tmp_path, [table], measures, admitted(tmp_path / "sources", {"open": []}))
    assert selection.keys == ["a", "c"]
    assert {key: detail for key, (_, detail) in selection.left_out.items()} == {"b": "a", "d": "a"}


def test_without_a_table_of_duplicates_all_images_are_kept(tmp_path: Path) -> None:
    table = write_tables(tmp_path / "all", [(key, "open", (REGION,)) for key in "abc"])
    assert Selection(tmp_path, [table], None, admitted(tmp_path / "sources", {"open": []})).keys == ["a", "b", "c"]


def test_if_the_chosen_duplicate_is_not_in_the_dataset_another_is_kept(tmp_path: Path) -> None:
    # "c" may not feed this dataset, "x" is not labelled.
    rows = [("a", "open", (REGION,)), ("b", "open", (REGION,)), ("c", "elsewhere", (REGION,)), ("d", "open", ())]
    table = write_tables(tmp_path / "all", rows)
    sources = admitted(tmp_path / "sources", {"open": [], "elsewhere": ["mosaic_detection"]})
    selection = Selection(tmp_path, [table], {"a": "c", "b": "c", "d": "x"}, sources)
    assert selection.keys == ["a", "d"]
    assert selection.left_out["b"] == ("near-duplicate of a sample", "a")


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.dictionaries(st.sampled_from("abcd"), st.sampled_from("efghxy")))
def test_every_dropped_duplicate_has_a_kept_one(keys: list[str], stays: dict[str, str]) -> None:
    kept = keep_one_of_each(keys, stays)
    assert set(kept) == set(keys)
    for key, other in kept.items():
        assert kept[other] == other
        assert stays.get(key, key) == stays.get(other, other)
    assert len({stays.get(key, key) for key in keys}) == len(set(kept.values())), "one of each"


def test_backgrounds_are_at_most_a_fraction_of_the_images_of_each_split(tmp_path: Path) -> None:
    rows = [(f"a{i:02}", "a", (REGION,) if i < 9 else ()) for i in range(40)]
    rows += [(f"b{i}", "b", (REGION,) if i < 3 else ()) for i in range(5)]
    rows += [("c0", "c", ()), ("c1", "c", ())]
    sources, table = admitted(tmp_path / "sources", {"a": [], "b": [], "c": []}), write_tables(tmp_path / "all", rows)
    splits = {"a": "train", "b": "val", "c": "test"}
    selection = Selection(tmp_path, [table], {}, sources, {"a39": "keep", "c1": "keep"}, splits, 0.1)
    assert {key for key in selection.keys if key[0] == "a"} == {*(f"a{i:02}" for i in range(9)), "a39"}, "1 of 10"
    assert {key for key in selection.keys if key[0] != "a"} == {"b0", "b1", "b2", "c1"}
    assert selection.left_out["b4"] == ("too many backgrounds", "at most the fraction 0.1 of the images of a split")
    assert len(selection.left_out) == len(rows) - len(selection.keys)
    assert len(Selection(tmp_path, [table], {}, sources, {}, splits, 0.5).keys) == 18 + 5


@given(
    st.dictionaries(st.text(min_size=1), st.tuples(st.sampled_from(["train", "val"]), st.booleans()), min_size=1),
    st.integers(0, 99),
)
def test_backgrounds_are_as_many_as_allowed_and_few_change_with_more_images(
    images: dict[str, tuple[str, bool]], percent: int
) -> None:
    def left_out(keys: list[str]) -> set[str]:
        return surplus_backgrounds({key: images[key][0] for key in keys}, {k for k in keys if images[k][1]}, (), percent / 100)

    surplus = left_out(list(images))
    for split in ("train", "val"):
        every = [images[key][1] for key in images if images[key][0] == split]
        kept = [images[key][1] for key in images if images[key][0] == split and key not in surplus]
        assert sum(kept) == sum(every)
        empty = kept.count(False)
        assert 100 * empty <= percent * len(kept)
        assert empty == every.count(False) or 100 * (empty + 1) > percent * (len(kept) + 1)
    changed = next(iter(images))
    before = left_out([key for key in images if key != changed])
    if not images[changed][1]:
        assert len((surplus ^ before) - {changed}) <= 1, "another background takes the place of at most one"
    else:
        assert surplus <= before, "another image with regions makes room for backgrounds"


def test_a_selection_does_not_depend_on_the_division_into_tables(tmp_path: Path) -> None:
    rows = [(f"k{i:02}", f"s{i % 3}", (REGION,) * (i % 4)) for i in range(20)]
    sources = admitted(tmp_path / "sources", {"s0": [], "s1": [], "s2": []})
    one = [write_tables(tmp_path / "one", rows)]
    three = [write_tables(tmp_path / f"part{i}", rows[i::3]) for i in (2, 0, 1)]
    made = []
    for name, tables in (("by one", one), ("by three", three)):
        (tmp_path / name).mkdir()
        selection = Selection(tmp_path / name, tables, {"k03": "k10"}, sources)
        made.append([path.read_bytes() for path in (selection.images, selection.annotations, selection.ledger)])
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "rows",
    [[], [("a", "elsewhere", (REGION,))], [("a", "open", ())]],
    ids=["nothing labelled", "nothing for this dataset", "nothing but empty images"],
)
def test_an_empty_dataset_is_an_error_with_the_fix(tmp_path: Path, rows: list[Any]) -> None:
    sources = admitted(tmp_path / "sources", {"open": [], "elsewhere": ["mosaic_detection"]})
    with pytest.raises(TesseraError, match=r"'nsfw_detection' has (?s:.*)Label more frames(?s:.*)column `use`"):
        Selection(tmp_path, [write_tables(tmp_path / "all", rows)], {}, sources)
    assert not (tmp_path / "images").exists()


def test_two_images_with_one_key_are_an_error_that_names_both(tmp_path: Path) -> None:
    tables = [write_tables(tmp_path / name, [("a", "open", (REGION,))], f"{name}/") for name in ("one", "two")]
    with pytest.raises(TesseraError, match=r"the key 'a': 'one/a.PNG' and 'two/a.PNG'"):
        Selection(tmp_path, tables, {}, admitted(tmp_path / "sources", {"open": []}))


class Dataset:
    """Images, their tables and their splits in `folder`, and the dataset made from them."""

    def __init__(self, folder: Path, rows: list[tuple[str, str, tuple[Annotation, ...]]], splits: list[str]) -> None:
        self.folder, self.made = folder, folder / "dataset"
        self.made.mkdir(parents=True)
        self.tables = write_tables(folder, rows, f"{folder}/")
        for place, (key, _, _) in enumerate(rows):
            Image.fromarray(np.full((24, 32, 3), place, dtype=np.uint8)).save(folder / f"{key}.PNG")
        table = [(key, source, split) for (key, source, _), split in zip(rows, splits, strict=True)]
        write_table(pl.DataFrame(table, schema=types(Splits), orient="row"), Splits, folder / "splits.parquet")

    def write(self, made_here: bool = True) -> "Dataset":
        images, annotations = self.tables
        made = self.made
        write_yolo_dataset(
            images,
            annotations,
            self.folder / "splits.parquet",
            [self.folder] if made_here else [self.folder / "elsewhere"],
            ["nsfw", "other"],
            "segment",
            made / "images",
            made / "labels",
            made / "dataset.yaml",
            made / "ledger.jsonl",
        )
        return self


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_images_and_labels_are_where_ultralytics_expects_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("a-0", "one", (REGION, OTHER)), ("b-0", "labels:x", ()), ("c-0", "two", (REGION,))]
    made = Dataset(tmp_path, rows, ["train", "train", "val"]).write().made
    assert files(made) == [
        "dataset.yaml",
        *("images/train/a-0.png", "images/train/b-0.png", "images/val/c-0.png"),
        *("labels/train/a-0.txt", "labels/train/b-0.txt", "labels/val/c-0.txt"),
        "ledger.jsonl",
    ]
    assert (made / "labels/train/b-0.txt").read_text() == ""
    assert len((made / "labels/train/a-0.txt").read_text().splitlines()) == 2
    offline(tmp_path / "ultralytics")
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    monkeypatch.chdir(tmp_path)
    for name in ("dataset/dataset.yaml", str(made / "dataset.yaml")):
        data = check_det_dataset(name, autodownload=False)
        assert data["names"] == {0: "nsfw", 1: "other"}
        assert data["train"] == str(made / "images" / "train")
        assert not data.get("test")
        dataset = YOLODataset(img_path=data["train"], data=data, task="segment", augment=False)
        assert [(len(label["cls"]), label["shape"]) for label in dataset.labels] == [(2, (24, 32)), (0, (24, 32))]


def test_images_of_tessera_are_linked_and_those_of_a_user_copied(tmp_path: Path) -> None:
    for folder, ours in (("ours", True), ("a user's", False)):
        made = Dataset(tmp_path / folder, [("a", "labels:x", ())], ["train"]).write(ours).made
        assert (made / "images/train/a.png").samefile(tmp_path / folder / "a.PNG") == ours
        assert (made / "images/train/a.png").read_bytes() == (tmp_path / folder / "a.PNG").read_bytes()


def test_images_that_cannot_be_linked_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    made = Dataset(tmp_path, [("a", "one", ())], ["train"]).write().made
    assert (made / "images/train/a.png").read_bytes() == (tmp_path / "a.PNG").read_bytes()


@pytest.mark.parametrize(
    ("made_here", "fix"), [(False, "put it back, or remove its label file,"), (True, "delete the folder .*")]
)
def test_a_missing_image_is_named_with_the_fix(tmp_path: Path, made_here: bool, fix: str) -> None:
    dataset = Dataset(tmp_path, [("a", "one", ())], ["train"])
    (tmp_path / "a.PNG").unlink()
    with pytest.raises(TesseraError, match=rf"a.PNG: the image 'a' of 'one' is missing; {fix} and run again"):
        dataset.write(made_here)


SQUARE = Part(rectangle((2, 2, 8, 8)))
UNWRITABLE = {
    "YOLO has no crowd regions": Annotation.of_parts("nsfw", (SQUARE,), crowd=True),
    "unknown label": Annotation.of_parts("unheard of", (SQUARE,)),
    "empty region": Annotation.of_parts("nsfw", (Part(rectangle((-9, -9, -2, -2))),)),
}


def test_an_image_with_a_region_that_yolo_cannot_represent_leaves_the_dataset(tmp_path: Path) -> None:
    lost = [(reason, "open", (REGION, region)) for reason, region in UNWRITABLE.items()]
    table = write_tables(tmp_path / "all", [("whole", "open", (REGION,)), *lost])
    selection = Selection(tmp_path, [table], {}, admitted(tmp_path / "sources", {"open": []}))
    assert selection.keys == ["whole"]
    assert {key: reason for key, (reason, _) in selection.left_out.items()} == {
        key: f"region lost: {key}" for key in UNWRITABLE
    }


@pytest.mark.parametrize("reason", UNWRITABLE)
def test_no_label_file_is_written_without_one_of_its_regions(tmp_path: Path, reason: str) -> None:
    with pytest.raises(TesseraError, match=f"image 'a' of 'one': a#1: {reason}"):
        Dataset(tmp_path, [("a", "one", (REGION, UNWRITABLE[reason]))], ["train"]).write()


def test_what_yolo_cannot_store_of_a_region_is_a_remark_in_the_ledger(tmp_path: Path) -> None:
    regions = (
        REGION,
        Annotation.of_parts("nsfw", (SQUARE, Part(rectangle((12, 12, 20, 20))))),
        Annotation.of_parts("nsfw", (SQUARE,), score=0.5),
    )
    made = Dataset(tmp_path, [("a", "one", regions)], ["train"]).write().made
    rows = [(row["key"], row["status"], row["reason"]) for row in read_ledger(made / "ledger.jsonl")]
    assert rows == [
        ("a#0", "ok", ""),
        ("a#1", "ok", ""),
        ("a#2", "ok", "YOLO labels have no score"),
    ]
    assert len((made / "labels/train/a.txt").read_text(encoding="utf-8").splitlines()) == 3


def test_a_dataset_has_the_same_bytes_in_any_folder(tmp_path: Path) -> None:
    rows = [("a", "one", (REGION,)), ("b", "labels:x", ())]
    one, two = (Dataset(tmp_path / name, rows, ["train", "val"]).write().made for name in ("here", "there"))
    assert files(one) == files(two)
    for name in files(one):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert str(tmp_path).encode() not in b"".join((one / name).read_bytes() for name in files(one))


def test_all_columns_of_the_hub_are_kept(tmp_path: Path) -> None:
    table = write_tables(tmp_path / "all", [("a", "open", (REGION,))])
    selection = Selection(tmp_path, [table], {}, admitted(tmp_path / "sources", {"open": []}))
    assert pl.read_parquet(selection.images).equals(pl.read_parquet(table[0]))
    assert pl.read_parquet(selection.annotations).equals(pl.read_parquet(table[1]))
    assert list(types(Images)) == pl.read_parquet(selection.images).columns
    assert list(types(Annotations)) == pl.read_parquet(selection.annotations).columns


def test_coco_has_the_paths_of_the_images_in_the_dataset(tmp_path: Path) -> None:
    rows = [("a-0", "one", (REGION, OTHER)), ("b-0", "labels:x", ()), ("c-0", "two", (REGION,))]
    made = Dataset(tmp_path, rows, ["train", "train", "val"]).write()
    write_coco_dataset(*made.tables, tmp_path / "splits.parquet", ["nsfw", "other"], made.made / "coco.json")
    coco = COCO(made.made / "coco.json")
    assert {image["file_name"] for image in coco.imgs.values()} == {
        path.relative_to(made.made / "images").as_posix() for path in (made.made / "images").glob("*/*")
    }
    names = {image["id"]: image["file_name"] for image in coco.imgs.values()}
    found = [(names[each["image_id"]], coco.cats[each["category_id"]]["name"]) for each in coco.anns.values()]
    assert found == [("train/a-0.png", "nsfw"), ("train/a-0.png", "other"), ("val/c-0.png", "nsfw")]
