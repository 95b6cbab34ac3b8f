"""What DeepFaceLab records of an aligned face, in the JPEG file of the face and in the index of a pack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from tessera.core.errors import Failed
from tessera.extras.face_sets.landmarks import COUNT
from tessera.extras.face_sets.plain_pickle import Plain, write_pickle

# The alignments by their names in JPEG files, with their numbers in packs.
FACE_TYPES = {
    "half_face": 0,
    "midfull_face": 1,
    "full_face": 2,
    "full_face_no_align": 3,
    "whole_face": 4,
    "head": 10,
    "head_no_align": 20,
    "mark_only": 100,
}
NAMES_OF_TYPES = {number: name for name, number in FACE_TYPES.items()}
IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
# The fields that a face, its JPEG file and the index of a pack call the same.
SAME_NAMES = ("landmarks", "source_filename", "source_rect", "source_landmarks", "image_to_face_mat", "eyebrows_expand_mod")
NUMBERS = (np.ndarray, float, int, np.number)
MAX_MASK = 2**16  # numbers in a mask that is no file: 256 by 256
UNUSABLE = "face metadata not usable"


@dataclass(frozen=True, eq=False)
class Polygon:
    """An outline drawn by hand. What is drawn later lies above what is drawn before.

    `points`: float32 (N, 2), x and y in pixels of the aligned picture. `is_included`: whether its inside belongs to the face.
    """

    is_included: bool
    points: np.ndarray

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):
            points = _numbers("polygon", self.points, None, 2).astype(np.float32)
        object.__setattr__(self, "points", _numbers("polygon", points, None, 2))


@dataclass(frozen=True, eq=False)
class FaceMetadata:
    """The metadata of an aligned face. Lists of numbers become arrays, and two faces are equal if they are written equally.

    `face_type`: the alignment, one of `FACE_TYPES`. `landmarks`: float64 (68, 2), x and y in pixels of the aligned picture as
    its file stores it: orientations of EXIF do not count. `source_filename`: the name of the frame's file. `source_rect`:
    left, top, right and bottom of the face in pixels of the frame. `source_landmarks`: float64 (68, 2), in pixels of the
    frame. `image_to_face_mat`: float64 (2, 3), takes x, y, 1 of the frame to x, y of the aligned picture.
    `eyebrows_expand_mod`: by how much a mask of landmarks is raised above the eyebrows, relative to the default. `polygons`:
    outlines of the face. `mask`: a PNG or JPEG file with one channel, white where the face is. `others`: fields of other
    versions, as they were read.

    Packs have no `source_rect`, `source_landmarks` and `image_to_face_mat`: these stay in the JPEG files.

    Raises `Failed` if a field has another shape, or a number is not finite.
    """

    face_type: str
    landmarks: np.ndarray
    source_filename: str | None = None
    source_rect: tuple[float, ...] | None = None
    source_landmarks: np.ndarray | None = None
    image_to_face_mat: np.ndarray | None = None
    eyebrows_expand_mod: float = 1.0
    polygons: tuple[Polygon, ...] = ()
    mask: bytes | None = None
    others: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.face_type not in FACE_TYPES:
            raise Failed(UNUSABLE, f"face_type: {self.face_type!r:.60} is none of {', '.join(FACE_TYPES)}")
        if not isinstance(self.source_filename, str | None):
            raise Failed(UNUSABLE, "source_filename: no text")
        if self.mask is not None and not self.mask.startswith(IMAGE_STARTS):
            raise Failed(UNUSABLE, "xseg_mask: neither a PNG nor a JPEG file")
        for name, shape in (("landmarks", (COUNT, 2)), ("source_landmarks", (COUNT, 2)), ("image_to_face_mat", (2, 3))):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _numbers(name, value, *shape).astype(float))
        if self.source_rect is not None:
            object.__setattr__(self, "source_rect", tuple(_numbers("source_rect", self.source_rect, 4).tolist()))
        if type(self.eyebrows_expand_mod) is not float or not isfinite(self.eyebrows_expand_mod):
            [factor] = _numbers("eyebrows_expand_mod", [self.eyebrows_expand_mod], 1).tolist()
            object.__setattr__(self, "eyebrows_expand_mod", factor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaceMetadata) and write_pickle(jpeg_fields(self)) == write_pickle(jpeg_fields(other))


def _numbers(name: str, value: Any, rows: int | None, *columns: int) -> np.ndarray:
    """Return `value` as an array (rows, *columns), of any length if `rows` is None. Raises `Failed` if it is none."""
    try:
        # NumPy would give each of a thousand numbers the length of the one text among them.
        array = np.asarray(value if _is_numeric(value, 1 + len(columns)) else None)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if rows is None:
        rows = array.shape[0] if array.ndim and array.size else 0
        array = array if array.size else np.empty((0, *columns))
    shape = (rows, *columns)
    if array.shape != shape or array.dtype.kind not in "iuf":
        wanted = " x ".join(map(str, shape))
        raise Failed(UNUSABLE, f"{name}: {wanted} numbers are needed, not {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise Failed(UNUSABLE, f"{name}: a number is not finite")
    return array


def _is_numeric(value: Any, depth: int) -> bool:
    """Return whether `value` is an array, or lists in lists with numbers at `depth`."""
    if depth and type(value) in {list, tuple}:
        return all(_is_numeric(child, depth - 1) for child in value)
    return isinstance(value, NUMBERS)


def face_of_jpeg(content: Plain) -> FaceMetadata:
    """Return the face whose metadata in a JPEG file are `content`. Raises `Failed` if they are not usable."""
    values = _values(content)
    # Files of early versions do not say it.
    return _face(values, values.pop("face_type", "full_face"), values.pop("xseg_mask", None))


def face_of_index(content: Plain) -> FaceMetadata:
    """Return the face whose entry in the index of a pack is `content`. Raises `Failed` if it is not usable."""
    values = _values(content)
    for name in ("sample_type", "filename", "shape", "person_name"):
        values.pop(name, None)
    number = values.pop("face_type", None)
    # Early versions kept it as numbers from 0 to 1.
    mask, numbers = values.pop("xseg_mask_compressed", None), values.pop("xseg_mask", None)
    if type(number) is not int or number not in NAMES_OF_TYPES:
        raise Failed(UNUSABLE, f"face_type: none of {', '.join(map(str, NAMES_OF_TYPES))}")
    return _face(values, NAMES_OF_TYPES[number], _encoded(numbers) if mask is None and numbers is not None else mask)


def _values(content: Plain) -> dict[str, Plain]:
    if type(content) is not dict:
        raise Failed(UNUSABLE, "it is no dictionary")
    return _without_none(content)


def _face(values: dict[str, Plain], face_type: Plain, mask: Plain) -> FaceMetadata:
    if "landmarks" not in values:
        raise Failed(UNUSABLE, "it has no landmarks")
    polygons = _polygons(values.pop("seg_ie_polys", None))
    own = {name: values.pop(name) for name in SAME_NAMES if name in values}
    if isinstance(mask, np.ndarray) and mask.dtype == np.uint8:
        mask = mask.tobytes()
    if not isinstance(face_type, str) or not isinstance(mask, bytes | None):
        raise Failed(UNUSABLE, "face_type is no text, or xseg_mask no bytes")
    return FaceMetadata(face_type, mask=mask, polygons=polygons, others=values, **own)


def _polygons(content: Plain) -> tuple[Polygon, ...]:
    """Return the outlines in the field `seg_ie_polys`: {"polys": [{"type": 1, "pts": points}]}, earlier [(1, points)]."""
    try:
        if isinstance(content, dict):
            return tuple(Polygon(bool(each["type"]), each["pts"]) for each in content["polys"])
        return tuple(Polygon(bool(kind), points) for kind, points in content or ())
    except (KeyError, TypeError, ValueError, IndexError):
        raise Failed(UNUSABLE, "seg_ie_polys: no list of types and points") from None


def _encoded(mask: Plain) -> bytes:
    """Return the `mask`, numbers from 0 to 1 (height, width) or (height, width, 1), as a PNG file."""
    import cv2

    is_picture = isinstance(mask, np.ndarray) and mask.ndim in {2, 3} and mask.shape[2:] in {(), (1,)}
    if not is_picture or mask.dtype.kind != "f" or not 0 < mask.size <= MAX_MASK:
        raise Failed(UNUSABLE, "xseg_mask: no picture")
    levels = np.clip(np.nan_to_num(mask) * 255, 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".png", levels)[1].tobytes())


def jpeg_fields(face: FaceMetadata) -> dict[str, Plain]:
    """Return the metadata of `face` as its JPEG file has them."""
    values = {
        **_shared_fields(face),
        "face_type": face.face_type,
        "source_rect": None if face.source_rect is None else list(face.source_rect),
        "source_landmarks": None if face.source_landmarks is None else face.source_landmarks.tolist(),
        "image_to_face_mat": None if face.image_to_face_mat is None else face.image_to_face_mat.tolist(),
        "xseg_mask": _as_array(face.mask),
    }
    return _without_none(values)


def index_fields(face: FaceMetadata, name: str, person: str | None, height: int, width: int) -> dict[str, Plain]:
    """Return the entry of `face` in the index of a pack, as the file `name` of `person`, with `height` by `width` pixels."""
    number, mask = FACE_TYPES[face.face_type], _as_array(face.mask)
    return {**_shared_fields(face), **fields_of_pack(number, name, person, height, width, mask)}


def fields_of_pack(
    face_type: int, name: str, person: str | None, height: int, width: int, mask: np.ndarray | None = None
) -> dict[str, Plain]:
    """Return the last part of `index_fields`: what JPEG files do not have, or have in another form."""
    return {
        "sample_type": 1,  # an aligned face
        "filename": name,
        "face_type": face_type,
        "shape": (height, width, 3),
        "xseg_mask": None,
        "xseg_mask_compressed": mask,
        "person_name": person,
    }


def _shared_fields(face: FaceMetadata) -> dict[str, Plain]:
    polygons = [{"type": int(each.is_included), "pts": each.points.tolist()} for each in face.polygons]
    return {
        **face.others,
        "landmarks": face.landmarks.tolist(),
        "source_filename": face.source_filename,
        "eyebrows_expand_mod": face.eyebrows_expand_mod,
        "seg_ie_polys": {"polys": polygons} if polygons else None,
    }


def _without_none(values: dict[str, Plain]) -> dict[str, Plain]:
    return {name: value for name, value in values.items() if value is not None}


def _as_array(content: bytes | None) -> np.ndarray | None:
    # OpenCV, which DeepFaceLab decodes masks with, takes no bytes.
    return None if content is None else np.frombuffer(content, np.uint8)
