"""Tracks: which of the detections in a video show the same region, followed from frame to frame, and where a shot ends."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat

from tessera.core.settings import Settings
from tessera.imaging.detection.offline import offline

if TYPE_CHECKING:
    import polars as pl

REACH = 4  # frames before and after, whose changes the change of a frame is compared with
FARTHEST = 2.0  # sides by which boxes are grown at most
RATIO = 1.5  # how many times as much as around it changes in a frame that begins a shot
TINY = 1e-6  # seconds; a moment is not missed for the sake of a rounding

Fraction = Annotated[float, Field(ge=0, le=1)]


class TrackSettings(Settings):
    """How detections are followed from frame to frame, and what ends a shot."""

    high: Fraction = 0.25
    low: Fraction = 0.1
    new: Fraction = 0.25
    match: Fraction = 0.8
    speed: NonNegativeFloat = 12.0
    buffer: NonNegativeFloat = 1.0
    cut: NonNegativeFloat = 8.0


def track(frames: "pl.DataFrame", detections: "pl.DataFrame", settings: TrackSettings) -> np.ndarray:
    """Return the number of the track of each of `detections`, -1 where it belongs to none: int64 (detections,).

    `frames`: all frames of one video, as `tables.VideoFrames`; `detections`: what was seen in them, as
    `tables.VideoDetections`, of which the boxes and the confidences are read. Tracks are numbered from 0 in the order in which
    they begin, and have one detection per frame at most. None goes beyond a break, see `find_breaks`.

    ByteTrack (Zhang et al., 2022), as ultralytics has it, goes over the frames that were looked at. It compares boxes, which
    must overlap: so that small and fast regions, and rare looks, do not lose them, it is shown them grown on every side by as
    much as a region may move from look to look (buffered boxes: Yang et al., 2023).

    A detection of low confidence can only go on with a track that was there in the look before. What is found in the boxes of
    tracks as ByteTrack smooths them is not used: where a region lies, its detections say. In the end, see `join`, what was lost
    and is soon seen again near by is made one.
    """
    offline()
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.byte_tracker import BYTETracker

    arguments = SimpleNamespace(
        track_high_thresh=settings.high,
        track_low_thresh=settings.low,
        new_track_thresh=settings.new,
        match_thresh=settings.match,
        track_buffer=frames.height,  # it counts looks, and not these: see below
        fuse_score=True,
    )
    numbers = np.full(detections.height, -1)
    looked = np.flatnonzero(frames["looked"].to_numpy())
    bounds = np.searchsorted(detections["index"].to_numpy(), [looked, looked + 1])
    time = frames["time"].to_numpy()[looked]
    corners = detections.select("x0", "y0", "x1", "y1").to_numpy()
    margin = min(settings.speed * float(np.median(np.diff(time))), FARTHEST) if len(time) > 1 else 0.0
    sides = margin * (corners[:, 2:] - corners[:, :2])
    score = detections["score"].to_numpy()
    boxes = np.column_stack([corners[:, :2] - sides, corners[:, 2:] + sides, score, np.zeros_like(score)])
    patience = np.arange(len(time)) - np.searchsorted(time, time - settings.buffer - TINY)
    shots = np.cumsum(find_breaks(frames, settings.cut))[looked]
    known: dict[tuple[int, int], int] = {}
    tracker, shot = None, -1
    for place, (first, stop) in enumerate(bounds.T.tolist()):
        if shot != shots[place]:
            tracker, shot = BYTETracker(arguments), int(shots[place])
        assert tracker is not None
        # So many looks lie within the seconds of the buffer, however they are spaced.
        waiting = [one for one in tracker.lost_stracks if tracker.frame_id + 1 - one.end_frame <= patience[place]]
        tracker.lost_stracks = waiting
        tracker.update(Boxes(boxes[first:stop], (1, 1)))
        # Not what it returns, where the first detection of a track is missing: that it is one is only known at the second.
        for one in tracker.tracked_stracks:
            numbers[first + int(one.idx)] = known.setdefault((shot, one.track_id), len(known))
    looks = np.repeat(np.arange(len(time)), bounds[1] - bounds[0])
    return join(numbers, looks, time, shots, corners, settings.buffer)


def join(
    tracks: np.ndarray, looks: np.ndarray, time: np.ndarray, shots: np.ndarray, corners: np.ndarray, buffer: float
) -> np.ndarray:
    """Return `tracks` numbered anew, from 0 in the order in which they begin, so that what was lost and is seen again is one.

    ByteTrack goes on where boxes overlap. What passes behind a post comes out beside it, under a new number or, where there was
    another one near, under that. So each run of detections without a missed look goes on with the one that ended last: at most
    `buffer` seconds before, in the same shot, under the same number or where the boxes, twice as large, overlap; of several
    with the one under its number, then with the nearest. What is half hidden looks small, and counts as large as it was.

    `tracks`, `looks`: int64 (detections,), of each in order of time the track, -1 for none, and the look that it comes from.
    `time`, `shots`: of each look, its seconds and its shot. `corners`: float64 (detections, 4), pixels.
    """
    followed = np.flatnonzero(tracks >= 0)
    followed = followed[np.argsort(tracks[followed], kind="stable")]
    ends = (np.diff(tracks[followed]) != 0) | (np.diff(looks[followed]) > 1)
    runs = [run for run in np.split(followed, np.flatnonzero(ends) + 1) if len(run)]
    joined = np.full_like(tracks, -1)
    size = corners[:, 2:] - corners[:, :2]
    last: dict[int, int] = {}  # the last detection of each track that may go on
    largest: dict[int, np.ndarray] = {}  # the size of each track, where its runs ended
    for number, run in enumerate(sorted(runs, key=lambda run: int(run[0]))):
        start = run[0]
        begin = time[looks[start]]
        last = {track: row for track, row in last.items() if begin - time[looks[row]] <= buffer + TINY}
        choices = []
        for track, row in last.items():
            apart = np.abs(corners[start].reshape(2, 2).mean(axis=0) - corners[row].reshape(2, 2).mean(axis=0))
            is_same = tracks[row] == tracks[start]
            is_before = looks[row] < looks[start] and shots[looks[row]] == shots[looks[start]]
            if is_before and (is_same or (apart < size[start] + largest[track]).all()):
                choices.append((-looks[row], not is_same, float(np.hypot(*apart)), track))
        track = min(choices)[-1] if choices else number
        joined[run] = track
        last[track] = int(run[-1])
        largest[track] = np.maximum(size[run[-1]], largest.get(track, 0))
    # In the order in which they begin.
    kept = {track: place for place, track in enumerate(dict.fromkeys(joined[joined >= 0].tolist()))}
    return np.array([kept.get(track, -1) for track in joined.tolist()], dtype=tracks.dtype)


def find_breaks(frames: "pl.DataFrame", cut: float) -> np.ndarray:
    """Return which of `frames`, all of one video as `tables.VideoFrames`, nothing can be followed into: bool (frames,).

    These are the first frames of shots, see `find_cuts`, frames of another size than the one before, and those before and
    after which something cannot be decoded.
    """
    sizes = frames.select("width", "height").to_numpy()
    resized = (np.diff(sizes, axis=0, prepend=sizes[:1]) != 0).any(axis=1)
    breaks: np.ndarray = resized | find_cuts(frames["change"].to_numpy(), cut)
    return breaks


def find_cuts(change: np.ndarray, cut: float) -> np.ndarray:
    """Return the first frames of all shots but the first: bool (n,). `change`: how much each frame differs from the one before.

    There, a frame changes by at least `cut`, and by at least `RATIO` times the mean of the `REACH` largest changes of the
    `REACH` frames before it and after it. Camera moves and strobes change all frames alike, and are no cuts; nor are they where
    each frame is shown twice, for then every other one is not counted. A lone flash counts as two cuts: it differs from a shot
    of so many frames in nothing.

    A change has to stand out, as in the AdaptiveDetector of PySceneDetect, but less so, and may be smaller: there, cuts within
    one room that a moving camera shows are missed, and a cut missed spoils a scene while one too many only divides it.
    """
    around = np.lib.stride_tricks.sliding_window_view(np.pad(change, REACH, mode="reflect"), 2 * REACH + 1)
    others = np.delete(around, REACH, axis=1)
    usual = np.sort(others, axis=1)[:, -REACH:].mean(axis=1)
    cuts: np.ndarray = (change > 0) & (change >= cut) & (change >= RATIO * usual)
    return cuts
