"""Rasterize, trace, nest, join and clip polygons."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from tessera.imaging.boxes import Box, mask_box
from tessera.imaging.masks import CHUNK

Ring: TypeAlias = np.ndarray  # float64 (n, 2): x and y of each corner; an edge joins the last corner to the first


class Part(NamedTuple):
    """One connected part of a region: an outer ring, and the rings of the holes inside it."""

    outer: Ring
    holes: tuple[Ring, ...] = ()


def rasterize(parts: Iterable[Part], height: int, width: int) -> np.ndarray:
    """Return the mask of the union of `parts`: uint8 (height, width), 0 or 255.

    A corner is rounded down to the pixel that contains it. The pixels inside by the even-odd rule are set, and so are those on
    the lines between corners, also of holes; ultralytics and labelme do the same. The parts are clipped to the image.
    """
    import cv2

    mask = np.zeros((height, width), dtype=np.uint8)
    for part in parts:
        rings = [np.floor(ring).astype(np.int32).reshape(-1, 1, 2) for ring in (part.outer, *part.holes)]
        cv2.fillPoly(mask, rings, 255)
    return mask


def trace(mask: np.ndarray, every_pixel: bool = False) -> list[Part]:
    """Return the 8-connected parts of `mask`, from top to bottom; `rasterize` of them returns exactly `mask`.

    `mask`: uint8 (H, W), pixels other than 0 are set. Corners are pixel centres. The ring of a part that is one pixel wide
    goes there and back along the same pixels, and the ring of a single pixel has one corner. `every_pixel`: whether each pixel
    on a ring is a corner, or only those where its direction changes.
    """
    import cv2

    method = cv2.CHAIN_APPROX_NONE if every_pixel else cv2.CHAIN_APPROX_SIMPLE
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, method)
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
    """Return `part` as one ring, whose holes are joined to the outer ring by bridges of zero width.

    A bridge runs horizontally from the leftmost corner of a hole to the nearest ring on its left, where it adds a corner.
    The ring of a part from `trace` rasterizes to exactly the same mask. For other parts, the masks may differ in two ways:
    pixels on the line of a bridge are set, and the line of a slanted edge to which a corner was added may move by a pixel.
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
        # A hole with no edge on its left lies outside its part. Any corner will do, because the rule is still even-odd.
        foot = ring[:1] if np.isinf(feet[edge]) else np.array([[feet[edge], y]])
        ring = np.concatenate([ring[: edge + 1], foot, hole, hole[:1], foot, ring[edge + 1 :]])
    return ring


def outline(mask: np.ndarray) -> Ring:
    """Return the region in `mask` as one ring, whose holes and 8-connected parts are joined by bridges of zero width.

    `mask`: uint8 (H, W), at least one pixel is not 0. Holes are joined by `keyhole`. The bridges between parts are the shortest
    that connect all parts. `rasterize` of the ring sets the pixels of `mask`, and those on the lines of the bridges between
    parts, which are one pixel wide. Joining the parts of a region is an idea of ultralytics (`merge_multi_segment`).
    """
    import cv2

    parts = trace(mask)
    if len(parts) == 1:
        return keyhole(parts[0])
    x0, y0, x1, y1 = map(int, mask_box(mask))
    mask = mask[y0:y1, x0:x1]
    rings = [keyhole(part) for part in trace(mask, every_pixel=True)]
    points = np.concatenate(rings)
    part_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    # The pixel of a part that is nearest to a pixel outside lies on a ring. Where two neighbours in the image are nearest to
    # different parts, a bridge between these parts passes.
    numbers = cv2.distanceTransformWithLabels(
        (mask == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    corner_of = np.full(numbers.max() + 1, -1)
    columns, rows = np.floor(points).astype(int).T
    corner_of[numbers[rows, columns]] = np.arange(len(points))
    nearest = corner_of[numbers]
    neighbours = ((nearest[:, :-1], nearest[:, 1:]), (nearest[:-1], nearest[1:]))
    left, right = (np.concatenate([pair[side].ravel() for pair in neighbours]) for side in (0, 1))
    apart = (left >= 0) & (right >= 0) & (part_of[left] != part_of[right])
    left, right = left[apart], right[apart]
    order = np.argsort(np.hypot(*(points[left] - points[right]).T), kind="stable")
    ring = points[_bridged(rings, part_of, left[order], right[order])] + [x0, y0]
    # Corners at which the ring does not turn are left out, also those that repeat the one before.
    step = np.roll(ring, -1, axis=0) - ring
    ring, step = ring[step.any(axis=1)], step[step.any(axis=1)]
    before = np.roll(step, 1, axis=0)
    straight = (before[:, 0] * step[:, 1] == before[:, 1] * step[:, 0]) & ((before * step).sum(axis=1) > 0)
    corners: Ring = ring[~straight]
    return corners


def _bridged(rings: Sequence[Ring], part_of: np.ndarray, left: np.ndarray, right: np.ndarray) -> list[int]:
    """Join `rings` by bridges to one ring, and return the numbers of its corners.

    The corners of all rings are numbered in a row. `part_of`: the ring of each corner. `left`, `right`: the corners at the ends
    of each possible bridge, the shortest first. A bridge is used if no earlier ones join its parts (Kruskal, 1956).
    """
    ends = np.cumsum([len(ring) for ring in rings])
    following = np.arange(1, len(part_of) + 1)
    following[ends - 1] = ends - [len(ring) for ring in rings]
    after, corners, above = following.tolist(), list(range(len(part_of))), list(range(len(rings)))

    def tree(part: int) -> int:
        while above[part] != part:
            above[part] = part = above[above[part]]
        return part

    for start, stop, part, target in zip(
        left.tolist(), right.tolist(), part_of[left].tolist(), part_of[right].tolist(), strict=True
    ):
        if (root := tree(part)) != (end := tree(target)):
            above[root] = end
            # Each end gets a copy, so that the ring passes both twice: before and after it goes around the other part.
            after += [after[stop], after[start]]
            corners += [stop, start]
            after[start], after[stop] = len(after) - 2, len(after) - 1
    current, passed = after[0], [0]
    while current:
        passed.append(corners[current])
        current = after[current]
    return passed


def nest(rings: Sequence[Ring]) -> list[Part]:
    """Return the parts that `rings` form by the even-odd rule, in the order of their outer rings.

    A ring that lies entirely inside a larger one is a hole of it, and a ring inside that hole is a part again. Rings that
    cross each other become separate parts.
    """
    areas = np.array([area(ring) for ring in rings])
    low, high = (np.array([corner(ring, axis=0) for ring in rings]).reshape(-1, 2) for corner in (np.min, np.max))
    around: list[list[int]] = [[] for _ in rings]
    for number, ring in enumerate(rings):
        # Few boxes lie inside another. All rings whose boxes lie in this ring's box are compared with it at once.
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
    """Return for each of `points`, float (n, 2), whether it lies inside `ring` or on its edge: bool (n,)."""
    following = np.roll(ring, -1, axis=0)
    step = following - ring
    low, high = np.minimum(ring, following), np.maximum(ring, following)
    # An edge is compared only with the points at its height.
    order = np.argsort(points[:, 1])
    heights = points[order, 1]
    first = np.searchsorted(heights, low[:, 1], "left")
    counts = np.searchsorted(heights, high[:, 1], "right") - first
    crossed = np.zeros(len(points), dtype=np.int64)
    on = np.zeros(len(points), dtype=bool)
    for edges in np.split(np.arange(len(ring)), np.flatnonzero(np.diff(np.cumsum(counts) // CHUNK)) + 1):
        edge = np.repeat(edges, counts[edges])
        offset = np.arange(len(edge)) - np.repeat(np.cumsum(counts[edges]) - counts[edges], counts[edges])
        number = order[first[edge] + offset]
        point = points[number]
        side = step[edge, 0] * (point[:, 1] - ring[edge, 1]) - step[edge, 1] * (point[:, 0] - ring[edge, 0])
        on[number[(side == 0) & ((low[edge] <= point) & (point <= high[edge])).all(axis=1)]] = True
        crosses = (ring[edge, 1] <= point[:, 1]) != (following[edge, 1] <= point[:, 1])
        to_the_right = crosses & ((side > 0) == (step[edge, 1] > 0))
        crossed += np.bincount(number[to_the_right], minlength=len(points))
    is_inside: np.ndarray = (crossed % 2 == 1) | on
    return is_inside


def clip(part: Part, width: int, height: int) -> Part | None:
    """Clip `part` to the image. Return `part` itself if all of it lies inside, and None if no area of it does.

    A ring that leaves the image and returns stays one ring, joined along the border.
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


def turned(ring: Ring, degrees: float, about: Sequence[float]) -> Ring:
    """Return `ring`, turned by `degrees` about the point `about`, clockwise as it is seen: the y axis points down."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners: Ring = (ring - about) @ turn + about
    return corners


def circle(centre: Sequence[float], rim: Sequence[float]) -> Ring:
    """Return the circle around `centre` through `rim` as a polygon, whose edges are at most 1/8 pixel from the circle."""
    radius = float(np.hypot(rim[0] - centre[0], rim[1] - centre[1]))
    corners = 12 if radius <= 1 else max(12, int(np.ceil(np.pi / np.arccos(1 - 0.125 / radius))))
    angle = 2 * np.pi * np.arange(corners) / corners
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], axis=1)


def ellipse(centre: Sequence[float], radii: Sequence[float], degrees: float) -> Ring:
    """Return the ellipse with these `radii` along x and y as a polygon, then turned clockwise by `degrees` about its centre."""
    longest = max(radii)
    ring = circle((0, 0), (longest, 0)) * (np.array(radii) / longest)
    return turned(ring + np.array(centre), degrees, centre)


def parts_area(parts: Iterable[Part]) -> float:
    """Return the sum of the areas of `parts`, without their holes, in square pixels."""
    return sum(area(part.outer) - sum(map(area, part.holes)) for part in parts)


def polygon_box(parts: Sequence[Part]) -> Box:
    """Return the smallest box around the corners of `parts`, of which there must be at least one."""
    corners = np.concatenate([part.outer for part in parts])
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x0, y0, x1, y1
