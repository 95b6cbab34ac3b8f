"""Each chosen frame has one copy per level, which shares its source, and is what its steps make of the frame."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from frame_shards import write_shard
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.core.seeds import generator
from tessera.core.settings import load
from tessera.extras.degraded_copies.degrade import degrade_frames
from tessera.extras.degraded_copies.settings import ConceptSettings
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.images import read_image
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import read_table

LEVELS = """
frames_per_source: 3
levels:
  - {label: clean}
  - {label: compressed, steps: [{jpeg: {probability: 1, quality: [5, 40]}}]}
  - {label: aberrant, steps: [{chromatic_aberration: {probability: 1, shift: [0.01, 0.03]}}]}
"""


def settings(text: str) -> ConceptSettings:
    return load(ConceptSettings, yaml.safe_load(text), "the configuration")


def run(folder: Path, out: Path, concept: ConceptSettings, threads: int = 1) -> Path:
    out.mkdir()
    degrade_frames(
        folder / "frames.parquet",
        folder / "frames",
        folder / "sources.parquet",
        "compression",
        concept,
        0,
        Path("results/images"),
        out / "labels.parquet",
        out / "images",
        out / "ledger.jsonl",
        threads,
    )
    return out


def test_each_chosen_frame_has_a_copy_per_level_that_shares_its_source(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard", {"a": [], "b": ["nsfw_detection"]}, 5)
    concept = settings(LEVELS)
    out = run(tmp_path / "shard", tmp_path / "out", concept)
    table = read_table(out / "labels.parquet", ImageLabels)
    labels = dict(table.select("key", "label").iter_rows())
    reasons = {row["key"]: row["reason"] for row in read_ledger(out / "ledger.jsonl")}
    frames = [key for key, reason in reasons.items() if not reason]
    assert len(reasons) == 10 and len(frames) == 3 and all(key.startswith("a-") for key in frames)
    assert table["source"].unique().to_list() == ["a"] and table["sha256"].to_list() == [
        sha256_file(out / "images" / Path(path).name) for path in table["path"]
    ]
    for frame in frames:
        clean = read_image(tmp_path / "shard" / "frames" / f"{frame}.png")
        for number, level in enumerate(concept.levels):
            key = f"{frame}-level{number}"
            expected = degrade(clean, level.steps, generator(0, "concepts compression", key)).frames
            assert labels[key] == level.label and (read_image(out / "images" / f"{key}.png") == expected).all()
        assert (read_image(out / "images" / f"{frame}-level0.png") == clean).all(), "lossless"


def test_the_copies_do_not_depend_on_threads_or_other_sources(tmp_path: Path) -> None:
    write_shard(tmp_path / "one", {"a": [], "b": []}, 2)
    write_shard(tmp_path / "two", {"b": []}, 2)
    files = []
    for number, (shard, threads) in enumerate([("one", 1), ("one", 3), ("two", 2)]):
        out = run(tmp_path / shard, tmp_path / f"out{number}", settings(LEVELS), threads)
        names = [path for path in out.rglob("*") if path.is_file() and path.name != "ledger.jsonl"]
        files.append({path.relative_to(out).as_posix(): path.read_bytes() for path in names})
    assert files[0] == files[1]
    ours = {name for name in files[0] if name.startswith("images/b-")}
    assert {name: files[0][name] for name in ours} == {name: files[2][name] for name in ours} and len(ours) == 6


def test_a_frame_that_cannot_be_read_is_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard", {"a": []}, 3)
    (tmp_path / "shard" / "frames" / "a-0000001.png").write_bytes(b"no picture")
    out = run(tmp_path / "shard", tmp_path / "out", settings(LEVELS))
    statuses = {row["key"]: row["status"] for row in read_ledger(out / "ledger.jsonl")}
    assert statuses == {"a-0000000": "ok", "a-0000001": "failed", "a-0000002": "ok"}
    assert len(read_table(out / "labels.parquet", ImageLabels)) == 6


def test_scores_are_levels_too(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard", {"a": []}, 1)
    out = run(tmp_path / "shard", tmp_path / "out", settings("levels: [{score: 0.0}, {score: 1.0}]"))
    assert read_table(out / "labels.parquet", ImageLabels)["score"].to_list() == [0.0, 1.0]
    shown = [read_image(path) for path in sorted((out / "images").iterdir())]
    assert np.array_equal(*shown)


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ("[{label: a}]", "at least 2"),
        ("[{label: a}, {}]", "a level should have a `label` or a `score`"),
        ("[{label: a, score: 1}, {label: b}]", "a level should have a `label` or a `score`"),
        ("[{label: a}, {score: 1}]", "all levels should have a `label`, or all a `score`"),
        ("[{score: .nan}, {score: 1}]", "finite"),
    ],
)
def test_levels_that_mean_nothing_are_refused(levels: str, told: str) -> None:
    with pytest.raises(TesseraError, match=told):
        settings(f"levels: {levels}")
