"""Write images and the bounding boxes of their watermarks as tables of annotations."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tessera.imaging.boxes import Box
from tessera.records.annotation.annotation_tables import Origin, write_annotations
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.stages.watermarks.settings import LABEL


def write_boxes(annotations: Path, images: Path, marked: Iterable[tuple[dict[str, Any], Sequence[Box]]]) -> None:
    """Write each pair of `marked` to the tables `Images` and `Annotations`.

    A pair is a row of `tables.Images`, as a dict, and the bounding boxes in this image, in pixels.
    """
    sizes = ("key", "width", "height")
    write_annotations(
        annotations,
        images,
        (
            (
                ImageAnnotations(**{name: row[name] for name in sizes}, annotations=_annotations(boxes)),
                Origin(**{name: value for name, value in row.items() if name not in sizes}),
            )
            for row, boxes in marked
        ),
    )


def _annotations(boxes: Sequence[Box]) -> tuple[Annotation, ...]:
    return tuple(Annotation(LABEL, None, None, box) for box in boxes)
