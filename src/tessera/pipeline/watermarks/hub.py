"""Images and the boxes of their watermarks, as tables of the hub."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tessera.imaging.boxes import Box
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.table import types, write_table

LABEL = "watermark"  # the one class, whatever kind of mark it is


def write_boxes(annotations: Path, images: Path, found: Iterable[tuple[dict[str, Any], Sequence[Box]]]) -> None:
    """Write the tables `Images`, of whose columns each of `found` names one row, and `Annotations`, of the boxes in it."""
    pictures: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    for picture, boxes in found:
        pictures.append(picture)
        for number, (x0, y0, x1, y1) in enumerate(boxes):
            place = {"key": picture["key"], "number": number, "label": LABEL, "crowd": False}
            regions.append({**place, "x0": x0, "y0": y0, "x1": x1, "y1": y1})
    write_table(pl.DataFrame(pictures, schema=types(Images)), Images, images)
    write_table(pl.DataFrame(regions, schema=types(Annotations)), Annotations, annotations)
