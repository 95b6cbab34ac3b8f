"""Scenes: stretches of videos that show one region, and where it lies in each of their frames. No picture is read.

What is decided first, from times and boxes alone: which detections are one region, and which stretches of it are scenes. The
masks come last, scene by scene and frame by frame, and only the parts of them inside their boxes: so that neither a long video
nor a large region takes much memory.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from tessera.errors import Dropped, Failed
from tessera.geometry import Patch, decode_patch, encode_patch, grow, growth_step, rle_counts, trim
from tessera.job import ahead, progress
from tessera.ledger import Ledger
from tessera.provenance import file_name
from tessera.seeds import generator
from tessera.settings import Settings

if TYPE_CHECKING:
    import polars as pl

# From all frames and all detections of a video to the number of the track of each detection, -1 where it has none.
Follow = Callable[["pl.DataFrame", "pl.DataFrame"], np.ndarray]
Corners: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1
T = TypeVar("T")

FRINGE = 0.05  # share of the area of a mask that lies beyond each edge of its core
HELD = 7  # masks before and after one, at most, that smooth it,
VOTES = 5  # of which so many count, evenly spread
TINY = 1e-6  # seconds; a moment is not missed for the sake of a rounding


class SceneSettings(Settings):
    """Which stretches of what was followed become scenes, and how their masks and boxes are smoothed."""

    bridge: NonNegativeFloat = 0.5
    merge: float = Field(0.5, ge=0, le=1)
    minimum: PositiveFloat = 2.0
    maximum: PositiveFloat = 8.0
    stride: NonNegativeFloat = 0.0
    confidence: float = Field(0.5, ge=0, le=1)
    smooth_masks: NonNegativeFloat = 0.1
    smooth_boxes: NonNegativeFloat = 1.0
    extension: tuple[Annotated[int, Field(ge=0, le=10)], ...] = Field((0, 0, 1, 1, 2), min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"`minimum` is {self.minimum:g}, more than `maximum`, {self.maximum:g}")
        return self


@dataclass(frozen=True, eq=False)
class Piece:
    """A track, or a part of one, without a gap that is too long to be bridged."""

    number: int  # within the source
    rows: np.ndarray  # int64 (n,): its detections in order of time, as rows of those of the source
    frames: np.ndarray  # int64 (n,): the frames that they lie in
    boxes: np.ndarray  # float64 (m, 4): its box in each frame from the first to the last

    @property
    def first(self) -> int:
        """Return its first frame."""
        return int(self.frames[0])

    @property
    def stop(self) -> int:
        """Return the frame after its last."""
        return int(self.frames[-1]) + 1

    def around(self, first: int, stop: int) -> np.ndarray:
        """Return the places of the detections from the last up to the frame `first` to the first from `stop - 1` on."""
        start = max(int(np.searchsorted(self.frames, first, "right")) - 1, 0)
        end = min(int(np.searchsorted(self.frames, stop - 1)) + 1, len(self.frames))
        return np.arange(start, end)


class Stretch(NamedTuple):
    """Consecutive frames of a region, a scene unless there is a reason that it is none."""

    key: str
    number: int  # of the region
    first: int
    stop: int  # the frame after the last
    pieces: tuple[Piece, ...] = ()
    reason: str = ""
    detail: str = ""


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
    """Write which stretches of the videos of a shard show one region, and where.

    `frames`: `tables.VideoFrames`; `detections`: `tables.VideoDetections`. `follow` is given those of one video, the detections
    without their masks, and tells which are one track. No scene goes beyond the track or the tracks that it is made from: so it
    is up to `follow` to end them at cuts, at changes of size and where nothing can be decoded.

    `scenes` gets `tables.Scenes`, `scene_frames` `tables.SceneFrames`, and `ledger` a row per stretch, with the key of the
    scene that it is or would be. Dropped are those `shorter than the minimum`, `below the confidence` or `left out by the
    stride`, and tracks `merged into another`. A video in which nothing could be followed has a row with its id: `no region`.

    Draws follow from `seed`. `threads` shape the masks of so many scenes at a time; the result does not depend on their number.
    """
    import polars as pl

    from tessera.tables import SceneFrames, Scenes, VideoDetections, VideoFrames, read_table, types, write_table

    known = read_table(detections, VideoDetections, without=["rle"]).with_row_index("row")
    found: list[dict[str, Any]] = []
    tables = [pl.DataFrame(schema=types(SceneFrames))]
    with Ledger(ledger) as book, ThreadPoolExecutor(threads) as pool:
        for video in read_table(frames, VideoFrames).partition_by("source", maintain_order=True):
            source = video["source"][0]
            seen = known.filter(pl.col("source") == source)
            stretches = choose_stretches(video, seen, follow(video, seen), settings)
            if not stretches:
                book.row(source, "dropped", "no region")
            shape = partial(_shape, video=video, seen=seen, detections=detections, settings=settings, seed=seed)
            for stretch, shaped in ahead(pool, shape, progress(stretches, unit=f"stretches of {source!r}"), 2 * threads):
                with book.item(stretch.key):
                    scene, places = shaped.result()
                    found.append(scene)
                    tables.append(places)
    write_table(pl.DataFrame(found, schema=types(Scenes)), Scenes, scenes)
    write_table(pl.concat(tables), SceneFrames, scene_frames)


def choose_stretches(video: "pl.DataFrame", seen: "pl.DataFrame", tracks: np.ndarray, settings: SceneSettings) -> list[Stretch]:
    """Return what the `tracks` of a video give, scenes and what becomes none, in order of time.

    `video`: its `tables.VideoFrames`; `seen`: its `tables.VideoDetections`, no `rle` needed; `tracks`: int64, of each of them
    the number of its track, -1 for none.
    """
    name = file_name(video["source"][0])
    time = video["time"].to_numpy()
    usual = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    ends = np.append(time[1:], time[-1] + usual)
    score = seen["score"].to_numpy()

    def key(first: int, number: int) -> str:
        return f"{name}-{first:07d}-{number:03d}"

    stretches, sure = [], []
    for piece in split(video, seen, tracks, settings.bridge):
        mean = float(score[piece.rows].mean())
        if mean >= settings.confidence:
            sure.append(piece)
        else:
            own = key(piece.first, piece.number)
            stretches.append(Stretch(own, piece.number, piece.first, piece.stop, (), "below the confidence", f"{mean:.3f}"))
    for region in merge(sure, settings.merge):
        lead = max(region, key=lambda piece: (len(piece.rows), -piece.number))
        start, end = min(piece.first for piece in region), max(piece.stop for piece in region)
        for piece in region:
            if piece is not lead:
                other = key(start, lead.number)
                own = key(piece.first, piece.number)
                stretches.append(Stretch(own, piece.number, piece.first, piece.stop, (), "merged into another", other))
        for first, stop, reason in divide(time[start:end], ends[start:end], settings):
            first, stop = start + first, start + stop
            pieces = tuple(piece for piece in region if piece.first < stop and piece.stop > first)
            detail = f"{ends[stop - 1] - time[first]:.2f} s" if reason else ""
            stretches.append(Stretch(key(first, lead.number), lead.number, first, stop, pieces, reason, detail))
    return sorted(stretches, key=lambda stretch: (stretch.first, stretch.number))


def split(video: "pl.DataFrame", seen: "pl.DataFrame", tracks: np.ndarray, bridge: float) -> list[Piece]:
    """Return the pieces of the `tracks` of a video, numbered in the order in which they begin.

    A track is one piece as long as it was not missed for more than `bridge` seconds: from the first frame that was looked at
    without seeing it to the one in which it was seen again. Frames that were not looked at are none in which it was missed.
    Arguments: see `choose_stretches`.
    """
    time = video["time"].to_numpy()
    looked = np.flatnonzero(video["looked"].to_numpy())
    index = seen["index"].to_numpy()
    corners = seen.select("x0", "y0", "x1", "y1").to_numpy()
    followed = np.flatnonzero(tracks >= 0)
    followed = followed[np.argsort(tracks[followed], kind="stable")]
    parts = []
    for rows in np.split(followed, np.flatnonzero(np.diff(tracks[followed])) + 1):
        missed = _missed(index[rows], looked, time)
        parts += np.split(rows, np.flatnonzero(missed > bridge + TINY) + 1)
    pieces = []
    for number, rows in enumerate(sorted((part for part in parts if len(part)), key=lambda part: int(part[0]))):
        frames = index[rows]
        boxes = _glide(time, frames, corners[rows], _missed(frames, looked, time) > 0)
        pieces.append(Piece(number, rows, frames, boxes))
    return pieces


def _missed(frames: np.ndarray, looked: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return for how many seconds a region was missed after each of `frames`, in which it was seen, but the last."""
    missed: np.ndarray = time[frames[1:]] - time[looked[np.searchsorted(looked, frames[:-1], "right")]]
    return missed


def _glide(time: np.ndarray, frames: np.ndarray, corners: np.ndarray, is_gap: np.ndarray) -> np.ndarray:
    """Return the boxes in all frames from the first to the last of `frames`, in which they are `corners`: float64 (m, 4).

    `time`: seconds, of each frame of the video. In between, boxes follow cubic curves whose slopes are those from the detection
    before to the one after (Catmull and Rom, 1974), but straight lines in each gap, next to which slopes tell nothing.
    """
    if len(frames) == 1:
        return corners
    at = time[frames]
    spans = np.maximum(np.diff(at), TINY)[:, None]
    steps = np.diff(corners, axis=0) / spans
    slopes = np.concatenate([steps[:1], (corners[2:] - corners[:-2]) / (spans[1:] + spans[:-1]), steps[-1:]])
    # At the ends, such that the curve bends evenly.
    slopes[[0, -1]] = 2 * steps[[0, -1]] - slopes[[1, -2]]
    every = np.arange(frames[0], frames[-1] + 1)
    place = np.minimum(np.searchsorted(frames, every, "right"), len(frames) - 1) - 1
    span = spans[place]
    part = (time[every] - at[place])[:, None] / span
    one, other, out, into = corners[place], corners[place + 1], slopes[place] * span, slopes[place + 1] * span
    straight = one + part * (other - one)
    curved = straight + part * (1 - part) * ((1 - part) * (out - (other - one)) + part * (other - one - into))
    boxes = np.where(is_gap[place, None], straight, curved)
    return np.hstack([boxes[:, :2], np.maximum(boxes[:, :2], boxes[:, 2:])])


def merge(pieces: Sequence[Piece], share: float) -> list[list[Piece]]:
    """Return `pieces` in groups that are one region each.

    Two are one where their boxes overlap by more than `share` of the area of the smaller, in more than half of the frames that
    they have in common; and with them all that are one with either.
    """
    group = list(range(len(pieces)))

    def root(place: int) -> int:
        while group[place] != place:
            place = group[place]
        return place

    running: list[int] = []
    for place, piece in enumerate(pieces):
        running = [other for other in running if pieces[other].stop > piece.first]
        for other in running:
            if _overlap(pieces[other], piece, share):
                group[root(place)] = root(other)
        running.append(place)
    regions: dict[int, list[Piece]] = {}
    for place, piece in enumerate(pieces):
        regions.setdefault(root(place), []).append(piece)
    return list(regions.values())


def _overlap(one: Piece, other: Piece, share: float) -> bool:
    first, stop = max(one.first, other.first), min(one.stop, other.stop)
    a, b = (piece.boxes[first - piece.first : stop - piece.first] for piece in (one, other))
    common = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0).prod(axis=1)
    smaller = np.minimum(*((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)))
    return bool((common > share * smaller).mean() > 0.5)


def divide(starts: np.ndarray, ends: np.ndarray, settings: SceneSettings) -> Iterator[tuple[int, int, str]]:
    """Yield first frame, frame after the last, and reason to be no scene, of the stretches of frames without a gap.

    `starts`, `ends`: float64 (n,), seconds, when each frame begins and ends. A stretch goes on as long as its next frame begins
    before the maximum: at a constant rate, it has as many frames as the maximum, rounded up. After a scene, as much is left out
    as the stride asks for. What is left in the end is no scene where it is shorter than the minimum.
    """
    first = 0
    while first < len(starts):
        # At least one frame: of times so large that the maximum is lost in their rounding, not even the first is before it.
        stop = max(first + 1, int(np.searchsorted(starts, starts[first] + settings.maximum - TINY)))
        is_short = ends[stop - 1] - starts[first] < settings.minimum - TINY
        yield first, stop, "shorter than the minimum" if is_short else ""
        first = stop
        stop = int(np.searchsorted(starts, ends[first - 1] + settings.stride - TINY))
        if stop > first:
            yield first, stop, "left out by the stride"
            first = stop


def unite(patches: Sequence[Patch]) -> Patch:
    """Return the mask that is set where one of `patches`, at least one, is."""
    if len(patches) == 1:
        return patches[0]
    corners = np.array([patch.box for patch in patches])
    (x, y), (right, bottom) = corners[:, :2].min(axis=0).tolist(), corners[:, 2:].max(axis=0).tolist()
    mask = np.zeros((bottom - y, right - x), np.uint8)
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        mask[y0 - y : y1 - y, x0 - x : x1 - x] |= patch.mask
    return Patch(mask, x, y)


def interpolate(one: Patch, other: Patch, weights: np.ndarray, bends: np.ndarray, height: int, width: int) -> Iterator[Patch]:
    """Yield the masks between `one` and `other`: at 0 of `weights`, float64 (n,), it is `one`, at 1 `other`; none is empty.

    The core of one, see `core`, becomes that of the other evenly but for what `bends`, float64 (n, 4), add to each edge. Both
    masks are scaled to it. A pixel is set where the weighted mean of its signed distances to the edges of both is positive
    (shape-based interpolation: Raya and Udupa, 1990). Nothing leaves the frame of `height` by `width` pixels.
    """
    cores = [core(patch) for patch in (one, other)]
    here, there = map(np.array, cores)
    for weight, bend in zip(weights.tolist(), bends, strict=True):
        edges = (1 - weight) * here + weight * there + bend
        # Not edge by edge: what keeps its size would lose it to a rounding.
        low, size = np.floor(edges[:2] + 0.5), np.floor(edges[2:] - edges[:2] + 0.5)
        target = _within([*low.astype(int).tolist(), *(low + size).astype(int).tolist()], height, width)
        masks, x, y = _align([one, other], cores, target, height, width)
        near, far = (_signed_distance(mask) for mask in masks)
        mask = ((1 - weight) * near + weight * far > 0) * np.uint8(255)
        # Of shapes that have no more in common than where they are, nothing may be left.
        yield trim(Patch(mask, x, y)) if mask.any() else _filled(target)


def smooth(patches: Iterable[Patch], half: int, height: int, width: int) -> Iterator[Patch]:
    """Yield each of the masks `patches` smoothed over those up to `half` before and after it; at the ends, one repeats.

    `VOTES` of them are laid over each other, scaled to the medians of the edges of their cores, see `core`. A pixel is set
    where most have it: what moves evenly stays as it is, and what is seen or missed in a single frame goes. None becomes empty,
    and nothing leaves the frame of `height` by `width` pixels.
    """
    window: deque[tuple[Patch, Corners]] = deque(maxlen=2 * half + 1)
    votes = np.unique(np.linspace(0, 2 * half, VOTES).round().astype(int)).tolist()
    for each in _pad(((patch, core(patch)) for patch in patches), half):
        window.append(each)
        if len(window) == window.maxlen:
            yield _majority([window[place] for place in votes], height, width) if half else each[0]


def core(patch: Patch) -> Corners:
    """Return the box, x0, y0, x1, y1, beyond each edge of which no more than `FRINGE` of the area of a mask lies.

    Unlike the box around all of it, it hardly moves where a limb, or a speck, comes and goes.
    """
    import cv2

    edges = []
    for axis, offset in ((0, patch.x), (1, patch.y)):
        area = np.cumsum(cv2.reduce(patch.mask, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel(), dtype=np.int64)
        first = np.searchsorted(area, FRINGE * area[-1], "right")
        edges.append((offset + int(first), offset + int(np.searchsorted(area, (1 - FRINGE) * area[-1])) + 1))
    (x0, x1), (y0, y1) = edges
    return x0, y0, x1, y1


def smooth_boxes(boxes: np.ndarray, half: int) -> np.ndarray:
    """Return `boxes`, int64 (n, 4), smoothed and grown so that each holds the one it was.

    Each edge becomes the median of those up to `half` before and after it; at the ends, the last one repeats (as in Lada 0.11).
    """
    edges = [np.lib.stride_tricks.sliding_window_view(np.pad(edge, half, mode="edge"), 2 * half + 1) for edge in boxes.T]
    medians = np.stack([np.median(edge, axis=1).astype(np.int64) for edge in edges], axis=1)
    return np.hstack([np.minimum(medians[:, :2], boxes[:, :2]), np.maximum(medians[:, 2:], boxes[:, 2:])])


def _shape(
    stretch: Stretch, video: "pl.DataFrame", seen: "pl.DataFrame", detections: Path, settings: SceneSettings, seed: int
) -> tuple[dict[str, Any], "pl.DataFrame"]:
    """Return the row of the scene `stretch`, and its `tables.SceneFrames`. Raises `Dropped` where it is none."""
    import polars as pl

    from tessera.tables import SceneFrames, types

    if stretch.reason:
        raise Dropped(stretch.reason, stretch.detail)
    first, stop = stretch.first, stretch.stop
    height, width = video["height"][first], video["width"][first]
    rows = _rows(stretch.pieces, first, stop)
    own = seen[rows]
    places = own["row"].to_numpy()
    part = pl.scan_parquet(detections).select("rle").slice(int(places[0]), int(places[-1] - places[0]) + 1).collect()
    masks = dict(zip(rows.tolist(), part["rle"].gather(places - places[0]), strict=True))
    corners = dict(zip(rows.tolist(), own.select("x0", "y0", "x1", "y1").rows(), strict=True))

    def patch(row: int) -> Patch:
        return _patch(masks[row], corners[row], height, width)

    time = video["time"].to_numpy()
    each = zip(*(_masks(piece, first, stop, time, patch, height, width) for piece in stretch.pieces), strict=True)
    united = (unite([patch for patch in patches if patch is not None]) for patches in each)
    count = stop - first
    # Frames per second, of a rate that varies the mean.
    rate = (count - 1) / max(time[stop - 1] - time[first], TINY)
    mask_half = min(int(settings.smooth_masks * rate / 2), HELD)
    box_half = min(int(settings.smooth_boxes * rate / 2), count)
    steps = int(generator(seed, "scenes", stretch.key).choice(settings.extension))
    radius = steps * growth_step(float(np.median([_area(masks[row], corners[row]) for row in masks])), height, width)
    codes, boxes = [], []
    for smoothed in smooth(united, mask_half, height, width):
        grown = _grow(smoothed, radius, height, width)
        codes.append(encode_patch(grown, height, width))
        boxes.append(grown.box)
    x0, y0, x1, y1 = smooth_boxes(np.array(boxes), box_half).T
    scene = {
        "key": stretch.key,
        "source": video["source"][0],
        "track": stretch.number,
        "label": Counter(own["label"]).most_common(1)[0][0],
        "first": first,
        "frames": count,
        "width": width,
        "height": height,
        "score": float(own["score"].to_numpy().mean()),
        "detected": own.filter(pl.col("index").is_between(first, stop - 1))["index"].n_unique(),
        "extension": steps,
    }
    where = {"key": [stretch.key] * count, "rle": codes, "x0": x0, "y0": y0, "x1": x1, "y1": y1}
    frames = video[first:stop].select("index", "pts", "time").with_columns(**{k: pl.Series(v) for k, v in where.items()})
    return scene, frames.select(list(types(SceneFrames)))


def _rows(pieces: Sequence[Piece], first: int, stop: int) -> np.ndarray:
    """Return the detections that the masks of the frames from `first` to before `stop` come from, in order of the table."""
    return np.sort(np.concatenate([piece.rows[piece.around(first, stop)] for piece in pieces]))


def _masks(
    piece: Piece, first: int, stop: int, time: np.ndarray, patch: Callable[[int], Patch], height: int, width: int
) -> Iterator[Patch | None]:
    """Yield the mask of `piece` in each frame from `first` to before `stop`, None where it is not there.

    `patch` gives the mask of a detection. `time`: seconds, of each frame of the video, which has `height` by `width` pixels.
    """
    yield from repeat(None, max(piece.first - first, 0))
    start, end = max(first, piece.first), min(stop, piece.stop)
    one, before = None, 0
    for place in piece.around(first, stop):
        other, frame = patch(int(piece.rows[place])), int(piece.frames[place])
        between = np.arange(max(before + 1, start), min(frame, end))
        if one is not None and len(between):
            weights = (time[between] - time[before]) / max(time[frame] - time[before], TINY)
            here, there, boxes = (piece.boxes[frames - piece.first] for frames in (before, frame, between))
            bends = boxes - here - weights[:, None] * (there - here)
            yield from interpolate(one, other, weights, bends, height, width)
        if start <= frame < end:
            yield other
        one, before = other, frame
    yield from repeat(None, max(stop - piece.stop, 0))


def _patch(rle: str | None, box: tuple[float, ...], height: int, width: int) -> Patch:
    """Return the mask of a detection; where it has none, or an empty one, all pixels of the frame that its box touches."""
    with _telling():
        if rle is not None and (patch := decode_patch(rle, height, width)).mask.size:
            return patch
    x0, y0, x1, y1 = box
    return _filled(_within((floor(x0), floor(y0), ceil(x1), ceil(y1)), height, width))


def _within(corners: Sequence[int], height: int, width: int) -> Corners:
    """Return the part of a box inside the frame, at least the pixel of the frame that is nearest to its top left."""
    x0, y0 = min(max(corners[0], 0), width - 1), min(max(corners[1], 0), height - 1)
    return x0, y0, max(min(corners[2], width), x0 + 1), max(min(corners[3], height), y0 + 1)


def _filled(corners: Corners) -> Patch:
    x0, y0, x1, y1 = corners
    return Patch(np.full((y1 - y0, x1 - x0), 255, np.uint8), x0, y0)


def _area(rle: str | None, box: tuple[float, ...]) -> float:
    """Return the area of the mask of a detection, where it has none that of its box, square pixels."""
    with _telling():
        return float(rle_counts(rle)[1::2].sum()) if rle is not None else (box[2] - box[0]) * (box[3] - box[1])


@contextmanager
def _telling() -> Iterator[None]:
    """Tell of run lengths that are no mask of the frame."""
    try:
        yield
    except ValueError as error:
        raise Failed("region does not match its frame", str(error)) from None


def _grow(patch: Patch, radius: float, height: int, width: int) -> Patch:
    """Return `patch` grown by `radius` pixels, within the frame, and trimmed."""
    import cv2

    x0, y0, x1, y1 = patch.box
    left, top, right, bottom = (min(ceil(radius), room) for room in (x0, y0, width - x1, height - y1))
    mask = cv2.copyMakeBorder(patch.mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    return trim(Patch(grow(mask, radius), x0 - left, y0 - top))


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return how far each pixel of `mask` is from the nearest one beyond its edge, outside negative: float32 (h, w)."""
    import cv2

    padded = cv2.copyMakeBorder((mask > 127) * np.uint8(255), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_5) for side in (padded, 255 - padded))
    signed: np.ndarray = (inside - outside)[1:-1, 1:-1]
    return signed


def _align(
    patches: Sequence[Patch], cores: Sequence[Corners], target: Corners, height: int, width: int
) -> tuple[list[np.ndarray], int, int]:
    """Return `patches`, moved and scaled so that each of their `cores` is `target`, in one box: uint8 (h, w), and its x and y.

    The box holds them all, and `target`, as far as they lie in the frame of `height` by `width` pixels.
    """
    import cv2

    scales, shifts, corners = [], [], [target]
    for patch, own in zip(patches, map(np.array, cores), strict=True):
        scale = np.subtract(target[2:], target[:2]) / (own[2:] - own[:2])
        shift = target[:2] - scale * own[:2]
        scales.append(scale)
        shifts.append(shift)
        corners.append((*np.floor(scale * patch.box[:2] + shift), *np.ceil(scale * patch.box[2:] + shift)))
    x, y = np.maximum(np.min(corners, axis=0)[:2], 0).astype(int).tolist()
    right, bottom = np.minimum(np.max(corners, axis=0)[2:], [width, height]).astype(int).tolist()
    masks = []
    for patch, scale, shift in zip(patches, scales, shifts, strict=True):
        # Of centres of pixels, from those of the patch to those of the box.
        offset = scale * (np.array(patch.box[:2]) + 0.5) + shift - 0.5 - (x, y)
        mask = cv2.warpAffine(patch.mask, np.column_stack([np.diag(scale), offset]), (right - x, bottom - y))
        masks.append(mask)
    return masks, x, y


def _pad(items: Iterable[T], half: int) -> Iterator[T]:
    """Yield `items`, at least one, the first and the last of them `half` times more."""
    items = iter(items)
    last = next(items)
    yield from repeat(last, half + 1)
    for last in items:
        yield last
    yield from repeat(last, half)


def _majority(window: Sequence[tuple[Patch, Corners]], height: int, width: int) -> Patch:
    """Return the mask that most in `window`, an odd number, each with its core, agree on; where it is empty, the middle one."""
    patches, cores = zip(*window, strict=True)
    x0, y0, x1, y1 = np.median(cores, axis=0).astype(int).tolist()
    masks, x, y = _align(patches, cores, (x0, y0, x1, y1), height, width)
    votes = sum(mask.astype(np.uint16) for mask in masks)
    mask = np.where(2 * votes > 255 * len(masks), np.uint8(255), np.uint8(0))
    return trim(Patch(mask, x, y)) if mask.any() else patches[len(patches) // 2]
