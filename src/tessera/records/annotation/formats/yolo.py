"""YOLO label files as ultralytics reads them: one line per object, with coordinates as fractions of the image."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from tessera.core.errors import Failed
from tessera.core.messages import counted
from tessera.imaging.boxes import Box, clip_box
from tessera.imaging.polygons import Part, clip, keyhole, outline, rectangle
from tessera.records.annotation.model import Annotation, ImageAnnotations, Loss

Task = Literal["segment", "detect"]
SHAPES: dict[Task, str] = {"detect": "a box has 4", "segment": "a polygon has an even number, 6 or more"}
DIGITS = 10**7  # seven decimals of a fraction: as fine as single precision, a thousandth of a pixel in the largest images


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


def read_yolo(path: Path, key: str, width: int, height: int, classes: list[str], task: Task) -> ImageAnnotations:
    """Return the objects in the label file `path` of an image of `width` by `height` pixels, see `parse_yolo`."""
    return parse_yolo(Path(path).read_bytes(), str(path), key, width, height, classes, {task})[0]


def parse_yolo(
    content: bytes, file: str, key: str, width: int, height: int, classes: Sequence[str], tasks: Collection[Task]
) -> tuple[ImageAnnotations, list[Loss]]:
    """Return the objects in a label file of an image of `width` by `height` pixels, and the losses: boxes that were clipped.

    `content`, `file`: the bytes and the name of the label file. `tasks`: whether boxes, polygons or both are allowed. A polygon
    is read as one part. Parts and holes that were joined by bridges stay joined.

    Raises `Failed` that names the line if a class is not in `classes`, if the count of numbers does not fit the `tasks`, if a
    number is outside [0, 1] or not finite, or if a box has no area.
    """
    try:
        # As in ultralytics, more characters than a newline end a line.
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Failed("broken YOLO label", f"{file}: not UTF-8: {error.reason}") from None
    annotations: list[Annotation] = []
    clipped: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            index, fractions = parse_line(line.split(), len(classes), tasks)
            if fractions.ndim == 2:
                annotations.append(Annotation.of_parts(classes[index], (Part(fractions * [width, height]),)))
                continue
            box = box_of(fractions, width, height)
            inside = clip_box(box, width, height)
            if inside[2] <= inside[0] or inside[3] <= inside[1]:
                raise ValueError("a box without area")
            # A difference of up to one pixel is rounding.
            if max(abs(edge - kept) for edge, kept in zip(box, inside, strict=True)) > 1:
                clipped.append(f"line {number}")
            annotations.append(Annotation(classes[index], None, None, inside))
        except ValueError as error:
            raise Failed("broken YOLO label", f"{file}:{number}: {error}") from None
    losses = [Loss(key, "a box was clipped", f"{file}: {', '.join(clipped)}", kept=True)] if clipped else []
    return ImageAnnotations(key, width, height, tuple(annotations)), losses


def parse_line(fields: Sequence[str], classes: int, tasks: Collection[Task]) -> tuple[int, np.ndarray]:
    """Return the class index and the coordinates in a line of a label file, which is split into `fields`.

    Coordinates are fractions of the image, float64: centre x, centre y, width and height of a box, (4,), or the corners of a
    polygon, (n, 2). `tasks` states which of the two are allowed. Raises `ValueError` if the class is not below `classes`, if
    the count of numbers is wrong, or if a number is outside [0, 1] or not finite.
    """
    if not fields[0].isdecimal() or int(fields[0]) >= classes:
        raise ValueError(f"class {fields[0][:20]!r}; allowed: 0 to {classes - 1}")
    numbers = np.array([float(field) for field in fields[1:]])
    is_box, is_polygon = len(numbers) == 4, len(numbers) >= 6 and len(numbers) % 2 == 0
    if not (("detect" in tasks and is_box) or ("segment" in tasks and is_polygon)):
        wanted = ", ".join(SHAPES[task] for task in sorted(tasks))
        raise ValueError(f"{counted(len(numbers), 'numbers')} after the class; {wanted}")
    outside = numbers[~((numbers >= 0) & (numbers <= 1))]
    if outside.size:
        raise ValueError(f"{outside[0]:g} is outside the image; allowed: 0 to 1")
    return int(fields[0]), numbers if is_box else numbers.reshape(-1, 2)


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
    # The last corner is repeated, because fewer than three corners would not be read as a polygon.
    ring = np.concatenate([ring, np.repeat(ring[-1:], max(0, 3 - len(ring)), axis=0)])
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
    if x1 <= x0 or y1 <= y0:
        return []
    numbers = ((x0 + x1) / 2 / image.width, (y0 + y1) / 2 / image.height, (x1 - x0) / image.width, (y1 - y0) / image.height)
    return [f"{number:.9f}" for number in numbers]
