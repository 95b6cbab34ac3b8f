"""CVAT's XML for images, version 1.1, as it is exported. Files are read as untrusted input."""

from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from tessera.core.errors import Failed, TesseraError
from tessera.imaging.borders import OUTSIDE, Outside, box_inside, part_inside
from tessera.imaging.masks import decode_counts
from tessera.imaging.polygons import Part, Ring, area, ellipse, polygon_box, rectangle, turned
from tessera.records.annotation.model import OUTSIDE_IMAGE, Annotation, ImageAnnotations, Loss, image_fault
from tessera.records.annotation.xml_files import parse_xml

LOST = {"polyline": "a polyline has no area", "cuboid": "a cuboid is no region of the image"}


class CvatImage(NamedTuple):
    """An image of a CVAT file, and the losses in reading its regions."""

    image: ImageAnnotations  # its key is its name
    subset: str  # in an export of a project; else empty
    losses: list[Loss]


class Cvat(NamedTuple):
    """The content of a CVAT file."""

    images: list[CvatImage]  # also those without shapes
    losses: list[Loss]  # of images that cannot be read, `image ID`
    labels: list[str]  # that the task or the project has, used or not


def parse_cvat(content: bytes, file: str) -> Cvat:
    """Return what is in the `content` of `file`.

    Boxes that are turned, and ellipses, become polygons; masks become run lengths; a skeleton is the box of its points. Points
    are minor losses, polylines and cuboids are losses, and tags are about the whole image.

    Raises `Failed` if it is no such file, and `TesseraError` if it has the tracks of a video.
    """
    root = parse_xml(content, file)
    if root.tag != "annotations":
        raise Failed("not a CVAT file", f"{file} has <{root.tag:.40}> at the top; export it as `CVAT for images 1.1`")
    if root.find("track") is not None:
        raise TesseraError(f"{file} has the tracks of a video; export the task as `CVAT for images 1.1`")
    images: list[CvatImage] = []
    losses: list[Loss] = []
    for element in root.iter("image"):
        name = element.get("name", "").replace("\\", "/")
        width, height = (_whole(element.get(side)) for side in ("width", "height"))
        if fault := image_fault(name, width, height):
            losses.append(Loss(f"image {element.get('id')!r}", "broken image", fault, "failed"))
        else:
            images.append(_image(element, name, width, height))
    return Cvat(images, losses, [each.text for each in root.iterfind(".//labels/label/name") if each.text])


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else -1


def _image(element: Element, name: str, width: int, height: int) -> CvatImage:
    annotations: list[Annotation] = []
    losses: list[Loss] = []
    for number, shape in enumerate(element):
        key = f"{name}#{number}"
        if shape.tag == "tag":
            continue
        if shape.tag == "points":
            losses.append(Loss(key, "a point has no area", minor=True))
            continue
        try:
            if shape.tag not in SHAPES:
                losses.append(Loss(key, LOST.get(shape.tag, f"a {shape.tag:.40} is not known")))
                continue
            label = shape.get("label", "")
            if not label:
                raise ValueError("it has no label")
            annotation, cut = SHAPES[shape.tag](shape, label, width, height)
            annotations.append(annotation)
            if cut:
                losses.append(Loss(key, "cut at the border of the image", kept=True))
        except Outside as error:
            losses.append(Loss(key, OUTSIDE_IMAGE, str(error)))
        except (ValueError, OverflowError) as error:
            losses.append(Loss(key, f"broken {shape.tag}", str(error), "failed"))
    return CvatImage(ImageAnnotations(name, width, height, tuple(annotations)), element.get("subset", ""), losses)


def _box(shape: Element, label: str, width: int, height: int) -> tuple[Annotation, bool]:
    x0, y0, x1, y1 = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
    turn = _turn(shape)
    if not turn:
        box, cut = box_inside((x0, y0, x1, y1), width, height)
        return Annotation(label, None, None, box), cut
    if x1 <= x0 or y1 <= y0:
        raise ValueError("it has no area")
    return _region(turned(rectangle((x0, y0, x1, y1)), turn, ((x0 + x1) / 2, (y0 + y1) / 2)), label, width, height, np.inf)


def _ellipse(shape: Element, label: str, width: int, height: int) -> tuple[Annotation, bool]:
    x, y, across, down = _numbers(shape, "cx", "cy", "rx", "ry")
    if across <= 0 or down <= 0:
        raise ValueError("it has no area")
    return _region(ellipse((x, y), (across, down), _turn(shape)), label, width, height, np.inf)


def _polygon(shape: Element, label: str, width: int, height: int) -> tuple[Annotation, bool]:
    return _region(_points(shape), label, width, height, OUTSIDE)


def _region(ring: Ring, label: str, width: int, height: int, most: float) -> tuple[Annotation, bool]:
    if area(ring) == 0:
        raise ValueError("it has no area")
    part, cut = part_inside(Part(ring), width, height, most)
    return Annotation(label, (part,), None, polygon_box((part,))), cut


def _mask(shape: Element, label: str, width: int, height: int) -> tuple[Annotation, bool]:
    left, top, across, down = (_whole(shape.get(name, "").strip()) for name in ("left", "top", "width", "height"))
    if min(left, top) < 0 or not 0 < across <= width - left or not 0 < down <= height - top:
        raise ValueError(f"its mask of {across} by {down} pixels at {left}, {top} is not in the image")
    counts = [int(count) for count in shape.get("rle", "").split(",")]
    mask = np.zeros((height, width), np.uint8)
    # The runs go row by row through the box of the mask.
    mask[top : top + down, left : left + across] = decode_counts(counts, across, down).T
    if not mask.any():
        raise ValueError("no pixel of the mask is set")
    return Annotation.of_mask(label, mask), False


def _skeleton(shape: Element, label: str, width: int, height: int) -> tuple[Annotation, bool]:
    points = [_points(point) for point in shape.iter("points") if point.get("outside") != "1"]
    if not points:
        raise ValueError("it has no points")
    corners = np.concatenate(points)
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    box, cut = box_inside((x0, y0, x1, y1), width, height)
    return Annotation(label, None, None, box), cut


SHAPES = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask, "skeleton": _skeleton}


def _numbers(shape: Element, *names: str) -> list[float]:
    numbers = [float(shape.get(name, "nan")) for name in names]
    if not np.isfinite(numbers).all():
        raise ValueError(f"{', '.join(names)} are {[shape.get(name) for name in names]!r:.100}")
    return numbers


def _turn(shape: Element) -> float:
    """Return by how many degrees `shape` is turned clockwise about its centre."""
    turn = float(shape.get("rotation", 0))
    if not np.isfinite(turn):
        raise ValueError(f"rotation is {turn}")
    return turn % 360


def _points(shape: Element) -> Ring:
    pairs = [pair.split(",") for pair in shape.get("points", "").split(";")]
    points = np.array(pairs, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"points are {shape.get('points')!r:.100}")
    return points
