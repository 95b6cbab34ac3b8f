"""Measure clips: every detector runs on a few frames of each clip."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.ledger import Ledger
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import shrink
from tessera.imaging.sharpness import luma, sharpness
from tessera.learning.detection.detector import Detector
from tessera.records.clips import frames_to_measure, packets_of, pictures_of
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.scenes import SceneFrames
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.clips import scores
from tessera.stages.clips.quality import QualityModel, fuse, views_of

STEP = 0.1  # seconds between the two frames of a motion measurement, independent of the frame rate
SMALL_SIDE = 256  # pixels; longest side of pictures for sharpness, motion and the perceptual hash, as for sampled frames
SHOWN_SIDE = 1280  # pixels; longest side of pictures for detectors
DIGITS = 6  # decimals of a score


class Measured(NamedTuple):
    """The result of reading a clip once: its row of scores without those of models, and the inputs of the models."""

    row: dict[str, Any]
    pictures: list[np.ndarray]  # for detectors: uint8 (H, W, 3), RGB
    views: dict[int, np.ndarray]  # for the quality model: uint8 (2, 224, 224, 3), by index of the frame


def score_clips(
    clips: Path,
    scene_frames: Path,
    images: Path,
    detectors: Mapping[str, Callable[[], Detector]],
    quality: Path | None,
    table: Path,
    ledger: Path,
    *,
    samples: int,
    threads: int,
) -> None:
    """Write the scores of each clip to `table` (`tables.Scores`); `ledger` gets one row per clip.

    `clips`: `tables.Clips`; their videos are in the folder `images`. `scene_frames`: `tables.SceneFrames` with the mask of each
    frame. `samples`: the number of frames to measure in each clip,
    see `frames_to_measure`. `detectors`: a function that loads the detector, by column of `tables.Scores`;
    detectors are loaded only if there are clips. `quality`: an ONNX file for `QualityModel`, or None. `threads` read clips
    ahead of the models.

    Raises `TesseraError` if `quality` is not a DOVER model.
    """
    columns = ("key", "frames", "width", "height", "time", "pads", "frame_width", "frame_height")
    cut = read_table(clips, Clips).select(columns).to_dicts()
    masks = dict(read_table(scene_frames, SceneFrames).sort("key", "index").group_by("key").agg("rle").iter_rows())
    models = {name: load() for name, load in detectors.items()} if cut else {}
    quality_model = QualityModel(quality) if quality and cut else None
    measure = partial(_measure, masks=masks, images=images, samples=samples, shown=bool(models), quality_model=quality_model)
    rows = []
    with Ledger(ledger) as entries, ThreadPoolExecutor(threads) as pool:
        for clip, measuring in ahead(pool, measure, progress(cut, unit="clips"), threads):
            with entries.item(clip["key"]):
                row, pictures, views = measuring.result()
                for name, model in models.items():
                    frame_labels = [{detection.label for detection in detections} for detections in model.predict(pictures)]
                    row[name] = round(float(np.mean([bool(labels) for labels in frame_labels])), DIGITS)
                    if name == "nsfw":
                        row["nsfw_classes"] = sorted(set().union(*frame_labels))
                if quality_model:
                    aesthetic, technical = quality_model.measure(views, clip["frames"])
                    row |= {"aesthetic": round(aesthetic, DIGITS), "technical": round(technical, DIGITS)}
                    row["quality"] = round(fuse(aesthetic, technical), DIGITS)
                rows.append(row)
    write_table(pl.DataFrame(rows, schema=types(Scores)), Scores, table)


def _measure(
    clip: Mapping[str, Any],
    masks: Mapping[str, Sequence[str]],
    images: Path,
    samples: int,
    shown: bool,
    quality_model: QualityModel | None,
) -> Measured:
    """Measure `clip`, a row of `tables.Clips`. `masks`: see `scores.jump`, by the key of the clip.

    Raises `Failed` if the clip cannot be read or differs from its row.
    """
    path = images / f"{clip['key']}.mp4"
    packets = packets_of(path, clip)
    indices = frames_to_measure(packets.keyframe, samples)
    quality_indices = quality_model.frame_indices(clip["frames"]) if quality_model else []
    partners = _partners(clip["time"], indices)
    moving: dict[int, np.ndarray] = {}
    columns: dict[str, list[float]] = {"sharpness": [], "brightness": [], "clipped": [], "blockiness": []}
    hashes: list[int] = []
    pictures: list[np.ndarray] = []
    views: dict[int, np.ndarray] = {}
    for index, picture in pictures_of(path, clip, packets, {*indices, *partners.values(), *quality_indices}):
        levels = luma(picture)
        small = shrink(levels, SMALL_SIDE)
        moving[index] = scores.thumbnail(small)
        if index in indices:
            columns["sharpness"].append(sharpness(small))
            for name in ("brightness", "clipped", "blockiness"):
                columns[name].append(getattr(scores, name)(levels))
            hashes.append(perceptual_hash(small))
            if shown:
                pictures.append(np.ascontiguousarray(shrink(picture, SHOWN_SIDE)))
        if index in quality_indices:
            views[index] = views_of(picture)
    speeds = [
        scores.motion(moving[first], moving[second], clip["time"][second] - clip["time"][first])
        for first, second in partners.items()
    ]
    row = {
        "key": clip["key"],
        "looked": len(indices),
        **{name: round(float(np.median(column)), DIGITS) for name, column in columns.items()},
        "motion": round(float(np.mean(speeds)), DIGITS) if speeds else 0.0,
        "jump": round(scores.jump(masks[clip["key"]], clip["frame_height"], clip["frame_width"]), DIGITS),
        "hashes": hashes,
    }
    return Measured(row, pictures, views)


def _partners(time: Sequence[float], indices: Sequence[int]) -> dict[int, int]:
    """Return for each of the frames `indices` the first frame at least `STEP` later, or the last frame if there is none.

    `time`: seconds, by frame. Frames that no frame with a later time follows are left out.
    """
    # A tolerance of a millisecond, because timestamps are rounded.
    later = np.searchsorted(time, np.take(time, indices) + STEP - 1e-3)
    pairs = zip(indices, np.minimum(later, len(time) - 1).tolist(), strict=True)
    return {first: second for first, second in pairs if time[second] > time[first]}
