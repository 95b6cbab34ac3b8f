"""Frames, labelled images and clips get vectors, each source on its own, and what is unchanged is used again."""

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
from tessera.extras.near_duplicates.embed import _write_vectors, embed_clips, embed_dataset, embed_pictures, embed_references
from tessera.extras.near_duplicates.settings import EmbeddingSettings
from tessera.imaging.encode import write_video
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import read_image, write_image
from tessera.records.tables.annotation import Images
from tessera.records.tables.classification import Pictures
from tessera.records.tables.clips import Clips
from tessera.records.tables.embeddings import ClipEmbeddings, Embeddings
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table

SIDE = 16


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an ONNX model whose vector is the mean of each channel."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["input", "axes"], ["vector"], keepdims=0)],
        "means",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    path = tmp_path_factory.mktemp("model") / "means.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def arguments(model: Path, folder: Path, **settings: Any) -> dict[str, Any]:
    weights = {"source": str(model), "sha256": sha256_file(model)}
    own = {"preprocessing": {"size": SIDE, "mean": (0, 0, 0), "std": (1, 1, 1)}, "normalise": False, "batch": 3}
    return {
        "weights": model,
        "expected": weights["sha256"],
        "settings": EmbeddingSettings(kind="onnx", weights=weights, **{**own, **settings}),
        "cache": folder / "kept",
        "code": "1",
        "threads": 2,
        "table": folder / "embeddings.parquet",
        "ledger": folder / "ledger.jsonl",
    }


def frames(folder: Path, counts: dict[str, int], times: bool = True) -> tuple[Path, Path]:
    """Write frames of the levels 10, 20 and so on; return their table and their folder."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for source, count in counts.items():
        for index in range(count):
            key = f"{source}-{index:07d}"
            write_image(folder / "images" / f"{key}.png", np.full((9, 12, 3), 10 * index + 10, np.uint8))
            row = {"key": key, "source": source, "index": index, "pts": index, "time": float(index) if times else None}
            rows.append({**row, "file": f"{key}.png", "width": 12, "height": 9, "phash": index})
    write_table(pl.DataFrame(rows, schema=types(Frames)), Frames, folder / "frames.parquet")
    return folder / "frames.parquet", folder / "images"


def labelled(folder: Path, paths: dict[str, Path]) -> Path:
    rows = [
        {
            "key": key,
            "source": "labels:mine",
            "path": str(path),
            "width": 1,
            "height": 1,
            "phash": 0,
            "split": "",
            "rights": "CC0",
        }
        for key, path in paths.items()
    ]
    write_table(pl.DataFrame(rows, schema=types(Images)), Images, folder / "labelled.parquet")
    return folder / "labelled.parquet"


def test_every_frame_and_every_labelled_image_has_its_vector_once(means: Path, tmp_path: Path) -> None:
    table, images = frames(tmp_path, {"a": 4, "b": 1})
    write_image(tmp_path / "own.png", np.full((5, 5, 3), 255, np.uint8))
    also = labelled(tmp_path, {"own": tmp_path / "own.png", "a-0000001": images / "a-0000001.png"})
    given = arguments(means, tmp_path)
    embed_pictures(table, images, [also], **given)
    found = read_table(given["table"], Embeddings)
    assert found["key"].to_list() == [*(f"a-{index:07d}" for index in range(4)), "b-0000000", "own"]
    levels = [10, 20, 30, 40, 10, 255]
    np.testing.assert_allclose([vector[0] for vector in found["vector"].to_list()], np.array(levels) / 255, atol=1e-3)
    assert found["place"].to_list() == [0.125, 0.375, 0.625, 0.875, 0.5, None]
    assert [(row["key"], row["status"]) for row in read_ledger(given["ledger"])] == [(key, "ok") for key in found["key"]]
    stills, folder = frames(tmp_path / "stills", {"c": 2}, times=False)
    embed_pictures(stills, folder, [], **given)
    assert read_table(given["table"], Embeddings)["place"].to_list() == [None, None]


def test_shards_and_threads_do_not_change_a_byte_and_unchanged_sources_need_no_model(
    means: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, images = frames(tmp_path, {"a": 4, "b": 2})
    given = arguments(means, tmp_path)
    embed_pictures(table, images, [], **given)
    whole = read_table(given["table"], Embeddings)
    parts = []
    for source in ("a", "b"):
        (tmp_path / source).mkdir()
        write_table(read_table(table, Frames).filter(source=source), Frames, tmp_path / source / "frames.parquet")
        alone = {**arguments(means, tmp_path / source), "threads": 1}
        embed_pictures(tmp_path / source / "frames.parquet", images, [], **alone)
        parts.append(read_table(alone["table"], Embeddings))
    assert pl.concat(parts).equals(whole)
    told: list[str] = []
    monkeypatch.setattr("tessera.core.store.tell", told.append)
    # Weights that are not those expected cannot be loaded, so that only what is kept can be used.
    again = {**given, "expected": "0" * 64}
    embed_pictures(table, images, [], **again)
    assert told[-1].startswith("reused 2 of 2 sources")
    assert read_table(given["table"], Embeddings).equals(whole)
    write_image(images / "b-0000000.png", np.full((9, 12, 3), 77, np.uint8))
    with pytest.raises(TesseraError, match="is expected"):
        embed_pictures(table, images, [], **again)
    embed_pictures(table, images, [], **given)
    assert told[-1].startswith("reused 1 of 2 sources")


@pytest.mark.parametrize("normalise", [False, True])
def test_a_bad_picture_and_a_vector_without_a_direction_are_rows_of_the_ledger(
    means: Path, tmp_path: Path, normalise: bool
) -> None:
    table, images = frames(tmp_path, {"a": 3})
    write_image(images / "a-0000000.png", np.zeros((9, 12, 3), np.uint8))
    (images / "a-0000001.png").write_text("<html>")
    given = arguments(means, tmp_path, normalise=normalise)
    embed_pictures(table, images, [], **given)
    assert [(row["status"], row["reason"]) for row in read_ledger(given["ledger"])] == [
        ("failed", "no usable vector"),
        ("failed", "image cannot be decoded"),
        ("ok", ""),
    ]
    assert read_table(given["table"], Embeddings)["key"].to_list() == ["a-0000002"]
    assert not list((tmp_path / "kept").iterdir()), "what failed is tried again"


def test_the_pictures_of_a_classifier_keep_their_vectors_when_their_split_changes(means: Path, tmp_path: Path) -> None:
    rows = [
        {"key": key, "source": "a", "group": "a", "split": "train", "label": key, "score": None, "weight": 1.0}
        for key in ("b.1", "c", "gone")
    ]
    write_table(pl.DataFrame(rows, schema=types(Pictures)), Pictures, tmp_path / "pictures.parquet")
    images = tmp_path / "images"
    for key, suffix, level in (("b.1", "png", 51), ("c", "bmp", 102)):
        (images / "train").mkdir(parents=True, exist_ok=True)
        write_image(images / "train" / f"{key}.{suffix}", np.full((9, 12, 3), level, np.uint8))
    given = arguments(means, tmp_path)
    embed_dataset(tmp_path / "pictures.parquet", images, **given)
    found = read_table(given["table"], Embeddings)
    np.testing.assert_allclose([vector[0] for vector in found["vector"].to_list()], [0.2, 0.4], atol=1e-3)
    assert [(row["key"], row["status"]) for row in read_ledger(given["ledger"])] == [
        ("b.1", "ok"),
        ("c", "ok"),
        ("gone", "failed"),
    ]
    others = pl.DataFrame(rows[:2], schema=types(Pictures))
    write_table(others, Pictures, tmp_path / "pictures.parquet")
    embed_dataset(tmp_path / "pictures.parquet", images, **given)
    write_table(others.with_columns(split=pl.lit("val")), Pictures, tmp_path / "pictures.parquet")
    (images / "train").rename(images / "val")
    # Weights that are not those expected cannot be loaded, so that only what is kept can be used.
    embed_dataset(tmp_path / "pictures.parquet", images, **{**given, "expected": "0" * 64})
    again = read_table(given["table"], Embeddings)
    assert again["path"].to_list() == [str(images / "val" / "b.1.png"), str(images / "val" / "c.bmp")]
    assert again.drop("path").equals(found.drop("path"))


def test_a_clip_has_the_mean_of_the_vectors_of_its_frames(means: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write_video(tmp_path / "images" / "clip.mp4", [np.full((32, 48, 3), 20 + 20 * index, np.uint8) for index in range(9)], 24)
    empty: dict[str, Any] = dict.fromkeys(types(Clips))
    common = {
        "source": "a",
        "sha256": "0",
        "split": "",
        "rights": "CC0",
        "track": 0,
        "label": "nsfw",
        "score": 1.0,
        "detected": 9,
    }
    sizes = {"extension": 0, "first": 0, "frames": 9, "rate": 24.0, "time": [index / 24 for index in range(9)]}
    shape = {"frame_width": 48, "frame_height": 32, "width": 48, "height": 32, "crops": [[0, 0, 48, 32]] * 9}
    rest = {"pads": [[8, 0, 0, 0]] * 9, "detector": "d", "settings": "s", "seed": 0}
    blocks = dict.fromkeys(("block_v1_normal", "block_v1_bounding", "block_v2", "block_v3"), 4.0)
    rows = [{**empty, **common, **sizes, **shape, **rest, **blocks, "key": key} for key in ("clip", "gone", "other")]
    rows[2]["pads"] = rows[2]["pads"][:1]
    (tmp_path / "images" / "other.mp4").hardlink_to(tmp_path / "images" / "clip.mp4")
    write_table(pl.DataFrame(rows, schema=types(Clips)), Clips, tmp_path / "clips.parquet")
    given = arguments(means, tmp_path)
    embed_clips(tmp_path / "clips.parquet", tmp_path / "images", samples=3, **given)
    (row,) = read_table(given["table"], ClipEmbeddings).to_dicts()
    assert (row["key"], row["looked"]) == ("clip", 3)
    np.testing.assert_allclose(row["vector"], 100 / 255, atol=0.02)
    assert {row["key"]: row["reason"] for row in read_ledger(given["ledger"])} == {
        "clip": "",
        "gone": "missing",
        "other": "unexpected IndexError",
    }


def test_a_full_disk_is_named_as_such() -> None:
    with pytest.raises(OSError, match="No space left on device"):
        _write_vectors(np.zeros((99, 99), np.float16), Path("/dev/full"))


def test_a_broken_reference_picture_fails_alone_and_is_named(means: Path, tmp_path: Path) -> None:
    folder = tmp_path / "references"
    (folder / "Ada").mkdir(parents=True)
    write_image(folder / "Ada" / "1.png", np.full((12, 16, 3), 100, np.uint8))
    whole = (folder / "Ada" / "1.png").read_bytes()
    (folder / "Ada" / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "Ada" / "3.png").write_bytes(b"")
    (folder / "Ada" / "4.png").write_text("no picture")
    given = arguments(means, tmp_path)
    blocklist = tmp_path / "blocklist.tsv"
    blocklist.write_text("sha256\tphash\treason\n")
    embed_references(folder, blocklist, 0, **given)
    assert read_table(given["table"], Embeddings)["key"].to_list() == ["Ada/1.png"]
    outcomes = {row["key"]: row for row in read_ledger(given["ledger"])}
    assert {key: row["status"] for key, row in outcomes.items() if row["status"] != "ok"} == {
        f"Ada/{number}.png": "failed" for number in (2, 3, 4)
    }
    assert all(str(folder / key) in row["detail"] for key, row in outcomes.items() if row["status"] == "failed")


@pytest.mark.parametrize("by", ["sha256", "hash"])
def test_a_reference_picture_on_the_blocklist_is_not_embedded(means: Path, tmp_path: Path, by: str) -> None:
    folder, blocklist = tmp_path / "references", tmp_path / "blocklist.tsv"
    (folder / "Ada").mkdir(parents=True)
    for number in (1, 2):
        write_image(folder / "Ada" / f"{number}.png", np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8))
    listed = folder / "Ada" / "1.png"
    row = f"{sha256_file(listed)}\t" if by == "sha256" else f"\t{perceptual_hash(read_image(listed)):016x}"
    blocklist.write_text(f"sha256\tphash\treason\n{row}\tnot allowed\n")
    given = arguments(means, tmp_path)
    embed_references(folder, blocklist, 4, **given)
    assert read_table(given["table"], Embeddings)["key"].to_list() == ["Ada/2.png"]
    (dropped,) = [row for row in read_ledger(given["ledger"]) if row["status"] == "dropped"]
    assert dropped["key"] == "Ada/1.png"
    assert "blocklist" in dropped["reason"]
    assert "not allowed" in dropped["detail"]
