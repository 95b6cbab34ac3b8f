"""Rounds of labels that are asked for: what is asked, that nothing is asked twice, and that the answers come back."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.active_learning.rounds import Answers, ask_round
from tessera.extras.active_learning.settings import AskSettings, HardNegativeSettings
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import write_image
from tessera.records.decisions import Decision
from tessera.records.rounds import RECORD, read_rounds
from tessera.records.tables.classification import Pictures, Scored
from tessera.records.tables.embeddings import Embeddings
from tessera.records.tables.footage import Duplicates, Frames, Sources
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.splits import SourceSplits
from tessera.records.tables.table import Table, read_table, types, write_table
from tessera.stages.labels.image_labels import has_answers, import_image_labels
from tessera.stages.labels.settings import ImageLabelSet

CLASSES = ("dark", "bright")
PER_SOURCE = 6
SOURCES = {"film": "video", "shots": "folder", "test film": "video", "refused": "folder"}
SPLITS = {"film": "val", "shots": "train", "test film": "test"}


def table(path: Path, schema: type[Table], rows: Sequence[dict[str, Any]]) -> Path:
    nothing = dict.fromkeys(types(schema))
    write_table(pl.DataFrame([{**nothing, **row} for row in rows], schema=types(schema)), schema, path)
    return path


def name_of(source: str, index: int) -> str:
    return f"{source.replace(' ', '%20')}-{index:07d}"


class Pool:
    """Frames of four sources of six pictures in two shards, of which every other one is bright."""

    def __init__(self, folder: Path, layout: str = "labelme", *, is_divided: bool = False, scored: bool = True) -> None:
        self.folder, self.images = folder, folder / "images"
        self.images.mkdir()
        self.hashes = {}
        rows = []
        for source in SOURCES:
            for index in range(PER_SOURCE):
                low = 120 * (index % 2)
                image = np.random.default_rng([len(source), index]).integers(low, low + 120, (24, 32, 3), np.uint8)
                key = name_of(source, index)
                write_image(self.images / f"{key}.png", image)
                self.hashes[key] = perceptual_hash(image)
                rows.append({"key": key, "source": source, "index": index, "file": f"{key}.png", "width": 32, "height": 24})
                rows[-1]["phash"] = self.hashes[key]
        self.frames = [table(folder / f"frames{part}.parquet", Frames, rows[part::2]) for part in range(2)]
        self.keys = [row["key"] for row in rows]
        self.sources = table(
            folder / "sources.parquet",
            Sources,
            [
                {
                    "source": source,
                    "shard": "s",
                    "path": "p",
                    "content": "general",
                    "use": [],
                }
                | {"rights": "CC0", "consent": "", "split": "", "series": "", "kind": kind, "sha256": "", "size": 1}
                for source, kind in SOURCES.items()
                if source != "refused"
            ],
        )
        split_rows = [{"source": source, "split": split, "group": source} for source, split in SPLITS.items()]
        self.splits = table(folder / "splits.parquet", SourceSplits, split_rows)
        self.answers = Answers(folder / "asked", layout, "light", is_divided)
        self.layout = layout
        self.scores: list[Path] = []
        self.vectors: list[Path] = []
        if scored:
            # Less and less certain; all of them are taken for dark.
            probabilities = {key: 0.9 - 0.05 * (number % PER_SOURCE) for number, key in enumerate(self.keys)}
            scored_rows = [
                {"key": key, "label": "dark", "classes": list(CLASSES), "probabilities": [value, 1 - value]}
                for key, value in probabilities.items()
            ]
            self.scores = [table(folder / "scores.parquet", Scored, scored_rows)]

    def ask(self, count: int = 2, validation: int = 2, **changed: Any) -> dict[str, str]:
        """Ask for a round, and return why each picture in it was asked for."""
        given: dict[str, Any] = {"duplicates": [], "labels": [], "metrics": None, "dataset": None, "decisions": {}, "free": []}
        given |= {"frames": self.frames, "distance": 4} | changed
        stated = {"hard_negatives": given.pop("hard", None), "order": given.pop("order", "uncertain")}
        settings = AskSettings(model="light", count=count, validation=validation, candidates=1, **stated)
        ask_round(
            pictures=[self.images],
            sources=self.sources,
            splits=self.splits,
            scores=self.scores,
            vectors=self.vectors,
            answers=self.answers,
            settings=settings,
            classes=CLASSES,
            ledger=self.folder / "ledger.jsonl",
            seed=0,
            **given,
        )
        asked = read_rounds(self.answers.folder)[-1].asked
        self.places = {picture.key: picture.split for picture in asked}
        return {picture.key: picture.why for picture in asked}

    def reasons(self) -> dict[str, str]:
        return {row["key"]: row["reason"] for row in read_ledger(self.folder / "ledger.jsonl")}


def test_the_most_certain_pictures_may_be_asked_for_or_any(tmp_path: Path) -> None:
    asked = {order: Pool(Path(mkdtemp(dir=tmp_path))).ask(validation=0, order=order) for order in ("certain", "random")}
    assert asked["certain"] == {name_of("shots", 0): "certain", name_of("shots", 1): "certain"}
    assert set(asked["random"].values()) == {"at random"} and asked["random"].keys() != asked["certain"].keys()


def test_the_first_round_asks_for_pictures_to_validate_and_later_ones_for_the_least_certain(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    first = pool.ask()
    assert Counter(first.values()) == {"to validate": 2, "uncertain": 2}
    assert {key for key, why in first.items() if why == "uncertain"} == {name_of("shots", 5), name_of("shots", 4)}
    assert {key.rpartition("-")[0]: split for key, split in pool.places.items()} == {"film": "val", "shots": "train"}
    second = pool.ask()
    assert second == {name_of("shots", 3): "uncertain", name_of("shots", 2): "uncertain"}
    assert pool.ask(count=9, validation=9).keys().isdisjoint({*first, *second})
    reasons = pool.reasons()
    assert sorted(reasons) == sorted(pool.keys)
    counts = Counter(reasons.values())
    assert counts == {"": 6, "asked before": 6, "source in the split test": 6, "source not admitted": 6}
    with pytest.raises(TesseraError, match=r"no picture is left .* asked before \(12\)"):
        pool.ask()
    assert len(read_rounds(pool.answers.folder)) == 3


def test_a_round_depends_neither_on_the_order_of_shards_nor_on_one_that_was_interrupted(tmp_path: Path) -> None:
    rounds = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        pool = Pool(folder)
        if number:
            (pool.answers.folder / ".round-001.partial" / "train").mkdir(parents=True)
            (pool.answers.folder / ".round-001.partial" / "train" / "half.png").write_bytes(b"half")
        pool.ask(frames=pool.frames[::-1] if number else pool.frames)
        places = sorted(path for path in pool.answers.folder.rglob("*") if path.is_file())
        rounds.append([(path.relative_to(folder), path.read_bytes()) for path in places])
    assert rounds[0] == rounds[1] and len(rounds[0]) == 9


def test_pictures_that_need_no_label_are_not_asked_for(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    of_shots = [name_of("shots", index) for index in range(PER_SOURCE)]
    labels = pool.hashes[of_shots[5]] ^ 0b1011
    row = {"key": "x", "source": "image_labels:x", "path": "x.png", "width": 9, "height": 9, "phash": labels, "sha256": ""}
    row |= {"split": "", "rights": "CC0", "task": "light", "label": "dark", "origin": "tsv"}
    labelled = table(tmp_path / "labels.parquet", ImageLabels, [row])
    replaced = table(tmp_path / "alike.parquet", Duplicates, [{"key": of_shots[4], "duplicate_of": of_shots[0], "distance": 1}])
    decision = Decision(key=of_shots[3], decision="drop", who="Ada", when="2026-01-31")
    asked = pool.ask(count=9, validation=0, labels=[labelled], duplicates=[replaced], decisions={of_shots[3]: decision})
    assert set(asked) == set(of_shots[:3])
    reasons = [pool.reasons()[key] for key in of_shots[3:]]
    assert reasons == ["dropped by decision", "looks like another", "looks like a labelled picture"]


def test_certain_mistakes_in_footage_that_shows_nothing_are_asked_for(tmp_path: Path) -> None:
    hard = HardNegativeSettings(free_of="watermark", label="bright", fraction=0.5)
    pool = Pool(tmp_path)
    # All are taken for dark; the first frame with the most certainty.
    asked = pool.ask(validation=0, hard=hard, free=["shots"])
    assert asked == {name_of("shots", 0): "hard negative", name_of("shots", 5): "uncertain"}
    right = HardNegativeSettings(free_of="watermark", label="dark", fraction=0.5)
    assert set(pool.ask(validation=0, hard=right, free=["shots"]).values()) == {"uncertain"}


def test_without_a_classifier_pictures_that_differ_are_asked_for(tmp_path: Path) -> None:
    pool = Pool(tmp_path, "label_studio", scored=False)
    assert Counter(pool.ask(count=3).values()) == {"to validate": 2, "unlike the others": 3}
    tasks = json.loads((pool.answers.folder / "round-001" / "tasks.json").read_text())
    assert len(tasks) == 5 and all("predictions" not in task for task in tasks)


def test_vectors_of_an_embedding_say_which_pictures_differ(tmp_path: Path) -> None:
    pool = Pool(tmp_path, scored=False)
    of_shots = [name_of("shots", index) for index in range(PER_SOURCE)]
    # The first is taken first; the fourth is the farthest from it, and the third is farther from both than others.
    places = dict(zip(of_shots, [0.0, 1.0, 5.0, 10.0, 9.0], strict=False))
    rows = [
        {"key": key, "source": "shots", "path": "p", "sharpness": 1.0, "vector": [place, 0.0]} for key, place in places.items()
    ]
    pool.vectors = [table(tmp_path / "vectors.parquet", Embeddings, rows)]
    assert set(pool.ask(count=3, validation=0)) == {of_shots[0], of_shots[2], of_shots[3]}
    assert pool.reasons()[of_shots[5]] == "not embedded"


def test_what_the_classifier_had_reached_is_recorded(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    metrics = tmp_path / "metrics.json"
    val = {"pictures": 7, "accuracy": 0.5, "intervals": {"accuracy": [0.25, 0.75]}}
    metrics.write_text(json.dumps({"splits": {"val": val}}))
    rows = [
        {"key": str(number), "source": "s", "group": "s", "split": split, "label": "dark", "weight": 1.0}
        for number, split in enumerate(["train", "train", "val"])
    ]
    pool.ask(metrics=metrics, dataset=table(tmp_path / "pictures.parquet", Pictures, rows))
    (only,) = read_rounds(pool.answers.folder)
    assert only.reached and only.reached.model_dump() == {
        "labels": 2,
        "measured": 7,
        "metric": "accuracy",
        "value": 0.5,
        "low": 0.25,
        "high": 0.75,
    }
    (pool.answers.folder / "round-001" / RECORD).write_text("{")
    with pytest.raises(TesseraError, match=r"round-001/\.round\.json is damaged"):
        read_rounds(pool.answers.folder)


def answer(place: Path, layout: str) -> None:
    """Label the pictures of the round in `place` as a person would, by the brightness of their names."""
    labels = {path: CLASSES[int(path.stem[-1]) % 2] for path in place.rglob("*.png")}
    if layout == "folders":
        for path, label in labels.items():
            path.rename(path.parent / label / path.name)
    elif layout == "labelme":
        for path, label in labels.items():
            document = json.loads(path.with_suffix(".json").read_text())
            document["flags"][label] = True
            path.with_suffix(".json").write_text(json.dumps({**document, "version": "5.5.0"}))
    elif layout == "tsv":
        first, *rows = (place / "labels.tsv").read_text().splitlines()
        stated = [f"{row}{labels[place / row.strip()]}" for row in rows]
        (place / "labels.tsv").write_text("\n".join([first, *stated]) + "\n")
    else:
        tasks = json.loads((place / "tasks.json").read_text())
        for task in tasks:
            label = labels[Path("/", unquote(task["data"]["image"].partition("?d=")[2]))]
            result = [{"type": "choices", "from_name": "light", "value": {"choices": [label]}}]
            task["annotations"] = [{"result": result}]
        # Exports lie anywhere in the set.
        (place.parent / f"{place.name}.json").write_text(json.dumps(tasks))


@pytest.mark.parametrize("is_divided", [False, True])
@pytest.mark.parametrize("layout", ["labelme", "label_studio", "folders", "tsv"])
def test_answers_come_back_as_labels_of_their_sources(tmp_path: Path, layout: str, is_divided: bool) -> None:
    pool = Pool(tmp_path, layout, is_divided=is_divided)
    given = ImageLabelSet(
        name="asked",
        path=pool.answers.folder,
        format=layout,
        content="general",
        rights="x",
        split_by="image" if is_divided else "set",
    )
    asked = {}
    for name in ("round-001", "round-002"):
        pool.ask(validation=4)
        asked |= pool.places
        assert not has_answers(given, name, {})
        answer(pool.answers.folder / name, layout)
        assert has_answers(given, name, {})
    (tmp_path / "blocklist.tsv").write_text("sha256\tphash\treason\n")
    made = tmp_path / "labels.parquet", tmp_path / "pictures", tmp_path / "imports.jsonl"
    import_image_labels(given, tmp_path / "blocklist.tsv", 0, Path("p"), *made, sources=pool.sources)
    rows = read_table(made[0], ImageLabels).to_dicts()
    assert len(rows) == len(asked) == 8
    for row in rows:
        key = Path(row["path"]).stem
        source = key.rpartition("-")[0]
        assert row["label"] == CLASSES[int(key[-1]) % 2] and row["rights"] == "CC0"
        is_alone = is_divided and source == "shots"
        assert row["source"] == (f"image_labels:asked/{key}" if is_alone else source)
        assert row["split"] == (asked[key] if is_alone else "")

    # The source is withdrawn.
    shutil.rmtree(made[1])
    kept = read_table(pool.sources, Sources).filter(source="film")
    write_table(kept, Sources, pool.sources)
    import_image_labels(given, tmp_path / "blocklist.tsv", 0, Path("p"), *made, sources=pool.sources)
    assert read_table(made[0], ImageLabels)["source"].unique().to_list() == ["film"]
    assert "source not admitted" in {row["reason"] for row in read_ledger(made[2])}
