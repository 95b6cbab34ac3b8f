"""FiftyOne: a dataset as `FiftyOneDataset` reads it from the disk, without a database. Media are named, and not copied.

`metadata.json` states no version, which selects the importer of plain JSON. Load it with
`fiftyone.Dataset.from_dir(dataset_dir=FOLDER, dataset_type=fiftyone.types.FiftyOneDataset)`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from tessera.imaging.polygons import trace
from tessera.records.annotation.model import Annotation, ImageAnnotations


def image_sample(image: ImageAnnotations, media: str, tags: Iterable[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sample of `image` for `write_samples`.

    `media`: the path of the file, absolute or relative to the folder of the dataset. `fields`: more fields of the sample; those
    that are None are left out. Regions have their box in `regions` and, unless they are only boxes, their rings in `outlines`.
    Both have their score as the confidence. Rings are not filled, because FiftyOne has no holes.
    """
    boxes = [
        _labelled("Detection", annotation, bounding_box=_box(annotation, image.width, image.height))
        for annotation in image.annotations
    ]
    drawn = [annotation for annotation in image.annotations if annotation.polygons is not None or annotation.rle is not None]
    outlines = [
        _labelled("Polyline", annotation, points=_points(annotation, image.width, image.height), closed=True, filled=False)
        for annotation in drawn
    ]
    return {
        **_sample(media, tags, {"key": image.key, **fields}),
        "regions": {"_cls": "Detections", "detections": boxes},
        "outlines": {"_cls": "Polylines", "polylines": outlines},
    }


def video_sample(
    media: str, tags: Iterable[str], fields: Mapping[str, Any], label: str, score: float, frames: str
) -> dict[str, Any]:
    """Return the sample of a video for `write_samples`, with `label` and its `score` as its classification.

    `frames`: the path of the file of its frames below the folder of the dataset, see `write_frames`. For the others, see
    `image_sample`.
    """
    classified = {"_cls": "Classification", "label": label, "confidence": score}
    return {**_sample(media, tags, fields), "label": classified, "frames": frames}


def write_frames(frames: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write the fields of each of the `frames` of a video to `path`. FiftyOne counts frames from 1."""
    numbered = {str(number): {"frame_number": number, **frame} for number, frame in enumerate(frames, 1)}
    path.write_text(json.dumps({"frames": numbered}) + "\n", encoding="utf-8")


def write_samples(
    samples: Iterable[Mapping[str, Any]], name: str, media_type: Literal["image", "video"], metadata: Path, path: Path
) -> None:
    """Write the files `metadata` (metadata.json) and `path` (samples.json) of the dataset `name`."""
    metadata.write_text(json.dumps({"name": name, "media_type": media_type, "info": {}}) + "\n", encoding="utf-8")
    path.write_text(json.dumps({"samples": list(samples)}, allow_nan=False) + "\n", encoding="utf-8")


def _sample(media: str, tags: Iterable[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    stated = {name: value for name, value in fields.items() if value is not None}
    return {"filepath": media, "tags": [tag for tag in tags if tag], **stated}


def _labelled(kind: str, annotation: Annotation, **fields: Any) -> dict[str, Any]:
    confidence = {} if annotation.score is None else {"confidence": annotation.score}
    return {"_cls": kind, "label": annotation.label, **fields, **confidence}


def _box(annotation: Annotation, width: int, height: int) -> list[float]:
    x0, y0, x1, y1 = annotation.box
    return [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]


def _points(annotation: Annotation, width: int, height: int) -> list[list[list[float]]]:
    parts = annotation.polygons if annotation.polygons is not None else trace(annotation.mask(height, width))
    rings = [ring for part in parts for ring in (part.outer, *part.holes)]
    return [(ring / [width, height]).tolist() for ring in rings]
