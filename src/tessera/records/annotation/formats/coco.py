"""COCO: one JSON file for many images. The key of an image is its `file_name`. Category ids are kept.

COCO cannot say that an image is known to show nothing. Here, such an image has the field `"negative": true`, see `write_coco`.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from tessera.core.errors import TesseraError
from tessera.imaging.borders import OUTSIDE, Outside, box_inside, part_inside
from tessera.imaging.boxes import Box
from tessera.imaging.masks import check_counts, decode_counts, decode_patch, encode_rle, rle_counts
from tessera.imaging.polygons import Part, polygon_box, rectangle, turned
from tessera.records.annotation.model import MAX_PIXELS, OUTSIDE_IMAGE, Annotation, ImageAnnotations, Loss, image_fault


class Coco(NamedTuple):
    """The content of a COCO file, and the losses in reading it."""

    images: tuple[ImageAnnotations, ...]
    categories: dict[int, str]  # id → name, in the order of the file; several ids of one name are one class
    losses: list[Loss]
    negatives: frozenset[str]  # keys of the images that the file marks as showing nothing


def read_coco(path: Path, results: Path | None = None) -> Coco:
    """Return the images in the file `path`, in its order, including images without annotations.

    `results` is a file of detections with scores for these images, used in place of the annotations in `path`. A broken image
    or annotation is a loss. Raises `TesseraError` if a file is not in the COCO format.
    """
    return parse_coco(Path(path).read_bytes(), str(path), Path(results).read_bytes() if results else None)


def parse_coco(content: bytes, file: str, results: bytes | None = None) -> Coco:
    """Return what `read_coco` does of the `content` of a file, and of the content of its `results`; `file` is its name.

    The key of a loss is `KEY#ID` for an annotation of an image that is read, and `image ID` or `annotation ID` for others.

    A box is that of its shape, where there is one: files often state another `bbox`. A `bbox` alone may have a `rotation` in
    degrees in its `attributes`, as in exports of CVAT, and becomes a polygon.
    """
    document = _load(content, file)
    if not isinstance(document, dict):
        raise TesseraError(f"{file}: not a COCO file: the top level is not an object")
    entries = document.get("annotations") if results is None else _load(results, f"the results of {file}")
    categories: dict[int, str] = {}
    for category in _list(document.get("categories"), file, "categories"):
        identifier, name = category.get("id"), category.get("name")
        if not _whole(identifier) or not isinstance(name, str) or categories.get(identifier, name) != name:
            raise TesseraError(f"{file}: category {category!r:.200}: a category needs a unique id and a name")
        categories[identifier] = name

    losses: list[Loss] = []
    images: dict[int, ImageAnnotations] = {}
    names: set[str] = set()
    negatives: set[str] = set()
    for row in _list(document.get("images"), file, "images"):
        fault = _image_fault(row, images.keys(), names)
        if fault:
            losses.append(Loss(f"image {row.get('id')!r}", "broken image", fault, "failed"))
        else:
            names.add(row["file_name"])
            images[row["id"]] = ImageAnnotations(row["file_name"], row["width"], row["height"])
            if row.get("negative") is True:
                negatives.add(row["file_name"])

    annotations_of: dict[int, list[Annotation]] = {identifier: [] for identifier in images}
    for number, entry in enumerate(_list(entries, file, "annotations")):
        identifier = entry.get("id", number)
        image = images.get(entry["image_id"]) if _whole(entry.get("image_id")) else None
        key = f"{image.key}#{identifier}" if image else f"annotation {identifier!r}"
        try:
            if image is None:
                raise ValueError("no such image")
            if image.key in negatives:
                raise ValueError("its image is marked as negative")
            annotation, remarks = _annotation(entry, image, categories)
            annotations_of[entry["image_id"]].append(annotation)
            losses += [Loss(key, reason, detail, kept=True) for reason, detail in remarks.items()]
        except Outside as error:
            losses.append(Loss(key, OUTSIDE_IMAGE, str(error)))
        except (ValueError, TypeError, OverflowError) as error:
            losses.append(Loss(key, "broken annotation", str(error), "failed"))
    complete = (
        ImageAnnotations(image.key, image.width, image.height, tuple(annotations_of[identifier]))
        for identifier, image in images.items()
    )
    return Coco(tuple(complete), categories, losses, frozenset(negatives))


def write_coco(images: Iterable[ImageAnnotations], path: Path, categories: Mapping[int, str]) -> list[Loss]:
    """Write `images` to `path` with the `categories` (id → name), and return the losses.

    Polygons stay polygons unless they have holes or fewer than three corners, which COCO does not support. They are then
    written as compressed run lengths of the same mask. `score` is a field of the annotation, as in a file of results.
    `"negative": true` is a field of an image without regions, so that it differs from one that nobody has labelled.
    """
    identifiers = {name: identifier for identifier, name in categories.items()}
    entries: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    losses: list[Loss] = []
    for image_id, image in enumerate(images, 1):
        row = {"id": image_id, "file_name": image.key, "width": image.width, "height": image.height}
        rows.append(row if image.annotations else {**row, "negative": True})
        for number, annotation in enumerate(image.annotations):
            if annotation.label not in identifiers:
                losses.append(Loss(f"{image.key}#{number}", "unknown label", annotation.label))
                continue
            x0, y0, x1, y1 = annotation.box
            segmentation, area = _segmentation(annotation, image.height, image.width)
            entry = {
                "id": len(entries) + 1,
                "image_id": image_id,
                "category_id": identifiers[annotation.label],
                "segmentation": segmentation,
                "area": area,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int(annotation.crowd),
            }
            entries.append(entry if annotation.score is None else {**entry, "score": annotation.score})
    document = {
        "images": rows,
        "annotations": entries,
        "categories": [{"id": identifier, "name": name} for identifier, name in categories.items()],
    }
    Path(path).write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    return losses


def _load(content: bytes, file: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TesseraError(f"{file}: broken JSON: {error}") from None


def _list(values: Any, file: str, name: str) -> list[dict[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise TesseraError(f"{file}: not a COCO file: no list of {name}")
    return values


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _image_fault(image: dict[str, Any], identifiers: Collection[int], names: set[str]) -> str:
    identifier, name, width, height = (image.get(field) for field in ("id", "file_name", "width", "height"))
    if not _whole(identifier) or identifier in identifiers:
        return "no id, or that of another image"
    fault = image_fault(name, width, height)
    return fault or (f"file_name {name!r} is that of another image" if name in names else "")


def _annotation(
    entry: dict[str, Any], image: ImageAnnotations, categories: dict[int, str]
) -> tuple[Annotation, dict[str, str]]:
    """Return the annotation in `entry`, and remarks on it: the reasons with their details."""
    category = entry.get("category_id")
    if not _whole(category) or category not in categories:
        raise ValueError(f"no category {category!r}")
    crowd, score = entry.get("iscrowd") or 0, entry.get("score")
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd is {crowd!r}")
    if score is not None and not np.isfinite(score):
        raise ValueError(f"score is {score!r}")
    polygons, rle, box, cut = _shape(entry, image.width, image.height)
    remarks = {"cut at the border of the image": ""} if cut else {}
    bbox = entry.get("bbox")
    if bbox and entry.get("segmentation") and not cut and _differs(bbox, box, image.width, image.height):
        remarks["bbox differs from the shape"] = f"bbox is {bbox!r:.100}, the box of the shape is used"
    score = None if score is None else float(score)
    return Annotation(categories[category], polygons, rle, box, bool(crowd), score), remarks


def _shape(entry: dict[str, Any], width: int, height: int) -> tuple[tuple[Part, ...] | None, str | None, Box, bool]:
    """Return the polygons, the run lengths and the box of `entry`, and whether a part that lay outside was cut off."""
    segmentation = entry.get("segmentation") or None
    if isinstance(segmentation, dict):
        rle = _rle(segmentation, height, width)
        patch = decode_patch(rle, height, width)
        if not patch.mask.size:
            raise ValueError("no pixel of the mask is set")
        x0, y0, x1, y1 = map(float, patch.box)
        return None, rle, (x0, y0, x1, y1), False
    if segmentation is not None:
        most = OUTSIDE
        parts = tuple(Part(_ring(numbers)) for numbers in segmentation)
    elif not entry.get("bbox"):
        raise ValueError("neither segmentation nor bbox")
    elif (rotation := _rotation(entry)) is None:
        return None, None, *box_inside(_box(entry["bbox"]), width, height)
    else:
        # The corners of a box that is turned at the border lie outside.
        most = np.inf
        x0, y0, x1, y1 = _box(entry["bbox"])
        parts = (Part(turned(rectangle((x0, y0, x1, y1)), rotation, ((x0 + x1) / 2, (y0 + y1) / 2))),)
    inside = [part_inside(part, width, height, most) for part in parts]
    polygons = tuple(part for part, _ in inside)
    return polygons, None, polygon_box(polygons), any(cut for _, cut in inside)


def _rotation(entry: dict[str, Any]) -> float | None:
    """Return by how many degrees the bbox of `entry` is turned clockwise about its centre; None if it is not."""
    attributes = entry.get("attributes")
    rotation = attributes.get("rotation") if isinstance(attributes, dict) else None
    if not isinstance(rotation, int | float) or isinstance(rotation, bool):
        return None  # a list of attributes of the user may have this name
    if not np.isfinite(rotation):
        raise ValueError(f"rotation is {rotation!r}")
    return rotation if rotation % 360 else None


def _differs(bbox: Any, box: Box, width: int, height: int) -> bool:
    """Return whether `bbox` is another box than `box`, that of the shape, by more than rounding."""
    try:
        x, y, w, h = map(float, bbox)
    except (ValueError, TypeError, OverflowError):
        return True
    across, down = max(OUTSIDE * width, 2), max(OUTSIDE * height, 2)
    stated = (x, y, x + w, y + h)
    return not all(abs(edge - other) <= near for edge, other, near in zip(stated, box, (across, down) * 2, strict=True))


def _ring(numbers: Any) -> np.ndarray:
    ring = np.array(numbers, dtype=np.float64)
    if ring.ndim != 1 or len(ring) < 6 or len(ring) % 2:
        raise ValueError("a polygon is an even number of numbers, 6 or more")
    if not (np.abs(ring) <= MAX_PIXELS).all():
        raise ValueError("a coordinate is not finite, or beyond any image")
    return ring.reshape(-1, 2)


def _box(numbers: Any) -> Box:
    x, y, w, h = np.array(numbers, dtype=np.float64).tolist()
    if not (np.abs([x, y, w, h]) <= MAX_PIXELS).all() or w <= 0 or h <= 0:
        raise ValueError(f"bbox is {numbers!r}")
    return x, y, x + w, y + h


def _rle(segmentation: dict[str, Any], height: int, width: int) -> str:
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if size != [height, width]:
        raise ValueError(f"the run lengths are of size {size!r}, the image of {[height, width]}")
    if isinstance(counts, str):
        if counts[:2] in ("b'", 'b"'):  # bytes that Python wrote as text
            counts = counts[2:-1].replace("\\\\", "\\")
        check_counts(rle_counts(counts), height, width)
        return counts
    return encode_rle(decode_counts(counts or [], height, width))


def _segmentation(annotation: Annotation, height: int, width: int) -> tuple[Any, float]:
    """Return the fields `segmentation` and `area` of COCO, the area in pixels."""
    if annotation.rle is not None:
        area = float(rle_counts(annotation.rle)[1::2].sum())
        return {"size": [height, width], "counts": annotation.rle}, area
    if annotation.polygons is None:
        x0, y0, x1, y1 = annotation.box
        return [], (x1 - x0) * (y1 - y0)
    mask = annotation.mask(height, width)
    area = float(np.count_nonzero(mask))
    if all(not part.holes and len(part.outer) > 2 for part in annotation.polygons):
        return [part.outer.ravel().tolist() for part in annotation.polygons], area
    return {"size": [height, width], "counts": encode_rle(mask)}, area
