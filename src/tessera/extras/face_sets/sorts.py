"""The fifteen sorts of faces of DeepFaceLab, each as a rank and a key for every face.

No file is renamed, moved or deleted. Faces of equal keys are ranked by their names, and the ranks do not depend on the order in
which the faces are given. A face that a sort cannot measure has no rank, and a reason.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from tessera.core.errors import Dropped, Failed
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
    """An aligned face."""

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


class Place(NamedTuple):
    """What a sort says about a face."""

    key: float | str | None
    """What was measured; `None` if it could not be."""
    rank: int | None
    """Place in the sorted set, from 0; `None` without a key."""
    reason: str = ""
    """Why the sort does not select the face; empty if it does."""


Places: TypeAlias = dict[str, Place]  # by name of face
Sort: TypeAlias = Callable[[Iterable[AlignedFace]], Places]
_Value = TypeVar("_Value")
_Key = TypeVar("_Key", float, str)


def _measure(faces: Iterable[AlignedFace], measure: Callable[[AlignedFace], _Value]) -> tuple[dict[str, _Value], Places]:
    """Return what `measure` returns for each face, in the order of their names, and the places of those for which it cannot.

    Each face is loaded once and not kept. Raises `ValueError` if two faces have the same name.
    """
    values: dict[str, _Value] = {}
    unmeasured: Places = {}
    for face in faces:
        if face.name in values or face.name in unmeasured:
            raise ValueError(f"two faces are named {face.name!r}")
        try:
            values[face.name] = measure(face)
        except Dropped as error:
            unmeasured[face.name] = Place(None, None, str(error))
    return dict(sorted(values.items())), unmeasured


def _ordered(keys: Mapping[str, _Key], descending: bool) -> list[str]:
    return sorted(sorted(keys), key=lambda name: keys[name], reverse=descending)


def _sort(faces: Iterable[AlignedFace], measure: Callable[[AlignedFace], _Key], descending: bool) -> Places:
    keys, places = _measure(faces, measure)
    return places | {name: Place(keys[name], rank) for rank, name in enumerate(_ordered(keys, descending))}


def _picture(face: AlignedFace) -> np.ndarray:
    image = face.load()
    if image.shape != (face.size, face.size, 3):
        raise Failed("face of another size", f"an array of shape {image.shape}, not {face.size} by {face.size} pixels")
    return image


def _inside_hull(face: AlignedFace) -> np.ndarray:
    """Return the picture of `face` with black outside the hull of its landmarks."""
    import cv2

    hull = face_hull(face.landmarks, face.size, face.size)
    image: np.ndarray = cv2.bitwise_and(picture := _picture(face), picture, mask=hull_mask(hull, *picture.shape[:2]))
    return image


def _pose(face: AlignedFace) -> Pose:
    return estimate_pose(face.landmarks, face.size)


def _histogram(image: np.ndarray) -> np.ndarray:
    """Return how often each level occurs in each channel of `image`, uint8 (H, W) or (H, W, C): int64 (C, 256)."""
    import cv2

    channels = 1 if image.ndim == 2 else image.shape[2]
    counts = [cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel() for channel in range(channels)]
    return np.stack(counts).astype(np.int64)


def sharpness(face: AlignedFace) -> float:
    """Return the fraction of the edges of `face` that look sharp, see `sharp_edges`.

    As in DeepFaceLab, the edge of the hull is one of them. So faces without other edges do not compare well.
    """
    return sharp_edges(luma(_inside_hull(face)))


def motion_sharpness(face: AlignedFace) -> float:
    """Return the variance of the Laplacian of `face`, squared levels; motion lowers it."""
    return laplacian_variance(_inside_hull(face))


def area(face: AlignedFace) -> float:
    """Return the area of the rectangle of `face` in its frame, square pixels. Raises `Failed` if it is not finite."""
    x0, y0, x1, y1 = face.box
    size = abs((x1 - x0) * (y1 - y0))
    if not np.isfinite(size):
        raise Failed("rectangle not finite", f"{face.box}")
    return size


def brightness(face: AlignedFace) -> float:
    """Return the mean of the largest channel of each pixel of `face`, levels."""
    return _hsv(face)[2]


def hue(face: AlignedFace) -> float:
    """Return the mean hue of the pixels of `face`, degrees, 0 to 360; grey is 0."""
    return 2 * _hsv(face)[0]


def _hsv(face: AlignedFace) -> tuple[float, ...]:
    import cv2

    means: tuple[float, ...] = cv2.mean(cv2.cvtColor(_picture(face), cv2.COLOR_RGB2HSV))
    return means


def black_values(face: AlignedFace) -> float:
    """Return how many values of all channels of `face` are 0; the part of the square outside the frame is black."""
    image = _picture(face)
    return float(image.size - np.count_nonzero(image))


def sort_by_histogram_similarity(faces: Iterable[AlignedFace]) -> Places:
    """Chain each face to the nearest one left, by the histograms of its channels; the first name is first.

    The key is the distance from the face before, see `histogram_distances`.
    """
    histograms, places = _measure(faces, lambda face: _histogram(_picture(face)))
    return places | _chained(histograms, lambda: chain_histograms(np.stack(list(histograms.values()))))


def _chained(names: Iterable[str], chain: Callable[[], Chain]) -> Places:
    """Return the places of the faces that are called `names` in the chain that `chain` returns, if there are any."""
    if not (named := list(names)):
        return {}
    order, links = chain()
    pairs = zip(order.tolist(), links.tolist(), strict=True)
    return {named[number]: Place(link, rank) for rank, (number, link) in enumerate(pairs)}


def sort_by_histogram_dissimilarity(faces: Iterable[AlignedFace]) -> Places:
    """Rank the faces first that differ most from all others, by the grey histograms inside their hulls.

    The key is the sum of the distances from all others, see `histogram_distances`. Outside its hull, a face is black.
    """
    histograms, places = _measure(faces, lambda face: _histogram(luma(_inside_hull(face)))[0])
    totals = _totals(histograms)
    return places | {name: Place(totals[name], rank) for rank, name in enumerate(_ordered(totals, True))}


def _totals(histograms: Mapping[str, np.ndarray]) -> dict[str, float]:
    if not histograms:
        return {}
    return dict(zip(histograms, total_distances(np.stack(list(histograms.values()))).tolist(), strict=True))


def sort_by_pixel_difference(faces: Iterable[AlignedFace]) -> Places:
    """Chain each face to the nearest one left, by the sum of the absolute differences of all values; the first name is first.

    The key is the difference from the face before, levels. Only faces of the most frequent size are sorted. Their pictures are
    stored in a temporary file, uncompressed.
    """
    faces = sorted(faces, key=lambda face: face.name)
    sizes = Counter(face.size for face in faces)
    size = max(sizes, key=lambda side: (sizes[side], side), default=0)
    with tempfile.TemporaryFile() as file:

        def store(face: AlignedFace) -> None:
            if face.size != size:
                raise Failed("face of another size", f"{face.size} pixels, but most faces of the set have {size}")
            file.write(_picture(face).tobytes())

        names, places = _measure(faces, store)
        file.flush()
        shape = len(names), size, size, 3
        return places | _chained(names, lambda: chain_pictures(np.memmap(file, np.uint8, "r", shape=shape)))


def sort_by_faces_in_frame(faces: Iterable[AlignedFace]) -> Places:
    """Rank the faces whose frame shows the fewest faces first, and select those that are alone. The key: faces in the frame."""
    frames, places = _measure(faces, lambda face: face.frame)
    counts = Counter(frames.values())
    keys = {name: float(counts[frame]) for name, frame in frames.items()}
    reasons = {name: "" if count == 1 else "several faces in the frame" for name, count in keys.items()}
    return places | {name: Place(keys[name], rank, reasons[name]) for rank, name in enumerate(_ordered(keys, False))}


class _Candidate(NamedTuple):
    sharpness: float
    pose: Pose
    histogram: np.ndarray  # of the grey picture


def sort_by_best(
    faces: Iterable[AlignedFace], quality: Callable[[AlignedFace], float] = sharpness, target: int = 2000
) -> Places:
    """Select about `target` faces that are sharp, differ, and look in all directions. The key: the `quality`, highest first.

    The faces are divided by yaw into `YAW_BINS`. Each bin may select an equal share of the target, and what is lacking in small
    bins is divided among all. Of the sharpest in a bin, ten times the share, those of each pitch are ranked by how much they
    differ from each other, and the pitches take turns. Selected faces rank before all others, which are ranked by quality.
    """
    candidates, places = _measure(
        faces, lambda face: _Candidate(quality(face), _pose(face), _histogram(luma(_picture(face)))[0])
    )
    bins: dict[int, list[str]] = defaultdict(list)
    for name in _ordered({name: candidate.sharpness for name, candidate in candidates.items()}, True):
        bins[_bin(-candidates[name].pose.yaw, MOST_YAW, YAW_BINS)].append(name)
    share = max(1, round(target / YAW_BINS))
    share += sum(max(0, share - len(bins.get(number, ()))) for number in range(YAW_BINS)) // YAW_BINS
    selected: list[str] = []
    reasons: dict[str, str] = {}
    for _, names in sorted(bins.items()):
        sharpest = names[: CANDIDATES * share]
        reasons |= dict.fromkeys(names[len(sharpest) :], "enough sharper faces at this yaw")
        reasons |= dict.fromkeys(sharpest, "enough faces at this yaw")
        selected += _alternate({name: candidates[name] for name in sharpest}, share)
    reasons |= dict.fromkeys(selected, "")
    rest = {name: candidate.sharpness for name, candidate in candidates.items() if reasons[name]}
    order = [*selected, *_ordered(rest, True)]
    return places | {name: Place(candidates[name].sharpness, rank, reasons[name]) for rank, name in enumerate(order)}


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
SORTS: dict[str, Sort] = {
    "blur": partial(_sort, measure=sharpness, descending=True),
    "motion_blur": partial(_sort, measure=motion_sharpness, descending=True),
    "yaw": partial(_sort, measure=lambda face: _pose(face).yaw, descending=True),
    "pitch": partial(_sort, measure=lambda face: _pose(face).pitch, descending=True),
    "area": partial(_sort, measure=area, descending=True),
    "histogram_similarity": sort_by_histogram_similarity,
    "histogram_dissimilarity": sort_by_histogram_dissimilarity,
    "brightness": partial(_sort, measure=brightness, descending=True),
    "hue": partial(_sort, measure=hue, descending=True),
    "black_values": partial(_sort, measure=black_values, descending=False),
    "frame": partial(_sort, measure=lambda face: face.frame, descending=False),
    "faces_in_frame": sort_by_faces_in_frame,
    "pixel_difference": sort_by_pixel_difference,
    "best": sort_by_best,
    "best_faster": partial(sort_by_best, quality=area),
}
