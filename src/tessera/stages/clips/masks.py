"""Masks of a region over time: unite, interpolate, smooth and grow them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from math import ceil, floor
from typing import TypeAlias, TypeVar

import numpy as np

from tessera.core.errors import Failed
from tessera.imaging.masks import Patch, decode_patch, grow, rle_counts, trim

Corners: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1
T = TypeVar("T")

FRINGE = 0.05  # the largest fraction of the area of a mask beyond each edge of its core
VOTES = 5  # the number of masks, evenly spaced in time, whose majority a smoothed mask is
DETAIL = 384  # pixels; how finely a large region is interpolated, smoothed and grown


def unite(patches: Sequence[Patch]) -> Patch:
    """Return the union of `patches`, of which there is at least one."""
    if len(patches) == 1:
        return patches[0]
    corners = np.array([patch.box for patch in patches])
    (x, y), (right, bottom) = corners[:, :2].min(axis=0).tolist(), corners[:, 2:].max(axis=0).tolist()
    mask = np.zeros((bottom - y, right - x), np.uint8)
    for patch in patches:
        x0, y0, x1, y1 = patch.box
        mask[y0 - y : y1 - y, x0 - x : x1 - x] |= patch.mask
    return Patch(mask, x, y)


def interpolate(
    first: Patch, second: Patch, weights: np.ndarray, bends: np.ndarray, height: int, width: int
) -> Iterator[Patch]:
    """Yield the mask between `first` and `second` for each of `weights`, float64 (n,): 0 means `first`, 1 means `second`.

    The core (see `core`) is interpolated linearly, and `bends`, float64 (n, 4), are added to its edges. Both masks are scaled
    to this core. A pixel is set if the weighted mean of its signed distances to the edges of both masks is positive
    (shape-based interpolation: Raya and Udupa, 1990). Masks stay within the frame of `height` by `width` pixels, and none is
    empty.
    """
    cores = [core(patch) for patch in (first, second)]
    here, there = map(np.array, cores)
    for weight, bend in zip(weights.tolist(), bends, strict=True):
        edges = (1 - weight) * here + weight * there + bend
        # The size is rounded instead of each edge, so that rounding does not change a constant size.
        low, size = np.floor(edges[:2] + 0.5), np.floor(edges[2:] - edges[:2] + 0.5)
        target = _within([*low.astype(int).tolist(), *(low + size).astype(int).tolist()], height, width)
        masks, x, y = _align([first, second], cores, target, height, width)
        near, far = (_signed_distance(mask) for mask in masks)
        mask = ((1 - weight) * near + weight * far > 0) * np.uint8(255)
        # The interpolation of very different shapes can be empty.
        yield trim(Patch(mask, x, y)) if mask.any() else _filled(target)


def smooth(patches: Iterable[Patch], half: int, height: int, width: int) -> Iterator[Patch]:
    """Yield each of the masks `patches`, smoothed over up to `half` masks before and after it; at the ends, masks repeat.

    `VOTES` of these masks are scaled to the median of the edges of their cores (see `core`), and a pixel is set if it is set in
    most of them. So steady motion changes nothing, and details of single frames vanish. Masks stay within the frame of `height`
    by `width` pixels, and none becomes empty.
    """
    window: deque[tuple[Patch, Corners]] = deque(maxlen=2 * half + 1)
    votes = np.unique(np.linspace(0, 2 * half, VOTES).round().astype(int)).tolist()
    for item in _pad(((patch, core(patch)) for patch in patches), half):
        window.append(item)
        if len(window) == window.maxlen:
            yield _majority([window[index] for index in votes], height, width) if half else item[0]


def core(patch: Patch) -> Corners:
    """Return the smallest box, x0, y0, x1, y1, with at most the fraction `FRINGE` of the area of a mask beyond each edge.

    Unlike the bounding box, it hardly changes if a limb or a speck appears or vanishes.
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
    """Return `boxes`, int64 (n, 4), smoothed over time, and grown so that each contains the original box.

    Each edge becomes the median over up to `half` boxes before and after it; at the ends, boxes repeat (as in Lada 0.11).
    """
    edges = [np.lib.stride_tricks.sliding_window_view(np.pad(edge, half, mode="edge"), 2 * half + 1) for edge in boxes.T]
    medians = np.stack([np.median(edge, axis=1).astype(np.int64) for edge in edges], axis=1)
    return np.hstack([np.minimum(medians[:, :2], boxes[:, :2]), np.maximum(medians[:, 2:], boxes[:, 2:])])


def patch_of(rle: str | None, box: tuple[float, ...], height: int, width: int) -> Patch:
    """Return the mask of a detection; if it has none, or an empty one, all pixels of the frame that its box touches."""
    with _failing_on_bad_rle():
        if rle is not None and (patch := decode_patch(rle, height, width)).mask.size:
            return patch
    x0, y0, x1, y1 = box
    return _filled(_within((floor(x0), floor(y0), ceil(x1), ceil(y1)), height, width))


def scale_of(boxes: np.ndarray) -> int:
    """Return the scale, see `shrink_patch`, at which the longer side of the typical one of `boxes`, (n, 4), is about `DETAIL`.

    Detectors compute masks on grids of 160 to 320 pixels for the longer side of the frame, and enlarge them. So a large region
    has no details that vanish at its scale, and the effort for it is bounded.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    return max(1, round(float(np.median(sides)) / DETAIL))


def shrink_patch(patch: Patch, scale: int) -> Patch:
    """Return `patch` with `scale` by `scale` pixels of the frame in each pixel: it is set if at least half of them are set.

    A patch that would become empty keeps the pixels with at least one.
    """
    import cv2

    if scale == 1:
        return patch
    left, top = patch.x % scale, patch.y % scale
    right, bottom = (-(offset + side) % scale for offset, side in ((left, patch.mask.shape[1]), (top, patch.mask.shape[0])))
    aligned = cv2.copyMakeBorder(patch.mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    mean = cv2.resize(aligned, (aligned.shape[1] // scale, aligned.shape[0] // scale), interpolation=cv2.INTER_AREA)
    mask = (mean > 127 if mean.max() > 127 else mean > 0) * np.uint8(255)
    return trim(Patch(mask, patch.x // scale, patch.y // scale))


def enlarge_patch(patch: Patch, scale: int, height: int, width: int) -> Patch:
    """Return `patch` with `scale` by `scale` pixels for each, with smooth edges, in a frame of `height` by `width` pixels."""
    import cv2

    if scale == 1:
        return patch
    mask = cv2.resize(patch.mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    x, y = scale * patch.x, scale * patch.y
    return trim(Patch((mask[: height - y, : width - x] > 127) * np.uint8(255), x, y))


def _within(corners: Sequence[int], height: int, width: int) -> Corners:
    """Return the part of a box inside the frame, or the pixel of the frame nearest to its top left corner if it is empty."""
    x0, y0 = min(max(corners[0], 0), width - 1), min(max(corners[1], 0), height - 1)
    return x0, y0, max(min(corners[2], width), x0 + 1), max(min(corners[3], height), y0 + 1)


def _filled(corners: Corners) -> Patch:
    x0, y0, x1, y1 = corners
    return Patch(np.full((y1 - y0, x1 - x0), 255, np.uint8), x0, y0)


def area_of(rle: str | None, box: tuple[float, ...]) -> float:
    """Return the area of the mask of a detection in square pixels; if it has none, the area of its box."""
    with _failing_on_bad_rle():
        return float(rle_counts(rle)[1::2].sum()) if rle is not None else (box[2] - box[0]) * (box[3] - box[1])


@contextmanager
def _failing_on_bad_rle() -> Iterator[None]:
    """Raise `Failed` for run lengths that do not fit the frame."""
    try:
        yield
    except ValueError as error:
        raise Failed("region does not match its frame", str(error)) from None


def grow_patch(patch: Patch, radius: float, height: int, width: int) -> Patch:
    """Return `patch` grown by `radius` pixels within the frame, and trimmed."""
    import cv2

    x0, y0, x1, y1 = patch.box
    left, top, right, bottom = (min(ceil(radius), margin) for margin in (x0, y0, width - x1, height - y1))
    mask = cv2.copyMakeBorder(patch.mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    return trim(Patch(grow(mask, radius), x0 - left, y0 - top))


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel of `mask` to the nearest one across its edge, negative outside: float32 (h, w)."""
    import cv2

    padded = cv2.copyMakeBorder((mask > 127) * np.uint8(255), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_5) for side in (padded, 255 - padded))
    signed: np.ndarray = (inside - outside)[1:-1, 1:-1]
    return signed


def _align(
    patches: Sequence[Patch], cores: Sequence[Corners], target: Corners, height: int, width: int
) -> tuple[list[np.ndarray], int, int]:
    """Return `patches`, moved and scaled so that each of their `cores` becomes `target`: masks uint8 (h, w), and their x and y.

    All masks have the same box. It contains all of them and `target`, within the frame of `height` by `width` pixels.
    """
    import cv2

    scales, shifts, corners = [], [], [target]
    for patch, core_box in zip(patches, map(np.array, cores), strict=True):
        scale = np.subtract(target[2:], target[:2]) / (core_box[2:] - core_box[:2])
        shift = target[:2] - scale * core_box[:2]
        scales.append(scale)
        shifts.append(shift)
        corners.append((*np.floor(scale * patch.box[:2] + shift), *np.ceil(scale * patch.box[2:] + shift)))
    x, y = np.maximum(np.min(corners, axis=0)[:2], 0).astype(int).tolist()
    right, bottom = np.minimum(np.max(corners, axis=0)[2:], [width, height]).astype(int).tolist()
    masks = []
    for patch, scale, shift in zip(patches, scales, shifts, strict=True):
        # The offset between the centres of pixels, from the patch to the box.
        offset = scale * (np.array(patch.box[:2]) + 0.5) + shift - 0.5 - (x, y)
        mask = cv2.warpAffine(patch.mask, np.column_stack([np.diag(scale), offset]), (right - x, bottom - y))
        masks.append(mask)
    return masks, x, y


def _pad(items: Iterable[T], half: int) -> Iterator[T]:
    """Yield `items`, at least one, with the first and the last one repeated `half` times."""
    items = iter(items)
    last = next(items)
    yield from repeat(last, half + 1)
    for last in items:
        yield last
    yield from repeat(last, half)


def _majority(window: Sequence[tuple[Patch, Corners]], height: int, width: int) -> Patch:
    """Return the majority of the masks in `window`, an odd number, each with its core; if it is empty, the middle mask."""
    patches, cores = zip(*window, strict=True)
    x0, y0, x1, y1 = np.median(cores, axis=0).astype(int).tolist()
    masks, x, y = _align(patches, cores, (x0, y0, x1, y1), height, width)
    votes = sum(mask.astype(np.uint16) for mask in masks)
    mask = np.where(2 * votes > 255 * len(masks), np.uint8(255), np.uint8(0))
    return trim(Patch(mask, x, y)) if mask.any() else patches[len(patches) // 2]
