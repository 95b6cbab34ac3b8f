"""Find scenes: stretches of a video that show one region, with its place in each frame. No image is read.

The first steps need only times and boxes: they decide which detections are one region, and which stretches of it are scenes.
Masks come last, scene by scene and frame by frame, and only the part of a mask inside its box is held. So neither a long video
nor a large region needs much memory.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.core.errors import Dropped
from tessera.core.ledger import Ledger
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.seeds import generator
from tessera.imaging.masks import Patch, encode_patch, growth_step

if TYPE_CHECKING:
    import polars as pl
from tessera.stages.clips.masks import (
    area_of,
    enlarge_patch,
    grow_patch,
    interpolate,
    patch_of,
    scale_of,
    shrink_patch,
    smooth,
    smooth_boxes,
    unite,
)
from tessera.stages.clips.tracks import TINY, Piece, SceneSettings, Stretch, choose_stretches

# A function of all frames and all detections of a video that returns the number of the track of each detection, or -1.
Follow = Callable[["pl.DataFrame", "pl.DataFrame"], np.ndarray]
HELD = 7  # the largest number of masks before and after a mask that are used to smooth it


def find_scenes(
    frames: Path,
    detections: Path,
    follow: Follow,
    settings: SceneSettings,
    seed: int,
    scenes: Path,
    scene_frames: Path,
    ledger: Path,
    *,
    threads: int = 1,
) -> None:
    """Write the scenes in the videos of a shard: stretches that show one region, with its place in each frame.

    `frames`: `tables.VideoFrames`. `detections`: `tables.VideoDetections`. `follow` gets those of one video, the detections
    without their masks, and returns their tracks. A scene never extends beyond the tracks that it is made of. So `follow` must
    end tracks at cuts, at changes of size and at frames that cannot be decoded.

    `scenes` gets `tables.Scenes`, and `scene_frames` gets `tables.SceneFrames`. `ledger` gets one row per stretch, with the key
    of the scene that it is or would have been. Stretches that are `shorter than the minimum`, `below the confidence` or `left
    out by the stride` are dropped, and so are tracks that were `merged into another`. A video without a track has one row with
    its id and the reason `no region`.

    Draws depend on `seed`. `threads` threads compute the masks; the result does not depend on their number.
    """
    import polars as pl

    from tessera.records.tables.scenes import SceneFrames, Scenes, VideoDetections, VideoFrames
    from tessera.records.tables.table import read_table, types, write_table

    known = read_table(detections, VideoDetections, without=["rle"]).with_row_index("row")
    scene_rows: list[dict[str, Any]] = []
    tables = [pl.DataFrame(schema=types(SceneFrames))]
    with Ledger(ledger) as entries, ThreadPoolExecutor(threads) as pool:
        for video in read_table(frames, VideoFrames).partition_by("source", maintain_order=True):
            source = video["source"][0]
            video_detections = known.filter(pl.col("source") == source)
            stretches = choose_stretches(video, video_detections, follow(video, video_detections), settings)
            if not stretches:
                entries.row(source, "dropped", "no region")
            shape = partial(
                _shape, video=video, video_detections=video_detections, detections=detections, settings=settings, seed=seed
            )
            for stretch, shaped in ahead(pool, shape, progress(stretches, unit=f"stretches of {source!r}"), 2 * threads):
                with entries.item(stretch.key):
                    scene, frame_rows = shaped.result()
                    scene_rows.append(scene)
                    tables.append(frame_rows)
    write_table(pl.DataFrame(scene_rows, schema=types(Scenes)), Scenes, scenes)
    write_table(pl.concat(tables), SceneFrames, scene_frames)


def _shape(
    stretch: Stretch,
    video: "pl.DataFrame",
    video_detections: "pl.DataFrame",
    detections: Path,
    settings: SceneSettings,
    seed: int,
) -> tuple[dict[str, Any], "pl.DataFrame"]:
    """Return the row of the scene `stretch`, and its `tables.SceneFrames`. Raises `Dropped` if it is not a scene."""
    import polars as pl

    from tessera.records.tables.scenes import SceneFrames
    from tessera.records.tables.table import types

    if stretch.reason:
        raise Dropped(stretch.reason, stretch.detail)
    first, stop = stretch.first, stretch.stop
    height, width = video["height"][first], video["width"][first]
    rows = _rows(stretch.pieces, first, stop)
    scene_detections = video_detections[rows]
    table_rows = scene_detections["row"].to_numpy()
    part = (
        pl.scan_parquet(detections).select("rle").slice(int(table_rows[0]), int(table_rows[-1] - table_rows[0]) + 1).collect()
    )
    masks = dict(zip(rows.tolist(), part["rle"].gather(table_rows - table_rows[0]), strict=True))
    boxes = scene_detections.select("x0", "y0", "x1", "y1")
    corners = dict(zip(rows.tolist(), boxes.rows(), strict=True))
    scale = scale_of(boxes.to_numpy())
    small = -(-height // scale), -(-width // scale)  # the height and width of the frame at this scale

    def patch(row: int) -> Patch:
        return shrink_patch(patch_of(masks[row], corners[row], height, width), scale)

    time = video["time"].to_numpy()
    frame_patches = zip(*(_masks(piece, first, stop, time, patch, scale, *small) for piece in stretch.pieces), strict=True)
    united = (unite([patch for patch in patches if patch is not None]) for patches in frame_patches)
    count = stop - first
    # Frames per second; the mean if the rate varies.
    rate = (count - 1) / max(time[stop - 1] - time[first], TINY)
    mask_half = min(int(settings.smooth_masks_seconds * rate / 2), HELD)
    box_half = min(int(settings.smooth_boxes_seconds * rate / 2), count)
    steps = int(generator(seed, "scenes", stretch.key).choice(settings.extension))
    radius = steps * growth_step(float(np.median([area_of(masks[row], corners[row]) for row in masks])), height, width)
    codes, boxes_of_frames = [], []
    for smoothed in smooth(united, mask_half, *small):
        grown = enlarge_patch(grow_patch(smoothed, radius / scale, *small), scale, height, width)
        codes.append(encode_patch(grown, height, width))
        boxes_of_frames.append(grown.box)
    x0, y0, x1, y1 = smooth_boxes(np.array(boxes_of_frames), box_half).T
    scene = {
        "key": stretch.key,
        "source": video["source"][0],
        "track": stretch.number,
        "label": Counter(scene_detections["label"]).most_common(1)[0][0],
        "first": first,
        "frames": count,
        "width": width,
        "height": height,
        "score": float(scene_detections["score"].to_numpy().mean()),
        "detected": scene_detections.filter(pl.col("index").is_between(first, stop - 1))["index"].n_unique(),
        "extension": steps,
    }
    columns = {"key": [stretch.key] * count, "rle": codes, "x0": x0, "y0": y0, "x1": x1, "y1": y1}
    frames = video[first:stop].select("index", "pts", "time").with_columns(**{k: pl.Series(v) for k, v in columns.items()})
    return scene, frames.select(list(types(SceneFrames)))


def _rows(pieces: Sequence[Piece], first: int, stop: int) -> np.ndarray:
    """Return the rows of the detections that determine the masks of the frames from `first` to before `stop`, ascending."""
    return np.sort(np.concatenate([piece.rows[piece.around(first, stop)] for piece in pieces]))


def _masks(
    piece: Piece, first: int, stop: int, time: np.ndarray, patch: Callable[[int], Patch], scale: int, height: int, width: int
) -> Iterator[Patch | None]:
    """Yield the mask of `piece` in each frame from `first` to before `stop`, or None for a frame that it does not reach.

    `patch` returns the mask of a detection at `scale`, see `shrink_patch`, at which the frame has `height` by `width` pixels.
    `time`: seconds, of each frame of the video.
    """
    yield from repeat(None, max(piece.first - first, 0))
    start, end = max(first, piece.first), min(stop, piece.stop)
    previous, before = None, 0
    for index in piece.around(first, stop):
        current, frame = patch(int(piece.rows[index])), int(piece.frames[index])
        between = np.arange(max(before + 1, start), min(frame, end))
        if previous is not None and len(between):
            weights = (time[between] - time[before]) / max(time[frame] - time[before], TINY)
            here, there, boxes = (piece.boxes[frames - piece.first] for frames in (before, frame, between))
            bends = boxes - here - weights[:, None] * (there - here)
            yield from interpolate(previous, current, weights, bends / scale, height, width)
        if start <= frame < end:
            yield current
        previous, before = current, frame
    yield from repeat(None, max(stop - piece.stop, 0))
