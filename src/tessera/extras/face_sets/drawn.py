"""Read the masks of faces that a person drew: in labelme, or as the polygons of DeepFaceLab's XSeg."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tessera.core.errors import Failed
from tessera.core.files import files_below
from tessera.extras.face_sets.alignment import inverse, transform
from tessera.extras.face_sets.jpeg_metadata import read_face_and_size
from tessera.imaging.images import decode_image, read_file, read_image, resize
from tessera.imaging.polygons import Part, clip, rasterize
from tessera.records.annotation.formats.labelme import drawn_size, embedded_image, load_labelme, read_labelme
from tessera.records.annotation.label_files import naming
from tessera.records.frame_keys import source_of

DOCUMENT, JPEG = ".json", (".jpg", ".jpeg")
LABELS = {"include": True, "exclude": False}
LOOK = 32  # pixels, the side of pictures that are compared
SAME = 8  # levels by which they may differ on average


class Region(NamedTuple):
    """A region that a person drew. `mask`: uint8 (S, S), 255 inside. What is drawn later lies above what is drawn before."""

    is_included: bool
    mask: np.ndarray


def drawn_masks(folder: Path) -> dict[str, list[Path]]:
    """Return the files with masks by hand in `folder`, by the names of the sources in the keys that they are named after."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files_below(folder, (DOCUMENT, *JPEG)):
        found[source_of(file.stem)].append(file)
    return found


def read_regions(file: Path, row: Mapping[str, Any], image: Path) -> list[Region]:
    """Return the regions on the square of the face of `row` in `file`: of labelme, or a JPEG with polygons of DeepFaceLab.

    Raises `Failed`, which names the file, if they cannot be used.
    """
    return _of_jpeg(file, row) if file.suffix.lower() in JPEG else _of_labelme(file, row["key"], row["size"], image)


def _of_labelme(file: Path, key: str, size: int, image: Path) -> list[Region]:
    document = load_labelme(file)
    if not document["shapes"]:
        return []
    with naming(file):
        _check_picture(document, image)
        annotated, _ = read_labelme(document, key, *drawn_size(document, size, size))
        names = [region.label.strip().casefold() for region in annotated.annotations]
        if unknown := [name for name in names if name not in LABELS]:
            raise Failed("unknown label", f"{unknown[0]!r:.60}; rename it to {' or '.join(LABELS)}")
        scaled = annotated.scaled(size, size)
        return [Region(LABELS[name], region.mask(size, size)) for name, region in zip(names, scaled.annotations, strict=True)]


def _check_picture(document: dict[str, Any], image: Path) -> None:
    """Raise `Failed` if `document` holds the picture that it was drawn on, and this is not the one in the file `image`."""
    content = embedded_image(document)
    if not content:
        return
    drawn = None
    with suppress(Failed):
        drawn = decode_image(content, "imageData").pixels
    if drawn is None:
        return
    # labelme compresses the picture once more, so that its bytes differ.
    now, then = (resize(picture, LOOK, LOOK).astype(np.float64) for picture in (read_image(image), drawn))
    if np.abs(now - then).mean() > SAME:
        raise Failed("drawn on another picture", "the square of the face has changed since; draw it again")


def _of_jpeg(file: Path, row: Mapping[str, Any]) -> list[Region]:
    with naming(file):
        face, (height, width) = read_face_and_size(read_file(file))
        if face is None or not face.polygons:
            return []
        size = row["size"]
        if face.image_to_face_mat is None:
            to_square = np.array([[size / width, 0, 0], [0, size / height, 0]])
            moved = [transform(each.points.astype(np.float64), to_square) for each in face.polygons]
        else:
            # The face may be aligned in another way by now. Both squares show the same frame.
            back, there = inverse(face.image_to_face_mat), np.reshape(row["matrix"], (2, 3))
            moved = [transform(transform(each.points.astype(np.float64), back), there) for each in face.polygons]
        drawn = zip(face.polygons, (clip(Part(ring), size, size) for ring in moved), strict=True)
        # XSeg also saves a polygon of two points that was begun and left.
        return [
            Region(each.is_included, rasterize([part], size, size)) for each, part in drawn if part and len(each.points) > 2
        ]
