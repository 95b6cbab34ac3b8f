"""Whatever way a file takes into the workflow, it gets the same verdict, and the same pixels."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from odd_pictures import BAD, GOOD
from onnx import TensorProto, helper
from PIL import Image

from classification_dataset import write_untrained
from tessera.core.errors import Dropped
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.extras.classifiers.folder import score_folder
from tessera.extras.classifiers.predict import Use
from tessera.extras.harvest import harvest
from tessera.extras.near_duplicates.embed import embed_references
from tessera.extras.near_duplicates.settings import EmbeddingSettings
from tessera.imaging.hashing import perceptual_hash
from tessera.records.blocklist import read_blocklist
from tessera.records.image_checks import check_content
from tessera.records.label_sets import LabelledSet
from tessera.records.manifest import Source
from tessera.records.tables.annotation import Images
from tessera.records.tables.footage import Frames, SourceFiles
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import read_table
from tessera.stages.footage.admission import SourceSettings, admit_sources
from tessera.stages.footage.sampling import FrameSettings, sample_frames
from tessera.stages.labels.image_labels import import_image_labels
from tessera.stages.labels.sets import import_labels
from tessera.stages.labels.settings import ImageLabelSet

SEVERAL = "several pictures in one image"


class Outcome(NamedTuple):
    """What became of a file: why it was refused, empty if it was not; and its picture, if that is stored."""

    reason: str
    pixels: np.ndarray | None = None


def pixels(path: str | Path) -> np.ndarray:
    """Return a stored picture as a program reads it that knows neither profiles nor orientations."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def sampled(files: dict[str, bytes], folder: Path, blocklist: Path, *, one_by_one: bool) -> dict[str, Outcome]:
    """Send `files` through admission and sampling: as a folder, or each as a source of its own."""
    (folder / "in").mkdir()
    for name, content in files.items():
        (folder / "in" / name).write_bytes(content)
    paths = {name: folder / "in" / name for name in files} if one_by_one else {"all": folder / "in"}
    given = {"content": "general", "rights": "CC0"}
    rows = [
        {**Source(source=name, path=str(path), **given).model_dump(mode="json"), "earlier": []} for name, path in paths.items()
    ]
    made = {name: folder / f"{name}.parquet" for name in ("table", "files", "report", "ledger")}
    admit_sources(rows, "shard", blocklist, SourceSettings(), **made)
    tables = made["table"], made["files"]
    outputs = {"table": folder / "frames.parquet", "images": folder / "images", "ledger": folder / "sampled.jsonl"}
    sample_frames(*tables, folder / "kept", FrameSettings(format="png"), code="", threads=1, **outputs)
    stored = {row["key"]: folder / "images" / row["file"] for row in read_table(outputs["table"], Frames).to_dicts()}
    found = {}
    for row in json.loads(made["report"].read_text()):
        if row["status"] == "refused" or row["kind"] == "video":
            names = list(files) if row["source"] == "all" else [row["source"]]
            found |= {name: Outcome(row["reason"] or row["kind"]) for name in names}
    by_index = {(source, index): path for path, source, index in _indices(outputs["table"], stored)}
    for row in read_table(made["files"], SourceFiles).to_dicts():
        name = row["path"] or row["source"]
        path = by_index.get((row["source"], row["index"]))
        found[name] = Outcome(row["reason"] if row["status"] != "ok" else "", path and pixels(path))
        assert (path is None) == (row["status"] != "ok")
    return found


def _indices(table: Path, stored: dict[str, Path]) -> list[tuple[Path, str, int]]:
    return [(stored[row["key"]], row["source"], row["index"]) for row in read_table(table, Frames).to_dicts()]


def labelled(files: dict[str, bytes], folder: Path, blocklist: Path) -> dict[str, Outcome]:
    """Send `files` through a set with YOLO labels."""
    (folder / "in").mkdir()
    for number, (name, content) in enumerate(files.items()):
        (folder / "in" / f"{number}{Path(name).suffix}").write_bytes(content)
        (folder / "in" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    given = {"name": "s", "path": folder / "in", "content": "general", "rights": "CC0", "format": "yolo"}
    tables = folder / "images.parquet", folder / "annotations.parquet"
    import_labels(
        LabelledSet(**given),
        *("labels", "labels:s", ["thing"], 1, blocklist, 8, folder / "pictures", *tables),
        *(folder / "pictures", folder / "ledger", folder / "counts"),
    )
    stored = {row["key"]: row["path"] for row in read_table(tables[0], Images).to_dicts()}
    names = {f"s+{number}": name for number, name in enumerate(files)}
    return _outcomes(folder / "ledger", names, stored)


def image_labelled(files: dict[str, bytes], folder: Path, blocklist: Path) -> dict[str, Outcome]:
    """Send `files` through a set with a folder per class."""
    (folder / "in" / "a").mkdir(parents=True)
    for name, content in files.items():
        (folder / "in" / "a" / name).write_bytes(content)
    given = {"name": "s", "path": folder / "in", "content": "general", "rights": "CC0", "format": "folders"}
    made = folder / "labels.parquet", folder / "pictures", folder / "ledger"
    import_image_labels(ImageLabelSet(**given), blocklist, 8, folder / "pictures", *made)
    rows = read_table(made[0], ImageLabels).to_dicts()
    keys = {row["key"] for row in read_ledger(folder / "ledger")}
    names = {f"s+a%2F{name.replace(' ', '%20').replace(',', '%2C')}": name for name in files}
    assert keys == set(names)
    return _outcomes(folder / "ledger", names, {row["key"]: row["path"] for row in rows})


def _outcomes(ledger: Path, names: dict[str, str], stored: dict[str, Any]) -> dict[str, Outcome]:
    rows = {names[row["key"]]: row for row in read_ledger(ledger)}
    paths = {names[key]: path for key, path in stored.items()}
    assert set(paths) == {name for name, row in rows.items() if row["status"] == "ok"}
    return {name: Outcome("", pixels(paths[name])) if name in paths else Outcome(row["reason"]) for name, row in rows.items()}


def harvested(files: dict[str, bytes], folder: Path, blocklist: Path) -> dict[str, Outcome]:
    """Send `files` through the check of what was fetched."""
    found = {}
    for name, content in files.items():
        (folder / name).mkdir(parents=True)
        (folder / name / harvest.PICTURE).write_bytes(content)
        (folder / name / harvest.DAY).write_text("2026-01-31")
        try:
            harvest._checked(folder / name, name, read_blocklist(blocklist), 8, ())
            found[name] = Outcome("")
        except Dropped as fault:
            found[name] = Outcome(fault.reason)
    return found


def embedded(files: dict[str, bytes], folder: Path, blocklist: Path) -> dict[str, Outcome]:
    """Send `files` through the references of an identity."""
    (folder / "in" / "Ada").mkdir(parents=True)
    for name, content in files.items():
        (folder / "in" / "Ada" / name).write_bytes(content)
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["input", "axes"], ["vector"], keepdims=0)],
        "means",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    model = folder / "means.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), model)
    weights = {"source": str(model), "sha256": sha256_file(model)}
    own = {"preprocessing": {"size": 16, "mean": (0, 0, 0), "std": (1, 1, 1)}, "normalise": False}
    embed_references(
        folder / "in",
        blocklist,
        8,
        weights=model,
        expected=weights["sha256"],
        settings=EmbeddingSettings(kind="onnx", weights=weights, **own),
        cache=folder / "kept",
        code="1",
        threads=1,
        table=folder / "vectors",
        ledger=folder / "ledger",
    )
    return {row["key"].split("/")[1]: _reason(row) for row in read_ledger(folder / "ledger")}


def scored(files: dict[str, bytes], folder: Path, blocklist: Path) -> dict[str, Outcome]:
    """Send `files` through a folder that a classifier scores."""
    (folder / "in").mkdir()
    for name, content in files.items():
        (folder / "in" / name).write_bytes(content)
    model = write_untrained(folder / "classifier.safetensors")
    use = Use(model, sha256_file(model))
    score_folder(folder / "in", use, blocklist, 8, threads=1, scored=folder / "scored", ledger=folder / "ledger")
    return {row["key"]: _reason(row) for row in read_ledger(folder / "ledger")}


def _reason(row: dict[str, Any]) -> Outcome:
    return Outcome("" if row["status"] == "ok" else row["reason"])


ENTRANCES: dict[str, Callable[[dict[str, bytes], Path, Path], dict[str, Outcome]]] = {
    "folder": lambda *given: sampled(*given, one_by_one=False),
    "image": lambda *given: sampled(*given, one_by_one=True),
    "labels": labelled,
    "image labels": image_labelled,
    "harvest": harvested,
    "references": embedded,
    "scores": scored,
}
FILES = {name: content for name, (content, _) in {**GOOD, **BAD}.items()}
# As a source of its own, an animated GIF is a video, and what is neither an image nor a video has a reason of videos.
AS_FOOTAGE = {"animated.gif": "video", "page.jpg": "not a media file", "text.png": "not a media file"}


def empty_blocklist(folder: Path, rows: str = "") -> Path:
    path = folder / "blocklist.tsv"
    path.write_text(f"sha256\tphash\treason\n{rows}")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_entrance_gives_the_verdict_and_the_pixels_of_the_one_check(entrance: str, tmp_path: Path) -> None:
    blocklist = empty_blocklist(tmp_path)
    found = ENTRANCES[entrance](FILES, tmp_path, blocklist)
    assert set(found) == set(FILES), "each file has a row"
    for name, content in FILES.items():
        try:
            picture = check_content(content, name, read_blocklist(blocklist), 8).picture
        except Dropped as fault:
            reason = AS_FOOTAGE.get(name, fault.reason) if entrance == "image" else fault.reason
            assert found[name].reason == reason == (BAD[name][1] if name not in AS_FOOTAGE or entrance != "image" else reason)
        else:
            assert name in GOOD and found[name].reason == "", name
            stored = found[name].pixels
            if stored is not None:
                assert stored.shape == picture.pixels.shape
                difference = np.abs(stored.astype(int) - picture.pixels)
                # A picture from a format with losses may be stored as JPEG, in which colours run across edges.
                assert difference[3::8, 3::8].mean() <= 4 if picture.is_lossy else not difference.any(), name


@pytest.mark.slow
@pytest.mark.parametrize("by", ["sha256", "hash"])
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_listed_picture_passes_no_entrance(entrance: str, by: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (6, 8, 3), np.uint8)
    harmless = np.asarray(Image.fromarray(noise).resize((80, 60)))
    listed_names = ["alpha.png", "turned.jpg", "p3.png", "animated.png", "two.mpo", "still.avif"]
    files = {name: FILES[name] for name in listed_names}
    rows = "".join(
        f"\t{perceptual_hash(expected):016x}\tno\n" for _, expected in (GOOD[name] for name in listed_names if name in GOOD)
    )
    if by == "sha256":
        rows = "".join(f"{hashlib.sha256(content).hexdigest()}\t\tno\n" for content in files.values())
    file = io.BytesIO()
    Image.fromarray(harmless).save(file, "PNG")
    # A listed picture refuses the folder that it is in: there, nothing of it is used.
    both = {**files, "harmless.png": file.getvalue()}
    found = ENTRANCES[entrance](both, tmp_path, empty_blocklist(tmp_path, rows))
    expected = "on the blocklist" if by == "sha256" else "looks like a picture on the blocklist"
    for name in files:
        allowed = {expected} | ({SEVERAL} if name == "animated.png" and by == "hash" else set())
        assert found[name].reason in allowed, (name, found[name].reason)
        assert found[name].pixels is None
    assert (found["harmless.png"].reason == "") == (entrance != "folder")
