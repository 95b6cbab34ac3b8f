"""Read landmarks of faces that a person placed: the rows of tables, and the points in files of labelme."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

from tessera.core.contents import content_of
from tessera.core.errors import Dropped, Failed
from tessera.core.files import files_below
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.tsv import read_sheet, refuse
from tessera.extras.face_sets.alignment import inverse, similarity, transform
from tessera.extras.face_sets.find import FoundFace, by_size
from tessera.extras.face_sets.landmarks import COUNT, MEAN_FIVE
from tessera.imaging.images import SUFFIX
from tessera.records.annotation.formats.labelme import drawn_size, load_labelme, shape_points
from tessera.records.annotation.label_files import naming
from tessera.records.frame_keys import meant_frames, picture_key, source_of, video_key

DOCUMENT = ".json"
NUMBERED = f"a face has {COUNT} points with the numbers 0 to 67 or 1 to 68, or 5 with 0 to 4 or 1 to 5"
NO_FRAME = "landmarks of no such frame"
SHOWN = 10  # of what is listed in a message


class PlacedPoint(BaseModel):
    """A row of a table of landmarks: a point of a face in a frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field("", description="id of the source; if it is empty, `frame` is a key")
    frame: str = Field(
        min_length=1,
        description="number of the frame in the source, path of the picture in its folder, or key or file of a frame",
    )
    face: Annotated[int, BeforeValidator(lambda value: value or 0)] = Field(
        0, ge=0, description="number of a face in the frame"
    )
    point: int = Field(ge=0, le=COUNT, description="number of the point")
    x: FiniteFloat = Field(description="pixels of the sampled frame")
    y: FiniteFloat = Field(description="pixels of the sampled frame")

    @property
    def key(self) -> str:
        """What the row says of the frame, in the form of a key."""
        if not self.source:
            return self.frame
        is_number = self.frame.isascii() and self.frame.isdigit()
        return video_key(self.source, int(self.frame)) if is_number else picture_key(self.source, self.frame, "")


@dataclass(frozen=True, eq=False)
class Placement:
    """What a person placed in a frame.

    `frame`: the key or the file that is said to be the frame. `where`: the file and the line, for messages. `content`: changes
    with the landmarks. `read`: returns the faces in the frame with this row of `tables.Frames`, none if nothing is placed; it
    raises `Failed`, which names the file, if they are not usable.
    """

    frame: str
    where: str
    content: Any
    read: Callable[[Mapping[str, Any]], list[FoundFace]]


def read_placements(path: Path) -> dict[str, list[Placement]]:
    """Return what is placed in the table `path`, or in the tables and files of labelme in the folder `path`.

    It is by the names of sources in keys, which need not exist; "" has what names no source. Raises `TesseraError` that lists
    every fault of a table with its line.
    """
    placed: dict[str, list[Placement]] = defaultdict(list)
    for file in files_below(path, (DOCUMENT, ".tsv")):
        for placement in [_in_document(file)] if file.suffix.lower() == DOCUMENT else _in_table(file):
            placed[source_of(placement.frame)].append(placement)
    return placed


def placed_faces(
    placements: Iterable[Placement], frames: Sequence[Mapping[str, Any]], ledger: Ledger
) -> dict[str, list[FoundFace]]:
    """Return the faces that are placed in each of `frames`, the rows of a source in `tables.Frames`, by the key of the frame.

    A frame in which nothing is placed has no entry. One whose landmarks cannot be used has no face, and a row in `ledger`, as
    has what means no frame, see `frame_keys.meant_frames`.
    """
    rows = {row["key"]: row for row in frames}
    files = {f"{key}{suffix}": key for key in rows for suffix in SUFFIX.values()}
    named: dict[str, list[Placement]] = defaultdict(list)
    for placement in placements:
        named[files.get(placement.frame, placement.frame)].append(placement)
    meant = meant_frames(named, rows)
    placed: dict[str, list[Placement]] = defaultdict(list)
    for name, group in named.items():
        if name in meant.now:
            placed[meant.now[name]] += group
    faces = {}
    for key, group in sorted(placed.items()):
        try:
            if len(group) > 1:
                raise Failed("landmarks placed twice", f"{group[0].where} and {group[1].where} are for {key!r}; keep one")
            if found := group[0].read(rows[key]):
                faces[key] = found
        except Dropped as error:
            ledger.row(key, "failed", error.reason, error.detail)
            faces[key] = []
    lost = {name: f"{named[name][0].where}: {why}; correct the frame, or remove it" for name, why in sorted(meant.lost.items())}
    for name, detail in lost.items():
        ledger.row(name, "dropped", NO_FRAME, detail)
    if lost:
        message = f"landmarks of {pluralize(len(lost), 'frames')} left out, of frames that are not there:"
        tell("\n  ".join([message, *truncate(list(lost.values()), SHOWN)]))
    return faces


def _in_table(path: Path) -> Iterator[Placement]:
    """Yield what is placed in the table `path`. Raises `TesseraError` that lists its faults."""
    sheet = read_sheet(path, PlacedPoint, "table of landmarks", "write a row for each point")
    faults = list(sheet.faults)
    frames: dict[str, dict[int, dict[int, tuple[int, PlacedPoint]]]] = {}
    for line, row in sheet.rows:
        points = frames.setdefault(row.key, {}).setdefault(row.face, {})
        if row.point in points:
            fix = "give each face of the frame a number in `face`"
            faults.append(
                (line, f"point {row.point} of this face is already on line {points[row.point][0]}; remove one, or {fix}")
            )
        points.setdefault(row.point, (line, row))
    found: dict[str, list[FoundFace]] = defaultdict(list)
    # A row with a fault is not among the points.
    for key, faces in {} if faults else frames.items():
        for number, points in faces.items():
            first = min(line for line, _ in points.values())
            try:
                ordered = _ordered({number: (row.x, row.y) for number, (_, row) in points.items()})
            except Failed as error:
                faults.append((first, f"frame {key!r}, face {number}: {error.detail}"))
            else:
                found[key].append(_face(ordered, f"{path}, line {first}"))
    refuse(path, faults)
    for key, placed in found.items():
        content = [face.landmarks.tolist() for face in placed]
        yield Placement(key, placed[0].where, content, partial(_of_table, by_size(placed)))


def _of_table(faces: list[FoundFace], frame: Mapping[str, Any]) -> list[FoundFace]:
    return faces


def _in_document(path: Path) -> Placement:
    return Placement(path.stem, str(path), content_of(path), partial(_read_document, path))


def _read_document(path: Path, frame: Mapping[str, Any]) -> list[FoundFace]:
    """Return the faces whose landmarks are points in the file of labelme `path`. Other shapes count for nothing.

    It may be drawn on the frame at the size of the source, or of the sample. Raises `Failed` if it is not usable.
    """
    document = load_labelme(path)
    groups: dict[int | None, dict[int, tuple[float, float]]] = {}
    size = frame["width"], frame["height"]
    drawn = drawn_size(document, *size, frame["aspect"] or 1.0)
    with naming(path):
        for number, shape in enumerate(document["shapes"]):
            if shape.get("shape_type") != "point":
                continue
            label, group = shape.get("label"), shape.get("group_id")
            if not isinstance(label, str) or not re.fullmatch(r"\s*[0-9]{1,2}\s*", label):
                raise Failed("wrong number of landmarks", f"shape {number} has the label {label!r:.40}; {NUMBERED}")
            if not (group is None or type(group) is int):
                raise Failed("broken shape", f"shape {number}: its group_id is no number; remove it and draw it again")
            points = groups.setdefault(group, {})
            if int(label) in points:
                fix = "remove one, or give each face of the frame its own group_id"
                raise Failed("wrong number of landmarks", f"point {int(label)} is there twice; {fix}")
            points[int(label)] = tuple(shape_points(shape, f"shape {number}")[0].tolist())
        stated = document.get("imageWidth"), document.get("imageHeight")
        if groups and stated not in {(None, None), drawn}:
            raise Failed(
                "size differs from the image",
                f"it states {stated[0]!r} by {stated[1]!r} pixels, the frame has {size[0]} by {size[1]}; place the landmarks on"
                " the frame itself, in results/frames",
            )
        scale = np.array(size) / drawn
        return by_size(
            _face(_ordered(points) * scale, str(path) if group is None else f"{path}, group {group}")
            for group, points in groups.items()
        )


def _ordered(points: Mapping[int, tuple[float, float]]) -> np.ndarray:
    """Return `points` in the order of their numbers: float64 (68, 2) or (5, 2). Raises `Failed` if some are missing."""
    first = 0 if 0 in points else 1
    count = COUNT if max(points) - first >= len(MEAN_FIVE) else len(MEAN_FIVE)
    wanted = set(range(first, first + count))
    wrong = [f"{number} is {'missing' if number in wanted else 'too many'}" for number in sorted(wanted ^ points.keys())]
    if wrong:
        raise Failed(
            "wrong number of landmarks", f"{len(points)} points, of which {', '.join(truncate(wrong, SHOWN))}; {NUMBERED}"
        )
    return np.array([points[number] for number in sorted(points)], dtype=np.float64)


def _face(landmarks: np.ndarray, where: str) -> FoundFace:
    """Return the face with these `landmarks`, (68, 2) or (5, 2). Its rectangle is that around them.

    Five points span less than a face, so that they get the rectangle around the square of the mean face.
    """
    span = landmarks
    if len(landmarks) == len(MEAN_FIVE):
        try:
            square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
            span = transform(square, inverse(similarity(landmarks, MEAN_FIVE)))
        except Failed:
            pass  # The alignment says why.
    x0, y0, x1, y1 = np.round([*span.min(axis=0), *span.max(axis=0)], 2).tolist()
    return FoundFace((x0, y0, x1, y1), landmarks, 1.0, 0, "hand", where)
