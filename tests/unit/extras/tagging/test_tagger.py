"""A tagger sees pictures as WD14 does, tags them each source on its own, and thresholds are applied afterwards."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.extras.tagging.settings import TaggerSettings, TagThresholds
from tessera.extras.tagging.tag import choose_tags, tag_pictures
from tessera.extras.tagging.tagger import Tagger, square
from tessera.imaging.images import write_image
from tessera.records.tables.crops import Crops
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table
from tessera.records.tables.tags import Tags
from tessera.records.tags import Tag, read_tags

SIDE = 8
LIST = "tag_id,name,category,count\n1,blue,0,9\n2,green,4,9\n3,red,9,9\n"
TAGS = [Tag("blue", "general"), Tag("green", "character"), Tag("red", "rating")]


def write_model(
    path: Path, *, factor: float = 1 / 255, shape: Any = ("batch", SIDE, SIDE, 3), kind: int = TensorProto.FLOAT
) -> Path:
    """Write an ONNX model whose scores are the means of the three channels of its input, times `factor`."""
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "factor"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("input", kind, shape)],
        [helper.make_tensor_value_info("scores", kind, [shape[0], shape[-1]])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("factor", kind, [], [factor]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def load(path: Path, tags: list[Tag] = TAGS) -> Tagger:
    return Tagger(path, sha256_file(path), tags)


def flat(red: int, green: int, blue: int, height: int = 12, width: int = 12) -> np.ndarray:
    return np.full((height, width, 3), (red, green, blue), np.uint8)


def test_a_model_gets_blue_first_from_0_to_255_in_a_white_square(tmp_path: Path) -> None:
    tagger = load(write_model(tmp_path / "means.onnx"))
    scores = tagger.scores([flat(51, 102, 204), flat(0, 0, 0, 6, 12)])
    np.testing.assert_allclose(scores[0], [0.8, 0.4, 0.2], atol=1e-3)
    # Half of the square is white.
    np.testing.assert_allclose(scores[1], [0.5] * 3, atol=0.01)
    rows = square(flat(0, 0, 0, SIDE // 2, SIDE), SIDE)[:, :, 0].mean(axis=1)
    np.testing.assert_array_equal(rows, [255, 255, 0, 0, 0, 0, 255, 255])


def test_a_model_for_one_picture_at_a_time_gives_the_same(tmp_path: Path) -> None:
    pictures = [flat(value, 9, 200) for value in (0, 90, 250)]
    several = load(write_model(tmp_path / "several.onnx")).scores(pictures)
    single = load(write_model(tmp_path / "single.onnx", shape=(1, SIDE, SIDE, 3))).scores(pictures)
    np.testing.assert_array_equal(several, single)


@pytest.mark.parametrize(
    ("model", "tags", "fault"),
    [
        ({}, TAGS[:2], "gives 3 scores, and its tag list has 2 tags; declare the list of this model"),
        ({"shape": ("batch", 3, SIDE, SIDE)}, TAGS, "its inputs are input tensor(float) ['batch', 3, 8, 8]; a tagger has one"),
        ({"shape": ("batch", SIDE, 2 * SIDE, 3)}, TAGS, "a tagger has one input"),
        ({"kind": TensorProto.DOUBLE}, TAGS, "its inputs are input tensor(double)"),
        ({"factor": 1.0}, TAGS, "returns scores from 12 to 204; export it with a sigmoid"),
    ],
)
def test_a_model_of_another_layout_or_list_is_one_clear_line(
    tmp_path: Path, model: dict[str, Any], tags: list[Tag], fault: str
) -> None:
    path = write_model(tmp_path / "other.onnx", **model)
    with pytest.raises(TesseraError, match=re.escape(fault)) as error:
        load(path, tags).scores([flat(12, 102, 204)])
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_model_or_another_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"\x08\x09 nothing")
    with pytest.raises(TesseraError, match="not an ONNX model that can be loaded"):
        load(tmp_path / "none.onnx")
    with pytest.raises(TesseraError, match="its sha256 is"):
        Tagger(write_model(tmp_path / "means.onnx"), "0" * 64, TAGS)


def test_a_tag_list_is_read_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("\ufeff" + LIST + '4,"a, b",3,1\n5,1girl,1,1\n6,meta,5,1\n', encoding="utf-8")
    more = [Tag("a, b", "copyright"), Tag("1girl", "artist"), Tag("meta", "meta")]
    assert read_tags(path, sha256_file(path)) == TAGS + more


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty file"),
        (b"name,count\na,1\n", "it needs a header with name and category"),
        (b"name,category\n", "a row for each tag"),
        (b"name,category\n\xff,0\n", "codec can't decode"),
        (b"name,category\n,0\n,0\n", "no row has a name"),
        (b'name,category\n"a\nb",0\n', "control characters"),
        (b"name,category\na\x00,0\n", "control characters"),
        (b"name,category\na,general\n", "the category 'general'; known are 0 (general)"),
        (b"name,category\na,2\n", "the category '2'"),
        (b"name,category\na\n", "the category ''"),
        (b"name,category\na,0\nb,0\na,4\n", "the tag 'a' occurs 2 times"),
        (b'name,category\n"a,0\n', "unexpected end of data"),
    ],
)
def test_a_damaged_tag_list_is_one_clear_line(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(content)
    with pytest.raises(TesseraError, match=re.escape(fault)) as error:
        read_tags(path, sha256_file(path))
    assert "\n" not in str(error.value)


def shard(folder: Path, sources: list[str]) -> Path:
    """Write two frames and a crop of each source, and a model with its tag list."""
    frames, crops = [], []
    for place in ("frames", "crops"):
        (folder / place).mkdir(parents=True)
    for number, source in enumerate(sources):
        for index in range(2):
            key = f"{source}-{index:07d}"
            write_image(folder / "frames" / f"{key}.png", flat(100 * index, 10 + number, 255))
            row = {"key": key, "source": source, "index": index, "file": f"{key}.png", "width": 12, "height": 12, "phash": 0}
            frames.append(row)
        key = f"{source}-0000000-head-0"
        write_image(folder / "crops" / f"{key}.png", flat(0, 255, 0))
        box = {"x0": 0, "y0": 0, "x1": 12, "y1": 12, "confidence": 1.0, "sharpness": 0.0}
        crops.append(
            {**row, "key": key, "frame": row["key"], "parent": row["key"], "step": "head", "file": f"{key}.png", **box}
        )
    write_table(pl.DataFrame(frames, schema=types(Frames)), Frames, folder / "frames.parquet")
    write_table(pl.DataFrame(crops, schema=types(Crops)), Crops, folder / "crops.parquet")
    write_model(folder / "means.onnx")
    (folder / "tags.csv").write_text(LIST)
    return folder


def run(folder: Path, out: str = "out", threads: int = 2, **settings: Any) -> Path:
    place = folder / out
    place.mkdir()
    files = {"weights": folder / "means.onnx", "tags": folder / "tags.csv"}
    declared = {name: {"source": str(file), "sha256": sha256_file(file)} for name, file in files.items()}
    tag_pictures(
        frames=folder / "frames.parquet",
        images=folder / "frames",
        crops=[folder / "crops.parquet"],
        cropped=[folder / "crops"],
        weights=files["weights"],
        tag_list=files["tags"],
        settings=TaggerSettings(**{**declared, "of": ["frames", "head"], "batch": 2, **settings}),
        cache=folder / "kept",
        code="1",
        threads=threads,
        table=place / "scores.parquet",
        ledger=place / "ledger.jsonl",
    )
    return place


def test_frames_and_crops_get_the_tags_from_the_floor_on_and_a_row_each(tmp_path: Path) -> None:
    place = run(shard(tmp_path, ["film"]))
    assert read_table(place / "scores.parquet", Tags).rows() == [
        ("film-0000000", 0, "blue", "general", 1.0),
        ("film-0000000-head-0", 1, "green", "character", 1.0),
        ("film-0000001", 0, "blue", "general", 1.0),
        ("film-0000001", 2, "red", "rating", 0.3922),
    ]
    assert [(row["key"], row["status"]) for row in read_ledger(place / "ledger.jsonl")] == [
        (key, "ok") for key in ("film-0000000", "film-0000001", "film-0000000-head-0")
    ]
    only = run(tmp_path, "only", of=["head"], floor=0.2)
    assert read_table(only / "scores.parquet", Tags)["key"].to_list() == ["film-0000000-head-0"]


def test_a_source_is_tagged_once_whatever_its_shard_and_the_threads(tmp_path: Path) -> None:
    alone = (run(shard(tmp_path / "alone", ["b"]), threads=1) / "scores.parquet").read_bytes()
    both = shard(tmp_path / "both", ["b", "c"])
    first = run(both, "first", threads=3)
    own = read_table(first / "scores.parquet", Tags).filter(pl.col("key").str.starts_with("b-"))
    write_table(own, Tags, tmp_path / "own.parquet")
    assert (tmp_path / "own.parquet").read_bytes() == alone
    items = {path: path.stat().st_mtime_ns for path in (both / "kept").iterdir()}
    again = run(both, "again", thresholds={"general": 0.9})
    assert (again / "scores.parquet").read_bytes() == (first / "scores.parquet").read_bytes()
    write_image(both / "frames" / "c-0000001.png", flat(1, 2, 3))
    run(both, "changed")
    kept = {path: path.stat().st_mtime_ns for path in (both / "kept").iterdir()}
    assert len(items.items() & kept.items()) == 1


def test_a_picture_that_cannot_be_read_and_scores_that_are_nan_fail_alone(tmp_path: Path) -> None:
    folder = shard(tmp_path, ["film"])
    (folder / "frames" / "film-0000001.png").write_bytes(b"nothing")
    found = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(run(folder) / "ledger.jsonl")}
    assert found == {
        "film-0000000": ("ok", ""),
        "film-0000001": ("failed", "image cannot be decoded"),
        "film-0000000-head-0": ("ok", ""),
    }
    assert not list((folder / "kept").iterdir())
    write_model(folder / "means.onnx", factor=float("nan"))
    place = run(folder, "nan", of=["head"])
    assert [row["reason"] for row in read_ledger(place / "ledger.jsonl")] == ["no usable scores"]
    assert read_table(place / "scores.parquet", Tags).is_empty()


def test_a_threshold_for_each_category_decides_which_tags_count(tmp_path: Path) -> None:
    rows = [
        {"key": key, "number": number, "tag": tag.name, "category": tag.category, "score": score}
        for key, score in (("a", 0.4), ("b", 0.9))
        for number, tag in enumerate(TAGS)
    ]
    for half in range(2):
        part = pl.DataFrame(rows[3 * half : 3 * half + 3], schema=types(Tags))
        write_table(part, Tags, tmp_path / f"{1 - half}.parquet")
    tables = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    choose_tags(tables, TagThresholds(general=0.4, character=0.41, rating=None), tmp_path / "tags.parquet")
    expected = [("a", "blue"), ("b", "blue"), ("b", "green")]
    assert read_table(tmp_path / "tags.parquet", Tags).select("key", "tag").rows() == expected


def test_a_threshold_below_what_is_recorded_is_refused() -> None:
    declared = {
        "weights": {"source": "m.onnx", "sha256": "0123456789abcdef" * 4},
        "tags": {"source": "t.csv", "sha256": "123456789abcdef0" * 4},
    }
    with pytest.raises(ValueError, match=re.escape("`thresholds.general: 0.01`, and nothing below 0.05 is recorded")):
        TaggerSettings(**declared, thresholds={"general": 0.01})
    assert TaggerSettings(**declared, thresholds={"general": 0.01}, floor=0.01).thresholds.general == 0.01
    with pytest.raises(ValueError, match=re.escape("should be the tag list of the model (.csv)")):
        TaggerSettings(**{**declared, "tags": declared["weights"]})
    with pytest.raises(ValueError, match=re.escape("should be an ONNX model (.onnx)")):
        TaggerSettings(**{**declared, "weights": declared["tags"]})
