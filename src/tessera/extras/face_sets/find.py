"""Find the faces in frames: turn a frame until it shows one, and place the landmarks of each."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from tessera.core.errors import TesseraError
from tessera.extras.face_sets.landmarks import COUNT, MEAN_FIVE
from tessera.extras.face_sets.settings import FaceDetectorSettings
from tessera.imaging.boxes import Box
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region
from tessera.learning.landmark_settings import Turn
from tessera.learning.landmarks import FaceInPicture, LandmarkModel, unturned

PlacedBy: TypeAlias = Literal["detector", "model", "hand"]


class FoundFace(NamedTuple):
    """A face in a frame.

    `box`: its rectangle, x0, y0, x1, y1 in pixels of the frame. `landmarks`: float64 (68, 2) or (5, 2), x and y in pixels of
    the frame. `turned`: degrees counterclockwise by which the frame was turned when it was found. `placed_by`: what placed the
    landmarks. `where`: if that was a person, the file and the line, for messages.
    """

    box: Box
    landmarks: np.ndarray
    confidence: float
    turned: Turn
    placed_by: PlacedBy = "detector"
    where: str = ""

    @property
    def shorter_side(self) -> float:
        """The shorter side of its rectangle, pixels."""
        x0, y0, x1, y1 = self.box
        return min(x1 - x0, y1 - y0)


class FaceFinder:
    """A detector of faces, and a model that places 68 landmarks. Without the model, the detector must place five."""

    def __init__(self, detector: Detector, model: LandmarkModel | None, settings: FaceDetectorSettings) -> None:
        self._detector, self._model, self._settings = detector, model, settings

    def find(self, images: Sequence[np.ndarray]) -> list[list[FoundFace]]:
        """Return the faces in each of `images`, uint8 (H, W, 3), RGB: the largest first, and of equal ones the leftmost.

        An image is turned, as the settings say, until it shows a face. So all faces of an image were found at one turn. A face
        that is smaller than the settings ask counts too: in a picture that is turned in vain, detectors often find one.
        Raises `TesseraError` if nothing places landmarks.
        """
        found: list[list[FoundFace]] = [[] for _ in images]
        for turn in self._settings.turns:
            left = [number for number, faces in enumerate(found) if not faces]
            turned = (np.ascontiguousarray(np.rot90(images[number], turn // 90)) for number in left)
            for number, regions in zip(left, self._detector.predict(turned), strict=True):
                found[number] = self._faces(images[number], regions, turn)
        return [self._with_landmarks(image, faces) for image, faces in zip(images, found, strict=True)]

    def _faces(self, image: np.ndarray, regions: Iterable[Region], turn: Turn) -> list[FoundFace]:
        """Return the faces in the `regions` of `image` after its turn, with the landmarks of the detector."""
        height, width = image.shape[:2]
        faces = []
        for region in regions:
            corners = unturned(np.reshape(region.box, (2, 2)), turn, height, width)
            # Two decimals, as in the tables of detections: the last digits depend on the machine.
            x0, y0, x1, y1 = np.round([*corners.min(axis=0), *corners.max(axis=0)], 2).tolist()
            points = unturned(np.reshape(region.points, (-1, 2)), turn, height, width)
            faces.append(FoundFace((x0, y0, x1, y1), points, round(region.score, 4), turn))
        return by_size(faces)

    def _with_landmarks(self, image: np.ndarray, faces: Sequence[FoundFace]) -> list[FoundFace]:
        if self._model:
            placed = self._model.locate(FaceInPicture(image, face.box, face.turned) for face in faces)
            faces = [face._replace(landmarks=points, placed_by="model") for face, points in zip(faces, placed, strict=True)]
        if any(len(face.landmarks) not in {COUNT, len(MEAN_FIVE)} for face in faces):
            raise TesseraError("the detector of faces finds no landmarks; declare a model that does in `landmarks.weights`")
        return [face._replace(landmarks=np.round(face.landmarks, 2)) for face in faces]


def by_size(faces: Iterable[FoundFace]) -> list[FoundFace]:
    """Return `faces`, the largest first, and of equal ones the leftmost."""
    return sorted(faces, key=lambda face: (-_area(face.box), face.box))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
