"""Settings of face sets."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from tessera.core.files import InputFile, not_an_address
from tessera.core.messages import Message
from tessera.core.settings import Fraction, Settings
from tessera.extras.face_sets.alignment import FaceType
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.face_model_settings import FaceModelSettings
from tessera.learning.landmark_settings import LandmarkSettings, Turn
from tessera.learning.mask_settings import MaskModelSettings
from tessera.learning.weights.declare import DeclaredWeights, WeightsSettings


class FaceDetectorSettings(InferenceSettings):
    """The detector of faces. The smallest side, the overlap and the turns are those of DeepFaceLab."""

    weights: WeightsSettings | None = Field("centerface", validate_default=True)
    """Weights of the detector: a name in resources/weights.tsv, {source: a path or https://…, sha256: …}, or {package: …,
    file: …, sha256: …}. CenterFace also finds five landmarks. A detector that finds none needs a model in `landmarks`.
    `null` finds no face: there are only those in `landmarks_by_hand`.
    """
    confidence: float = Field(0.5, gt=0, lt=1)
    """Smallest confidence of a face."""
    iou: Fraction = 0.3
    """Largest overlap (intersection over union) of two faces. Of two that overlap more, the more confident one is kept."""
    min_side: PositiveInt = 40
    """Shorter side of the rectangle of the smallest face, in pixels of the frame."""
    turns: Annotated[tuple[Turn, ...], Field(min_length=1)] = (0, 90, 270, 180)
    """Degrees by which a frame is turned counterclockwise, in this order, until a face is found in it."""

    @field_validator("turns")
    @classmethod
    def _each_turn_once(cls, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return tuple(dict.fromkeys(turns))


class SquareSettings(Settings):
    """The squares that are cut out around faces."""

    face_type: FaceType = "whole"
    """How much a square shows: `half` from the brows to the mouth, `midfull` a little more, `full` the face, `whole` with the
    forehead, `head` with the hair.
    """
    size: int = Field(512, ge=64, le=2048, multiple_of=2)
    """Side of a square in pixels."""
    format: Literal["jpeg", "png"] = "jpeg"
    """File format of the squares: `jpeg`, or `png`, which is lossless."""
    quality: int = Field(90, ge=1, le=100)
    """Quality of JPEG, from 1 to 100."""


class IdentitySettings(FaceModelSettings):
    """A model that tells people apart by their faces. The defaults are those of SFace (Zhong et al. 2021)."""

    weights: DeclaredWeights = None
    """Weights of the model: a name in resources/weights.tsv, {source: a path or https://…, sha256: …}, or {package: …, file: …,
    sha256: …}. It is a file .onnx with one input (faces, 3, size, size) and an output (faces, numbers). `null` tells nobody
    apart.
    """
    size: int = Field(112, ge=16, le=2048)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1 / 255, 1 / 255, 1 / 255)
    alignment: Literal["arcface"] | FaceType = "arcface"
    """How a face becomes the input. `arcface` moves eyes, nose and mouth to their places in ArcFace, as most models want it.
    The others are those of `squares.face_type`.
    """
    references: tuple[str, ...] = ()
    """Ids of those of `sources` that show the person alone. Without any, the person is whom most faces of the set show."""

    @field_validator("weights")
    @classmethod
    def _is_onnx(cls, weights: WeightsSettings | None) -> WeightsSettings | None:
        if weights and not weights.file.endswith(".onnx"):
            raise ValueError("should be a file .onnx: export the model")
        return weights


class FaceFilterSettings(Settings):
    """Which faces are left out. `null` leaves out none for this reason, and neither does what could not be measured."""

    max_cut_off: Fraction | None = 0.1
    """Largest fraction of a square that lies outside its frame."""
    max_misfit: PositiveFloat | None = 0.1
    """Largest distance of the landmarks from those of the mean face, in sides of that face. More is misplaced, unless a person
    placed them.
    """
    max_occlusion: Fraction | None = None
    """Largest fraction of the hull of the 68 landmarks that a mask of a model or by hand leaves out, because something covers
    the face. What is usual depends on the model: the column `occlusion` of `masks.parquet` has the fractions.
    """
    min_sharpness: Fraction | None = None
    """Smallest fraction of the edges of a face that look sharp. It is measured where there are 68 landmarks. What is usual
    depends on the size of the squares and of the faces in the frames: the sheet of the sort `blur` shows it.
    """
    rare: NonNegativeInt = 5
    """A blurred face stays if at most so many faces of the set, itself included, look in its direction."""
    max_dark: Fraction | None = 0.5
    """Largest fraction of a face that is nearly black."""
    max_bright: Fraction | None = 0.2
    """Largest fraction of a face that is nearly white."""
    min_contrast: NonNegativeFloat | None = 12.0
    """Smallest standard deviation of the brightness of a face, in levels of 0 to 255."""
    max_distance: float | None = Field(0.637, ge=0, le=2)
    """Largest distance of a face from the person, whom the model in `identity` tells from others: 1 less the cosine of the
    angle between their vectors. More is another person. The default is that of OpenCV for SFace.
    """
    alone: bool = False
    """Whether faces are left out whose frame shows several."""
    best: PositiveInt | None = None
    """Number of faces to select of all that are left: sharp ones that differ, and look in all directions. It needs 68
    landmarks.
    """


class FacePackSettings(Settings):
    """A faceset.pak of others that shows one person."""

    path: Annotated[InputFile, BeforeValidator(not_an_address)]
    """Path of the pack. Nothing is done to it."""
    subject: str = Field(min_length=1)
    """Name of the person in the table of `subjects`. No one else may be in the pack."""
    content: Literal["general", "adult"]
    """Content of the footage that the faces are from, `general` or `adult`. Packs of faces of adult footage are refused."""
    rights: str = Field(min_length=1)
    """Licence or contract reference of that footage."""


class FaceSetSettings(Settings):
    """A set of the faces of one person."""

    subject: str = Field(min_length=1)
    """Name of the person in the table of `subjects`."""
    sources: tuple[str, ...] = Field(min_length=1)
    """Ids of the sources that show the person. Their `content` must be general."""
    # Not at import: it looks its weights up in a table.
    detector: FaceDetectorSettings = Field(default_factory=FaceDetectorSettings)
    """The detector of faces."""
    landmarks: LandmarkSettings = LandmarkSettings()
    """The model that finds 68 landmarks of a face. Without one, faces are aligned by the five landmarks of the detector. Then
    their pose is unknown, their hull is no mask, and they are not packed, unless a person placed 68 landmarks.
    """
    landmarks_by_hand: Annotated[Path, BeforeValidator(not_an_address)] | None = None
    """Landmarks that a person placed, which replace what is found in their frames: a table, or a folder with tables (.tsv) and
    files of labelme (.json). docs/faces.md explains both.
    """
    squares: SquareSettings = SquareSettings()
    """The squares that are cut out around faces."""
    masks: MaskModelSettings = MaskModelSettings()
    """The model that outlines the face in its square. Without one, a mask is the hull of the landmarks if they are 68."""
    masks_by_hand: Annotated[Path, BeforeValidator(not_an_address)] | None = None
    """Folder with masks that a person drew, which go before all others: files of labelme (.json), or JPEG files with the
    polygons of DeepFaceLab, named after the faces. docs/faces.md explains both.
    """
    identity: IdentitySettings = IdentitySettings()
    """The model that tells other people from the person."""
    filter: FaceFilterSettings = FaceFilterSettings()
    """Which faces are left out."""
    pack: bool = False
    """Whether the set is also written as one file, the faceset.pak of DeepFaceLab. It needs 68 landmarks, and JPEG files."""

    @field_validator("sources")
    @classmethod
    def _each_source_once(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(sources))

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        faults: list[Message] = []
        if self.landmarks.weights is None and self.landmarks_by_hand is None:
            needing = {"pack": self.pack, "filter.best": self.filter.best}
            fix = "declare a model in `landmarks.weights`, or place them in `landmarks_by_hand`"
            faults += [f"`{name}` needs 68 landmarks: {fix}" for name, use in needing.items() if use]
        if self.filter.max_occlusion is not None and self.masks.weights is None and self.masks_by_hand is None:
            faults.append(
                "`filter.max_occlusion` needs masks: declare a model in `masks.weights`, or draw them in `masks_by_hand`"
            )
        if self.detector.weights is None and self.landmarks_by_hand is None:
            faults.append("`detector.weights: null` finds no face: name a detector, or place faces in `landmarks_by_hand`")
        if self.identity.references and self.identity.weights is None:
            faults.append("`identity.references` needs a model: declare one in `identity.weights`")
        faults += [
            f"`identity.references` names {source!r}, which is not in `sources`"
            for source in self.identity.references
            if source not in self.sources
        ]
        if self.pack and self.squares.format != "jpeg":
            faults.append("`pack` needs `squares.format: jpeg`, because DeepFaceLab packs no other files")
        if faults:
            raise ValueError("; ".join(faults))
        return self
