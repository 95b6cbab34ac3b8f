"""Where detectors fail: the groups, the thresholds and the worst cases follow from the tables."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_report import detail, pictures

from tessera.core.ledger import Ledger
from tessera.imaging.images import write_image
from tessera.pages.report.failures import (
    BLOCKS,
    SOURCES,
    WORST,
    Cases,
    at,
    count_false_positives,
    draw_failures,
    draw_thresholds,
    read_cases,
    recall_rows,
    tabulate_failures,
    worst_cases,
)
from tessera.records.tables.evaluation import Detections, Objects, WatchedVideos
from tessera.records.tables.mosaics import PROPERTIES, Mosaics
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import types, write_table

CONFIDENCE = 0.4


def write_cases(folder: Path, models: tuple[str, ...] = ("mine", "theirs")) -> dict[str, Any]:
    """Write objects in 60 images of 30 sources, every third image without any; the first region of each has no label."""
    generator = np.random.default_rng(1)
    objects, detections, mosaics, images = [], [], [], []
    with Ledger(folder / "ledger.jsonl") as ledger:
        for place in range(60):
            key, source = f"image-{place}", f"source {place % 30}"
            images.append({"key": key, "source": source, "split": "val" if place < 50 else "test"})
            count = 0 if place % 3 == 0 else int(generator.integers(1, 4))
            boxes = [{"x0": 5.0, "y0": 5.0, "x1": 5.0 + side, "y1": 5.0 + side} for side in generator.uniform(4, 300, count)]
            if count:
                ledger.row(f"{key}#0", "dropped", "empty region")
            for number in range(count):
                ledger.row(f"{key}#{number + 1}", "ok", "")
                size = int(generator.integers(2, 40))
                usual = {"label": "nsfw", "version": "v4", "whole_blocks": 3, "dilation": 0, "incomplete": False, "seed": 0}
                usual["fine"] = False
                where = {"anchor": "frame", "origin_x": 0, "origin_y": 0, "x0": 1, "y0": 1, "x1": 2, "y1": 2}
                drawn = {"type": "rect_avg", "block_width": size + 3, "block_height": size, "feather": int(number % 2)}
                faint = {
                    "fine": False,
                    "scale": (1.0, 0.5)[place % 2],
                    "blur": (0.0, 1.5)[size % 2],
                    "brightness": 0.5 + 0.5 * (size > 9),
                    "degradations": [[], ["jpeg"], ["blur", "jpeg"]][place % 3],
                }
                if size > 36:
                    drawn |= {"type": "bar", "block_width": None, "block_height": None}
                mosaics.append({"key": key, "number": number + 1, **usual, **where, **drawn, **faint})
            for model in models:
                shared = {"model": model, "split": images[-1]["split"], "key": key, "source": source, "label": "nsfw"}
                kinds = ("box", "mask") if model == "mine" else ("box",)
                for kind in kinds:
                    found = 0
                    for number, box in enumerate(boxes):
                        score = float(generator.random()) if generator.random() < 0.7 else None
                        side = box["x1"] - box["x0"]
                        row = {**shared, "kind": kind, "number": number, "score": score, **box}
                        objects.append({**row, "area": side**2, "side": side, "iou": score and 0.8})
                        if score is not None:
                            detections.append({**row, "number": found, "iou": 0.8, "matched": number})
                            found += 1
                    row = {**shared, "kind": kind, "number": found, "x0": 1.0, "y0": 1.0, "x1": 30.0, "y1": 20.0}
                    detections.append({**row, "score": float(generator.random()), "iou": 0.0, "matched": -1})
    tables = (("objects", Objects, objects), ("detections", Detections, detections), ("mosaics", Mosaics, mosaics))
    for name, schema, rows in (*tables, ("splits", Splits, images)):
        write_table(pl.DataFrame(rows, schema=types(schema)), schema, folder / f"{name}.parquet")
    paths = {name: folder / f"{name}.parquet" for name in ("objects", "detections", "splits")}
    return {**paths, "mosaics": [folder / "mosaics.parquet"], "ledger": folder / "ledger.jsonl"}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return read_cases(**write_cases(tmp_path_factory.mktemp("cases")))


@pytest.mark.parametrize("split", ["val", "test"])
def test_each_grouping_adds_up_to_all_objects_and_to_all_found(cases: Cases, split: str) -> None:
    objects = cases.objects.filter(split=split)
    count = len(objects.filter(model="mine"))
    found = {model: len(objects.filter(pl.col("score") >= CONFIDENCE, model=model)) for model in ("mine", "theirs")}
    totals: Counter[str] = Counter()
    kept: dict[str, Counter[str]] = {model: Counter() for model in found}
    rows = list(recall_rows(cases, split, CONFIDENCE))
    for title, _, size, recall in rows:
        totals[title] += size
        for model, fraction in recall.items():
            kept[model][title] += round(size * fraction)
    # An object counts once for each degradation of its image.
    del totals["degradation"]
    for of_model in kept.values():
        del of_model["degradation"]
    assert set(totals) == {"", "size", "class", "blocks", "type", *PROPERTIES, "source"}
    assert set(totals.values()) == {count}
    for model, number in found.items():
        assert set(kept[model].values()) == {number}
    assert len([row for row in rows if row[0] == "source"]) <= SOURCES + 1


def test_each_object_has_the_mosaic_that_was_drawn_over_it(cases: Cases, tmp_path: Path) -> None:
    files = write_cases(tmp_path)
    drawn = {(row["key"], row["number"]): row for row in pl.read_parquet(files["mosaics"]).iter_rows(named=True)}
    for row in cases.objects.iter_rows(named=True):
        # The first region of each image has no line in the label file.
        mosaic = drawn[row["key"], row["number"] + 1]
        assert row["block"] == mosaic["block_height"]
        assert row["soft edge"] == ("yes" if mosaic["feather"] else "no")
        assert row["rescaled"] == ("no" if mosaic["scale"] == 1 else "yes")
        assert row["blurred"] == ("yes" if mosaic["blur"] else "no")
        assert row["darkened"] == ("yes" if mosaic["brightness"] < 1 else "no")
    bins = {name: size for title, name, size, _ in recall_rows(cases, "val", CONFIDENCE) if title == "blocks"}
    mine = cases.objects.filter(model="mine", split="val")
    assert bins[f"below {BLOCKS[0]} px"] == sum(block < BLOCKS[0] for block in mine["block"].drop_nulls())
    assert bins["a bar"] == mine["block"].null_count() == sum(mine["type"] == "bar") > 0
    assert next(iter(bins)) == f"below {BLOCKS[0]} px" and list(bins)[-1] == f"{BLOCKS[-1]} px and more"


def test_an_object_counts_under_each_degradation_of_its_image(tmp_path: Path) -> None:
    files = write_cases(tmp_path)
    mosaics = pl.read_parquet(files["mosaics"])
    # The image of one object is plain, and another one has no mosaic that was drawn here.
    plain, unknown = mosaics["key"].unique(maintain_order=True)[:2]
    none = pl.when(pl.col("key") == plain).then(pl.lit([], pl.List(pl.String))).otherwise(pl.col("degradations"))
    write_table(mosaics.with_columns(degradations=none).filter(pl.col("key") != unknown), Mosaics, files["mosaics"][0])
    cases = read_cases(**files)
    names = dict(mosaics.select("key", "degradations").iter_rows())
    names |= {plain: ["none"], unknown: ["not drawn here"]}
    counts: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for row in cases.objects.filter(model="mine", split="val").iter_rows(named=True):
        counts.update(names[row["key"]])
        found.update(names[row["key"]] if (row["score"] or 0) >= CONFIDENCE else [])
    rows = [row for row in recall_rows(cases, "val", CONFIDENCE) if row[0] == "degradation"]
    assert {name: count for _, name, count, _ in rows} == counts
    assert set(counts) == {"none", "not drawn here", "blur", "jpeg"} and counts["jpeg"] > counts["blur"]
    for _, name, count, recall in rows:
        assert recall["mine"] == pytest.approx(found[name] / count)
    tabulate_failures(cases, CONFIDENCE, "", tmp_path / "where.html")
    assert "several degradations counts under each" in (tmp_path / "where.html").read_text()


def test_masks_decide_where_a_model_finds_them(cases: Cases) -> None:
    for rows in (cases.objects, cases.detections):
        assert set(rows.select("model", "kind").unique().iter_rows()) == {("mine", "mask"), ("theirs", "box")}


def test_precision_at_a_confidence_is_the_fraction_of_the_detections_that_is_right() -> None:
    scores, right = np.array([0.9, 0.8, 0.8, 0.3]), np.array([True, False, True, False])
    assert [at(scores, right, level) for level in (0.1, 0.8, 0.9)] == [0.5, pytest.approx(2 / 3), 1.0]
    assert np.isnan(at(scores, right, 0.95))


def test_false_positives_are_those_of_the_trained_detector_where_there_is_nothing(cases: Cases, tmp_path: Path) -> None:
    usual = {"model": "mine", "seconds": 30.0, "frames": 100, "with_detection": 0, "detections": 0, "tracks": 0}
    usual |= {"spanned": 0, "missed": 0, "interruptions": 0}
    rows = [
        {**usual, "source": "free", "split": "val", "known_free": True, "tracks": 3, "with_detection": 7},
        {**usual, "source": "full", "split": "val", "known_free": False, "tracks": 50, "with_detection": 90},
        {**usual, "source": "outside", "split": "", "known_free": True, "tracks": 1, "with_detection": 2},
    ]
    write_table(pl.DataFrame(rows, schema=types(WatchedVideos)), WatchedVideos, tmp_path / "videos.parquet")
    count_false_positives(cases, tmp_path / "videos.parquet", CONFIDENCE, tmp_path / "clean.json")
    found = json.loads((tmp_path / "clean.json").read_text())
    assert found["videos"] == {
        "val": {"videos": 1, "seconds": 30.0, "frames": 100, "with_detection": 7, "tracks": 3},
        "test": {"videos": 1, "seconds": 30.0, "frames": 100, "with_detection": 2, "tracks": 1},
    }
    for split in ("val", "test"):
        empty = {row["key"] for row in cases.images.filter(split=split).iter_rows(named=True)} - set(cases.objects["key"])
        hit = [
            row["key"]
            for row in cases.detections.filter(model="mine").iter_rows(named=True)
            if row["key"] in empty and row["score"] >= CONFIDENCE
        ]
        assert found["images"][split] == {"images": len(empty), "with_detection": len(set(hit))}
        assert empty


def test_the_worst_cases_are_the_largest_missed_and_the_surest_false(cases: Cases) -> None:
    rows = [row for row, _ in worst_cases(cases, "theirs", CONFIDENCE)]
    assert len(rows) == WORST
    missed, false = rows[: WORST // 2], rows[WORST // 2 :]
    theirs = cases.objects.filter(model="theirs")
    areas = [row["area"] for row in theirs.iter_rows(named=True) if row["score"] is None or row["score"] < CONFIDENCE]
    assert [row["area"] for row in missed] == sorted(areas, reverse=True)[: WORST // 2]
    seen = cases.detections.filter(model="theirs", matched=-1)["score"].to_list()
    assert [row["score"] for row in false] == sorted(seen, reverse=True)[: WORST // 2]


def test_the_page_and_the_figures_show_all_models_and_blur_what_is_not_clear(cases: Cases, tmp_path: Path) -> None:
    tabulate_failures(cases, CONFIDENCE, "<p>the part about videos</p>", tmp_path / "where.html")
    page = (tmp_path / "where.html").read_text()
    assert "mine" in page and "theirs" in page and "Test split" in page and "below 6 px" in page
    assert page.count("<p>the part about videos</p>") == 1
    backgrounds = cases.backgrounds("val")
    false = cases.detections.filter(pl.col("score") >= CONFIDENCE, model="mine").join(backgrounds, on="key", how="semi")
    assert len(backgrounds) == 17 and f"<td>{1000 * len(false) / 17:.0f}</td>" in page
    target = {"target": "recall", "at_least": 0.5}
    settings = {"preview.confidence": (CONFIDENCE, 0.1), "regions.choose.confidence.nsfw": (target, 0.1)}
    for name in ("a.svg", "b.svg"):
        draw_thresholds(cases, settings, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text()
    assert (tmp_path / "b.svg").read_text() == drawn
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = 255
    for split in ("val", "test"):
        (tmp_path / split).mkdir()
    for row in cases.images.iter_rows(named=True):
        write_image(tmp_path / row["split"] / f"{row['key']}.png", stripes)
    mine = cases._replace(objects=cases.objects.filter(model="mine"))
    means = []
    for name, clear in (("clear.html", set(cases.images["key"])), ("blurred.html", set())):
        draw_failures(mine, CONFIDENCE, tmp_path, clear, tmp_path / name)
        means.append(np.mean([detail(image) for image in pictures(tmp_path / name)]))
    assert means[1] < means[0] / 2


def test_a_dataset_without_mosaics_and_backgrounds_has_a_page(tmp_path: Path) -> None:
    files = write_cases(tmp_path, ("mine",))
    cases = read_cases(**{**files, "mosaics": []})
    cases = cases._replace(images=cases.images.join(cases.objects, on="key", how="semi"))
    tabulate_failures(cases, 1.0, "", tmp_path / "where.html")
    page = (tmp_path / "where.html").read_text()
    assert "Every image of the split shows an object" in page and "There is no detection." in page and "blocks" not in page
    draw_thresholds(cases, {"preview.confidence": (1.0, 0.1)}, tmp_path / "thresholds.svg")
