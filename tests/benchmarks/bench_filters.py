"""The speed of measuring clips, and of filtering a large set of them."""

import resource
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from tessera.imaging.encode import write_video
from tessera.imaging.masks import encode_rle
from tessera.imaging.video import read_frames, read_packets
from tessera.records.limits import FilterSettings
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.footage import Sources
from tessera.records.tables.scenes import SceneFrames
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.clips.scoring import score_clips
from tessera.stages.filters.filtering import filter_clips
from tessera.stages.filters.similar import PLACES, find_similar

COUNT, SHARDS = 25_000, 100
FRAMES = 120


def row(key: str, **values: Any) -> dict[str, Any]:
    """Return a row of `tables.Clips` for a clip of 360 by 320 pixels."""
    usual = {pl.String: "", pl.Int64: 1, pl.Float64: 1.0}
    found: dict[str, Any] = {name: usual.get(kind) for name, kind in types(Clips).items()}
    found |= {"key": key, "frames": FRAMES, "width": 360, "height": 320, "detected": FRAMES}
    found |= {"frame_width": 640, "frame_height": 360}
    found |= {"time": [number / 30 for number in range(FRAMES)], "pts": list(range(FRAMES))}
    found |= {"crops": [[0, 0, 360, 320]] * FRAMES, "pads": [[0, 0, 0, 0]] * FRAMES}
    return found | values


def decode(path: Path) -> None:
    """Decode all frames of a clip as RGB."""
    for frame in read_frames(path, read_packets(path)):
        frame.image()


def test_measuring_a_clip_costs_no_more_than_reading_it_twice(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    wide = cv2.resize(random.integers(0, 256, (32, 64, 3), np.uint8), (640, 320), interpolation=cv2.INTER_CUBIC)
    wide = np.clip(wide + random.normal(0, 4, wide.shape), 0, 255).astype(np.uint8)
    keys = [f"a-{number}-1" for number in range(8)]
    (tmp_path / "images").mkdir()
    for key in keys:
        frames = (wide[:, 2 * number : 2 * number + 360] for number in range(FRAMES))
        write_video(tmp_path / "images" / f"{key}.mp4", frames, 30, quality=15)
    write_table(pl.DataFrame([row(key) for key in keys], schema=types(Clips)), Clips, tmp_path / "clips.parquet")
    outputs = tmp_path / "scores.parquet", tmp_path / "scores.jsonl"
    mask = {"x0": 0, "y0": 0, "x1": 9, "y1": 9, "time": 0.0, "rle": encode_rle(np.ones((360, 640), np.uint8))}
    masks = [
        {**dict.fromkeys(types(SceneFrames)), **mask, "key": key, "index": index} for key in keys for index in range(FRAMES)
    ]
    write_table(pl.DataFrame(masks, schema=types(SceneFrames)), SceneFrames, tmp_path / "scene_frames.parquet")
    inputs = tmp_path / "clips.parquet", tmp_path / "scene_frames.parquet", tmp_path / "images"
    best = [float("inf")] * 2
    for _ in range(3):
        start = time.monotonic()
        score_clips(*inputs, {}, None, *outputs, samples=16, threads=2)
        middle = time.monotonic()
        for key in keys:
            decode(tmp_path / "images" / f"{key}.mp4")
        best = [min(best[0], middle - start), min(best[1], time.monotonic() - middle)]
    ours, plain = (seconds / len(keys) for seconds in best)
    assert read_table(outputs[0], Scores).height == len(keys)
    print(
        f"\na clip of 4 s, 360 by 320 pixels, without models: {ours:.3f} s on two cores; decoding all of its frames one after"
        f" the other: {plain:.3f} s, {ours / plain:.2f} times (ceiling: 2)"
    )
    assert ours / plain <= 2


def like_those_of_footage(count: int) -> np.ndarray:
    """Return `count` signatures. About half differ in a few bits from another; half of the bits of a hash are set."""
    random = np.random.default_rng(0)
    bits = random.random((count // 2, PLACES, 64)).argsort(axis=-1) < 32
    distinct = np.packbits(bits, axis=-1, bitorder="little").view(np.uint64)[..., 0]
    signatures = distinct[random.integers(0, count // 2, count)]
    for _ in range(2):
        signatures ^= np.uint64(1) << random.integers(0, 64, signatures.shape, np.uint64)
    return signatures


def compare_all(signatures: np.ndarray, distance: float) -> list[int]:
    """Return the kept clip that represents each clip, by comparing each clip with all kept ones."""
    stay = np.empty(0, np.int64)
    for index, one in enumerate(signatures):
        if not len(stay) or np.bitwise_count(one ^ signatures[stay]).sum(axis=1).min() > distance * PLACES:
            stay = np.append(stay, index)
    return [int(stay[np.bitwise_count(one ^ signatures[stay]).sum(axis=1).argmin()]) for one in signatures]


def test_25_000_clips_are_filtered_in_seconds(tmp_path: Path) -> None:
    signatures = like_those_of_footage(COUNT)
    start = time.monotonic()
    expected = compare_all(signatures, 6)
    plain = time.monotonic() - start
    start = time.monotonic()
    found = find_similar(signatures, 6)[0].tolist()
    ours = time.monotonic() - start
    assert found == expected
    same = np.repeat(signatures[:1], COUNT, axis=0)
    start = time.monotonic()
    assert not find_similar(same, 6)[0].any()
    alike = time.monotonic() - start
    print(
        f"\nclips that look alike among {COUNT:,}: {ours:.1f} s, {plain / ours:.0f} times as fast as comparing each with all"
        f" that stay (floor: 5), with the same result; where all look alike: {alike:.1f} s"
    )
    assert plain / ours >= 5
    names = [f"source-{number:03}" for number in range(SHARDS)]
    usual: dict[str, Any] = {name: "" for name, kind in types(Sources).items() if kind == pl.String}
    usual |= {"content": "general", "size": 1, "use": []}
    sources = [{name: {**usual, "source": source}.get(name) for name in types(Sources)} for source in names]
    write_table(pl.DataFrame(sources, schema=types(Sources)), Sources, tmp_path / "sources.parquet")
    one_clip = pl.DataFrame([row("")], schema=types(Clips))
    good = {"looked": 16, "sharpness": 99.0, "brightness": 0.5, "clipped": 0.0, "blockiness": 1.1, "motion": 0.1, "jump": 0.1}
    one_score = pl.DataFrame([{**dict.fromkeys(types(Scores)), **good, "key": "", "hashes": []}], schema=types(Scores))
    clips, scores = [], []
    for name, own in zip(names, np.array_split(signatures, SHARDS), strict=True):
        first = pl.Series(range(0, 200 * len(own), 200))
        key = pl.Series([f"{name}-{number:07}-1" for number in first])
        clips.append(tmp_path / f"{name}.clips.parquet")
        table = pl.concat([one_clip] * len(own)).with_columns(source=pl.lit(name), first=first, key=key)
        write_table(table, Clips, clips[-1])
        scores.append(tmp_path / f"{name}.scores.parquet")
        hashes = pl.Series(own.tolist(), dtype=pl.List(pl.UInt64))
        write_table(pl.concat([one_score] * len(own)).with_columns(key=key, hashes=hashes), Scores, scores[-1])
    outputs = [tmp_path / name for name in ("kept.parquet", "kept_scores.parquet", "ledger.jsonl", "decisions.jsonl")]
    start = time.monotonic()
    filter_clips(clips, scores, {}, [], tmp_path / "sources.parquet", "mosaic_restoration", {}, FilterSettings(), *outputs)
    whole = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"filtering {COUNT:,} clips of {SHARDS} shards, tables included: {whole:.1f} s (ceiling: 60), {peak:.1f} GB at most;"
        f" {read_table(outputs[1], Scores).height:,} stay"
    )
    assert whole <= 60
