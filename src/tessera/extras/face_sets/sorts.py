"""The fifteen sorts of faces of DeepFaceLab, each as a rank and a key for every face.

No file is renamed, moved or deleted. Faces of equal keys are ranked by their names, and the ranks do not depend on the order in
which the faces are given. A face that a sort cannot measure has no rank, and a reason.
"""

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.extras.face_sets.blur import laplacian_variance, sharp_edges
from tessera.extras.face_sets.distances import Chain, chain_histograms, chain_pictures, total_distances
from tessera.extras.face_sets.hull import face_hull, hull_mask
from tessera.extras.face_sets.pose import Pose, estimate_pose
from tessera.imaging.sharpness import luma

YAW_BINS = 128
MOST_YAW = 1.2  # radians; further turned faces are in the outermost bins
CANDIDATES = 10  # the sharpest faces of a yaw, as a multiple of those that are selected


@dataclass(frozen=True)
class AlignedFace:
    """An aligned face. What is measured of it is kept with it."""

    name: str
    """Its unique name."""
    frame: str
    """The name of the picture in which it was found."""
    box: tuple[float, float, float, float]
    """Its rectangle there: x0, y0, x1, y1 in pixels."""
    size: int
    """Side of the aligned square in pixels."""
    landmarks: np.ndarray
    """Its landmarks in the aligned square: (68, 2), pixels."""
    load: Callable[[], np.ndarray]
    """Return the aligned square: uint8 (size, size, 3), RGB. It may raise `Dropped`."""

    @cached_property
    def picture(self) -> np.ndarray:
        """Return what `load` returns. Raises `Failed` if it has another size."""
        image = self.load()
        if image.shape != (self.size, self.size, 3):
            raise Failed("face of another size", f"an array of shape {image.shape}, not {self.size} by {self.size} pixels")
        return image

    @cached_property
    def luma(self) -> np.ndarray:
        """Return its luma: uint8 (size, size)."""
        return luma(self.picture)

    @cached_property
    def hull(self) -> np.ndarray:
        """Return the mask of the hull of its landmarks: uint8 (size, size)."""
        return hull_mask(face_hull(self.landmarks, self.size, self.size), self.size, self.size)

    @cached_property
    def luma_inside_hull(self) -> np.ndarray:
        """Return its luma with black outside the hull: uint8 (size, size)."""
        return self.inside_hull(luma)

    def inside_hull(self, convert: Callable[[np.ndarray], np.ndarray] = lambda part: part) -> np.ndarray:
        """Return what `convert` returns of its picture, with 0 outside the hull: uint8 (size, size, ...)."""
        import cv2

        x, y, width, height = cv2.boundingRect(self.hull)
        part = slice(y, y + height), slice(x, x + width)
        values = convert(self.picture[part])
        whole = np.zeros((self.size, self.size, *values.shape[2:]), np.uint8)
        cv2.copyTo(values, self.hull[part], whole[part])
        return whole

    @cached_property
    def histogram(self) -> np.ndarray:
        """Return how often each level of luma occurs: int32 (1, 256)."""
        return _histogram(self.luma)

    @cached_property
    def hsv(self) -> tuple[float, ...]:
        """Return the means of the hue in steps of 2 degrees, of the saturation, and of the largest channel of its pixels."""
        import cv2

        means: tuple[float, ...] = cv2.mean(cv2.cvtColor(self.picture, cv2.COLOR_RGB2HSV))
        return means

    @cached_property
    def pose(self) -> Pose:
        """Return its pose. Raises `Failed` if it cannot be estimated."""
        return estimate_pose(self.landmarks, self.size)

    @cached_property
    def sharpness(self) -> float:
        """Return the fraction of its edges that look sharp, see `sharp_edges`.

        As in DeepFaceLab, the edge of the hull is one of them. So faces without other edges do not compare well.
        """
        return sharp_edges(self.luma_inside_hull)


class Place(NamedTuple):
    """What a sort says about a face."""

    key: float | str | None
    """What was measured; `None` if it could not be."""
    rank: int | None
    """Place in the sorted set, from 0; `None` without a key."""
    reason: str = ""
    """Why the sort does not select the face; empty if it does."""


Places: TypeAlias = dict[str, Place]  # by name of face
_Value = TypeVar("_Value")
_Key = TypeVar("_Key", float, str)


@dataclass(frozen=True)
class Sort(Generic[_Value]):
    """A sort of faces."""

    measure: Callable[[AlignedFace], _Value]
    """Return what decides on the place of a face. It may raise `Dropped`."""
    place: Callable[[Any], Places]
    """Return the places of faces by what was kept of each, in the order of their names."""
    keep: Callable[[], Any] = dict
    """Return where what is measured is kept: a dictionary by name, or what can be set like one."""

    def __call__(self, faces: Iterable[AlignedFace]) -> Places:
        """Return the places of `faces`. Raises `ValueError` if two have the same name."""
        return place_faces(faces, {"": self})[""]


def place_faces(faces: Iterable[AlignedFace], sorts: Mapping[str, Sort[Any]], threads: int = 1) -> dict[str, Places]:
    """Return the places of `faces` in each of `sorts`. Each face is loaded once for all sorts, and not kept.

    Raises `ValueError` if two faces have the same name.
    """
    ordered = sorted(faces, key=lambda face: face.name)
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise ValueError(f"two faces are named {one.name!r}")
    values = {name: sort.keep() for name, sort in sorts.items()}
    unmeasured: dict[str, Places] = {name: {} for name in sorts}

    def measure(face: AlignedFace) -> dict[str, Any]:
        face = replace(face)  # which keeps what was measured, and is not kept
        return {name: _attempt(sort.measure, face) for name, sort in sorts.items()}

    with ThreadPoolExecutor(threads) as pool:
        measured = ((face, future.result()) for face, future in ahead(pool, measure, ordered, 2 * threads))
        if threads == 1:  # another thread would only cost time
            measured = ((face, measure(face)) for face in ordered)
        for face, found in progress(measured, len(ordered), "faces"):
            for name, value in found.items():
                if isinstance(value, Dropped):
                    unmeasured[name][face.name] = Place(None, None, str(value))
                else:
                    values[name][face.name] = value
    return {name: unmeasured[name] | sort.place(values[name]) for name, sort in sorts.items()}


def _attempt(measure: Callable[[AlignedFace], _Value], face: AlignedFace) -> _Value | Dropped:
    try:
        return measure(face)
    except Dropped as error:
        return error


def _ordered(keys: Mapping[str, _Key], descending: bool) -> list[str]:
    return sorted(sorted(keys), key=lambda name: keys[name], reverse=descending)


def _place(keys: Mapping[str, _Key], descending: bool = True) -> Places:
    return {name: Place(keys[name], rank) for rank, name in enumerate(_ordered(keys, descending))}


_ascending = partial(_place, descending=False)


def _histogram(image: np.ndarray) -> np.ndarray:
    """Return how often each level occurs in each channel of `image`, uint8 (H, W) or (H, W, C): int32 (C, 256)."""
    import cv2

    channels = 1 if image.ndim == 2 else image.shape[2]
    counts = [cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel() for channel in range(channels)]
    return np.stack(counts).astype(np.int32)


def motion_sharpness(face: AlignedFace) -> float:
    """Return the variance of the Laplacian of `face` inside its hull, squared levels; motion lowers it."""
    return laplacian_variance(face.inside_hull())


def area(face: AlignedFace) -> float:
    """Return the area of the rectangle of `face` in its frame, square pixels. Raises `Failed` if it is not finite."""
    x0, y0, x1, y1 = face.box
    size = abs((x1 - x0) * (y1 - y0))
    if not np.isfinite(size):
        raise Failed("rectangle not finite", f"{face.box}")
    return size


def black_values(face: AlignedFace) -> float:
    """Return how many values of all channels of `face` are 0; the part of the square outside the frame is black."""
    return float(face.picture.size - np.count_nonzero(face.picture))


def _chained(names: Iterable[str], chain: Callable[[], Chain]) -> Places:
    """Return the places of the faces that are called `names` in the chain that `chain` returns, if there are any."""
    if not (named := list(names)):
        return {}
    order, links = chain()
    pairs = zip(order.tolist(), links.tolist(), strict=True)
    return {named[number]: Place(link, rank) for rank, (number, link) in enumerate(pairs)}


def _chain_histograms(histograms: Mapping[str, np.ndarray]) -> Places:
    """Chain each face to the nearest one left, by the histograms of its channels; the first name is first.

    The key is the distance from the face before, see `histogram_distances`.
    """
    return _chained(histograms, lambda: chain_histograms(np.stack(list(histograms.values()))))


def _place_by_total(histograms: Mapping[str, np.ndarray]) -> Places:
    """Rank the faces first that differ most from all others. The key: the sum of the distances, see `histogram_distances`."""
    return _place(_totals(histograms))


def _totals(histograms: Mapping[str, np.ndarray]) -> dict[str, float]:
    if not histograms:
        return {}
    return dict(zip(histograms, total_distances(np.concatenate(list(histograms.values()))).tolist(), strict=True))


class _Pictures:
    """Pictures by the names of their faces, in a temporary file instead of the memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it is needed as long as this object)
        self._offsets: dict[int, dict[str, int]] = defaultdict(dict)  # by size and name

    def __setitem__(self, name: str, picture: np.ndarray) -> None:
        self._offsets[len(picture)][name] = self._file.tell()
        self._file.write(picture.tobytes())

    def place(self) -> Places:
        """Chain each face to the nearest one left, by the sum of the absolute differences of all values.

        The first name is first. The key is the difference from the face before, levels. Only faces of the most frequent size
        are sorted.
        """
        self._file.flush()
        size = max(self._offsets, key=lambda side: (len(self._offsets[side]), side), default=0)
        offsets = self._offsets.pop(size, {})
        at = list(offsets.values())

        def read(number: int) -> np.ndarray:
            content = os.pread(self._file.fileno(), 3 * size**2, at[number])
            return np.frombuffer(content, np.uint8).reshape(size, size, 3)

        reasons = {
            side: str(Failed("face of another size", f"{side} pixels, but most faces of the set have {size}"))
            for side in self._offsets
        }
        others = {name: Place(None, None, reasons[side]) for side, names in self._offsets.items() for name in names}
        return others | _chained(offsets, lambda: chain_pictures(len(at), read))


def _place_by_frame(frames: Mapping[str, str]) -> Places:
    """Rank the faces whose frame shows the fewest faces first, and select those that are alone. The key: faces in the frame."""
    counts = Counter(frames.values())
    places = _ascending({name: float(counts[frame]) for name, frame in frames.items()})
    return {
        name: place._replace(reason="" if place.key == 1 else "several faces in the frame") for name, place in places.items()
    }


class _Candidate(NamedTuple):
    quality: float
    pose: Pose
    histogram: np.ndarray  # of the luma


def by_best(quality: Callable[[AlignedFace], float], target: int = 2000) -> Sort[_Candidate]:
    """Return a sort that selects about `target` faces of high `quality` that differ, and look in all directions.

    The key is the quality. The faces are divided by yaw into `YAW_BINS`. Each bin may select an equal share of the target, and
    what is lacking in small bins is divided among all. Of the best in a bin, ten times the share, those of each pitch are
    ranked by how much they differ from each other, and the pitches take turns. Selected faces rank before all others, which are
    ranked by quality.
    """
    return Sort(lambda face: _Candidate(quality(face), face.pose, face.histogram), partial(_place_best, target=target))


def _place_best(candidates: Mapping[str, _Candidate], target: int) -> Places:
    bins: dict[int, list[str]] = defaultdict(list)
    for name in _ordered({name: candidate.quality for name, candidate in candidates.items()}, True):
        bins[_bin(-candidates[name].pose.yaw, MOST_YAW, YAW_BINS)].append(name)
    share = max(1, round(target / YAW_BINS))
    share += sum(max(0, share - len(bins.get(number, ()))) for number in range(YAW_BINS)) // YAW_BINS
    selected: list[str] = []
    reasons: dict[str, str] = {}
    for _, names in sorted(bins.items()):
        best = names[: CANDIDATES * share]
        reasons |= dict.fromkeys(names[len(best) :], "enough sharper faces at this yaw")
        reasons |= dict.fromkeys(best, "enough faces at this yaw")
        selected += _alternate({name: candidates[name] for name in best}, share)
    reasons |= dict.fromkeys(selected, "")
    rest = {name: candidate.quality for name, candidate in candidates.items() if reasons[name]}
    order = [*selected, *_ordered(rest, True)]
    return {name: Place(candidates[name].quality, rank, reasons[name]) for rank, name in enumerate(order)}


def _alternate(candidates: Mapping[str, _Candidate], share: int) -> list[str]:
    """Return at most `share` of the `candidates`: in turns those of each pitch that differ most from others of this pitch."""
    pitches: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    for name, candidate in candidates.items():
        pitches[_bin(candidate.pose.pitch, np.pi / 2, share)][name] = candidate.histogram
    queues = [_ordered(_totals(histograms), True) for _, histograms in sorted(pitches.items())]
    turns = (queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue))
    return [name for _, name in zip(range(share), turns, strict=False)]


def _bin(angle: float, most: float, count: int) -> int:
    """Return in which of `count` bins `angle` lies. Their lower limits are spread from `-most` to `most`, both included."""
    limits = np.linspace(-most, most, count)
    return int(np.clip(np.searchsorted(limits, angle, side="right") - 1, 0, count - 1))


# By name, in the order of DeepFaceLab, which numbers them from 0.
SORTS: dict[str, Sort[Any]] = {
    "blur": Sort(lambda face: face.sharpness, _place),
    "motion_blur": Sort(motion_sharpness, _place),
    "yaw": Sort(lambda face: face.pose.yaw, _place),
    "pitch": Sort(lambda face: face.pose.pitch, _place),
    "area": Sort(area, _place),
    "histogram_similarity": Sort(lambda face: _histogram(face.picture), _chain_histograms),
    "histogram_dissimilarity": Sort(lambda face: _histogram(face.luma_inside_hull), _place_by_total),
    "brightness": Sort(lambda face: face.hsv[2], _place),  # levels
    "hue": Sort(lambda face: 2 * face.hsv[0], _place),  # degrees, 0 to 360; grey is 0
    "black_values": Sort(black_values, _ascending),
    "frame": Sort(lambda face: face.frame, _ascending),
    "faces_in_frame": Sort(lambda face: face.frame, _place_by_frame),
    "pixel_difference": Sort(lambda face: face.picture, _Pictures.place, _Pictures),
    "best": by_best(lambda face: face.sharpness),
    "best_faster": by_best(area),
}
