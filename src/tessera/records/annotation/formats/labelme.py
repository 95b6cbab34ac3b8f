"""labelme: one JSON file per image, drawn or corrected by a person. Files are read as untrusted input."""

import base64
import io
import json
import os
import posixpath
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.core.files import open_file, quoted
from tessera.core.messages import pluralize
from tessera.core.provenance import digest
from tessera.imaging.borders import OUTSIDE, part_inside
from tessera.imaging.boxes import mask_box
from tessera.imaging.masks import encode_rle
from tessera.imaging.polygons import Part, Ring, area, circle, nest, polygon_box, rasterize, rectangle
from tessera.records.annotation.model import MAX_PIXELS, Annotation, ImageAnnotations, Loss

AGAIN = "correct the file, or delete it and label the image again"
REDRAW = "remove this shape and draw it again"
LEAVES = "image path leaves its folder"
MAX_BYTES = 2**26
MAX_SHAPES = 1000
MAX_COORDINATE = 1e7
POINTS = ("point", "points")
LINES = ("line", "linestrip", *POINTS)
PROPOSAL = "Tessera proposal "
VERSION = "6.3.1"  # of labelme, whose format is written


def load_labelme(path: Path) -> dict[str, Any]:
    """Return the labelme document `path`. Raises `Failed` if it is too large, not valid JSON or not a labelme file."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise Failed("label file too large", f"{quoted(path)} has {size} bytes, allowed are {MAX_BYTES}; {AGAIN}")
        return parse_labelme(file.read(), path)


def parse_labelme(content: bytes, path: Path) -> dict[str, Any]:
    """Return the labelme document with the `content` of the file `path`. Raises `Failed` as `load_labelme` does."""
    try:
        document: dict[str, Any] = json.loads(content)
    except RecursionError:
        raise Failed("broken JSON", f"{quoted(path)}: lists are nested too deeply; {AGAIN}") from None
    except ValueError as error:
        # Python's message about a number with thousands of digits is advice for programmers.
        fault = error if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else "a number has too many digits"
        raise Failed("broken JSON", f"{quoted(path)}: {fault}; {AGAIN}") from None
    shapes = document.get("shapes") if isinstance(document, dict) else None  # type: ignore[redundant-expr]
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise Failed("not a labelme file", f"{quoted(path)} has no list of shapes; {AGAIN}")
    if not isinstance(document.get("flags") or {}, dict):
        raise Failed("not a labelme file", f"the flags in {quoted(path)} are not an object; {AGAIN}")
    if len(shapes) > MAX_SHAPES:
        raise Failed("too many shapes", f"{quoted(path)} has {len(shapes)}, allowed are {MAX_SHAPES}; remove some")
    return document


def image_path(document: dict[str, Any], path: Path, label: PurePosixPath) -> str:
    """Return the path of the image of the document at `path`, below the top of its set.

    `label`: the path of the document below the top of the set. Raises `Failed` if the image lies outside the set.
    """
    name = document.get("imagePath")
    if not isinstance(name, str) or not name:
        raise Failed("not a labelme file", f"{quoted(path)} has no imagePath; {AGAIN}")
    # labelme also accepts both kinds of slashes on every system.
    relative = PureWindowsPath(name)
    image = posixpath.normpath(label.parent / relative.as_posix())
    if relative.anchor or image.split("/")[0] == ".." or "\0" in name:
        raise Failed(
            LEAVES,
            f"imagePath in {quoted(path)} is {name!r:.200}; move the image into the folder of the labels, and correct the path",
        )
    return image


def embedded_image(document: dict[str, Any]) -> bytes | None:
    """Return the content of the image file that is embedded in the document, or None."""
    data = document.get("imageData")
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return None


def is_proposal(document: dict[str, Any]) -> bool:
    """Return whether `document` is a proposal as it was written: no program saved it, and nobody changed its shapes or flags.

    Line ends, the order of keys and the layout of the file do not count, nor does `imagePath`.
    """
    version = document.get("version")
    try:
        return isinstance(version, str) and version.startswith(PROPOSAL) and version == _mark(document)
    except RecursionError:  # no proposal is nested so deeply
        return False


def is_accepted(document: dict[str, Any]) -> bool:
    """Return whether `document` is a proposal that somebody accepted as it was: only the flag `accept` was set since."""
    flags = document.get("flags") or {}
    return flags.get("accept") is True and is_proposal({**document, "flags": {**flags, "accept": False}})


def drawn_size(document: dict[str, Any], width: int, height: int, aspect: float = 1.0) -> tuple[int, int]:
    """Return the width and height of the picture that `document` was drawn on, if an image of `width` by `height` is its copy.

    A copy has sides of the same ratio, up to their rounding, or of that before its pixels, which were `aspect` as wide as high,
    became square. If it is none, or if no size is stated, `width` and `height` are returned.
    """
    across, down = document.get("imageWidth"), document.get("imageHeight")
    if type(across) is not int or type(down) is not int or not 0 < across * down <= MAX_PIXELS or across < 0:
        return width, height
    stored = width / max(1, aspect), height * min(1, aspect)
    for wide, high in {(width, height), stored}:
        factor = max(wide, high) / max(across, down)
        if abs(across * factor - wide) <= 1 and abs(down * factor - high) <= 1:
            return across, down
    return width, height


def read_labelme(document: dict[str, Any], key: str, width: int, height: int) -> tuple[ImageAnnotations, list[Loss]]:
    """Return the regions of `document`, from `load_labelme`, for an image of `width` by `height` pixels, and the losses.

    Polygons, rectangles and circles become polygons, and masks become run lengths. Shapes with the same label and `group_id`
    are one region, and a ring inside another ring of its group is a hole. The flag `sfw` means that there are no regions.

    Losses are lines and points, and parts of shapes that lie outside the image. Raises `Dropped` if the image is unlabelled.
    Raises `Failed` if the flag `sfw` or the stated size is wrong, or if a shape cannot be read or lies outside the image.
    """
    shapes = document["shapes"]
    if (document.get("flags") or {}).get("sfw") is True:
        if shapes:
            raise Failed("flagged sfw, yet there are shapes", f"{len(shapes)}; remove the flag or the shapes")
    elif not shapes:
        raise Dropped(
            "unlabelled", "it has neither a shape nor the flag sfw; draw the regions, or set the flag if there are none"
        )
    stated = document.get("imageWidth"), document.get("imageHeight")
    if stated != (None, None) and stated != (width, height):
        raise Failed(
            "size differs from the image",
            f"the label states {stated[0]!r} by {stated[1]!r}, the image is {width} by {height}; label this image itself",
        )

    losses: list[Loss] = []
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, shape in enumerate(shapes):
        label, kind, group = shape.get("label"), shape.get("shape_type", "polygon"), shape.get("group_id")
        if not isinstance(label, str) or not isinstance(kind, str) or not (group is None or type(group) is int):
            raise Failed("broken shape", f"shape {number}: label, shape_type or group_id has the wrong type; {REDRAW}")
        if kind in LINES:
            # A point marks a place in the image, and is no region. Who draws a line may mean the region along it.
            losses.append(Loss(f"{key}#{number}", f"a {kind} has no area", f"{label!r:.40}", minor=kind in POINTS))
        else:
            name = label.strip().casefold()
            groups.setdefault((name, "shape", number) if group is None else (name, "group", group), []).append(number)

    annotations = []
    for numbers in groups.values():
        try:
            annotations.append(_region(shapes, numbers, key, width, height, losses))
        except Failed as fault:
            raise Failed(fault.reason, f"{fault.detail}; {REDRAW}") from None
    return ImageAnnotations(key, width, height, tuple(annotations)), losses


def write_labelme(
    image: ImageAnnotations,
    path: Path,
    image_path: str,
    *,
    proposal: bool = False,
    accepted: bool = False,
    flags: Sequence[str] = (),
) -> list[Loss]:
    """Write `image` to `path` as a labelme file, and return the losses.

    `image_path` is the path of the image, relative to `path`. An image without regions gets the flag `sfw`. The rings of a
    region share a `group_id`. A region that rings cannot represent is a `mask`. `score` and `crowd` are fields of the shape,
    which labelme keeps.

    If `proposal` is true, the file is marked so that `is_proposal` recognises it until labelme saves it. No flag is set. It has
    the flag `accept` if it has regions, because labelme only saves a file in which something was changed. If `accepted` is
    true too, that flag is set. `flags`: the classes of whole images, one of which is asked for; they replace other flags.
    """
    shapes: list[dict[str, Any]] = []
    losses: list[Loss] = []
    for number, annotation in enumerate(image.annotations):
        extra: dict[str, Any] = {"crowd": True} if annotation.crowd else {}
        if annotation.score is not None:
            extra["score"] = annotation.score
        if annotation.polygons is None and annotation.rle is None:
            losses.append(
                Loss(f"{image.key}#{number}", "labelme has no boxes", "it became a rectangle, which is a polygon", kept=True)
            )
            points = rectangle(annotation.box)[[0, 2]]
            shapes.append(_shape(annotation.label, "rectangle", points, None, extra))
        elif annotation.polygons is not None and _nests(annotation.polygons):
            rings = [ring for part in annotation.polygons for ring in (part.outer, *part.holes)]
            group = number if len(rings) > 1 else None
            shapes += [_shape(annotation.label, "polygon", ring, group, extra) for ring in rings]
        else:
            mask = annotation.mask(image.height, image.width)
            x0, y0, x1, y1 = map(int, mask_box(mask))
            if x1 == x0:
                losses.append(Loss(f"{image.key}#{number}", "empty region"))
                continue
            corners = np.array([[x0, y0], [x1 - 1, y1 - 1]], dtype=np.float64)
            shapes.append(_shape(annotation.label, "mask", corners, None, {"mask": _png(mask[y0:y1, x0:x1]), **extra}))
    document: dict[str, Any] = {
        "version": VERSION,
        "flags": {"sfw": not image.annotations},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
    }
    if flags:
        document["flags"] = dict.fromkeys(flags, False)
    elif proposal:
        document["flags"] = {"sfw": False, "accept": False} if shapes else {"sfw": False}
    if proposal:
        document["version"] = _mark(document)
    if accepted:
        document["flags"]["accept"] = True
    Path(path).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return losses


def _mark(document: dict[str, Any]) -> str:
    """Return the `version` of `document` as a proposal: labelme replaces this field, and only few others, when it saves.

    The digest covers the shapes and the flags. Numbers are compared by value, because other programs write 12.0 as 12.
    """
    content = json.dumps([document.get("shapes"), document.get("flags")])
    return f"{PROPOSAL}{digest(json.loads(content, parse_int=float))}"


def _region(
    shapes: list[dict[str, Any]], numbers: list[int], key: str, width: int, height: int, losses: list[Loss]
) -> Annotation:
    """Return the region that the shapes with these `numbers` form together. It has the label of the first of them."""
    label = shapes[numbers[0]]["label"]
    rings: list[Ring] = []
    drawn: np.ndarray | None = None
    for number in numbers:
        shape, where = shapes[number], f"shape {number}"
        if shape.get("shape_type", "polygon") == "mask":
            mask, cut = _mask(shape, where, width, height)
            drawn = mask if drawn is None else drawn | mask
        else:
            ring = _ring(shape, where)
            # People draw polygons over the border.
            most = OUTSIDE if shape.get("shape_type") == "rectangle" else np.inf
            try:
                part, cut = part_inside(Part(ring), width, height, most)
            except ValueError as error:
                raise Failed("shape outside the image", f"{where}: {error}") from None
            rings.append(part.outer)
        if cut:
            losses.append(Loss(f"{key}#{number}", "cut at the border of the image", kept=True))
    parts = tuple(nest(rings))
    crowd, score = _extra(shapes[numbers[0]], f"shape {numbers[0]}")
    if drawn is None:
        return Annotation(label, parts, None, polygon_box(parts), crowd, score)
    filled = drawn | rasterize(parts, height, width)
    return Annotation(label, None, encode_rle(filled), mask_box(filled), crowd, score)


def _ring(shape: dict[str, Any], where: str) -> Ring:
    kind = shape.get("shape_type", "polygon")
    points = shape_points(shape, where)
    if kind == "rectangle" and len(points) == 2:
        ring = rectangle((*points.min(axis=0).tolist(), *points.max(axis=0).tolist()))
    elif kind == "circle" and len(points) == 2:
        ring = circle(points[0], points[1])
    elif kind in ("polygon", "oriented_rectangle") and len(points) > 2:
        ring = points
    else:
        raise Failed("broken shape", f"{where}: {kind} of {pluralize(len(points), 'points')}")
    if area(ring) == 0:
        raise Failed("shape without area", f"{where}: {kind}")
    return ring


def shape_points(shape: dict[str, Any], where: str) -> np.ndarray:
    """Return the points of `shape`, float64 (N, 2), x and y. Raises `Failed`, which names `where`, if there are none."""
    pairs = shape.get("points")
    if not isinstance(pairs, list) or not pairs or not all(map(_is_pair, pairs)):
        raise Failed("broken shape", f"{where}: points are not a list of x, y")
    try:
        points = np.array(pairs, dtype=np.float64)
    except OverflowError:
        points = np.full((1, 2), np.inf)
    if not (np.abs(points) <= MAX_COORDINATE).all():
        raise Failed("broken shape", f"{where}: a coordinate is not finite, or beyond {MAX_COORDINATE:g}")
    return points


def _is_pair(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(map(_is_number, point))


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _mask(shape: dict[str, Any], where: str, width: int, height: int) -> tuple[np.ndarray, bool]:
    """Return the mask of a `mask` shape, uint8 (height, width), and whether a nonzero pixel lay outside the image."""
    from PIL.PngImagePlugin import PngImageFile

    points = shape_points(shape, where)
    data = shape.get("mask")
    if len(points) != 2 or not isinstance(data, str):
        raise Failed("broken shape", f"{where}: a mask needs two corners and an image")
    try:
        with PngImageFile(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
            if picture.width > width or picture.height > height or picture.mode not in ("1", "L", "P", "I;16"):
                raise Failed("broken shape", f"{where}: the mask is larger than the image, or in colour")
            crop = np.asarray(picture) != 0
    except (OSError, SyntaxError, ValueError) as error:
        raise Failed("broken shape", f"{where}: the mask is not a PNG image in base64 ({error})") from None
    if not crop.any():
        raise Failed("shape without area", f"{where}: mask")
    left, top = np.round(points.min(axis=0)).astype(int).tolist()
    mask = np.zeros((height, width), dtype=np.uint8)
    inside = crop[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    if not inside.any():
        raise Failed("shape outside the image", where)
    mask[max(0, top) :, max(0, left) :][: inside.shape[0], : inside.shape[1]] = inside * np.uint8(255)
    return mask, bool(np.count_nonzero(inside) < np.count_nonzero(crop))


def _extra(shape: dict[str, Any], where: str) -> tuple[bool, float | None]:
    score = shape.get("score")
    if score is not None and not (_is_number(score) and 0 <= score <= 1):
        raise Failed("broken shape", f"{where}: score is not between 0 and 1")
    return shape.get("crowd") is True, None if score is None else float(score)


def _nests(parts: tuple[Part, ...]) -> bool:
    """Return whether `nest` restores exactly these parts from their rings, and no ring has an area of 0."""
    rings = [ring for part in parts for ring in (part.outer, *part.holes)]
    if any(area(ring) == 0 for ring in rings):
        return False
    nested = nest(rings)
    return [(id(part.outer), *map(id, part.holes)) for part in nested] == [
        (id(part.outer), *map(id, part.holes)) for part in parts
    ]


def _shape(label: str, kind: str, points: np.ndarray, group: int | None, extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "label": label,
        "points": points.tolist(),
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **extra,
    }


def _png(mask: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray((mask != 0).astype(np.uint8)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
