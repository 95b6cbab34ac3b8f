"""Cut the faces of a set out of the sampled frames of its sources, aligned to the mean face."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import Dropped
from tessera.core.files import file_name, link_or_copy
from tessera.core.ledger import Ledger
from tessera.core.provenance import digest, sha256_if_readable
from tessera.core.store import stored_items
from tessera.extras.face_sets.admit import require_consent
from tessera.extras.face_sets.alignment import Matrix, align, misfit, transform, warp
from tessera.extras.face_sets.find import FaceFinder, FoundFace
from tessera.extras.face_sets.hull import face_hull, hull_mask
from tessera.extras.face_sets.jpeg_metadata import write_metadata
from tessera.extras.face_sets.landmarks import COUNT
from tessera.extras.face_sets.metadata import FaceMetadata
from tessera.extras.face_sets.placed import placed_faces, read_placements
from tessera.extras.face_sets.pose import Pose, estimate_pose
from tessera.extras.face_sets.scores import cut_off, exposure, outline
from tessera.extras.face_sets.settings import FaceSetSettings, SquareSettings
from tessera.imaging.images import SUFFIX, write_image
from tessera.imaging.sharpness import luma
from tessera.learning.detection.detector import Detector
from tessera.learning.landmarks import LandmarkModel
from tessera.records.frame_keys import crop_key
from tessera.records.frames import read_sampled
from tessera.records.rights import check_identifiable
from tessera.records.subjects import Subject
from tessera.records.tables.faces import Faces
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table, types, write_table

ROWS = "rows.json"  # file in the store, beside the faces of a source
STEP = "face"  # in the key of a face
DIGITS = 4  # decimals of scores
FrameImage = tuple[dict[str, Any], np.ndarray]  # the row of a frame in `tables.Frames`, and its picture: uint8 (H, W, 3), RGB
Find = Callable[[Sequence[FrameImage]], list[list[FoundFace]]]  # returns the faces in each frame


class Models:
    """The models of a face set, by their files. They are loaded when they are needed first."""

    def __init__(self, detector: Path | None, landmarks: Path | None, settings: FaceSetSettings) -> None:
        """`detector`, `landmarks`: None if the settings declare no such model. Without a detector, no face is found."""
        self._files, self._settings = (detector, landmarks), settings

    @cached_property
    def finder(self) -> FaceFinder:
        """What finds faces with them. Raises `TesseraError` if a file is not the declared one, or is no such model."""
        (detector, landmarks), settings = self._files, self._settings
        declared, of_detector = settings.landmarks.weights, settings.detector.weights
        assert detector and of_detector, "without a detector, nothing is looked for"
        model = LandmarkModel(landmarks, declared.sha256, settings.landmarks) if landmarks and declared else None
        return FaceFinder(Detector(detector, of_detector.sha256, settings.detector), model, settings.detector)

    def find(self, frames: Sequence[FrameImage]) -> list[list[FoundFace]]:
        """Return the faces in each of `frames`, see `FaceFinder.find`."""
        return self.finder.find([image for _, image in frames]) if self._files[0] else [[] for _ in frames]

    @property
    def digests(self) -> tuple[str | None, str | None]:
        """The sha256 of the detector and of the landmark model, None without one."""
        detector, landmarks = self._settings.detector.weights, self._settings.landmarks.weights
        return detector.sha256 if detector else None, landmarks.sha256 if landmarks else None


class Extracted(NamedTuple):
    """What became of a face: its row of `tables.Faces`, or why there is none."""

    key: str
    row: dict[str, Any] | None
    reason: str = ""
    detail: str = ""


def extract_faces(
    frames: Path,
    images: Path,
    sources: Path,
    subject: Subject,
    detector: Path | None,
    landmarks: Path | None,
    settings: FaceSetSettings,
    cache: Path,
    *,
    code: str,
    threads: int,
    table: Path,
    pictures: Path,
    ledger: Path,
) -> None:
    """Cut the faces out of the sampled frames of a shard, to the folder `pictures` and the `table` (`tables.Faces`).

    `frames`: `tables.Frames`, with their files in the folder `images`. `sources`: `tables.Sources`. Those that `settings` name
    are used if their content is general, whatever was admitted when the run was planned. `subject`: the person. `detector`,
    `landmarks`: the files of the models; None if there is no such one.

    `ledger` gets a row for each face, with its key, one for each frame without any, and one for each source that is refused.
    The number of a face counts what was found in its frame, the largest first, and includes what was dropped. JPEG files of
    faces with 68 landmarks hold the metadata that DeepFaceLab reads. A file that was written is never changed.

    A frame has either the faces that a person placed in it, see `placed_faces`, or those that the models find.

    The faces of a source are stored in the folder `cache` of a `Store`, under a digest of everything that they depend on,
    including `code`, and linked from there; those that a person placed are stored apart, so that the models find no others
    because of them. The models are loaded only if some are missing there. `threads` threads read, cut and write; they change no
    byte. Raises `TesseraError` if the consent of `subject` does not cover face sets today, UTC.
    """
    require_consent(subject, datetime.now(UTC).date())
    models = Models(detector, landmarks, settings)
    without_origin = {"detector": {"weights"}, "landmarks": {"weights"}}
    own = settings.model_dump(mode="json", include={"detector", "landmarks", "squares"}, exclude=without_origin)
    contents = dict(read_table(sources, Sources).select("source", "content").iter_rows())
    by_hand = read_placements(settings.landmarks_by_hand) if settings.landmarks_by_hand else {}
    rows: list[dict[str, Any]] = []
    pictures.mkdir()

    def cut(sampled: Sequence[dict[str, Any]], find: Find, folder: Path, made: Ledger) -> None:
        read = read_sampled(sampled, images, pool, 2 * threads, made)
        faces = list(_cut(read, find, models.digests, settings, folder, pool, made))
        (folder / ROWS).write_text(json.dumps(faces), encoding="utf-8")

    with stored_items(cache, "sources", ledger) as (writer, stored), ThreadPoolExecutor(threads) as pool:
        for (source,), of_source in read_table(frames, Frames).group_by("source", maintain_order=True):
            if source not in settings.sources:
                continue
            try:
                check_identifiable(contents.get(source, ""))
            except Dropped as error:
                writer.row(str(source), "dropped", error.reason, error.detail)
                continue
            sampled = of_source.to_dicts()
            known = {row["key"]: [row, sha256_if_readable(images / row["file"])] for row in sampled}
            placed = placed_faces(by_hand.get(file_name(str(source)), []), sampled, writer)
            items = []
            if placed.keys() != known.keys():
                # What is placed decides on nothing here. So it may come and go, and no model runs again.
                name = digest([models.digests, own, code, list(known.values())])
                items.append(stored(name, partial(cut, sampled, models.find), _elsewhere(placed)))
            if any(placed.values()):
                own_frames = [row for row in sampled if placed.get(row["key"])]
                given = [[known[row["key"]], _stated(placed[row["key"]])] for row in own_frames]
                find = partial(_placed, placed)
                items.append(stored(digest(["hand", own["squares"], code, given]), partial(cut, own_frames, find)))
            of_frames = {key: number for number, key in enumerate(known)}
            faces = []
            for item in items:
                for row in json.loads((item / ROWS).read_text(encoding="utf-8")):
                    if (row["frame"] in placed) == (row["placed_by"] == "hand"):
                        link_or_copy(item / row["file"], pictures / row["file"])
                        faces.append(row)
            rows += sorted(faces, key=lambda row: of_frames[row["frame"]])
    write_table(pl.DataFrame(rows, schema=types(Faces)), Faces, table)


def _elsewhere(frames: Iterable[str]) -> Callable[[str], bool]:
    """Return a function of the key of a frame, or of a face, which says whether it belongs to none of `frames`."""
    own = {part for frame in frames for part in (frame, _without_number(crop_key(frame, STEP, 0)))}
    return lambda key: not {key, _without_number(key)} & own


def _without_number(key: str) -> str:
    return key.rpartition("-")[0]


def _stated(faces: Sequence[FoundFace]) -> list[Any]:
    """Return what the files of `faces`, which a person placed, and the rows of the ledger depend on."""
    return [[face.landmarks.tolist(), face.where] for face in faces]


def _placed(placed: Mapping[str, list[FoundFace]], frames: Sequence[FrameImage]) -> list[list[FoundFace]]:
    """Return the faces that a person `placed` in each of `frames`."""
    return [placed[row["key"]] for row, _ in frames]


def _cut(
    frames: Iterable[FrameImage],
    find: Find,
    digests: tuple[str | None, str | None],
    settings: FaceSetSettings,
    folder: Path,
    pool: ThreadPoolExecutor,
    ledger: Ledger,
) -> Iterator[dict[str, Any]]:
    """Write the faces that `find` returns of `frames` to `folder`, and yield their rows of `tables.Faces`."""
    waiting = iter(frames)
    # So many frames are held in memory, that a batch of the detector is full.
    while together := list(islice(waiting, settings.detector.batch)):
        work: list[tuple[dict[str, Any], np.ndarray, str, FoundFace]] = []
        for (frame, image), faces in zip(together, find(together), strict=True):
            if not faces:
                ledger.row(frame["key"], "dropped", "no face in it")
            work += [(frame, image, crop_key(frame["key"], STEP, number), face) for number, face in enumerate(faces)]
        for made in pool.map(lambda each: _extract(*each, digests=digests, settings=settings, folder=folder), work):
            ledger.row(made.key, "ok" if made.row else "dropped", made.reason, made.detail)
            if made.row:
                yield made.row


def _extract(
    frame: dict[str, Any],
    image: np.ndarray,
    key: str,
    face: FoundFace,
    *,
    digests: tuple[str | None, str | None],
    settings: FaceSetSettings,
    folder: Path,
) -> Extracted:
    """Write the square of `face` to `folder`, unless it is too small or cannot be aligned."""
    squares = settings.squares
    height, width = image.shape[:2]
    is_by_hand = face.placed_by == "hand"
    if face.shorter_side < settings.detector.min_side and not is_by_hand:
        return Extracted(
            key, None, "face too small", f"{face.shorter_side:g} pixels; `min_side` is {settings.detector.min_side}"
        )
    try:
        matrix = align(face.landmarks, height, width, squares.face_type, squares.size)
        square = warp(image, matrix, squares.size)
    except Dropped as error:
        detail = f"{face.where}: {error.detail}; place the landmarks again" if is_by_hand else error.detail
        return Extracted(key, None, error.reason, detail)
    aligned = transform(face.landmarks, matrix)
    file = f"{key}{SUFFIX[squares.format]}"
    sha256 = _write(folder / file, square, frame["file"], face, matrix, aligned, squares)
    shown = _shown((height, width), matrix, aligned, squares.size)
    pose, reason, detail = _pose(aligned, squares.size)
    x0, y0, x1, y1 = face.box
    row = {
        "key": key,
        "source": frame["source"],
        "frame": frame["key"],
        "index": frame["index"],
        "pts": frame["pts"],
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "confidence": face.confidence,
        "turned": face.turned,
        "landmarks": face.landmarks.ravel().tolist(),
        "face_type": squares.face_type,
        "size": squares.size,
        "matrix": matrix.ravel().tolist(),
        "cut_off": round(cut_off(matrix, squares.size, height, width), DIGITS),
        "misfit": round(misfit(face.landmarks), DIGITS),
        **{name: round(value, DIGITS) for name, value in exposure(luma(square), shown)._asdict().items()},
        **{name: pose and round(getattr(pose, name), DIGITS) for name in Pose._fields},
        "placed_by": face.placed_by,
        "detector": None if is_by_hand else digests[0],
        "landmark_model": digests[1] if face.placed_by == "model" else None,
        "file": file,
        "sha256": sha256,
    }
    return Extracted(key, row, reason, detail)


def _write(
    path: Path,
    square: np.ndarray,
    frame: str,
    face: FoundFace,
    matrix: Matrix,
    aligned: np.ndarray,
    squares: SquareSettings,
) -> str:
    """Write `square` to `path`, a JPEG with the metadata of a `face` with 68 landmarks, and return the sha256 of the file.

    `frame`: the name of the file of its frame.
    """
    write_image(path, square, squares.quality)
    with path.open("r+b") as file:
        content = file.read()
        if squares.format == "jpeg" and len(aligned) == COUNT:
            name = squares.face_type if squares.face_type == "head" else f"{squares.face_type}_face"
            content = write_metadata(content, FaceMetadata(name, aligned, frame, face.box, face.landmarks, matrix))
            file.seek(0)
            file.write(content)
    return hashlib.sha256(content).hexdigest()


def _shown(shape: tuple[int, int], matrix: Matrix, aligned: np.ndarray, size: int) -> np.ndarray:
    """Return where a square shows the face: inside the hull of its landmarks, and if that is unknown, where it shows the frame.

    It is uint8 (size, size), 255 there and 0 elsewhere. `shape`: the height and width of the frame.
    """
    if len(aligned) == COUNT:
        try:
            return hull_mask(face_hull(aligned, size, size), size, size)
        except Dropped:
            pass  # Its sorts say why.
    return hull_mask(outline(matrix, *shape), size, size)


def _pose(aligned: np.ndarray, size: int) -> tuple[Pose | None, str, str]:
    """Return the pose of a face with the landmarks `aligned`, None if it is unknown, and why, for the ledger."""
    if len(aligned) != COUNT:
        return None, "", ""
    try:
        return estimate_pose(aligned, size), "", ""
    except Dropped as error:
        return None, f"no pose: {error.reason}", error.detail
