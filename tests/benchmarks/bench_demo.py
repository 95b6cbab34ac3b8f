"""Compare the clips and the identities of the demo with the ground truth. Run `make demo` first."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl

from tessera.demo.footage import STILLS
from tessera.demo.photographs import CUT_OUTS
from tessera.imaging.masks import decode_rle
from tessera.records.tables.clips import Clips
from tessera.records.tables.demo import DemoClips, DemoRegions
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_sets import SetPictures
from tessera.records.tables.scenes import SceneFrames, VideoFrames
from tessera.records.tables.table import read_table, read_tables

DEMO = Path("examples/demo")
RESULTS, TRUTH = DEMO / "results", DEMO / "resources/demo/truth"
MINIMUM = 1.0  # seconds, `scenes.choose.min_seconds` of the demo
SHOWN = 0.5  # fraction of a true region that must lie in the mask of a clip
NAMED = 0.75  # fraction of the crops that get a name
PART = 0.5  # fraction of the frames of a scene that clips must show, and of a clip that must show a region


def test_clips_cover_exactly_the_subjects() -> None:
    """Clips cover at least 95 % of the scenes of the demo, at most 5 % of them show no region, and none spans a cut."""
    assert (RESULTS / "clips").is_dir(), "run `make demo` first"
    clips = read_tables(sorted(RESULTS.glob("clips/*/clips.parquet")), Clips)
    frames = read_tables(sorted(RESULTS.glob("scenes/*/scene_frames.parquet")), SceneFrames)
    known = {row["source"]: row for row in read_table(TRUTH / "clips.parquet", DemoClips).iter_rows(named=True)}
    regions = read_table(TRUTH / "regions.parquet", DemoRegions)
    processed = read_tables(sorted(RESULTS.glob("scenes/*/video_frames.parquet")), VideoFrames)["source"].unique().to_list()
    pixelated = set(regions.filter(kind="mosaic")["source"])
    truth = regions.filter((pl.col("kind") == "subject") & pl.col("source").is_in([s for s in processed if s not in pixelated]))
    masks: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
    for source, index, number, rle in truth.select("source", "index", "number", "rle").iter_rows():
        masks[source, index].append((number, rle))

    sources = {row["key"]: row for row in clips.iter_rows(named=True)}
    shown: dict[tuple[str, int, int], set[int]] = defaultdict(set)  # frames in which a clip shows a true scene
    hits: dict[str, int] = defaultdict(int)
    for key, index, rle in frames.filter(pl.col("key").is_in(list(sources))).select("key", "index", "rle").iter_rows():
        source = sources[key]["source"]
        fact = known[source]
        mask = decode_rle(rle, fact["height"], fact["width"]) > 0
        found = False
        for number, true_rle in masks[source, index]:
            true = decode_rle(true_rle, fact["height"], fact["width"]) > 0
            if (mask & true).sum() >= SHOWN * true.sum():
                shot = int(np.searchsorted(fact["cuts"], index, side="right"))
                shown[source, shot, number].add(index)
                found = True
        hits[key] += found

    scenes: dict[tuple[str, int, int], int] = defaultdict(int)
    for source, index, number in truth.select("source", "index", "number").iter_rows():
        scenes[source, int(np.searchsorted(known[source]["cuts"], index, side="right")), number] += 1
    long = {scene: count for scene, count in scenes.items() if count / known[scene[0]]["rate"] >= MINIMUM}
    missed = [scene for scene, count in long.items() if len(shown[scene]) < PART * count]
    empty = [key for key, row in sources.items() if hits[key] < PART * row["frames"]]
    spans = [
        key
        for key, row in sources.items()
        if any(row["first"] < cut < row["first"] + row["frames"] for cut in known[row["source"]]["cuts"])
    ]
    part = sum(len(shown[scene]) for scene in long) / sum(long.values())
    print(f"\n{len(sources)} clips; {len(long)} true scenes of {MINIMUM:g} s and more, {len(missed)} missed: {missed}")
    print(f"{part:.1%} of their frames are shown; {len(empty)} clips show no region: {empty}; {len(spans)} span a cut")
    assert len(missed) <= 0.05 * len(long)
    assert len(empty) <= 0.05 * len(sources)
    assert not spans


def test_references_give_no_wrong_name_and_the_image_set_shows_each_subject() -> None:
    """References name at least 75 % of the crops, none wrongly, and each subject is in the image set."""
    crops = read_table(RESULTS / "identities/identities.parquet", Identities)
    played = {(still.source, still.name): set(still.scene.players) for still in STILLS}
    wrong, named = [], 0
    for row in crops.filter(origin="reference").iter_rows(named=True):
        name = row["frame"].partition("-")[2].partition("~")[0]  # of a picture in a folder; frames have a number
        named += 1
        if row["identity"] not in played.get((row["source"], name), {"cat"}):
            wrong.append(row["key"])
    pictures = read_table(RESULTS / "selections/portraits/pictures.parquet", SetPictures)
    counts = dict(pictures["identities"].explode().drop_nulls().value_counts().iter_rows())
    origins = dict(crops["origin"].value_counts().iter_rows())
    print(f"\n{crops.height} crops, by origin of their names: {origins}; pictures of the set: {counts}; wrong names: {wrong}")
    assert not wrong
    assert named >= NAMED * crops.height
    assert counts.keys() >= CUT_OUTS.keys()
