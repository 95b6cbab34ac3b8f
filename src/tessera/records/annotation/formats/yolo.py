"""YOLO label files as ultralytics reads them: one line per object, with coordinates as fractions of the image."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tessera.core.errors import Failed
from tessera.core.messages import pluralize
from tessera.imaging.boxes import Box, clip_box
from tessera.imaging.polygons import Part, clip, keyhole, outline, rectangle
from tessera.records.annotation.model import Annotation, ImageAnnotations, Loss
from tessera.records.label_sets import Lines

Task = Literal["segment", "detect"]
LINES_OF: dict[Task, Lines] = {"detect": "boxes", "segment": "polygons"}
BOX, POLYGON = "a box has 4", "a polygon has an even number, 6 or more"
SHAPES: dict[Lines, str] = {
    "auto": f"{BOX}, {POLYGON}",
    "boxes": BOX,
    "polygons": POLYGON,
    "detections": f"{BOX}, and with its confidence or the number of its track 5, with both 6",
}
TOLERANCE = 0.01  # how far coordinates may be outside [0, 1], as in ultralytics
LEAST_SIDE = 1e-9  # of a box, as a fraction of the image: a smaller one would be written as 0
DIGITS = 10**7  # seven decimals of a fraction: as fine as single precision, a thousandth of a pixel in the largest images


@dataclass(frozen=True)
class Shape:
    """The shape of the lines of label files after the class number.

    `lines`: `boxes` of 4 numbers, `polygons` of 6 or more, `auto` for both, or `detections`: boxes with the confidence and the
    number of the track that detectors and trackers add. `keypoints`: `kpt_shape` of a set of poses, the number of keypoints and
    of the numbers of each; then each line is a box and its keypoints, whatever `lines`.
    """

    lines: Lines = "auto"
    keypoints: tuple[int, int] | None = None

    @property
    def extra(self) -> str:
        """What a line may state besides coordinates."""
        return "keypoints" if self.keypoints else "confidence or track"

    def coordinates(self, count: int) -> int:
        """Return how many of `count` numbers are coordinates: 4 of a box, more of a polygon. Raises `ValueError`."""
        if self.keypoints:
            points, size = self.keypoints
            fits, wanted = count == 4 + points * size, f"kpt_shape [{points}, {size}] makes {4 + points * size}"
            result = 4
        elif self.lines == "detections":
            fits, wanted, result = count in {4, 5, 6}, SHAPES[self.lines], 4
        else:
            is_box, is_polygon = count == 4, count >= 6 and count % 2 == 0
            fits = (is_box and self.lines != "polygons") or (is_polygon and self.lines != "boxes")
            wanted, result = SHAPES[self.lines], count
        if not fits:
            raise ValueError(f"{pluralize(count, 'numbers')} after the class; {wanted}")
        return result


def unwritable(image: ImageAnnotations, classes: Collection[str], task: Task) -> list[Loss]:
    """Return the regions of `image` that `write_yolo` cannot write."""
    losses: list[Loss] = []
    for number, annotation in enumerate(image.annotations):
        key = f"{image.key}#{number}"
        if annotation.label not in classes:
            losses.append(Loss(key, "unknown label", annotation.label))
        elif annotation.crowd:
            losses.append(Loss(key, "YOLO has no crowd regions"))
        elif not _is_inside(image, annotation, task):
            losses.append(Loss(key, "empty region"))
    return losses


def _is_inside(image: ImageAnnotations, annotation: Annotation, task: Task) -> bool:
    """Return whether something of the region lies inside the image."""
    if task == "segment" and annotation.polygons is not None:
        return any(clip(part, image.width, image.height) for part in annotation.polygons)
    return bool(_box(image, annotation))


def write_yolo(image: ImageAnnotations, classes: list[str], task: Task, path: Path) -> list[Loss]:
    """Write the label file of `image` to `path`, and return the losses. The file is empty if the image has no regions.

    Each region becomes one line. `segment` writes `class x y x y …`, a polygon whose parts and holes are joined by bridges of
    zero width, see `outline` and `keyhole`. Drawn at the size of the image in single precision, as in ultralytics, it gives the
    mask of the region and the lines of the bridges between its parts. `detect` writes `class x y w h`, the centre and the size
    of the box. The class is the index in `classes`.
    """
    lines: list[str] = []
    losses = unwritable(image, classes, task)
    lost = {loss.key for loss in losses}
    for number, annotation in enumerate(image.annotations):
        key = f"{image.key}#{number}"
        if key not in lost:
            if task == "segment" and annotation.polygons is None and annotation.rle is None:
                # Without it, the region would be trained as background.
                losses.append(Loss(key, "a box became a rectangle", kept=True))
            numbers = _box(image, annotation) if task == "detect" else _segment(image, annotation)
            lines.append(f"{classes.index(annotation.label)} {' '.join(numbers)}\n")
            if annotation.score is not None:
                losses.append(Loss(key, "YOLO labels have no score", kept=True))
    Path(path).write_text("".join(lines), encoding="utf-8")
    return losses


def parse_yolo(
    content: bytes, file: str, key: str, width: int, height: int, label: Callable[[int], str | None], shape: Shape
) -> tuple[ImageAnnotations, list[Loss]]:
    """Return the objects in a label file of an image of `width` by `height` pixels, and the losses: what was clipped, what a
    line states besides a box, and objects whose class has no label.

    `content`, `file`: the bytes and the name of the label file. `label`: returns the label of a class number. `shape`: of its
    lines. A polygon is read as one part. Parts and holes that were joined by bridges stay joined.

    Raises `Failed` that names the line if it has another shape, if a coordinate is not finite or more than `TOLERANCE` outside
    [0, 1], or if a box has no area.
    """
    annotations: list[Annotation] = []
    losses: list[Loss] = []
    clipped: dict[str, list[str]] = {}
    extra: set[str] = set()
    for number, line in enumerate(lines_of(content, file), 1):
        if not line.strip():
            continue
        try:
            fields = line.split()
            index, fractions = read_line(fields, shape)
            inside = fractions.clip(0, 1)
            if (inside != fractions).any():
                clipped.setdefault("coordinates up to 1 % outside the image were clipped", []).append(f"line {number}")
            extra |= {shape.extra} if len(fields) > 1 + inside.size else set()
            if (name := label(index)) is None:
                losses.append(Loss(f"{key}#{number}", "unknown label", f"{file}:{number}: class {index} has no name"))
                continue
            if inside.ndim == 2:
                annotations.append(Annotation.of_parts(name, (Part(inside * [width, height]),)))
                continue
            box = box_of(inside, width, height)
            clipped_box = clip_box(box, width, height)
            if clipped_box[2] <= clipped_box[0] or clipped_box[3] <= clipped_box[1]:
                raise ValueError("a box without area")
            # A difference of up to one pixel is rounding.
            if max(abs(edge - part) for edge, part in zip(box, clipped_box, strict=True)) > 1:
                clipped.setdefault("a box was clipped", []).append(f"line {number}")
            annotations.append(Annotation(name, None, None, clipped_box))
        except ValueError as error:
            raise Failed("broken YOLO label", f"{file}:{number}: {error}") from None
    losses += [Loss(key, reason, f"{file}: {', '.join(lines)}", kept=True) for reason, lines in clipped.items()]
    losses += [Loss(key, f"{what} left out", file, kept=True) for what in sorted(extra)]
    return ImageAnnotations(key, width, height, tuple(annotations)), losses


def lines_of(content: bytes, file: str) -> list[str]:
    """Return the lines in the `content` of a label file, also empty ones. Raises `Failed` if it is not UTF-8.

    As in ultralytics, more characters than a newline end a line.
    """
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Failed("broken YOLO label", f"{file}: not UTF-8: {error.reason}") from None


def parse_line(fields: Sequence[str], classes: int, tasks: Collection[Task]) -> tuple[int, np.ndarray]:
    """Return the class number and the coordinates in a line of a label file of our own, which is split into `fields`.

    `tasks` states whether boxes, polygons or both are allowed. For the coordinates, see `read_line`. Raises `ValueError` as
    there, and if the class is not below `classes`, or a number is outside [0, 1].
    """
    lines: Lines = "auto" if len(tasks) > 1 else LINES_OF[next(iter(tasks))]
    index, fractions = read_line(fields, Shape(lines), tolerance=0)
    if index >= classes:
        raise ValueError(f"class '{index}'; allowed: 0 to {classes - 1}")
    return index, fractions


def read_line(fields: Sequence[str], shape: Shape, tolerance: float = TOLERANCE) -> tuple[int, np.ndarray]:
    """Return the class number and the coordinates in a line of a label file of this `shape`, which is split into `fields`.

    Coordinates are fractions of the image, float64: centre x, centre y, width and height of a box, (4,), or the corners of a
    polygon, (n, 2). Raises `ValueError` if the class is no number, if the line has another shape, or if a coordinate is not
    finite or more than `tolerance` outside [0, 1].
    """
    if not fields[0].isdecimal():
        raise ValueError(f"class {fields[0][:20]!r}; it should be a number from 0")
    index, count = int(fields[0]), len(fields) - 1
    size = shape.coordinates(count)
    numbers = np.array([float(field) for field in fields[1 : 1 + size]])
    outside = numbers[~((numbers >= -tolerance) & (numbers <= 1 + tolerance))]
    if outside.size:
        raise ValueError(f"{outside[0]:.9g} is outside the image; allowed: 0 to 1")
    return index, numbers if size == 4 else numbers.reshape(-1, 2)


def box_of(fractions: np.ndarray, width: int, height: int) -> Box:
    """Return the box of `fractions` from `parse_line` in pixels of an image of `width` by `height`. It may exceed the image."""
    if fractions.ndim == 1:
        x, y, w, h = (fractions * [width, height, width, height]).tolist()
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2
    points = fractions * [width, height]
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x0, y0, x1, y1


def _segment(image: ImageAnnotations, annotation: Annotation) -> list[str]:
    """Return the coordinates of the region as one polygon; none if all of it lies outside the image."""
    if annotation.polygons is None and annotation.rle is None:
        part = clip(Part(rectangle(annotation.box)), image.width, image.height)
        ring = part.outer if part else None
    elif annotation.polygons is not None and len(annotation.polygons) == 1:
        part = clip(annotation.polygons[0], image.width, image.height)
        ring = keyhole(part) if part else None
    else:
        # Parts of a region may overlap. Their mask is their union.
        mask = annotation.mask(image.height, image.width)
        ring = outline(mask) if mask.any() else None
    return [] if ring is None else _fractions(ring, image.width, image.height)


def _fractions(ring: np.ndarray, width: int, height: int) -> list[str]:
    """Return `ring` as fractions that give the same pixels in single and in double precision."""
    # The last corner is repeated: fewer than three would not be read as a polygon, and three look like the line of a tracker.
    ring = np.concatenate([ring, np.repeat(ring[-1:], max(0, 4 - len(ring)), axis=0)])
    size, pixels = np.array([width, height]), np.floor(ring)
    units = np.rint(ring / size * DIGITS)
    for _ in range(3):
        fractions = units / DIGITS
        double = np.floor(fractions * size)
        single = np.floor(fractions.astype(np.float32) * size.astype(np.float32))
        units += (np.minimum(single, double) < pixels).astype(int) - (np.maximum(single, double) > pixels)
    return [f"{fraction:.7f}" for fraction in (units / DIGITS).ravel().tolist()]


def _box(image: ImageAnnotations, annotation: Annotation) -> list[str]:
    x0, y0, x1, y1 = clip_box(annotation.box, image.width, image.height)
    numbers = ((x0 + x1) / 2 / image.width, (y0 + y1) / 2 / image.height, (x1 - x0) / image.width, (y1 - y0) / image.height)
    if min(numbers[2:]) < LEAST_SIDE:
        return []
    return [f"{number:.9f}" for number in numbers]
