"""Faces with metadata, and JPEG files of many kinds to hold them."""

import io
import pickle
import struct
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odd_pictures import DISPLAY_P3
from PIL import Image

from tessera.extras.face_sets.metadata import FACE_TYPES, FaceMetadata, Polygon

PNG = b"\x89PNG\r\n\x1a\n"
coordinates = st.floats(-1e4, 1e4)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


def points(count: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (count, 2), elements=coordinates)


polygons = st.builds(Polygon, st.booleans(), st.integers(0, 5).flatmap(points))
masks = st.sampled_from([PNG, b"\xff\xd8\xff"]).flatmap(lambda start: st.binary(max_size=300).map(lambda rest: start + rest))
faces = st.builds(
    FaceMetadata,
    face_type=st.sampled_from(sorted(FACE_TYPES)),
    landmarks=points(68),
    source_filename=st.none() | texts,
    source_rect=st.none() | st.tuples(*[coordinates | st.integers(-(2**20), 2**20)] * 4),
    source_landmarks=st.none() | points(68),
    image_to_face_mat=st.none() | arrays(np.float64, (2, 3), elements=coordinates),
    eyebrows_expand_mod=st.floats(0, 4),
    polygons=st.lists(polygons, max_size=3).map(tuple),
    mask=st.none() | masks,
    others=st.dictionaries(st.sampled_from(["pitch_yaw_roll", "ie_polys"]), st.tuples(coordinates, coordinates)),
)


def face(seed: int = 0, mask: bytes | None = None) -> FaceMetadata:
    """Return the metadata of a face with random numbers, as they are after an extraction."""
    draw = np.random.default_rng(seed)
    landmarks, source_landmarks = draw.uniform(0, 256, (2, 68, 2))
    return FaceMetadata(
        face_type="whole_face",
        landmarks=landmarks,
        source_filename=f"{seed:05}.png",
        source_rect=(10, 20, 110, 140),
        source_landmarks=source_landmarks,
        image_to_face_mat=draw.uniform(-2, 2, (2, 3)),
        mask=mask,
    )


def jpeg(seed: int = 0, side: int = 16, **options: object) -> bytes:
    """Return a JPEG file of `side` by `side` pixels."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "jpeg", **options)
    return file.getvalue()


def _with_orientation() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(exif=exif)


def _of(mode: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((16, 16), 50).convert(mode).save(file, "jpeg")
    return file.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2) + payload


BASELINE = jpeg()
BEHIND_APP0 = 20  # the offset of the segment behind the JFIF header
JPEGS = {
    "baseline": BASELINE,
    "progressive": jpeg(progressive=True),
    "no APP0": BASELINE[:2] + BASELINE[BEHIND_APP0:],
    "EXIF": _with_orientation(),
    "profile and comment": jpeg(icc_profile=DISPLAY_P3, comment=b"a comment"),
    "APP14 of Adobe": _of("CMYK"),
    "grey": _of("L"),
    "restart intervals": jpeg(restart_marker_blocks=1),
    "APP15 of others": BASELINE[:BEHIND_APP0] + segment(0xEF, b"other") + BASELINE[BEHIND_APP0:],
    "APP3 behind the tables": BASELINE[:BEHIND_APP0] + segment(0xFE, b"") + segment(0xE3, b"x" * 9) + BASELINE[BEHIND_APP0:],
    "fill bytes": BASELINE[:2] + b"\xff\xff" + BASELINE[2:BEHIND_APP0] + b"\xff\xff\xff" + BASELINE[BEHIND_APP0:],
    "bytes behind the picture": BASELINE + b"more",
}


def slow_write(entries: object, files: list[bytes], protocol: int = 4, **changed: Any) -> bytes:
    """Return a pack of `files`. `changed`: its `version`, the `length` of its index or its `offsets`, if they are wrong."""
    index = entries if isinstance(entries, bytes) else pickle.dumps(entries, protocol)
    begin = 16 + len(index) + 8 * (len(files) + 1)
    offsets = [sum(map(len, files[:number])) for number in range(len(files))] + [begin + sum(map(len, files))]
    header = struct.pack("<QQ", changed.get("version", 1), changed.get("length", len(index)))
    offsets = changed.get("offsets", offsets)
    return header + index + b"".join(struct.pack("<Q", offset) for offset in offsets) + b"".join(files)


def entry(name: object = "a.jpg", seed: int = 0, **changed: object) -> dict[str, Any]:
    """Return an entry of the index as DeepFaceLab writes it."""
    return {
        "sample_type": 1,
        "filename": name,
        "face_type": FACE_TYPES["whole_face"],
        "shape": (16, 16, 3),
        "landmarks": face(seed).landmarks.tolist(),
        "seg_ie_polys": {"polys": []},
        "xseg_mask": None,
        "xseg_mask_compressed": None,
        "eyebrows_expand_mod": 1.0,
        "source_filename": f"{seed:05}.png",
        "person_name": None,
        **changed,
    }
