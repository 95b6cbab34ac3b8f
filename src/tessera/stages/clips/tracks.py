"""Make stretches of tracks: split them at gaps, merge those of one region, divide them by length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple, Self

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from tessera.core.files import file_name
from tessera.core.settings import Fraction, Settings
from tessera.imaging.containers import GUESSED_RATE

if TYPE_CHECKING:
    import polars as pl
TINY = 1e-6  # seconds; a tolerance for rounding


class SceneSettings(Settings):
    """Which stretches of tracks become scenes, and how their masks and boxes are smoothed."""

    bridge_seconds: NonNegativeFloat = 0.5
    """Seconds for which a region may go undetected within a scene. Its mask is interpolated in between."""
    merge: Fraction = 0.5
    """Overlap of two tracks beyond which they are one region: the fraction of the smaller box that lies in the other, in more
    than half of their common frames. 1 merges none.
    """
    min_seconds: PositiveFloat = 2.0
    """Shortest duration of a scene in seconds."""
    max_seconds: PositiveFloat = 8.0
    """Longest duration of a scene in seconds. Longer ones are divided into several."""
    gap_seconds: NonNegativeFloat = 0.0
    """Seconds that are left out between the scenes into which a longer one is divided."""
    confidence: Fraction = 0.5
    """Smallest mean confidence of a track. Less confident tracks are dropped before merging. A target, as in
    `regions.choose.confidence.nsfw`, is measured on single detections.
    """
    smooth_masks_seconds: NonNegativeFloat = 0.1
    """Seconds over which masks are smoothed, by majority vote."""
    smooth_boxes_seconds: NonNegativeFloat = 1.0
    """Seconds over which boxes are smoothed, by the median."""
    extension: tuple[Annotated[int, Field(ge=0, le=10)], ...] = Field((0, 0, 1, 1, 2), min_length=1)
    """Steps by which the region is enlarged; one of these numbers is drawn for each scene. Steps are as in
    `regions.choose.extension`.
    """

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.min_seconds > self.max_seconds:
            raise ValueError(f"`min_seconds` is {self.min_seconds:g}, which is more than `max_seconds`, {self.max_seconds:g}")
        return self


@dataclass(frozen=True, eq=False)
class Piece:
    """A track, or a part of one, without a gap that is too long to interpolate."""

    number: int  # within the source
    rows: np.ndarray  # int64 (n,): its detections in order of time, as rows of the table of the source
    frames: np.ndarray  # int64 (n,): the frames of the detections
    boxes: np.ndarray  # float64 (m, 4): the box in each frame from the first to the last

    @property
    def first(self) -> int:
        """Return its first frame."""
        return int(self.frames[0])

    @property
    def stop(self) -> int:
        """Return the frame after its last."""
        return int(self.frames[-1]) + 1

    def around(self, first: int, stop: int) -> np.ndarray:
        """Return the indices of the detections that determine the frames from `first` to before `stop`.

        They reach from the last one up to frame `first` to the first one from frame `stop - 1` on.
        """
        start = max(int(np.searchsorted(self.frames, first, "right")) - 1, 0)
        end = min(int(np.searchsorted(self.frames, stop - 1)) + 1, len(self.frames))
        return np.arange(start, end)


class Stretch(NamedTuple):
    """Consecutive frames of a region. It is a scene unless `reason` says why not."""

    key: str
    number: int  # of the region
    first: int
    stop: int  # the frame after the last
    pieces: tuple[Piece, ...] = ()
    reason: str = ""
    detail: str = ""


def choose_stretches(
    video: "pl.DataFrame", detections: "pl.DataFrame", tracks: np.ndarray, settings: SceneSettings
) -> list[Stretch]:
    """Return the stretches of the `tracks` of a video in order of time, both scenes and others.

    `video`: its `tables.VideoFrames`. `detections`: its `tables.VideoDetections`, of which `rle` is not needed. `tracks`:
    int64, the number of the track of each detection, or -1.
    """
    name = file_name(video["source"][0])
    time = video["time"].to_numpy()
    usual = float(np.median(np.diff(time))) if len(time) > 1 else 1 / GUESSED_RATE
    ends = np.append(time[1:], time[-1] + usual)
    score = detections["score"].to_numpy()

    def key(first: int, number: int) -> str:
        return f"{name}-{first:07d}-{number:03d}"

    stretches, confident = [], []
    for piece in split(video, detections, tracks, settings.bridge_seconds):
        mean = float(score[piece.rows].mean())
        if mean >= settings.confidence:
            confident.append(piece)
        else:
            stretch_key = key(piece.first, piece.number)
            stretches.append(
                Stretch(stretch_key, piece.number, piece.first, piece.stop, (), "below the confidence", f"{mean:.3f}")
            )
    for region in merge(confident, settings.merge):
        lead = max(region, key=lambda piece: (len(piece.rows), -piece.number))
        start, end = min(piece.first for piece in region), max(piece.stop for piece in region)
        for piece in region:
            if piece is not lead:
                lead_key = key(start, lead.number)
                stretch_key = key(piece.first, piece.number)
                stretches.append(
                    Stretch(stretch_key, piece.number, piece.first, piece.stop, (), "merged into another", lead_key)
                )
        for first, stop, reason in divide(time[start:end], ends[start:end], settings):
            first, stop = start + first, start + stop
            pieces = tuple(piece for piece in region if piece.first < stop and piece.stop > first)
            detail = f"{ends[stop - 1] - time[first]:.2f} s" if reason else ""
            stretches.append(Stretch(key(first, lead.number), lead.number, first, stop, pieces, reason, detail))
    return sorted(stretches, key=lambda stretch: (stretch.first, stretch.number))


def split(video: "pl.DataFrame", detections: "pl.DataFrame", tracks: np.ndarray, bridge: float) -> list[Piece]:
    """Return the pieces of the `tracks` of a video, numbered in the order in which they begin.

    A track is split where it was missed for more than `bridge` seconds. This time runs from the first frame in which the
    detector missed it to the frame in which it was found again. Frames that the detector did not run on do not count as missed.
    The other parameters are those of `choose_stretches`.
    """
    time = video["time"].to_numpy()
    processed = np.flatnonzero(video["looked"].to_numpy())
    index = detections["index"].to_numpy()
    corners = detections.select("x0", "y0", "x1", "y1").to_numpy()
    followed = np.flatnonzero(tracks >= 0)
    followed = followed[np.argsort(tracks[followed], kind="stable")]
    parts = []
    for rows in np.split(followed, np.flatnonzero(np.diff(tracks[followed])) + 1):
        missed = _missed(index[rows], processed, time)
        parts += np.split(rows, np.flatnonzero(missed > bridge + TINY) + 1)
    pieces = []
    for number, rows in enumerate(sorted((part for part in parts if len(part)), key=lambda part: int(part[0]))):
        frames = index[rows]
        boxes = _glide(time, frames, corners[rows], _missed(frames, processed, time) > 0)
        pieces.append(Piece(number, rows, frames, boxes))
    return pieces


def _missed(frames: np.ndarray, processed: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return for how many seconds a region was missed after each of `frames` but the last. `frames`: those that show it."""
    missed: np.ndarray = time[frames[1:]] - time[processed[np.searchsorted(processed, frames[:-1], "right")]]
    return missed


def _glide(time: np.ndarray, frames: np.ndarray, corners: np.ndarray, is_gap: np.ndarray) -> np.ndarray:
    """Return the interpolated boxes in all frames from the first to the last of `frames`: float64 (m, 4).

    `corners`: the boxes in `frames`. `time`: seconds, of each frame of the video. Boxes follow Catmull-Rom splines (Catmull and
    Rom, 1974). Inside gaps, they follow straight lines, because the slopes beside a gap are not reliable.
    """
    if len(frames) == 1:
        return corners
    at = time[frames]
    spans = np.maximum(np.diff(at), TINY)[:, None]
    steps = np.diff(corners, axis=0) / spans
    slopes = np.concatenate([steps[:1], (corners[2:] - corners[:-2]) / (spans[1:] + spans[:-1]), steps[-1:]])
    # At both ends, the slope that gives the curve a constant second derivative.
    slopes[[0, -1]] = 2 * steps[[0, -1]] - slopes[[1, -2]]
    every = np.arange(frames[0], frames[-1] + 1)
    segment = np.minimum(np.searchsorted(frames, every, "right"), len(frames) - 1) - 1
    span = spans[segment]
    part = (time[every] - at[segment])[:, None] / span
    begin, end, out, into = corners[segment], corners[segment + 1], slopes[segment] * span, slopes[segment + 1] * span
    straight = begin + part * (end - begin)
    curved = straight + part * (1 - part) * ((1 - part) * (out - (end - begin)) + part * (end - begin - into))
    boxes = np.where(is_gap[segment, None], straight, curved)
    return np.hstack([boxes[:, :2], np.maximum(boxes[:, :2], boxes[:, 2:])])


def merge(pieces: Sequence[Piece], share: float) -> list[list[Piece]]:
    """Return `pieces` in groups, one per region.

    Two pieces belong to one region if their boxes overlap by more than the fraction `share` of the area of the smaller box, in
    more than half of the frames that both have. This relation is transitive.
    """
    group = list(range(len(pieces)))

    def root(number: int) -> int:
        while group[number] != number:
            number = group[number]
        return number

    running: list[int] = []
    for number, piece in enumerate(pieces):
        running = [other for other in running if pieces[other].stop > piece.first]
        for other in running:
            if _overlap(pieces[other], piece, share):
                group[root(number)] = root(other)
        running.append(number)
    regions: dict[int, list[Piece]] = {}
    for number, piece in enumerate(pieces):
        regions.setdefault(root(number), []).append(piece)
    return list(regions.values())


def _overlap(one: Piece, other: Piece, share: float) -> bool:
    first, stop = max(one.first, other.first), min(one.stop, other.stop)
    a, b = (piece.boxes[first - piece.first : stop - piece.first] for piece in (one, other))
    common = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0).prod(axis=1)
    smaller = np.minimum(*((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)))
    return bool((common > share * smaller).mean() > 0.5)


def divide(starts: np.ndarray, ends: np.ndarray, settings: SceneSettings) -> Iterator[tuple[int, int, str]]:
    """Divide frames without a gap into stretches. Yield the first frame, the frame after the last, and why it is not a scene.

    `starts`, `ends`: float64 (n,), the seconds at which each frame begins and ends. A stretch ends with the last frame that
    begins before the maximum; at a constant rate, its number of frames is that of the maximum, rounded up. After a scene, the
    gap is left out. The rest at the end is not a scene if it is shorter than the minimum.
    """
    first = 0
    while first < len(starts):
        # At least one frame: if times are so large that adding the maximum changes nothing, not even the first is before it.
        stop = max(first + 1, int(np.searchsorted(starts, starts[first] + settings.max_seconds - TINY)))
        is_short = ends[stop - 1] - starts[first] < settings.min_seconds - TINY
        yield first, stop, "shorter than the minimum" if is_short else ""
        first = stop
        stop = int(np.searchsorted(starts, ends[first - 1] + settings.gap_seconds - TINY))
        if stop > first:
            yield first, stop, "in the gap between scenes"
            first = stop
