"""COCO: one JSON file for many images. The key of an image is its `file_name`. Category ids are kept."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from tessera.core.errors import TesseraError
from tessera.imaging.boxes import Box, mask_box
from tessera.imaging.masks import check_counts, decode_counts, decode_rle, encode_rle, rle_counts
from tessera.imaging.polygons import Part, clip, polygon_box
from tessera.records.annotation.model import MAX_PIXELS, Annotation, ImageAnnotations, Loss


class Coco(NamedTuple):
    """The content of a COCO file, and the losses in reading it."""

    images: tuple[ImageAnnotations, ...]
    categories: dict[int, str]  # id → name, in the order of the file
    losses: list[Loss]


def read_coco(path: Path, results: Path | None = None) -> Coco:
    """Return the images in the file `path`, in its order, including images without annotations.

    `results` is a file of detections with scores for these images, used in place of the annotations in `path`. A broken image
    or annotation is a loss. Raises `TesseraError` if a file is not in the COCO format.
    """
    return parse_coco(Path(path).read_bytes(), str(path), Path(results).read_bytes() if results else None)


def parse_coco(content: bytes, file: str, results: bytes | None = None) -> Coco:
    """Return what `read_coco` does of the `content` of a file, and of the content of its `results`; `file` is its name.

    The key of a loss is `KEY#ID` for an annotation of an image that is read, and `image ID` or `annotation ID` for others.
    """
    document = _load(content, file)
    if not isinstance(document, dict):
        raise TesseraError(f"{file}: not a COCO file: the top level is not an object")
    entries = document.get("annotations") if results is None else _load(results, f"the results of {file}")
    categories: dict[int, str] = {}
    for category in _list(document.get("categories"), file, "categories"):
        identifier, name = category.get("id"), category.get("name")
        if not _whole(identifier) or not isinstance(name, str) or identifier in categories or name in categories.values():
            raise TesseraError(f"{file}: category {category!r:.200}: a category needs a unique id and a unique name")
        categories[identifier] = name

    losses: list[Loss] = []
    images: dict[int, ImageAnnotations] = {}
    names: set[str] = set()
    for row in _list(document.get("images"), file, "images"):
        fault = _image_fault(row, images.keys(), names)
        if fault:
            losses.append(Loss(f"image {row.get('id')!r}", "broken image", fault, "failed"))
        else:
            names.add(row["file_name"])
            images[row["id"]] = ImageAnnotations(row["file_name"], row["width"], row["height"])

    found: dict[int, list[Annotation]] = {identifier: [] for identifier in images}
    for number, entry in enumerate(_list(entries, file, "annotations")):
        identifier = entry.get("id", number)
        image = images.get(entry["image_id"]) if _whole(entry.get("image_id")) else None
        key = f"{image.key}#{identifier}" if image else f"annotation {identifier!r}"
        try:
            if image is None:
                raise ValueError("no such image")
            annotation, cut = _annotation(entry, image, categories)
            found[entry["image_id"]].append(annotation)
            if cut:
                losses.append(Loss(key, "cut at the border of the image", kept=True))
        except (ValueError, TypeError, OverflowError) as error:
            losses.append(Loss(key, "broken annotation", str(error), "failed"))
    whole = (
        ImageAnnotations(image.key, image.width, image.height, tuple(found[identifier])) for identifier, image in images.items()
    )
    return Coco(tuple(whole), categories, losses)


def write_coco(images: Iterable[ImageAnnotations], path: Path, categories: Mapping[int, str]) -> list[Loss]:
    """Write `images` to `path` with the `categories` (id → name), and return the losses.

    Polygons stay polygons unless they have holes or fewer than three corners, which COCO does not support. They are then
    written as compressed run lengths of the same mask. `score` is a field of the annotation, as in a file of results.
    """
    identifiers = {name: identifier for identifier, name in categories.items()}
    entries: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    losses: list[Loss] = []
    for image_id, image in enumerate(images, 1):
        rows.append({"id": image_id, "file_name": image.key, "width": image.width, "height": image.height})
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
    if not isinstance(name, str) or not name or "\0" in name:
        return "no file_name"
    relative = PureWindowsPath(name)
    if relative.anchor or ".." in relative.parts:
        return f"file_name {name!r} leaves the folder of the images"
    if name in names:
        return f"file_name {name!r} is that of another image"
    if not _whole(width) or not _whole(height) or width < 1 or height < 1 or width * height > MAX_PIXELS:
        return f"width {width!r} and height {height!r} are not those of an image"
    return ""


def _annotation(entry: dict[str, Any], image: ImageAnnotations, categories: dict[int, str]) -> tuple[Annotation, bool]:
    """Return the annotation in `entry`, and whether a part of it was cut off because it lay outside the image."""
    category = entry.get("category_id")
    if not _whole(category) or category not in categories:
        raise ValueError(f"no category {category!r}")
    crowd, score = entry.get("iscrowd", 0), entry.get("score")
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd is {crowd!r}")
    if score is not None and not np.isfinite(score):
        raise ValueError(f"score is {score!r}")
    segmentation = entry.get("segmentation") or None
    polygons, rle, cut = None, None, False
    if isinstance(segmentation, dict):
        rle = _rle(segmentation, image.height, image.width)
    elif segmentation is not None:
        given = [Part(_ring(numbers)) for numbers in segmentation]
        inside = [clip(part, image.width, image.height) for part in given]
        polygons = tuple(part for part in inside if part)
        cut = any(part is not after for part, after in zip(given, inside, strict=True))
        if not polygons:
            raise ValueError("wholly outside the image")
    if entry.get("bbox") and not cut:
        box = _box(entry["bbox"])
    elif polygons is not None:
        box = polygon_box(polygons)
    elif rle is not None:
        box = mask_box(decode_rle(rle, image.height, image.width))
    else:
        raise ValueError("neither segmentation nor bbox")
    score = None if score is None else float(score)
    return Annotation(categories[category], polygons, rle, box, bool(crowd), score), cut


def _ring(numbers: Any) -> np.ndarray:
    ring = np.array(numbers, dtype=np.float64)
    if ring.ndim != 1 or len(ring) < 6 or len(ring) % 2:
        raise ValueError("a polygon is an even number of numbers, 6 or more")
    if not (np.abs(ring) <= MAX_PIXELS).all():
        raise ValueError("a coordinate is not finite, or beyond any image")
    return ring.reshape(-1, 2)


def _box(numbers: Any) -> Box:
    x, y, w, h = np.array(numbers, dtype=np.float64).tolist()
    if not (np.abs([x, y, w, h]) <= MAX_PIXELS).all() or w < 0 or h < 0:
        raise ValueError(f"bbox is {numbers!r}")
    return x, y, x + w, y + h


def _rle(segmentation: dict[str, Any], height: int, width: int) -> str:
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if size != [height, width]:
        raise ValueError(f"the run lengths are of size {size!r}, the image of {[height, width]}")
    if isinstance(counts, str):
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
