"""Decisions on the demo, after its detectors were trained again with another seed and more labels. Run `make demo` first."""

import faulthandler
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tessera.core.ledger import read_ledger
from tessera.core.seeds import generator
from tessera.demo.footage import CLIPS, LABEL_EVERY
from tessera.demo.labels import labelme
from tessera.demo.stages import draw, set_up
from tessera.imaging.boxes import Box
from tessera.imaging.masks import decode_rle
from tessera.pages.review.state import Review
from tessera.records.decisions import extent_of, region_of
from tessera.records.tables.demo import DemoClips, DemoRegions
from tessera.records.tables.review import CLIPS as CLIPS_QUEUE
from tessera.records.tables.review import FRAMES, IDENTITIES, PAIRS, REGIONS
from tessera.records.tables.table import read_table

# How many decisions on the items of each queue, as far as it has so many, and what they say.
DECIDED = {CLIPS_QUEUE: 40, REGIONS: 70, IDENTITIES: 60, PAIRS: 30, FRAMES: 200}
SAID = {IDENTITIES: ["move", "reject"], FRAMES: ["keep"]}
COUNT, MATCHED, MORE = 200, 0.95, 0.2
SEED = 1
REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "examples" / "demo"
Truth = dict[tuple[str, int], list[tuple[int, str, np.ndarray]]]


def run(project: Path, seed: int) -> None:
    """Make what the review page shows in `project`, with this seed."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(os.cpu_count()), "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--config", f"seed={seed}", "--resources", "gpu=1", "--quiet", "all", "--", "gather_review"]
    subprocess.run(command, cwd=project, check=True)


def decide(project: Path) -> dict[str, str]:
    """Decide `COUNT` items of the page at random, and return the queue of each key that the tables of decisions got."""
    state, draws, known = Review(project / "results" / "review", "Ada"), random.Random(0), {}
    state.refresh()
    for queue, most in DECIDED.items():
        numbers = state.ids({"queue": queue})["ids"]
        draws.shuffle(numbers)
        for number in numbers[:most]:
            # A frame may be in two queues.
            if len(known) == COUNT or state.items.item(number)["target"] in known:
                continue
            action = draws.choice(SAID.get(queue, ["keep", "drop"]))
            value = {"move": "someone"}.get(action, "")
            state.decide({"version": state.items.version, "ids": [number], "action": action, "value": value})
            known[state.items.item(number)["target"]] = queue
    return known


def label_more(folder: Path) -> tuple[int, int]:
    """Add labelled stills to `folder`, from frames of the videos that nobody labelled; return how many there were and are."""
    before = sum(1 for _ in folder.rglob("*.json"))
    trained = pl.read_csv("config/sources.tsv", separator="\t", comment_prefix="#").filter(split="train")["source"].to_list()
    added, draws = 0, random.Random(1)
    for clip in (each for each in CLIPS if each.source in trained):
        stages = generator(0, "demo", clip.source)
        for scene in clip.scenes:
            stage = set_up(scene, round(scene.seconds * clip.rate), clip.width, clip.height, stages)
            for frame in draws.sample([each for each in range(stage.frames) if each % LABEL_EVERY], 5):
                if added >= MORE * before:
                    return before, before + added
                name = f"more {added}.png"
                picture = draw(stage, frame, generator(1, "more", name))
                Image.fromarray(picture.image).save(folder / "stills" / name)
                document = json.dumps(labelme(picture, stage, frame, name))
                (folder / "stills" / name).with_suffix(".json").write_text(document, encoding="utf-8")
                added += 1
    return before, before + added


def read_truth(folder: Path) -> Truth:
    """Return the number and the mask, bool (H, W), of each true region, by source and frame."""
    sizes = {row["source"]: row for row in read_table(folder / "clips.parquet", DemoClips).iter_rows(named=True)}
    found: Truth = {}
    for row in read_table(folder / "regions.parquet", DemoRegions).iter_rows(named=True):
        size, shot = sizes[row["source"]], sum(cut <= row["index"] for cut in sizes[row["source"]]["cuts"])
        mask = decode_rle(row["rle"], size["height"], size["width"]) > 0
        found.setdefault((row["source"], row["index"]), []).append((row["number"], f"{row['kind']} {shot}", mask))
    return found


def objects_at(truth: Truth, source: str, frames: Sequence[int], box: Box) -> set[str]:
    """Return the true regions of which half or more lies in `box`, in half of `frames` or more: one box may hold several."""
    votes: Counter[str] = Counter()
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    for index in frames:
        for number, kind, mask in truth.get((source, index), ()):
            votes[f"{kind} {number}"] += mask[y0:y1, x0:x1].sum() >= mask.sum() / 2
    return {name for name, count in votes.items() if count >= max(1, len(frames) / 2)}


def follow(project: Path, known: dict[str, str]) -> tuple[Counter[str], list[str], list[str]]:
    """Return how many of the decisions match by queue, those that are on another object now, and those that match nothing.

    `known`: the queue of each key. Raises `AssertionError` if one that matches nothing is not in a ledger with its reason.
    """
    results, names = project / "results", {}
    for kind in ("nsfw", "watermark"):
        for row in pl.concat(map(pl.read_parquet, results.glob(f"regions/*/{kind}.parquet"))).iter_rows(named=True):
            names[f"{row['key']}#{kind}-{row['number']}"] = row["key"], (row["x0"], row["y0"], row["x1"], row["y1"])
    state = Review(results / "review", "Ada")
    state.refresh()
    now = {key: target for key, target in state.items.frame.select("key", "target").iter_rows() if target}
    places = [*results.glob("selections/*/decisions.jsonl"), *results.glob("regions/*/decisions.jsonl")]
    rows = {row["key"]: row for path in [*places, results / "identities/decisions.jsonl"] for row in read_ledger(path)}
    sampled = set(pl.concat(map(pl.read_parquet, results.glob("frames/*/frames.parquet")))["key"])
    truth = read_truth(Path("resources/demo/truth"))
    matched: Counter[str] = Counter()
    other, lost = [], []
    for key, queue in known.items():
        # The keys of frames never change.
        row = {"status": "ok", "detail": ""} if queue in {FRAMES, PAIRS} and key in sampled else rows.get(key)
        if row is None or row["status"] != "ok":
            lost.append(f"{queue} {key}: {row['detail'] if row else 'IN NO LEDGER'}")
            assert row and row["reason"] and row["detail"], lost[-1]
            continue
        matched[queue] += 1
        found = row["detail"] or key
        if queue == CLIPS_QUEUE:
            one, two = extent_of(key), extent_of(now.get(found, found))
            spans = [(each.first, each.first + each.frames, each.box) for each in (one, two)]
            objects = [
                objects_at(truth, one.source.replace("%20", " "), range(first, last, 4), box) for first, last, box in spans
            ]
        elif queue == REGIONS:
            frame, box = region_of(key)
            source, _, index = frame.rpartition("-")
            objects = [
                objects_at(truth, source.replace("%20", " "), [int(index)] if index.isdecimal() else [], each)
                for each in (box, names[found][1])
            ]
        else:
            continue
        if not objects[0] & objects[1] and any(objects):
            other.append(f"{key} → {found}: {objects}")
    return matched, other, lost


def test_decisions_are_on_the_same_objects_after_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (DEMO / "results" / "metrics").is_dir(), "run `make demo` first"
    faulthandler.cancel_dump_traceback_later()  # by which pytest would end what takes longer than a test
    project = tmp_path / "project"
    shutil.copytree(DEMO, project, symlinks=True, ignore=shutil.ignore_patterns("environments", "benchmarks", "logs"))
    monkeypatch.chdir(project)  # as the page has it: the tables of decisions are relative
    run(project, 0)
    known = decide(project)
    before, after = label_more(project / "resources" / "demo" / "labels")
    run(project, SEED)

    matched, other, lost = follow(project, known)
    counts = Counter(known.values())
    print(f"\n{before} labels, then {after}; seed {SEED} in place of 0; {len(known)} decisions: {matched.total()} match")
    print(", ".join(f"{queue}: {matched[queue]} of {count}" for queue, count in counts.items()))
    print("\n".join([f"{len(other)} are on another object:", *other, f"{len(lost)} match nothing:", *lost]))
    assert len(known) == COUNT
    assert not other
    assert matched.total() >= MATCHED * COUNT
