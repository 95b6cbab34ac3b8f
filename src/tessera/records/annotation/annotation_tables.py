"""Write annotations as tables, and read them. All stages exchange annotations in this form."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.imaging.polygons import Part
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.table import read_table, types, write_table


@dataclass(frozen=True)
class Origin:
    """The origin of an image: the columns of `Images` besides its key and size."""

    source: str  # id from the manifest, or `labels:NAME`
    path: str
    phash: int
    split: str = ""
    rights: str = ""


def write_annotations(annotations_path: Path, images_path: Path, images: Iterable[tuple[ImageAnnotations, Origin]]) -> None:
    """Write `images`, in their order, as the tables `Annotations` and `Images`."""
    annotations: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for image, origin in images:
        rows.append({"key": image.key, "width": image.width, "height": image.height, **asdict(origin)})
        annotations += annotation_rows(image.key, image.annotations)
    write_table(pl.DataFrame(rows, schema=types(Images)), Images, images_path)
    write_table(pl.DataFrame(annotations, schema=types(Annotations)), Annotations, annotations_path)


def read_annotations(annotations_path: Path, images_path: Path) -> Iterator[ImageAnnotations]:
    """Yield the images in the table at `images_path`, in its order. Annotations are sorted by number."""
    return images_of(read_table(images_path, Images), read_table(annotations_path, Annotations).sort("key", "number"))


def images_of(images: pl.DataFrame, annotations: pl.DataFrame) -> Iterator[ImageAnnotations]:
    """Yield the rows of `images` (`Images`), in their order, with their `annotations` (`Annotations`, sorted by number)."""
    of_key = {str(key): rows for (key,), rows in annotations.group_by("key", maintain_order=True)}
    for image in images.select("key", "width", "height").iter_rows(named=True):
        rows = of_key[image["key"]].iter_rows(named=True) if image["key"] in of_key else ()
        yield ImageAnnotations(image["key"], image["width"], image["height"], tuple(annotation_of(row) for row in rows))


def annotation_rows(key: str, annotations: Iterable[Annotation]) -> list[dict[str, Any]]:
    """Return the rows of `tables.Annotations` of the image `key`."""
    return [_row(key, number, annotation) for number, annotation in enumerate(annotations)]


def _row(key: str, number: int, annotation: Annotation) -> dict[str, Any]:
    x0, y0, x1, y1 = annotation.box
    return {
        "key": key,
        "number": number,
        "label": annotation.label,
        "polygons": None
        if annotation.polygons is None
        else [[ring.ravel().tolist() for ring in (part.outer, *part.holes)] for part in annotation.polygons],
        "rle": annotation.rle,
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "crowd": annotation.crowd,
        "score": annotation.score,
    }


def annotation_of(row: dict[str, Any]) -> Annotation:
    """Return the annotation in `row` of `tables.Annotations`."""
    polygons = row["polygons"] and tuple(_part(rings) for rings in row["polygons"])
    box = row["x0"], row["y0"], row["x1"], row["y1"]
    return Annotation(row["label"], polygons, row["rle"], box, row["crowd"], row["score"])


def _part(rings: list[list[float]]) -> Part:
    outer, *holes = (np.array(ring, dtype=np.float64).reshape(-1, 2) for ring in rings)
    return Part(outer, tuple(holes))
