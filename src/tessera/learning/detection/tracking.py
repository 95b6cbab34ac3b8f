"""Track regions through the frames of a video, and find the cuts between shots."""

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import NonNegativeFloat, PositiveInt

from tessera.core.settings import Fraction, Settings
from tessera.learning.detection.grids import GridSettings
from tessera.learning.detection.offline import offline

if TYPE_CHECKING:
    import polars as pl

REACH = 4  # the number of frames before and after a frame whose changes its own change is compared with
FARTHEST = 2.0  # the largest growth of a box, as a multiple of its sides
RATIO = 1.5  # the least ratio of the change at a cut to the changes around it
TINY = 1e-6  # seconds; a tolerance for rounding


class TrackSettings(Settings):
    """How detections are tracked from frame to frame, and what counts as a cut."""

    high: Fraction = 0.25
    """Smallest confidence of a detection that is matched with the tracks first."""
    low: Fraction = 0.1
    """Smallest confidence of a detection that is matched with the tracks that are left after that."""
    new: Fraction = 0.25
    """Smallest confidence of a detection that starts a new track if it matches none."""
    match: Fraction = 0.8
    """Largest distance, from 0 to 1, at which a track and a detection match. The distance is 1 minus the product of the overlap
    of their boxes and the confidence.
    """
    speed: NonNegativeFloat = 12.0
    """How far a region may move, in sides of its box per second. Boxes are enlarged by that much on every side before matching.
    """
    buffer_seconds: NonNegativeFloat = 1.0
    """Seconds for which a track that has no detection is still matched. A region that is found farther away than the lost one
    can have moved in that time starts a new track.
    """
    cut: NonNegativeFloat = 8.0
    """Smallest difference between two frames, from 0 to 255, at which a new shot may begin. The difference must also be one and
    a half times that of the frames around it. Lower values find more cuts. Tracks end at cuts.
    """


class MosaicTrackSettings(GridSettings, TrackSettings):
    """How detected mosaics are tracked."""

    high: Fraction = 0.2
    new: Fraction = 0.2
    fewest: PositiveInt = 3
    """Fewest detections of a track, or all frames that the detector ran on if these are fewer. What is detected in one frame or
    two is rarely a mosaic.
    """


def track_mosaics(frames: "pl.DataFrame", detections: "pl.DataFrame", settings: MosaicTrackSettings) -> np.ndarray:
    """Return what `track` does, without unsure `detections` that show no grid of blocks, and without too short tracks."""
    accepted = settings.accept(detections["grid"], detections["score"])
    tracks = track(frames, detections.filter(accepted), settings)
    lengths = np.bincount(tracks + 1)
    fewest = min(settings.fewest, int(frames["looked"].sum()))
    numbers = np.full(detections.height, -1)
    numbers[accepted.to_numpy()] = np.where(lengths[tracks + 1] >= fewest, tracks, -1)
    return numbers


def track(
    frames: "pl.DataFrame", detections: "pl.DataFrame", settings: TrackSettings, *, keeps_all: bool = False
) -> np.ndarray:
    """Return the number of the track of each of `detections`, or -1 if it has none: int64 (detections,).

    `frames`: all frames of one video, as `tables.VideoFrames`. `detections`: the detections in them, as
    `tables.VideoDetections`; only boxes and confidences are read. Tracks are numbered from 0 in the order in which they begin,
    and have at most one detection per frame. No track extends beyond a break, see `find_breaks`.

    ByteTrack (Zhang et al., 2022), as implemented in ultralytics, runs on the frames that the detector ran on, here called
    looks. It links boxes that overlap. Small and fast regions do not overlap from one look to the next, nor do regions if looks
    are rare. So boxes are grown on every side by the distance that a region may move between looks (buffered boxes: Yang et
    al., 2023).

    A detection of low confidence can only continue a track that the previous look had. The smoothed boxes of ByteTrack are not
    used; the position of a region is that of its detections. Finally, `join` joins tracks that were lost and soon found again
    nearby. `keeps_all`: whether detections that ByteTrack leaves out, such as those beside a track that it lost, enter `join`
    as tracks too.
    """
    offline()
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.byte_tracker import BYTETracker

    arguments = SimpleNamespace(
        track_high_thresh=settings.high,
        track_low_thresh=settings.low,
        new_track_thresh=settings.new,
        match_thresh=settings.match,
        track_buffer=frames.height,  # no limit here, because ByteTrack would count looks instead of seconds; see below
        fuse_score=True,
    )
    numbers = np.full(detections.height, -1)
    processed = np.flatnonzero(frames["looked"].to_numpy())
    bounds = np.searchsorted(detections["index"].to_numpy(), [processed, processed + 1])
    time = frames["time"].to_numpy()[processed]
    corners = detections.select("x0", "y0", "x1", "y1").to_numpy()
    margin = min(settings.speed * float(np.median(np.diff(time))), FARTHEST) if len(time) > 1 else 0.0
    sides = margin * (corners[:, 2:] - corners[:, :2])
    score = detections["score"].to_numpy()
    boxes = np.column_stack([corners[:, :2] - sides, corners[:, 2:] + sides, score, np.zeros_like(score)])
    patience = np.arange(len(time)) - np.searchsorted(time, time - settings.buffer_seconds - TINY)
    shots = np.cumsum(find_breaks(frames, settings.cut))[processed]
    numbers_by_track: dict[tuple[int, int], int] = {}
    tracker, shot = None, -1
    for position, (first, stop) in enumerate(bounds.T.tolist()):
        if shot != shots[position]:
            tracker, shot = BYTETracker(arguments), int(shots[position])
        assert tracker is not None
        # `patience` is the number of looks within the buffer, which depends on their spacing.
        waiting = [lost for lost in tracker.lost_stracks if tracker.frame_id + 1 - lost.end_frame <= patience[position]]
        tracker.lost_stracks = waiting
        tracker.update(Boxes(boxes[first:stop], (1, 1)))
        # Its return value lacks the first detection of each track, because a track is confirmed only by the second one.
        for active in tracker.tracked_stracks:
            numbers[first + int(active.idx)] = numbers_by_track.setdefault((shot, active.track_id), len(numbers_by_track))
    if keeps_all:
        left_out = np.flatnonzero(numbers < 0)
        numbers[left_out] = len(numbers_by_track) + np.arange(len(left_out))
    looks = np.repeat(np.arange(len(time)), bounds[1] - bounds[0])
    return join(numbers, looks, time, shots, corners, settings.buffer_seconds)


def join(
    tracks: np.ndarray, looks: np.ndarray, time: np.ndarray, shots: np.ndarray, corners: np.ndarray, buffer: float
) -> np.ndarray:
    """Return `tracks` with regions joined that were lost and found again, renumbered from 0 in the order in which they begin.

    ByteTrack links boxes that overlap. A region that passes behind a post comes out beside it with a new number, or with the
    number of another region nearby. So each run of detections without a missed look is joined to an earlier track that ended at
    most `buffer` seconds before, in the same shot, if the region can have come that far. The post is as wide as the region plus
    the way that the region goes while it is hidden. So the centres of the boxes may be as far apart as the size of the region
    plus the way that the track went in as much time before it was lost, along each axis. Partly hidden regions have small
    boxes, so the largest box at the end of a run of the track counts. If there are several such tracks, the one that ended last
    is chosen, then the one with the same number, then the nearest.

    `tracks`, `looks`: int64 (detections,), in order of time: the track of each detection, or -1, and its look. `time`, `shots`:
    the seconds and the shot of each look. `corners`: float64 (detections, 4), pixels.
    """
    followed = np.flatnonzero(tracks >= 0)
    followed = followed[np.argsort(tracks[followed], kind="stable")]
    ends = (np.diff(tracks[followed]) != 0) | (np.diff(looks[followed]) > 1)
    runs = [run for run in np.split(followed, np.flatnonzero(ends) + 1) if len(run)]
    joined = np.full_like(tracks, -1)
    times = time[looks]  # of each detection
    centre, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    recent: dict[int, np.ndarray] = {}  # the last detections, over `buffer` seconds, of each track that can be continued
    largest: dict[int, np.ndarray] = {}  # the largest size of each track at the ends of its runs
    for number, run in enumerate(sorted(runs, key=lambda run: int(run[0]))):
        start = run[0]
        recent = {track: rows for track, rows in recent.items() if times[start] - times[rows[-1]] <= buffer + TINY}
        choices = []
        for track, rows in recent.items():
            last = rows[-1]
            lost = times[start] - times[last]
            if looks[last] >= looks[start] or shots[looks[last]] != shots[looks[start]]:
                continue
            before = rows[np.searchsorted(times[rows], times[last] - lost - TINY)]
            apart, moved = (np.abs(centre[row] - centre[last]) for row in (start, before))
            if (apart <= np.maximum(size[start], largest[track]) + moved).all():
                choices.append((-looks[last], tracks[last] != tracks[start], float(np.hypot(*apart)), track))
        track = min(choices)[-1] if choices else number
        joined[run] = track
        rows = np.concatenate([recent.get(track, run[:0]), run])
        recent[track] = rows[times[rows] >= times[rows[-1]] - buffer - TINY]
        largest[track] = np.maximum(size[run[-1]], largest.get(track, 0))
    # Numbered in the order in which they begin.
    renumbered = {track: order for order, track in enumerate(dict.fromkeys(joined[joined >= 0].tolist()))}
    return np.array([renumbered.get(track, -1) for track in joined.tolist()], dtype=tracks.dtype)


def find_breaks(frames: "pl.DataFrame", cut: float) -> np.ndarray:
    """Return whether tracks end before each of `frames`, all frames of one video (`tables.VideoFrames`): bool (frames,).

    This is so at the first frame of a shot (see `find_cuts`), at a change of size, and at the beginning and the end of a run of
    frames that cannot be decoded.
    """
    sizes = frames.select("width", "height").to_numpy()
    resized = (np.diff(sizes, axis=0, prepend=sizes[:1]) != 0).any(axis=1)
    breaks: np.ndarray = resized | find_cuts(frames["change"].to_numpy(), cut)
    return breaks


def find_cuts(change: np.ndarray, cut: float) -> np.ndarray:
    """Return whether each frame is the first one after a cut: bool (n,). `change`: its difference from the previous frame.

    At a cut, a frame changes by at least `cut`, and by at least `RATIO` times the mean of the `REACH` largest changes among the
    `REACH` frames before it and the `REACH` frames after it. So camera moves and strobes, which change many frames alike, are
    not cuts. This also holds for video that shows each frame twice, because only the larger half of the changes is used. A
    single flash counts as two cuts, because it cannot be distinguished from a short shot.

    As in the AdaptiveDetector of PySceneDetect, a change must stand out from those around it, but both thresholds are lower
    here. PySceneDetect misses cuts within a room that a moving camera shows. A missed cut spoils a scene, and a false one only
    divides it.
    """
    around = np.lib.stride_tricks.sliding_window_view(np.pad(change, REACH, mode="reflect"), 2 * REACH + 1)
    others = np.delete(around, REACH, axis=1)
    mean_of_others = np.sort(others, axis=1)[:, -REACH:].mean(axis=1)
    cuts: np.ndarray = (change > 0) & (change >= cut) & (change >= RATIO * mean_of_others)
    return cuts
