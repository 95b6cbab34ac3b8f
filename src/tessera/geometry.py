"""Geometry of regions: polygons, masks, boxes, and the laws by which one becomes another.

Coordinates are continuous pixels: pixel `i` covers [i, i + 1), so the top left corner of an image is (0, 0), the bottom
right one (width, height), and a point lies in the pixel `floor(x)`, `floor(y)`. A mask is uint8 (H, W), 0 or 255. A box is
`x0, y0, x1, y1`, half-open.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

Box: TypeAlias = tuple[float, float, float, float]
Ring: TypeAlias = np.ndarray  # float64 (n, 2): x and y of each corner; the last one joins the first

CHUNK = 1 << 18  # edges and points compared at a time


class Part(NamedTuple):
    """One connected piece of a region: an outer ring, and the rings of the holes inside it."""

    outer: Ring
    holes: tuple[Ring, ...] = ()


def rasterize(parts: Iterable[Part], height: int, width: int) -> np.ndarray:
    """Return the mask of the union of `parts`: uint8 (height, width), 0 or 255.

    A corner becomes the pixel it lies in. Set are the pixels inside by the even-odd rule and those on the lines between
    corners, the lines of holes included: what ultralytics and labelme draw. What lies outside the image is cut off.
    """
    import cv2

    mask = np.zeros((height, width), dtype=np.uint8)
    for part in parts:
        rings = [np.floor(ring).astype(np.int32).reshape(-1, 1, 2) for ring in (part.outer, *part.holes)]
        cv2.fillPoly(mask, rings, 255)
    return mask


def trace(mask: np.ndarray) -> list[Part]:
    """Return the 8-connected pieces of `mask`, from top to bottom; `rasterize` of them gives `mask` back exactly.

    `mask`: uint8 (H, W), not 0 is set. Corners are pixel centres. A piece that is one pixel wide is a ring there and
    back, and one of a single pixel has one corner.
    """
    import cv2

    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if hierarchy is None:
        return []
    outers: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for number, (contour, parent) in enumerate(zip(contours, hierarchy.reshape(-1, 4)[:, 3].tolist(), strict=True)):
        ring = contour.reshape(-1, 2) + 0.5
        if parent < 0:
            outers[number] = ring
        else:
            holes.setdefault(parent, []).append(ring)
    parts = [Part(ring, tuple(holes.get(number, ()))) for number, ring in outers.items()]
    return sorted(parts, key=lambda part: part.outer[0][::-1].tolist())


def keyhole(part: Part) -> Ring:
    """Return `part` as one ring, its holes joined to the outer ring by bridges of no width.

    A bridge runs level from the leftmost corner of a hole to the nearest ring on its left, where it adds a corner.
    Rings from `trace` give exactly the same mask. Elsewhere two things may differ: pixels on the line of a bridge are
    set, and the line of a slanted edge that got a corner may move by a pixel.
    """
    ring = part.outer
    for hole in sorted(part.holes, key=lambda hole: hole.min(axis=0).tolist()):
        hole = np.roll(hole, -int(np.lexsort((hole[:, 1], hole[:, 0]))[0]), axis=0)
        x, y = hole[0]
        following = np.roll(ring, -1, axis=0)
        crosses = (ring[:, 1] <= y) != (following[:, 1] <= y)
        feet = np.full(len(ring), -np.inf)
        start, step = ring[crosses], (following - ring)[crosses]
        feet[crosses] = start[:, 0] + (y - start[:, 1]) * step[:, 0] / step[:, 1]
        feet[feet > x] = -np.inf
        edge = int(np.argmax(feet))
        # A hole that has nothing on its left lies outside its part: any corner does, the rule is still even-odd.
        foot = ring[:1] if np.isinf(feet[edge]) else np.array([[feet[edge], y]])
        ring = np.concatenate([ring[: edge + 1], foot, hole, hole[:1], foot, ring[edge + 1 :]])
    return ring


def nest(rings: Sequence[Ring]) -> list[Part]:
    """Return the parts that `rings` draw by the even-odd rule, in the order of their outer rings.

    A ring wholly inside a larger one is a hole of it, a ring inside that hole is a part again. Rings that cross are
    parts of their own.
    """
    areas = np.array([area(ring) for ring in rings])
    low, high = (np.array([corner(ring, axis=0) for ring in rings]).reshape(-1, 2) for corner in (np.min, np.max))
    around: list[list[int]] = [[] for _ in rings]
    for number, ring in enumerate(rings):
        # Few boxes lie in another, and all rings whose boxes do are compared with its ring at once.
        in_box = np.flatnonzero((areas < areas[number]) & (low >= low[number]).all(axis=1) & (high <= high[number]).all(axis=1))
        if len(in_box):
            corners = [rings[other] for other in in_box.tolist()]
            starts = np.cumsum([0, *map(len, corners[:-1])])
            inside = np.logical_and.reduceat(contains(ring, np.concatenate(corners)), starts)
            for other in in_box[inside].tolist():
                around[other].append(number)
    holes: dict[int, list[Ring]] = {}
    for number, ring in enumerate(rings):
        if len(around[number]) % 2:
            holes.setdefault(min(around[number], key=lambda other: areas[other]), []).append(ring)
    return [Part(ring, tuple(holes.get(i, ()))) for i, ring in enumerate(rings) if len(around[i]) % 2 == 0]


def contains(ring: Ring, points: np.ndarray) -> np.ndarray:
    """Return for each of `points`, float (n, 2), whether it lies inside `ring` or on it: bool (n,)."""
    following = np.roll(ring, -1, axis=0)
    step = following - ring
    low, high = np.minimum(ring, following), np.maximum(ring, following)
    # An edge is compared with the points at its height alone.
    order = np.argsort(points[:, 1])
    heights = points[order, 1]
    first = np.searchsorted(heights, low[:, 1], "left")
    counts = np.searchsorted(heights, high[:, 1], "right") - first
    crossed = np.zeros(len(points), dtype=np.int64)
    on = np.zeros(len(points), dtype=bool)
    for edges in np.split(np.arange(len(ring)), np.flatnonzero(np.diff(np.cumsum(counts) // CHUNK)) + 1):
        edge = np.repeat(edges, counts[edges])
        place = np.arange(len(edge)) - np.repeat(np.cumsum(counts[edges]) - counts[edges], counts[edges])
        number = order[first[edge] + place]
        point = points[number]
        side = step[edge, 0] * (point[:, 1] - ring[edge, 1]) - step[edge, 1] * (point[:, 0] - ring[edge, 0])
        on[number[(side == 0) & ((low[edge] <= point) & (point <= high[edge])).all(axis=1)]] = True
        crosses = (ring[edge, 1] <= point[:, 1]) != (following[edge, 1] <= point[:, 1])
        to_the_right = crosses & ((side > 0) == (step[edge, 1] > 0))
        crossed += np.bincount(number[to_the_right], minlength=len(points))
    found: np.ndarray = (crossed % 2 == 1) | on
    return found


def clip(part: Part, width: int, height: int) -> Part | None:
    """Return what of `part` lies inside the image: itself where all of it does, None where nothing with an area does.

    A ring that leaves the image and comes back stays one ring, joined along the border.
    """
    if (part.outer >= 0).all() and (part.outer <= [width, height]).all():
        return part
    outer = _clip_ring(part.outer, width, height)
    if area(outer) == 0:
        return None
    holes = (_clip_ring(hole, width, height) for hole in part.holes)
    return Part(outer, tuple(hole for hole in holes if area(hole) > 0))


def _clip_ring(ring: Ring, width: int, height: int) -> Ring:
    """Cut `ring` at the four borders in turn (Sutherland and Hodgman, 1974)."""
    for axis, limit, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        depth = sign * (ring[:, axis] - limit)
        inside = depth >= 0
        if inside.all():
            continue
        following, depth_after = np.roll(ring, -1, axis=0), np.roll(depth, -1)
        leaves = inside != np.roll(inside, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cuts = ring + (depth / (depth - depth_after))[:, None] * (following - ring)
        cuts[:, axis] = limit
        ring = np.stack([ring, cuts], axis=1)[np.stack([inside, leaves], axis=1)]
    return ring


def area(ring: Ring) -> float:
    """Return the area that `ring` encloses, in square pixels; 0 for fewer than three corners."""
    if len(ring) < 3:
        return 0.0
    x, y = (ring - ring[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def rectangle(box: Box) -> Ring:
    """Return the four corners of `box`, clockwise from the top left."""
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def circle(centre: Sequence[float], rim: Sequence[float]) -> Ring:
    """Return the circle around `centre` through `rim` as corners on it; no edge strays further than 1/8 pixel from it."""
    radius = float(np.hypot(rim[0] - centre[0], rim[1] - centre[1]))
    corners = 12 if radius <= 1 else max(12, int(np.ceil(np.pi / np.arccos(1 - 0.125 / radius))))
    angle = 2 * np.pi * np.arange(corners) / corners
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], axis=1)


def parts_area(parts: Iterable[Part]) -> float:
    """Return the area that `parts` enclose without their holes, in square pixels."""
    return sum(area(part.outer) - sum(map(area, part.holes)) for part in parts)


def polygon_box(parts: Sequence[Part]) -> Box:
    """Return the smallest box around the corners of `parts`, at least one."""
    corners = np.concatenate([part.outer for part in parts])
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x0, y0, x1, y1


def mask_box(mask: np.ndarray) -> Box:
    """Return the smallest box around the set pixels of `mask`, uint8 (H, W), (0, 0, 0, 0) where there is none."""
    import cv2

    x, y, width, height = cv2.boundingRect(mask)
    return float(x), float(y), float(x + width), float(y + height)


def clip_box(box: Box, width: int, height: int) -> Box:
    """Return the part of `box` inside the image; it has no area where there is none."""
    x0, y0, x1, y1 = box
    return min(max(x0, 0.0), width), min(max(y0, 0.0), height), min(max(x1, 0.0), width), min(max(y1, 0.0), height)


def encode_rle(mask: np.ndarray) -> str:
    """Return `mask`, uint8 (H, W), as COCO's compressed run lengths."""
    import cv2
    from pycocotools import mask as coco

    # COCO goes column by column; OpenCV turns an image far faster than NumPy does.
    columns = cv2.transpose(np.ascontiguousarray(mask != 0).view(np.uint8))
    counts: bytes = coco.encode(columns.reshape(mask.shape[::-1]).T)["counts"]
    return counts.decode("ascii")


def decode_rle(rle: str, height: int, width: int) -> np.ndarray:
    """Return the mask, uint8 (height, width), of COCO's compressed run lengths. Raises `ValueError` where they are not that."""
    return decode_counts(rle_counts(rle), height, width)


def rle_counts(rle: str) -> np.ndarray:
    """Return COCO's run lengths of compressed ones: int64 (n,). Raises `ValueError` where they are not that.

    Read here and not by pycocotools, whose C code trusts what it is given.
    """
    codes = np.frombuffer(rle.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or ends[-1:].tolist() != [len(codes) - 1]:
        raise ValueError("not a compressed run-length encoding")
    # A count is written in digits of 5 bits, the lowest first, the sign in the last; 32 marks that more follow.
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("a run is longer than any image")
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((codes & 31) << (5 * places), starts)
    counts -= np.where(codes[ends] & 16, 1 << (5 * lengths), 0)
    # From the fourth on, a count is written as its difference from the last but one.
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts


def check_counts(counts: Sequence[int] | np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `counts`, COCO's run lengths, as an array. Raises `ValueError` where they do not fill the image exactly."""
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any() or (runs > height * width).any():
        raise ValueError("run lengths are not whole numbers within the image")
    if runs.sum() != height * width:
        raise ValueError(f"run lengths fill {runs.sum()} pixels, the image has {height * width}")
    return runs


def decode_counts(counts: Sequence[int] | np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the mask, uint8 (height, width), of COCO's run lengths: not set, set, …, column by column.

    Raises `ValueError` where they do not fill the image exactly.
    """
    import cv2

    runs = check_counts(counts, height, width)
    values = (np.arange(len(runs)) % 2 * 255).astype(np.uint8)
    mask: np.ndarray = cv2.transpose(np.repeat(values, runs).reshape(width, height))
    return mask.reshape(height, width)


class Patch(NamedTuple):
    """The part of a mask inside a box: uint8 (h, w), 0 or 255, and where in the image its top left pixel lies."""

    mask: np.ndarray
    x: int
    y: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return the box: x0, y0, x1, y1, pixels, half-open."""
        return self.x, self.y, self.x + self.mask.shape[1], self.y + self.mask.shape[0]

    def inside(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """Return what the whole mask is inside `box`, half-open pixels: uint8 (h, w), 0 or 255."""
        x0, y0, x1, y1 = box
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        left, top = max(x0, self.x), max(y0, self.y)
        part = self.mask[top - self.y : max(y1 - self.y, 0), left - self.x : max(x1 - self.x, 0)]
        mask[top - y0 : top - y0 + part.shape[0], left - x0 : left - x0 + part.shape[1]] = part
        return mask


def trim(patch: Patch) -> Patch:
    """Return the part of `patch` inside the smallest box around its set pixels; it has no pixels where none is set."""
    x0, y0, x1, y1 = map(int, mask_box(patch.mask))
    return Patch(patch.mask[y0:y1, x0:x1], patch.x + x0, patch.y + y0)


def decode_patch(rle: str, height: int, width: int) -> Patch:
    """Return the part of the mask of COCO's compressed run lengths inside the smallest box around what is set.

    It equals `trim` of the whole mask, which is not made. Raises `ValueError` where they are no mask of `height` by `width`.
    """
    import cv2

    ends = np.cumsum(check_counts(rle_counts(rle), height, width))
    starts, stops = ends[0:-1:2], ends[1::2]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        return Patch(np.zeros((0, 0), np.uint8), 0, 0)
    # Columns and rows of the first and the last pixel of each run. One that goes over several columns fills their height.
    (column, row), (last_column, last_row) = np.divmod(starts, height), np.divmod(stops - 1, height)
    x, y, side = column[0], row.min(), last_row.max() + 1 - row.min()
    if (column < last_column).any():
        y, side = 0, height
    edges = np.stack([(column - x) * side + row - y, (last_column - x) * side + last_row - y + 1], axis=1).ravel()
    lengths = np.diff(edges, prepend=0, append=(last_column[-1] + 1 - x) * side)
    values = (np.arange(len(lengths)) % 2 * 255).astype(np.uint8)
    mask = cv2.transpose(np.repeat(values, lengths).reshape(-1, side)).reshape(side, -1)
    return Patch(mask, int(x), int(y))


def encode_patch(patch: Patch, height: int, width: int) -> str:
    """Return the mask of `height` by `width` pixels that is set where `patch` is, as COCO's compressed run lengths.

    It equals `encode_rle` of the whole mask, which is not made.
    """
    import cv2
    from pycocotools import mask as coco

    # Column by column, with a pixel that is not set after each, and before the first.
    side = patch.mask.shape[0] + 1
    columns = np.zeros(1 + patch.mask.shape[1] * side, np.uint8)
    if patch.mask.size:
        columns[1:].reshape(-1, side)[:, :-1] = cv2.transpose(patch.mask).reshape(-1, side - 1)
    column, row = np.divmod(np.flatnonzero((columns[1:] != 0) != (columns[:-1] != 0)), side)
    edges = (patch.x + column) * height + patch.y + row
    # A run that ends at the bottom goes on in one that begins at the top.
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1
    edges = np.delete(edges, [joined, joined + 1])
    counts = np.diff(edges, prepend=0, append=height * width)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    coded: bytes = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)["counts"]
    return coded.decode("ascii")


SMALL = 0.01  # share of the area of a frame below which a region grows in small steps
SMALL_STEP, STEP = 2 / 256, 7 / 256  # of the longer side of a frame


def growth_step(area: float, height: int, width: int) -> float:
    """Return by how many pixels a region of `area` square pixels, in a frame of `height` by `width`, grows in one step.

    That is about as far as in Lada 0.11, which dilates by an ellipse of 5 or 15 pixels at a longer side of 256.
    """
    return (SMALL_STEP if area < SMALL * height * width else STEP) * max(height, width)


def grow(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return `mask`, uint8 (H, W), 0 or 255, with all pixels set that are at most `radius` from one that is."""
    import cv2

    if not radius or not mask.any():
        return mask
    distance = cv2.distanceTransform((mask == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    grown: np.ndarray = (distance <= radius) * np.uint8(255)
    return grown
