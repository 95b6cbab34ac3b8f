"""Every picture has a row of the ledger, and those that can be read have a result that does not depend on the others."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clip_tables import clip, write_clips
from PIL import Image

from classification_dataset import CLASSES, write_untrained
from decoded_models import write_open_nsfw
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.extras.classifiers.predict import Use, classify_clips, score_frames, score_pictures
from tessera.imaging.images import read_image, write_image
from tessera.imaging.video import read_frames, read_packets
from tessera.learning.classification.classifier import read_classifier, write_classifier
from tessera.learning.classification.network import build_network
from tessera.learning.classification.pictures import cut_tiles
from tessera.learning.classification.settings import HEAD, Description, ScoreRange, Tiling
from tessera.learning.embedding.embedder import Embedder
from tessera.learning.embedding.settings import EmbedderSettings
from tessera.records.clips import frames_to_measure
from tessera.records.tables.classification import Scored
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, types, write_table

pytestmark = pytest.mark.slow


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    for number, size in enumerate([(40, 40), (100, 150), (5, 900)]):
        write_image(tmp_path / f"{number}.png", rng.integers(0, 256, (*size, 3), np.uint8))
    (tmp_path / "page.jpg").write_text("<html>gone</html>")
    (tmp_path / "empty.png").touch()
    names = ["0.png", "page.jpg", "1.png", "empty.png", "missing.png", "2.png"]
    return {name.partition(".")[0]: tmp_path / name for name in names}


def test_broken_pictures_are_failed_rows_and_all_others_have_results(pictures: dict[str, Path], tmp_path: Path) -> None:
    path = write_untrained(tmp_path / "classifier.safetensors")
    use = Use(path, sha256_file(path))
    score_pictures(pictures, use, tmp_path / "s", tmp_path / "l", threads=1)
    rows = read_table(tmp_path / "s", Scored)
    assert rows["key"].to_list() == ["0", "1", "2"] and set(rows["label"]) <= set(CLASSES)
    ledger = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(tmp_path / "l")}
    assert list(ledger) == list(pictures)
    assert ledger["page"] == ("failed", "image cannot be decoded") and ledger["missing"] == ("failed", "missing")
    assert ledger["empty"] == ("failed", "empty file") and ledger["1"] == ("ok", "")
    some = {key: pictures[key] for key in ("2", "1")}
    score_pictures(some, use, tmp_path / "t", tmp_path / "m", threads=1)
    assert read_table(tmp_path / "t", Scored).sort("key").equals(rows.filter(rows["key"] != "0"))
    tiled = Tiling(tile=50, combine="max")
    score_pictures(some, use._replace(tiling=tiled), tmp_path / "t", tmp_path / "m", threads=1)
    found = read_table(tmp_path / "t", Scored)
    assert sum(found["probabilities"][1]) > 1, "the highest of each class"
    assert found["probabilities"][0].to_list() == rows["probabilities"][2].to_list(), "nothing is tiled that is 5 pixels high"


def test_scores_and_results_that_are_not_finite(pictures: dict[str, Path], tmp_path: Path) -> None:
    path = write_untrained(tmp_path / "classifier.safetensors", ScoreRange(most=5))
    classifier = read_classifier(path)
    weights = dict(classifier.network.state_dict())
    score_pictures(pictures, Use(path, None), tmp_path / "s", tmp_path / "l", threads=1)
    rows = read_table(tmp_path / "s", Scored)
    assert rows["label"].to_list() == [None] * 3 and rows["score"].is_between(0, 5).all()
    weights["conv1.0.weight"] = weights["conv1.0.weight"] * 0 + 3e38
    write_classifier(path, classifier.description, weights)
    score_pictures(pictures, Use(path, None), tmp_path / "s", tmp_path / "l", threads=1)
    assert read_table(tmp_path / "s", Scored).is_empty()
    assert {row["reason"] for row in read_ledger(tmp_path / "l")} >= {"result is not finite"}


def test_another_file_than_the_declared_one_is_refused(pictures: dict[str, Path], tmp_path: Path) -> None:
    path = write_untrained(tmp_path / "classifier.safetensors")
    with pytest.raises(TesseraError, match="its sha256 is"):
        score_pictures(pictures, Use(path, "1" * 64), tmp_path / "s", tmp_path / "l", threads=1)


def test_the_frames_of_an_unchanged_source_are_taken_from_the_store(tmp_path: Path) -> None:
    path = write_untrained(tmp_path / "classifier.safetensors")
    keys = write_frames(tmp_path, {"a": 2, "b": 3})
    first = frame_scores(tmp_path, path)
    assert first["key"].to_list() == keys and set(first["classes"].map_elements(tuple, object)) == {CLASSES}
    alone = tmp_path / "alone"
    alone.mkdir()
    score_pictures(
        {key: tmp_path / "images" / f"{key}.png" for key in keys[:2]},
        *(Use(path, None), alone / "s", alone / "l"),
        threads=2,
    )
    assert read_table(alone / "s", Scored).equals(first[:2]), "as by itself"
    kept = {item.name: item.stat().st_mtime_ns for item in (tmp_path / "kept").iterdir()}
    (tmp_path / "images" / "b-1.png").write_text("<html>gone</html>")
    assert frame_scores(tmp_path, path)["key"].to_list() == ["a-0", "a-1", "b-0", "b-2"]
    assert {row["key"]: row["status"] for row in read_ledger(tmp_path / "l")} == dict.fromkeys(keys, "ok") | {"b-1": "failed"}
    left = {item.name: item.stat().st_mtime_ns for item in (tmp_path / "kept").iterdir()}
    assert len(kept) == 2 and len(left) == 1 and left.items() <= kept.items(), "what failed is tried again, the rest is kept"
    (tmp_path / "images" / "b-1.png").unlink()
    assert not frame_scores(tmp_path, path, tiling=Tiling(tile=20)).equals(first), "another tiling is another result"


def write_frames(folder: Path, counts: dict[str, int]) -> list[str]:
    """Write so many frames of each source, with their table; return their keys."""
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for source, count in counts.items():
        for index in range(count):
            key = f"{source}-{index}"
            write_image(folder / "images" / f"{key}.png", rng.integers(0, 256, (40, 60, 3), np.uint8))
            sizes = {"pts": None, "time": None, "file": f"{key}.png", "width": 60, "height": 40, "phash": 0}
            rows.append({"key": key, "source": source, "index": index, **sizes})
    write_table(pl.DataFrame(rows, schema=types(Frames)), Frames, folder / "frames.parquet")
    return [row["key"] for row in rows]


def frame_scores(folder: Path, classifier: Path, tiling: Tiling | None = None) -> pl.DataFrame:
    score_frames(
        *(folder / "frames.parquet", folder / "images", Use(classifier, sha256_file(classifier), tiling), folder / "kept"),
        code="1",
        threads=2,
        scored=folder / "s",
        ledger=folder / "l",
    )
    return read_table(folder / "s", Scored)


def test_a_clip_has_the_mean_of_its_sampled_frames(tmp_path: Path) -> None:
    path = write_untrained(tmp_path / "classifier.safetensors")
    rng = np.random.default_rng(0)
    clips = [clip("a-0-1", 30, (48, 32), pads=[[0, 4, 0, 0]] * 30), clip("b-0-1", 30, (48, 32))]
    write_clips(tmp_path, clips, {"a-0-1": list(rng.integers(0, 256, (30, 32, 48, 3), np.uint8))})
    outputs = {"scored": tmp_path / "s", "ledger": tmp_path / "l"}
    use = tmp_path / "clips.parquet", tmp_path / "images", 4, Use(path, sha256_file(path)), tmp_path / "kept"
    classify_clips(*use, code="1", threads=2, **outputs)
    rows = read_table(tmp_path / "s", Scored)
    assert rows["key"].to_list() == ["a-0-1"] and [row["status"] for row in read_ledger(tmp_path / "l")] == ["ok", "failed"]
    video = tmp_path / "images" / "a-0-1.mp4"
    packets = read_packets(video)
    looks = frames_to_measure(packets.keyframe, 4)
    pictures = [frame.image()[:28] for frame in read_frames(video, packets, looks, threads=1)]
    expected = np.mean(list(read_classifier(path).predict(pictures)), axis=0)
    assert len(looks) == 4 and rows["probabilities"][0].to_list() == expected.tolist()


def test_a_head_sees_the_vectors_of_its_embedding(pictures: dict[str, Path], tmp_path: Path) -> None:
    import timm
    import torch

    model = tmp_path / "model.pt"
    torch.save(timm.create_model("test_resnet").state_dict(), model)
    weights = {"source": str(model), "sha256": sha256_file(model)}
    settings = EmbedderSettings(kind="timm", architecture="test_resnet", weights=weights, preprocessing={"size": 32})
    embedder = Embedder(model, weights["sha256"], settings)
    vectors = {key: embedder.embed([read_image(pictures[key])]) for key in "012"}
    description = Description(labels=CLASSES, architecture=HEAD, embedding="look", features=vectors["0"].shape[1], hidden=16)
    head, plain = tmp_path / "head.safetensors", write_untrained(tmp_path / "classifier.safetensors")
    write_classifier(head, description, build_network(description).state_dict())
    use = Use(head, sha256_file(head), None, (model, weights["sha256"], settings))
    score_pictures(pictures, use, tmp_path / "s", tmp_path / "l", threads=2)
    rows = read_table(tmp_path / "s", Scored)
    expected = [read_classifier(head).predict_vectors(each)[0].tolist() for each in vectors.values()]
    assert rows["key"].to_list() == list(vectors) and rows["probabilities"].to_list() == expected
    tiled = use._replace(tiling=Tiling(tile=30, combine="max"))
    score_pictures(pictures, tiled, tmp_path / "t", tmp_path / "l", threads=2)
    for row in read_table(tmp_path / "t", Scored).iter_rows(named=True):
        tiles = cut_tiles(read_image(pictures[row["key"]]), 30, Tiling().side)
        results = read_classifier(head).predict_vectors(embedder.embed(tiles))
        assert len(tiles) == (1 if row["key"] == "2" else 5), "one is 5 pixels high"
        assert row["probabilities"] == results.max(axis=0).tolist()
    with pytest.raises(TesseraError, match="is a head on vectors of an embedding called 'look'"):
        Use(head, None).load()
    with pytest.raises(TesseraError, match="takes pictures and not vectors"):
        use._replace(classifier=plain, expected=None).load()
    others = [
        use._replace(classifier=plain),
        use._replace(labels=CLASSES),
        use._replace(embedding=None),
        use._replace(tiling=Tiling()),
    ]
    assert len({str(each.identity()) for each in (use, *others)}) == 5, "each decides what is kept"


def test_open_nsfw_is_applied_as_its_authors_do(pictures: dict[str, Path], tmp_path: Path) -> None:
    path = write_open_nsfw(tmp_path / "open_nsfw.onnx")
    expected = {}
    for key in ("0", "1", "2"):
        picture = read_image(pictures[key])
        scaled = np.asarray(Image.fromarray(picture).resize((256, 256), Image.Resampling.BILINEAR), np.float64)
        middle = scaled[16:240, 16:240]
        blue, green = middle[..., 2] - 104, middle[..., 1] - 117
        expected[key] = [1 / (1 + np.exp(-values.mean() / 16)) for values in (blue, green)]
    score_pictures(pictures, Use(path, sha256_file(path)), tmp_path / "s", tmp_path / "l", threads=1)
    rows = read_table(tmp_path / "s", Scored)
    assert rows["key"].to_list() == list(expected)
    np.testing.assert_allclose(rows["probabilities"].to_list(), list(expected.values()), atol=1e-4)
    assert rows["label"].to_list() == [("sfw", "nsfw")[int(np.argmax(values))] for values in expected.values()]


def test_an_onnx_model_that_is_not_open_nsfw_is_refused(pictures: dict[str, Path], tmp_path: Path) -> None:
    path = write_open_nsfw(tmp_path / "other.onnx", channels=1)
    stated = r"input:0 \['n', 224, 224, 3\], outputs \['n', 1\]; expected are one input \(pictures, 224, 224, 3\)"
    with pytest.raises(TesseraError, match=rf"other\.onnx: its inputs and outputs are {stated}"):
        score_pictures(pictures, Use(path, None), tmp_path / "s", tmp_path / "l", threads=1)
    path.write_bytes(b"no model")
    with pytest.raises(TesseraError, match=r"other\.onnx: not an ONNX model that can be loaded .* declare Open-NSFW"):
        score_pictures(pictures, Use(path, None), tmp_path / "s", tmp_path / "l", threads=1)
