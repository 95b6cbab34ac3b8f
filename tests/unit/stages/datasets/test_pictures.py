"""Pictures of classifiers are those with a known label of sources that may be used, each in the split of its source."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger, read_ledger
from tessera.imaging.images import write_image
from tessera.records.decisions import Decision
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.classification import Pictures, SelectedPictures
from tessera.records.tables.footage import Sources
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.splits import SourceSplits, Splits
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.datasets.pictures import select_pictures, write_picture_dataset
from tessera.stages.datasets.settings import OfDataset
from tessera.stages.datasets.splits import SplitSettings, assign_samples

SHARED = {"width": 8, "height": 6, "phash": 0, "split": "", "rights": "CC0"}


def labels(folder: Path, rows: list[tuple[str, str, str | None, float | None]]) -> Path:
    """Write a table of labelled pictures, and the pictures: key, source, label and score of each."""
    folder.mkdir(exist_ok=True)
    found = []
    for key, source, label, score in rows:
        write_image(folder / f"{key}.png", np.zeros((6, 8, 3), np.uint8))
        own = {"key": key, "source": source, "label": label, "score": score, "path": (folder / f"{key}.png").as_posix()}
        found.append({**SHARED, **own, "sha256": "", "task": "t", "origin": "folders"})
    write_table(pl.DataFrame(found, schema=types(ImageLabels)), ImageLabels, folder / "labels.parquet")
    return folder / "labels.parquet"


def sources(folder: Path, **uses: list[str]) -> Path:
    """Write the table of admitted sources: the use of each."""
    rows = []
    for name, use in uses.items():
        values = {column: "" for column, kind in types(Sources).items() if kind == pl.String}
        own = {"source": name, "use": use, "content": "general", "kind": "video", "size": 1}
        rows.append({**values, **own})
    write_table(pl.DataFrame(rows, schema=types(Sources)), Sources, folder / "sources.parquet")
    return folder / "sources.parquet"


def divided(folder: Path, *rows: tuple[str, str, str]) -> Path:
    """Write the table of the splits of sources: source, split and group of each."""
    folder.mkdir(exist_ok=True)
    write_table(pl.DataFrame(list(rows), schema=types(SourceSplits), orient="row"), SourceSplits, folder / "divided.parquet")
    return folder / "divided.parquet"


def select(folder: Path, table: Path, known: Path, classes: list[str] | None, **others: object) -> dict[str, tuple[str, str]]:
    """Select pictures; return the reason and the detail of each row of the ledger."""
    given = {
        "imported": [],
        "regions": None,
        "frame_decisions": {},
        "decisions": {},
        "divided": divided(folder / "none"),
        **others,
    }
    select_pictures(
        [table],
        sources=known,
        distance=4,
        settings=SplitSettings(val=0.25),
        classes=classes,
        dataset="blur",
        remedy="Name more.",
        selected=folder / "selected.parquet",
        ledger=folder / "ledger.jsonl",
        matched=folder / "decisions.jsonl",
        **given,  # type: ignore[arg-type]
    )
    return {row["key"]: (row["reason"], row["detail"]) for row in read_ledger(folder / "ledger.jsonl")}


def test_every_picture_is_a_row_and_only_those_with_a_known_class_of_usable_sources_stay(tmp_path: Path) -> None:
    rows = [
        *[("a", "film", "sharp", None), ("b", "film", "soft", None), ("c", "film", "odd", None), ("d", "film", None, 0.5)],
        *[("e", "gone", "sharp", None), ("f", "refused", "sharp", None), ("g", "other", "sharp", None)],
        *[("h", "image_labels:set/h", "soft", None), ("i", "film", "sharp", None)],
    ]
    known = sources(tmp_path, film=[], other=["mosaic_detection"])
    drop = Decision(key="i", decision="drop", reason="wrong", who="me", when="")
    reasons = select(tmp_path, labels(tmp_path, rows), known, ["sharp", "soft"], frame_decisions={"i": drop})
    kept = read_table(tmp_path / "selected.parquet", SelectedPictures)
    assert dict(kept.select("key", "label").iter_rows()) == {"a": "sharp", "b": "soft", "h": "soft"}
    assert {key: reason for key, (reason, _) in reasons.items() if reason} == {
        "c": "unknown class",
        "d": "no class",
        "e": "source not admitted",
        "f": "source not admitted",
        "g": "source not for blur",
        "i": "dropped by decision",
    }


def test_a_decision_gives_a_picture_another_label_or_leaves_it_out_and_one_on_no_picture_is_a_row(tmp_path: Path) -> None:
    rows = [(key, "film", label, None) for key, label in (("a", "sharp"), ("b", "odd"), ("c", "soft"), ("d", "soft"))]
    said = [
        Decision(key=key, decision=decision, who="Ada", when="2026-01-31", classifier="blur", label=label)
        for key, decision, label in [("a", "relabel", "soft"), ("b", "relabel", "sharp"), ("c", "drop", ""), ("x", "drop", "")]
    ]
    known, decisions = sources(tmp_path, film=[]), {each.key: each for each in said}
    reasons = select(tmp_path, labels(tmp_path, rows), known, ["sharp", "soft"], decisions=decisions)
    kept = read_table(tmp_path / "selected.parquet", SelectedPictures)
    assert dict(kept.select("key", "label").iter_rows()) == {"a": "soft", "b": "sharp", "d": "soft"}
    assert reasons["a"] == ("relabelled by decision", "was sharp; Ada, 2026-01-31")
    assert reasons["c"][0] == "dropped by decision" and "x" not in reasons and not reasons["d"][0]
    matched = {row["key"]: row["status"] for row in read_ledger(tmp_path / "decisions.jsonl")}
    assert matched == {"a": "ok", "b": "ok", "c": "ok", "x": "dropped"}
    with Ledger(tmp_path / "imported.jsonl") as ledger:
        ledger.row("x", "dropped", "unlabelled")
    imported = [tmp_path / "imported.jsonl"]
    reasons = select(tmp_path, tmp_path / "labels.parquet", known, ["sharp"], decisions=decisions, imported=imported)
    assert reasons["x"] == ("dropped by decision", "Ada, 2026-01-31")
    of_frames = {"a": Decision(key="a", decision="drop", who="Bo", when="2026-01-31")}
    select(tmp_path, labels(tmp_path, rows), known, ["sharp", "soft"], decisions=decisions, frame_decisions=of_frames)
    assert "a" not in read_table(tmp_path / "selected.parquet", SelectedPictures)["key"].to_list()
    score = said[0].model_copy(update={"label": "0.75"})
    select(tmp_path, labels(tmp_path, [("a", "film", None, 0.25)]), known, None, decisions={"a": score})
    assert read_table(tmp_path / "selected.parquet", SelectedPictures)["score"].to_list() == [0.75]


def test_a_score_needs_no_class(tmp_path: Path) -> None:
    table = labels(tmp_path, [("a", "film", None, 0.25), ("b", "film", "soft", None)])
    reasons = select(tmp_path, table, sources(tmp_path, film=[]), None)
    assert read_table(tmp_path / "selected.parquet", SelectedPictures)["score"].to_list() == [0.25]
    assert reasons["b"] == ("no score", "soft")


def test_images_of_a_dataset_of_regions_have_the_class_of_what_they_show(tmp_path: Path) -> None:
    images = [{**SHARED, "key": key, "source": "film", "path": f"{key}.png"} for key in ("x", "y")]
    write_table(pl.DataFrame(images, schema=types(Images)), Images, tmp_path / "images")
    box = {"key": "y", "number": 0, "label": "w", "x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.0, "crowd": False}
    regions = pl.DataFrame([{**dict.fromkeys(types(Annotations)), **box}], schema=types(Annotations))
    write_table(regions, Annotations, tmp_path / "regions")
    of = (tmp_path / "images", tmp_path / "regions", OfDataset(dataset="d", present="marked", absent="clean"))
    table = labels(tmp_path, [])
    select(tmp_path, table, sources(tmp_path, film=[]), ["clean", "marked"], regions=of)
    kept = read_table(tmp_path / "selected.parquet", SelectedPictures)
    assert dict(kept.select("key", "label").iter_rows()) == {"x": "clean", "y": "marked"}


def test_no_picture_and_two_of_one_key_are_errors(tmp_path: Path) -> None:
    known = sources(tmp_path, film=[])
    with pytest.raises(TesseraError, match=r"'blur' has no pictures \(.*unknown class.*\)\. Name more\."):
        select(tmp_path, labels(tmp_path, [("a", "film", "odd", None)]), known, ["sharp", "soft"])
    with pytest.raises(TesseraError, match=r"two pictures have the key 'a'"):
        table = labels(tmp_path, [("a", "film", "odd", None)])
        empty = labels(tmp_path / "none", [])
        given = {
            "divided": divided(tmp_path),
            "frame_decisions": {},
            "decisions": {},
            "classes": ["odd", "x"],
            "dataset": "blur",
        }
        more = {"remedy": "", "distance": 4, "settings": SplitSettings(), "selected": tmp_path / "o"}
        more |= {"ledger": tmp_path / "l", "matched": tmp_path / "m"}
        select_pictures([table, empty, table], [], None, known, **given, **more)  # type: ignore[arg-type]


def test_labelled_pictures_are_divided_evenly_and_none_looks_like_a_frame_of_another_split(tmp_path: Path) -> None:
    hashes = {f"a{number}": 0xFF << 8 * number for number in range(4)}
    hashes |= {f"b{number}": 0xFFFF << 9 * number for number in range(3)}
    rows = [(key, f"image_labels:s/{key}", key[0], None) for key in hashes]
    frames = [("film", hashes["b0"] ^ 1), ("film", hashes["b2"]), ("other", hashes["b1"] ^ 3), ("other", hashes["b2"])]
    rows += [(f"frame{number}", source, "b", None) for number, (source, _) in enumerate(frames)]
    table = read_table(labels(tmp_path, rows), ImageLabels)
    looks = [*hashes.values(), *(phash for _, phash in frames)]
    write_table(table.with_columns(phash=pl.Series(looks, dtype=pl.UInt64)), ImageLabels, tmp_path / "labels.parquet")
    splits = divided(tmp_path, ("film", "val", "film"), ("other", "train", "other"))
    known = sources(tmp_path, film=[], other=[])
    reasons = select(tmp_path, tmp_path / "labels.parquet", known, ["a", "b"], divided=splits)
    assert reasons["b2"] == ("looks like a picture of another split", "'other' shows the same and is in train")
    assign_samples(tmp_path / "selected.parquet", splits, tmp_path / "splits", settings=SplitSettings(val=0.25))
    split_of = dict(read_table(tmp_path / "splits", Splits).select("key", "split").iter_rows())
    assert (split_of["b0"], split_of["b1"]) == ("val", "train") and "b2" not in split_of
    assert sorted(split_of[f"a{number}"] for number in range(4)) == ["train", "train", "train", "val"]
    group_of = dict(read_table(tmp_path / "selected.parquet", SelectedPictures).select("key", "group").iter_rows())
    assert (group_of["b0"], group_of["b1"], group_of["a0"]) == ("film", "other", "image_labels:s/a0")


def test_each_picture_lies_in_its_split_with_its_group(tmp_path: Path) -> None:
    table = labels(tmp_path, [("a", "film", "sharp", None), ("asked+b", "copy", "soft", None)])
    known = sources(tmp_path, film=[], copy=[])
    of_sources = divided(tmp_path, ("copy", "val", "film"), ("film", "train", "film"))
    select(tmp_path, table, known, ["sharp", "soft"], divided=of_sources)
    rows = [("a", "film", "train"), ("asked+b", "copy", "val")]
    write_table(pl.DataFrame(rows, schema=types(Splits), orient="row"), Splits, tmp_path / "splits")
    given = (tmp_path / "selected.parquet", tmp_path / "splits")
    write_picture_dataset(*given, tmp_path / "images", tmp_path / "pictures.parquet")
    written = {path.relative_to(tmp_path / "images").as_posix() for path in (tmp_path / "images").rglob("*.png")}
    assert written == {"train/a.png", "val/asked+b.png"}
    # A person may still change their own picture.
    assert [(tmp_path / f"{key}.png").stat().st_nlink for key in ("a", "asked+b")] == [2, 1]
    assert read_table(tmp_path / "pictures.parquet", Pictures).select("key", "group", "split").rows() == [
        ("a", "film", "train"),
        ("asked+b", "film", "val"),
    ]
    (tmp_path / "a.png").unlink()
    with pytest.raises(TesseraError, match="the picture 'a' of 'film' is missing"):
        write_picture_dataset(*given, tmp_path / "again", tmp_path / "pictures.parquet")
