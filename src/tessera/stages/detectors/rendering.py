"""Draw what a detector finds in a source: overlay videos and contact sheets."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.files import readable_name
from tessera.core.messages import pluralize
from tessera.core.progress import progress
from tessera.core.seeds import fraction
from tessera.imaging.boxes import Box
from tessera.imaging.encode import write_video
from tessera.imaging.footage import read_footage
from tessera.imaging.images import resize, shrink, write_image
from tessera.imaging.masks import decode_rle
from tessera.imaging.sheets import COLOURS, SHADE, Colour, RenderSettings, contact_sheet, stamp, write
from tessera.records.stills import read_stills, stills_of
from tessera.records.tables.annotation import Annotations, PredictedFrames
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import read_table

TINT = 0.4  # opacity of the colour over a mask
SLOWEST = 5.0  # lowest frame rate of an overlay video, frames per second
SCORES = 3  # most scores in a caption
LONGEST = 24  # characters of the name of a picture


class Mark(NamedTuple):
    """A region to draw. `box`: pixels, half-open. `mask`: uint8 (H, W), 0 or 255, or None if there is only a box."""

    label: str
    score: float
    box: Box
    mask: np.ndarray | None


def render_previews(
    sources: Path,
    stills: Path,
    frames: Path,
    predictions: Path,
    confidence: float,
    settings: RenderSettings,
    overlays: Path,
    sheets: Path,
) -> None:
    """Draw the predictions of a shard: an overlay video per video into `overlays`, a contact sheet per source into `sheets`.

    `sources`: `tables.Sources`. `stills`: `tables.SourceFiles`. `frames`: `tables.PredictedFrames`. `predictions`:
    `tables.Annotations`. A region counts if its score is at least `confidence`. A video shows the predicted frames at the speed
    of the source, but with at least `SLOWEST` frames per second. Nothing is blurred: previews are for people who work with the
    footage.
    """
    predicted, regions = read_table(frames, PredictedFrames), read_table(predictions, Annotations)
    overlays.mkdir()
    sheets.mkdir()
    held = read_stills(stills)
    for source in read_table(sources, Sources).iter_rows(named=True):
        of_source = predicted.filter(pl.col("source") == source["source"])
        if not of_source.is_empty():
            detections = of_source.select("key").join(regions, on="key", maintain_order="left_right")
            _render(source, held.get(source["source"], []), of_source, detections, confidence, settings, overlays, sheets)


def draw_marks(image: np.ndarray, marks: Sequence[Mark], side: int) -> np.ndarray:
    """Return `image`, its longer side at most `side` pixels, with the tint, outline, bounding box and label of each of `marks`.

    `image`: uint8 (H, W, 3), RGB; it is not changed. `marks` are in the pixels of `image`, before it is scaled down.
    """
    import cv2

    drawn = shrink(image, side).copy()
    height, width = drawn.shape[:2]
    thickness = max(1, round(max(height, width) / 640))
    scale = max(height, width) / max(image.shape[:2])
    boxes = [tuple(round(edge * scale) for edge in mark.box) for mark in marks]
    for mark, (x0, y0, x1, y1) in zip(marks, boxes, strict=True):
        colour = colour_of(mark.label)
        if mark.mask is not None:
            mask = cv2.resize(mark.mask, (width, height), interpolation=cv2.INTER_AREA) > 127
            drawn[mask] = (drawn[mask] * (1 - TINT) + np.array(colour) * TINT).astype(np.uint8)
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(drawn, outlines, -1, colour, thickness)
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), colour, thickness)
    # Labels are drawn last, so that no region hides one.
    line = _line_height(drawn)
    for mark, (x0, y0, *_) in zip(marks, boxes, strict=True):
        write(drawn, f"{mark.label} {mark.score:.2f}", (x0, y0 - line), line, SHADE, colour_of(mark.label))
    return drawn


def colour_of(label: str) -> Colour:
    """Return the RGB colour of `label`, the same in every picture."""
    return COLOURS[int(fraction("previews", label) * len(COLOURS))]


def _render(
    source: dict[str, Any],
    files: list[dict[str, Any]],
    frames: pl.DataFrame,
    regions: pl.DataFrame,
    confidence: float,
    settings: RenderSettings,
    overlays: Path,
    sheets: Path,
) -> None:
    """Draw the overlay video and the contact sheet of one source from its predicted `frames` and their `regions`.

    `files`: its rows of `tables.SourceFiles`.
    """
    evenly, doubtful = _choose(frames, regions, confidence, settings.columns * settings.rows)
    of_key = {str(key): rows.to_dicts() for (key,), rows in regions.group_by("key", maintain_order=True)}
    rows = {row["key"]: row for row in frames.iter_rows(named=True)}
    if source["kind"] != "video":
        rows = {key: row for key, row in rows.items() if key in {*evenly, *doubtful}}
    tiles: dict[str, tuple[np.ndarray, str]] = {}

    def pictures() -> Iterator[np.ndarray]:
        """Yield each frame as the video shows it, and store the tiles of the sheet."""
        path = Path(source["path"])
        size: tuple[int, ...] = ()  # of the first picture
        footage = read_footage(path, source["kind"], [row["index"] for row in rows.values()], stills_of(path, files))
        for row, frame in progress(zip(rows.values(), footage, strict=True), len(rows), f"frames of {source['source']!r}"):
            image = frame.square_image()
            marks = [_mark(region, row) for region in of_key.get(row["key"], ())]
            counting = [mark for mark in marks if mark.score >= confidence]
            if row["key"] in evenly:
                tiles[row["key"]] = draw_marks(image, counting, settings.tile), _caption(row, counting)
            elif row["key"] in doubtful:
                # Show all regions: the uncertain one may be below the confidence.
                tiles[row["key"]] = draw_marks(image, marks, settings.tile), _caption(row, marks)
            drawn = draw_marks(image, counting, settings.max_side)
            size = size or drawn.shape[:2]
            picture = _framed(drawn, *size)
            write(picture, _caption(row, counting), (0, picture.shape[0]), _line_height(picture))
            yield picture

    name = readable_name(source["source"])
    if source["kind"] == "video":
        write_video(overlays / f"{name}.mp4", pictures(), _rate(frames))
    else:
        for _ in pictures():
            pass
    bands = {"evenly spaced": evenly, f"closest to {confidence:g}, the confidence from which a region counts": doubtful}
    counts = regions.filter(regions["score"] >= confidence)["key"].n_unique()
    title = f"{source['source']}: {pluralize(frames.height, 'frames')} predicted, {counts} with a region"
    sheet = contact_sheet(
        title,
        {heading: [tiles[key] for key in keys] for heading, keys in bands.items() if keys},
        settings.tile,
        settings.columns,
    )
    write_image(sheets / f"{name}.jpg", sheet)


def _framed(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `picture`, uint8 (H, W, 3), scaled into `height` by `width` pixels; black fills the rest.

    The frames of a video that changes its size have other sizes than the sheet expects.
    """
    scale = min(height / picture.shape[0], width / picture.shape[1])
    inner = resize(picture, *(max(1, round(side * scale)) for side in picture.shape[:2]))
    framed = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    framed[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return framed


def _choose(frames: pl.DataFrame, regions: pl.DataFrame, confidence: float, count: int) -> tuple[list[str], list[str]]:
    """Return the keys of `count` evenly spaced frames, and of the most uncertain frame in each of `count` equal parts.

    The closer the score of a region is to `confidence`, the more uncertain its frame. No frame is in both lists.
    """
    doubt: dict[str, float] = {}
    for key, score in regions.select("key", "score").iter_rows():
        doubt[key] = min(doubt.get(key, 1.0), abs(score - confidence))
    keys = frames["key"].to_list()
    parts = [keys[part[0] : part[-1] + 1] for part in np.array_split(np.arange(len(keys)), min(count, len(keys)))]
    evenly = [part[len(part) // 2] for part in parts]
    doubtful = [[key for key in part if key in doubt and key not in evenly] for part in parts]
    return evenly, [min(part, key=lambda key: doubt[key]) for part in doubtful if part]


def _mark(region: dict[str, Any], frame: dict[str, Any]) -> Mark:
    mask = None if region["rle"] is None else decode_rle(region["rle"], frame["height"], frame["width"])
    return Mark(region["label"], region["score"], (region["x0"], region["y0"], region["x1"], region["y1"]), mask)


def _caption(frame: dict[str, Any], marks: Sequence[Mark]) -> str:
    scores = [f"{mark.score:.2f}" for mark in marks[:SCORES]]
    listed = ", ".join([*scores, "…"] if len(marks) > SCORES else scores) or "no region"
    # The end of a long path says most.
    where = frame["name"][-LONGEST:] if frame["name"] else stamp(frame["index"], frame["time"])
    return f"{where}   {listed}"


def _rate(frames: pl.DataFrame) -> float:
    seconds = frames["time"][-1] - frames["time"][0]
    return max(SLOWEST, (frames.height - 1) / seconds) if seconds > 0 else SLOWEST


def _line_height(image: np.ndarray) -> int:
    return max(16, int(max(image.shape[:2])) // 48)
