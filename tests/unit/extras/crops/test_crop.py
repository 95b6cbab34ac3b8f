"""Crops are cut out of frames step by step, each source on its own, and every region has a row in the ledger."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from ledgers import outcomes
from onnx import TensorProto, helper

from frame_shards import write_shard
from tessera.core.errors import TesseraError
from tessera.core.provenance import sha256_file
from tessera.extras.crops.crop import crop_frames
from tessera.extras.crops.settings import CropSettings
from tessera.imaging.hashing import scaled_hash
from tessera.imaging.images import read_image
from tessera.records.tables.annotation import Annotations
from tessera.records.tables.crops import Crops
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table

SIDE = 64  # pixels of the frames that detectors see, and of their inputs
DRAWN = {"annotations": True, "min_side": 8}
TWO_STEPS = [
    {"name": "person", "labels": ["person"], **DRAWN},
    {"name": "head", "labels": ["head"], "square": 1.5, **DRAWN},
]
Box = tuple[float, float, float, float]


def draw(folder: Path, regions: dict[str, list[tuple[str, Box]]]) -> Path:
    rows = [
        {"key": key, "number": number, "label": label, "x0": x0, "y0": y0, "x1": x1, "y1": y1, "crowd": False}
        for key, drawn in regions.items()
        for number, (label, (x0, y0, x1, y1)) in enumerate(drawn)
    ]
    write_table(pl.DataFrame(rows, schema=types(Annotations)), Annotations, folder / "labels.parquet")
    return folder / "labels.parquet"


def run(folder: Path, steps: list[dict[str, Any]], out: str = "out", **given: Any) -> Path:
    place = folder / out
    place.mkdir()
    weights = given.pop("weights", [None] * len(steps))
    crop_frames(
        **{
            "frames": folder / "frames.parquet",
            "images": folder / "frames",
            "labels": [folder / "labels.parquet"] if (folder / "labels.parquet").exists() else [],
            "weights": weights,
            "expected": [sha256_file(each) if each else "" for each in weights],
            "settings": CropSettings(steps=steps),
            "suffix": ".png",
            "quality": 95,
            "cache": folder / "kept",
            "code": "1",
            "threads": 2,
            "table": place / "crops.parquet",
            "pictures": place / "images",
            "ledger": place / "ledger.jsonl",
            **given,
        }
    )
    return place


def content(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((place / "images").iterdir())} | {
        "table": (place / "crops.parquet").read_bytes()
    }


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Three frames: of two persons, of whom one has a head; of a person that is too small; and of nobody."""
    write_shard(tmp_path, {"film": []}, 3)
    people: list[tuple[str, Box]] = [
        ("person", (10, 20, 50, 110)),
        ("person", (100, 30, 140, 100)),
        ("head", (20, 30, 30, 44)),
        ("dog", (60, 60, 90, 90)),
        ("head", (150, 100, 160, 120)),
    ]
    draw(tmp_path, {"film-0000000": people, "film-0000001": [("person", (3, 3, 9, 50))]})
    return tmp_path


def test_each_step_cuts_out_what_lies_in_the_crops_of_the_step_before(shard: Path) -> None:
    place = run(shard, TWO_STEPS)
    rows = {row["key"]: row for row in read_table(place / "crops.parquet", Crops).to_dicts()}
    boxes = {key: (row["parent"], row["x0"], row["y0"], row["x1"], row["y1"]) for key, row in rows.items()}
    assert boxes == {
        "film-0000000-person-0": ("film-0000000", 10, 20, 50, 110),
        "film-0000000-person-1": ("film-0000000", 100, 30, 140, 100),
        "film-0000000-person-0-head-0": ("film-0000000-person-0", 14, 26, 36, 48),
    }
    frame = read_image(shard / "frames" / "film-0000000.png")
    for row in rows.values():
        cut = frame[row["y0"] : row["y1"], row["x0"] : row["x1"]]
        np.testing.assert_array_equal(read_image(place / "images" / row["file"]), cut)
        assert (row["height"], row["width"]) == cut.shape[:2]
        assert row["phash"] == scaled_hash(np.ascontiguousarray(cut))
    assert rows["film-0000000-person-0-head-0"]["found_height"] == 14
    assert outcomes(place) == {
        "film-0000000-person-0": ("ok", ""),
        "film-0000000-person-1": ("ok", "no head in it"),
        "film-0000000-person-0-head-0": ("ok", ""),
        "film-0000001-person-0": ("dropped", "too small"),
        "film-0000002": ("dropped", "no person in it"),
    }


def test_a_frame_that_cannot_be_read_fails_alone_and_is_tried_again(shard: Path) -> None:
    whole = content(run(shard, TWO_STEPS, "whole"))
    good = (shard / "frames" / "film-0000000.png").read_bytes()
    (shard / "frames" / "film-0000000.png").write_bytes(good[:200])
    found = outcomes(run(shard, TWO_STEPS, "damaged"))
    assert found["film-0000000"] == ("failed", "image cannot be decoded")
    assert found["film-0000002"] == ("dropped", "no person in it")
    assert not list((shard / "kept").iterdir())
    (shard / "frames" / "film-0000000.png").write_bytes(good)
    assert content(run(shard, TWO_STEPS, "restored")) == whole


def test_neither_other_sources_nor_threads_change_a_byte_and_each_source_is_cut_once(tmp_path: Path) -> None:
    person = ("person", (10.2, 20.7, 60.1, 70.0))
    # Ids that look like frames and crops of each other, as they are in file names.
    sources = ["a", "a-0000000-person", "a-0000000-person-0", "a.b", "a%252Eb"]
    together, alone = tmp_path / "together", tmp_path / "alone"
    write_shard(together, {source: [] for source in sources}, 2)
    write_shard(alone, {"a": []}, 2)
    keys = read_table(together / "frames.parquet", Frames)["key"]
    draw(together, {key: [person] for key in keys})
    draw(alone, {key: [person] for key in keys if key.startswith("a-000000") and "person" not in key})
    steps = TWO_STEPS[:1]
    apart = content(run(alone, steps, threads=1))
    joined = content(run(together, steps, threads=3))
    assert len(joined) == 1 + 2 * len(sources)
    assert {name: joined[name] for name in apart if name != "table"} == {
        name: data for name, data in apart.items() if name != "table"
    }
    items = {path: path.stat().st_mtime_ns for path in (together / "kept").iterdir()}
    assert len(items) == len(sources)
    again = run(together, steps, "again")
    assert content(again) == joined
    assert {path: path.stat().st_mtime_ns for path in (together / "kept").iterdir()} == items
    run(together, [{**steps[0], "min_side": 9}], "changed")
    assert not items.keys() & set((together / "kept").iterdir())


def test_crops_as_jpeg_are_stored_at_the_quality_of_the_settings(shard: Path) -> None:
    files = [
        next((run(shard, TWO_STEPS[:1], f"q{quality}", suffix=".jpg", quality=quality) / "images").iterdir())
        for quality in (30, 95)
    ]
    assert [file.suffix for file in files] == [".jpg", ".jpg"]
    assert files[0].stat().st_size < files[1].stat().st_size


@pytest.fixture(scope="module")
def sees_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that finds the same boxes in any picture: 0.9 a hand, 0.6 and 0.8 a face; the last one is wide."""
    # Centre, width and height in the input, then the confidences of both classes.
    boxes = np.array([[12, 12, 16, 16, 0.9, 0], [40, 20, 16, 24, 0, 0.6], [32, 52, 48, 16, 0, 0.8]], np.float32).T[None]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=1),
            helper.make_node("Reshape", ["mean", "shape"], ["number"]),
            helper.make_node("Sub", ["number", "number"], ["zero"]),
            helper.make_node("Add", ["zero", "boxes"], ["output0"]),
        ],
        "two",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", 6, 3])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
            helper.make_tensor("shape", TensorProto.INT64, [3], [0, 1, 1]),
            helper.make_tensor("boxes", TensorProto.FLOAT, boxes.shape, boxes.ravel().tolist()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    stated = {"names": {0: "hand", 1: "face"}, "task": "detect", "stride": 32, "imgsz": [SIDE, SIDE], "batch": 1}
    helper.set_model_props(model, {name: str(value) for name, value in {**stated, "args": {"dynamic": True}}.items()})
    path = tmp_path_factory.mktemp("detector") / "two.onnx"
    onnx.save(model, path)
    return path


def detected(model: Path, **settings: Any) -> dict[str, Any]:
    own = {"min_side": 4, "image_size": SIDE, "half": False}
    return {"weights": {"source": str(model), "sha256": sha256_file(model)}, **own, **settings}


def test_a_detector_looks_in_frames_and_then_in_their_crops(tmp_path: Path, sees_two: Path) -> None:
    write_shard(tmp_path, {"film": []}, 2, (SIDE, SIDE))
    first = detected(sees_two, name="hand", labels=["hand"], square=2.0, batch=1)
    second = detected(sees_two, name="face", max_area=0.25, larger="parent")
    place = run(tmp_path, [first, second], weights=[sees_two, sees_two])
    rows = read_table(place / "crops.parquet", Crops).filter(frame="film-0000001")
    assert rows.select("key", "x0", "y0", "x1", "y1", "confidence").rows() == [
        ("film-0000001-hand-0", 0, 0, 28, 28, 0.9),
        # In the crop of 28 pixels, boxes have 28/64 of their size.
        ("film-0000001-hand-0-face-0", 1, 1, 9, 9, 0.9),
        ("film-0000001-hand-0-face-1", 3, 19, 25, 27, 0.8),
        ("film-0000001-hand-0-face-2", 14, 3, 21, 14, 0.6),
    ]
    assert np.isclose(rows["found_height"][1], 7, atol=0.02)
    lower = run(tmp_path, [{**first, "confidence": 0.95}, second], "none", weights=[sees_two, sees_two])
    assert outcomes(lower) == {f"film-000000{index}": ("dropped", "no hand in it") for index in range(2)}


def test_a_smaller_confidence_or_side_adds_crops_and_renames_none(tmp_path: Path, sees_two: Path) -> None:
    write_shard(tmp_path, {"film": []}, 1, (SIDE, SIDE))
    step = detected(sees_two, name="part", confidence=0.7, min_side=17)
    strict = read_table(run(tmp_path, [step], "strict", weights=[sees_two]) / "crops.parquet", Crops)
    assert strict["key"].to_list() == []
    lenient = run(tmp_path, [{**step, "confidence": 0.5, "min_side": 16}], "lenient", weights=[sees_two])
    assert read_table(lenient / "crops.parquet", Crops)["key"].to_list() == [f"film-0000000-part-{n}" for n in range(3)]
    smaller = run(tmp_path, [{**step, "min_side": 16}], "smaller", weights=[sees_two])
    assert list(outcomes(smaller)) == ["film-0000000-part-0", "film-0000000-part-1"]
    assert content(smaller).items() - {"table": (smaller / "crops.parquet").read_bytes()}.items() <= content(lenient).items()


def test_other_labels_take_no_place_among_the_most_confident_regions(tmp_path: Path, sees_two: Path) -> None:
    write_shard(tmp_path, {"film": []}, 1, (SIDE, SIDE))
    step = detected(sees_two, name="part", labels=["face"], max_regions=1)
    rows = read_table(run(tmp_path, [step], weights=[sees_two]) / "crops.parquet", Crops)
    # The hand is more confident, and not counted.
    assert rows["confidence"].to_list() == [0.8]


def test_a_label_that_the_detector_does_not_find_is_named(tmp_path: Path, sees_two: Path) -> None:
    write_shard(tmp_path, {"film": []}, 1, (SIDE, SIDE))
    with pytest.raises(TesseraError, match=r"does not know the class 'head'; did you mean 'hand'.*; it finds hand, face"):
        run(tmp_path, [detected(sees_two, name="head", labels=["head", "face"])], weights=[sees_two])
