"""Tables of clips for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.imaging.encode import write_video
from tessera.imaging.masks import encode_rle
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.footage import Sources
from tessera.records.tables.scenes import SceneFrames
from tessera.records.tables.table import types, write_table


def clip(key: str, frames: int = 30, size: tuple[int, int] = (64, 64), rate: float = 30, **values: Any) -> dict[str, Any]:
    """Return a row of `tables.Clips` with `frames` of `size`, width and height, without padding unless `values` has some."""
    width, height = size
    source, first, track = key.rsplit("-", 2)
    row: dict[str, Any] = {name: {pl.String: "", pl.Int64: 1, pl.Float64: 1.0}.get(kind) for name, kind in types(Clips).items()}
    row |= {"key": key, "source": source, "first": int(first), "track": int(track), "label": "nsfw", "detected": frames}
    row |= {"frames": frames, "rate": rate, "time": [number / rate for number in range(frames)]}
    row |= {"width": width, "height": height, "frame_width": width, "frame_height": height}
    row |= {"crops": [[0, 0, width, height]] * frames, "pads": [[0, 0, 0, 0]] * frames}
    return row | values


def write_clips(folder: Path, clips: Sequence[dict[str, Any]], pictures: dict[str, Sequence[np.ndarray]]) -> None:
    """Write `clips.parquet`, `scene_frames.parquet` and `images/KEY.mp4` to `folder`; a clip without pictures has no video.

    The masks cover the whole frames.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_table(pl.DataFrame(clips, schema=types(Clips)), Clips, folder / "clips.parquet")
    scene_frames = []
    for row in clips:
        width, height = row["frame_width"], row["frame_height"]
        mask = {"key": row["key"], "time": 0.0, "rle": encode_rle(np.ones((height, width), np.uint8))}
        mask |= {"x0": 0, "y0": 0, "x1": width, "y1": height}
        scene_frames += [
            {**dict.fromkeys(types(SceneFrames)), **mask, "index": row["first"] + number} for number in range(row["frames"])
        ]
    write_table(pl.DataFrame(scene_frames, schema=types(SceneFrames)), SceneFrames, folder / "scene_frames.parquet")
    for row in clips:
        if row["key"] in pictures:
            write_video(folder / "images" / f"{row['key']}.mp4", iter(pictures[row["key"]]), row["rate"], quality=1)


def score(key: str, hashes: Sequence[int] = (0,), **values: Any) -> dict[str, Any]:
    """Return a row of `tables.Scores` that passes all filters."""
    good = {"looked": 16, "sharpness": 500.0, "brightness": 0.5, "clipped": 0.0, "blockiness": 1.1, "motion": 0.1, "jump": 0.1}
    return dict.fromkeys(types(Scores)) | {"key": key, **good, "hashes": list(hashes), **values}


def write_scores(path: Path, scores: Sequence[dict[str, Any]]) -> None:
    """Write `scores` as `tables.Scores`."""
    write_table(pl.DataFrame(scores, schema=types(Scores)), Scores, path)


def write_sources(path: Path, sources: dict[str, dict[str, Any]]) -> Path:
    """Write `sources` as `tables.Sources`, each with the columns that differ from the defaults."""
    defaults: dict[str, Any] = {name: "" for name, kind in types(Sources).items() if kind == pl.String}
    defaults |= {"content": "general", "kind": "video", "size": 1, "use": []}
    rows = [
        {name: {**defaults, "source": source, **given}.get(name) for name in types(Sources)}
        for source, given in sources.items()
    ]
    write_table(pl.DataFrame(rows, schema=types(Sources)), Sources, path)
    return path
