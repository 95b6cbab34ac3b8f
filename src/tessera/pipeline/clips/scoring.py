"""Measure clips: every detector runs on a few frames of each clip."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.core.job import ahead, progress
from tessera.core.ledger import Ledger
from tessera.core.messages import counted
from tessera.imaging.crops import without_padding
from tessera.imaging.detection.detector import Detector
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import shrink
from tessera.imaging.sharpness import luma, sharpness
from tessera.imaging.video import read_frames, read_packets
from tessera.pipeline.clips import scores
from tessera.pipeline.clips.quality import QualityModel, fuse, views_of

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
    images: Path,
    detectors: Mapping[str, Callable[[], Detector]],
    quality: Path | None,
    table: Path,
    ledger: Path,
    *,
    samples: int,
    nsfw_classes: Collection[str],
    threads: int,
) -> None:
    """Write the scores of each clip to `table` (`tables.Scores`); `ledger` gets one row per clip.

    `clips`: `tables.Clips`; their videos are in the folder `images`. `samples`: the number of frames to measure in each clip,
    see `spread`. `detectors`: a function that loads the detector, by column of `tables.Scores`;
    detectors are loaded only if there are clips. `nsfw_classes`: the classes of the detector `nsfw` that count; all if empty.
    `quality`: an ONNX file for `QualityModel`, or None. `threads` read clips ahead of the models.

    Raises `TesseraError` if `nsfw_classes` has an unknown class or `quality` is not a DOVER model.
    """
    import polars as pl

    from tessera.records.tables.clips import Clips, Scores
    from tessera.records.tables.table import read_table, types, write_table

    cut = read_table(clips, Clips).select("key", "frames", "width", "height", "time", "pads").to_dicts()
    models = {name: load() for name, load in detectors.items()} if cut else {}
    if "nsfw" in models and (unknown := sorted(set(nsfw_classes) - set(models["nsfw"].labels))):
        raise TesseraError(
            f"`scores.nsfw_classes` names {', '.join(unknown)}; the detector knows {', '.join(sorted(models['nsfw'].labels))}"
        )
    judge = QualityModel(quality) if quality and cut else None
    measure = partial(_measure, images=images, samples=samples, shown=bool(models), judge=judge)
    rows = []
    with Ledger(ledger) as book, ThreadPoolExecutor(threads) as pool:
        for clip, measuring in ahead(pool, measure, progress(cut, unit="clips"), threads):
            with book.item(clip["key"]):
                row, pictures, views = measuring.result()
                for name, model in models.items():
                    counts = nsfw_classes if name == "nsfw" else ()
                    seen = [{each.label for each in of_one} for of_one in model.predict(pictures)]
                    seen = [labels & set(counts) if counts else labels for labels in seen]
                    row[name] = round(float(np.mean([bool(labels) for labels in seen])), DIGITS)
                    if name == "nsfw":
                        row["nsfw_classes"] = sorted(set().union(*seen))
                if judge:
                    aesthetic, technical = judge.measure(views, clip["frames"])
                    row |= {"aesthetic": round(aesthetic, DIGITS), "technical": round(technical, DIGITS)}
                    row["quality"] = round(fuse(aesthetic, technical), DIGITS)
                rows.append(row)
    write_table(pl.DataFrame(rows, schema=types(Scores)), Scores, table)


def spread(keyframes: np.ndarray, samples: int) -> list[int]:
    """Return at most `samples` frames, evenly spaced from the first to the last, but some of them a little earlier; ascending.

    `keyframes`: bool (N,), whether each frame is a keyframe. The first sample from each keyframe on moves back to the frame
    after the keyframe, so that less is decoded; clips have a keyframe every half second. It does not move to the keyframe
    itself, because the compression of the clip shows blocks there that the footage does not have.
    """
    count = len(keyframes)
    places = np.unique(np.linspace(0, count - 1, min(samples, count)).round().astype(int))
    before = np.maximum.accumulate(np.where(keyframes, np.arange(count), 0))[places]
    is_first = np.diff(before, prepend=-1) > 0
    chosen: list[int] = np.where(is_first, np.minimum(places, before + 1), places).tolist()
    return chosen


def _measure(clip: Mapping[str, Any], images: Path, samples: int, shown: bool, judge: QualityModel | None) -> Measured:
    """Measure `clip`, a row of `tables.Clips`. Raises `Failed` if it cannot be read or differs from its row."""
    path = images / f"{clip['key']}.mp4"
    packets = read_packets(path)
    if len(packets) != clip["frames"]:
        raise Failed("clip is not as its table says", f"{counted(len(packets), 'frames')} instead of {clip['frames']}")
    looks = spread(packets.keyframe, samples)
    judged = judge.places(clip["frames"]) if judge else []
    partners = _partners(clip["time"], looks)
    moving: dict[int, np.ndarray] = {}
    columns: dict[str, list[float]] = {"sharpness": [], "brightness": [], "clipped": [], "blockiness": []}
    hashes: list[int] = []
    pictures: list[np.ndarray] = []
    views: dict[int, np.ndarray] = {}
    for frame in read_frames(path, packets, {*looks, *partners.values(), *judged}, threads=1):
        whole = frame.image()
        # Codecs with chroma subsampling round odd sides up to even ones.
        more = np.subtract(whole.shape[:2], (clip["height"], clip["width"]))
        if more.min() < 0 or more.max() > 1:
            raise Failed("clip is not as its table says", f"{whole.shape[1]} by {whole.shape[0]} pixels")
        picture = without_padding(whole[: clip["height"], : clip["width"]], clip["pads"][frame.index])
        if not picture.size:
            raise Failed("clip is not as its table says", f"frame {frame.index} is nothing but padding")
        levels = luma(picture)
        small = shrink(levels, SMALL_SIDE)
        moving[frame.index] = scores.thumbnail(small)
        if frame.index in looks:
            columns["sharpness"].append(sharpness(small))
            for name in ("brightness", "clipped", "blockiness"):
                columns[name].append(getattr(scores, name)(levels))
            hashes.append(perceptual_hash(small))
            if shown:
                pictures.append(np.ascontiguousarray(shrink(picture, SHOWN_SIDE)))
        if frame.index in judged:
            views[frame.index] = views_of(picture)
    speeds = [
        scores.motion(moving[one], moving[other], clip["time"][other] - clip["time"][one]) for one, other in partners.items()
    ]
    row = {
        "key": clip["key"],
        "looked": len(looks),
        **{name: round(float(np.median(column)), DIGITS) for name, column in columns.items()},
        "motion": round(float(np.mean(speeds)), DIGITS) if speeds else 0.0,
        "hashes": hashes,
    }
    return Measured(row, pictures, views)


def _partners(time: Sequence[float], looks: Sequence[int]) -> dict[int, int]:
    """Return for each of the frames `looks` the first frame that is at least `STEP` later, or the last frame if there is none.

    `time`: seconds, by frame. Frames that no frame with a later time follows are left out.
    """
    # A tolerance of a millisecond, because timestamps are rounded.
    later = np.searchsorted(time, np.take(time, looks) + STEP - 1e-3)
    pairs = zip(looks, np.minimum(later, len(time) - 1).tolist(), strict=True)
    return {one: other for one, other in pairs if time[other] > time[one]}
