"""The models of the settings, section by section."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, create_model, field_validator, model_validator

from tessera.catalogue import DATASETS, DETECTOR, MODELS, dataset_of
from tessera.core.settings import Settings
from tessera.extras.active_learning.settings import AskSettings
from tessera.extras.classifiers.settings import ClassifierSettings, ScoreSettings
from tessera.extras.crops.settings import CropSettings
from tessera.extras.degraded_copies.settings import ConceptSettings
from tessera.extras.harvest.settings import HarvestSettings
from tessera.extras.identities.settings import IdentitySettings
from tessera.extras.image_sets.settings import ImageSetSettings
from tessera.extras.near_duplicates.settings import Embeddings
from tessera.extras.tagging.settings import TaggerSettings
from tessera.imaging.degradation.settings import DegradationSettings
from tessera.imaging.mosaic.settings import MosaicSettings
from tessera.imaging.sheets import RenderSettings
from tessera.learning.classification.settings import Labels, Tiling
from tessera.learning.detection.settings import DetectionSettings, TrainedDetectionSettings, WatermarkDetectionSettings
from tessera.learning.detection.tracking import TrackSettings
from tessera.learning.search import SearchSettings
from tessera.learning.trainings import TrainingsSettings
from tessera.learning.weights.declare import WeightsSettings
from tessera.pages.report.settings import ReportSettings
from tessera.pages.review.settings import ReviewSettings
from tessera.records.confidence import ConfidenceTarget
from tessera.records.decisions import DEFAULT as DECISIONS
from tessera.records.limits import FilterSettings, ScoreLimit
from tessera.stages.clips.detect import VideoDetectionSettings
from tessera.stages.clips.settings import ClipSettings
from tessera.stages.clips.tracks import SceneSettings
from tessera.stages.datasets.settings import CroissantSettings, OfDataset
from tessera.stages.datasets.splits import SplitSettings
from tessera.stages.detectors.predict import PreviewDetectionSettings
from tessera.stages.detectors.watch import VideoMetricSettings
from tessera.stages.footage.admission import SourceSettings
from tessera.stages.footage.duplicates import DuplicateSettings
from tessera.stages.footage.sampling import FrameSettings
from tessera.stages.labels.proposals import ProposalSettings
from tessera.stages.labels.settings import AnnotationSettings
from tessera.stages.mosaics.choose import RegionSettings
from tessera.stages.restoration.settings import RestorationSettings
from tessera.stages.restore.settings import RestoreSettings
from tessera.stages.watermarks.settings import WatermarkSettings

DETECTORS = [model.name for model in MODELS if model.kind is DETECTOR]
ALLOWED = {"harvest": 0.2, "sources": 0.5, "scenes": 0.2}  # fraction of items that may fail, if not `ALLOWED_ELSEWHERE`
ALLOWED_ELSEWHERE = 0.05
# They become part of the names of rules and files.
PlainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Confidence = Annotated[float, Field(gt=0, lt=1)] | ConfidenceTarget
MeanConfidence = Annotated[float, Field(ge=0, le=1)] | ConfidenceTarget  # of the detections of a track


def _gates() -> dict[str, Any]:
    gates = dict.fromkeys(
        [
            "harvest",
            "sources",
            *(gate for dataset in (*DATASETS, dataset_of("")) for gate in dataset.gates),
            "crops",
            "tags",
            "embeddings",
            "identities",
            "scores",
        ]
    )
    return {gate: (float, Field(ALLOWED.get(gate, ALLOWED_ELSEWHERE), ge=0, le=1)) for gate in gates}


def _models() -> dict[str, Any]:
    return {model.name: (type(model.settings) | None, model.settings) for model in MODELS if model.settings is not None}


def _comparisons() -> dict[str, Any]:
    types: dict[str, Any] = {model.name: model.kind.compared for model in MODELS}
    return {name: (tuple[compared, ...], ()) for name, compared in types.items() if compared}  # type: ignore[valid-type]


GateSettings: Any = create_model(
    "GateSettings",
    __base__=Settings,
    __doc__="The fraction of items that may fail in the steps of a gate before the run stops.",
    **_gates(),
)
Models: Any = create_model(
    "Models",
    __base__=Settings,
    __doc__="The models that are trained and have no section of their own; null if one is not wanted.",
    **_models(),
)


Comparisons: Any = create_model(
    "Comparisons",
    __base__=Settings,
    __doc__="Weights of others that are measured on the same splits as the models that are trained here.",
    **_comparisons(),
)


class PictureSettings(Settings):
    """Where the pictures of a classifier come from."""

    sets: tuple[str, ...] = ()
    regions: OfDataset | None = None
    degraded: ConceptSettings | None = None


class Classifier(ClassifierSettings):
    """A classifier of pictures, and where its pictures come from."""

    pictures: PictureSettings


class DeclaredClassifier(Settings):
    """A classifier that was trained elsewhere: a .safetensors of Tessera, or of CityClassifiers, with its `labels`."""

    weights: WeightsSettings
    labels: Labels | None = None
    embedding: str | None = None
    tiling: Tiling | None = None

    @model_validator(mode="after")
    def _is_a_head_of_city(self) -> Self:
        if self.labels is not None and self.embedding is None:
            raise ValueError("`embedding` should be stated beside `labels`: a file of CityClassifiers is a head on its vectors")
        return self

    @field_validator("weights")
    @classmethod
    def _is_no_onnx(cls, weights: WeightsSettings) -> WeightsSettings:
        if weights.file.endswith(".onnx"):
            raise ValueError("should be the .safetensors that was exported beside the ONNX model")
        return weights


class RegionDetectors(Settings):
    """The detectors that run on the sampled frames."""

    nsfw: TrainedDetectionSettings = TrainedDetectionSettings()
    watermark: WatermarkDetectionSettings = WatermarkDetectionSettings()
    mosaic: DetectionSettings = DetectionSettings()
    face: DetectionSettings = DetectionSettings()
    head: DetectionSettings = DetectionSettings()


class Regions(Settings):
    """The detection of regions in the sampled frames, and the choice of those that get a mosaic."""

    detectors: RegionDetectors = RegionDetectors()
    choose: RegionSettings = RegionSettings()


class ChosenSceneSettings(SceneSettings):
    """Which tracks become scenes. The confidence may be a target."""

    confidence: MeanConfidence = 0.5  # type: ignore[assignment]  # a number when the stage reads it


class Scenes(Settings):
    """The detection, tracking and choice of the scenes in videos that clips are cut from."""

    detect: VideoDetectionSettings = VideoDetectionSettings()
    track: TrackSettings = TrackSettings()
    choose: ChosenSceneSettings = ChosenSceneSettings()


class WatermarkScoreSettings(WatermarkDetectionSettings):
    """The detector of watermarks in clips."""

    confidence: Confidence = 0.4  # type: ignore[assignment]  # a number when the stage reads it


class MosaicScoreSettings(TrainedDetectionSettings):
    """The detector of mosaics in clips."""

    weights: Literal["trained"] | WeightsSettings | None = None
    confidence: Confidence = 0.8  # type: ignore[assignment]  # a number when the stage reads it


class NsfwScoreSettings(TrainedDetectionSettings):
    """A second detector, which checks the content of clips."""

    weights: Literal["trained"] | WeightsSettings | None = None
    confidence: float = Field(0.15, gt=0, lt=1)
    image_size: int | None = Field(640, ge=32, multiple_of=32)


class ScoreDetectors(Settings):
    """The detectors that run on clips."""

    watermark: WatermarkScoreSettings = WatermarkScoreSettings()
    mosaic: MosaicScoreSettings = MosaicScoreSettings()
    nsfw: NsfwScoreSettings = NsfwScoreSettings()


class Scores(Settings):
    """The measurements of clips."""

    samples: int = Field(16, ge=2)
    detectors: ScoreDetectors = ScoreDetectors()
    nsfw_classes: tuple[str, ...] = ("FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED")
    quality: WeightsSettings | None = None
    classifiers: tuple[PlainName, ...] = ()


class RestoredSceneSettings(SceneSettings):
    """Which regions are restored, and how their masks and boxes are smoothed: also short ones, each as it was detected."""

    minimum: PositiveFloat = 0.01
    maximum: PositiveFloat = 60.0
    confidence: MeanConfidence = 0.25  # type: ignore[assignment]  # a number when the stage reads it
    extension: tuple[Annotated[int, Field(ge=0, le=10)], ...] = Field((0,), min_length=1)


class Restore(RestoreSettings):
    """How the mosaics in the videos whose column `use` in the manifest names `restore` are found and restored."""

    shown: tuple[str, ...] = ()
    """Ids of restored videos that the report shows before and after their restoration."""
    detect: VideoDetectionSettings = VideoDetectionSettings()
    """Detector that finds the mosaics."""
    track: TrackSettings = TrackSettings()
    """How detections are tracked. The settings are those of `scenes.track`."""
    choose: RestoredSceneSettings = RestoredSceneSettings()
    """Which regions are restored. The settings are those of `scenes.choose`. The confidence may be a target too."""


class Preview(Settings):
    """The previews that `snakemake preview` renders, and the labels that it proposes for correction."""

    sources: tuple[str, ...] = ()
    model: str = DETECTORS[0]
    confidence: Confidence = 0.25
    predict: PreviewDetectionSettings = PreviewDetectionSettings()
    render: RenderSettings = RenderSettings()
    proposals: ProposalSettings = ProposalSettings()

    @field_validator("model")
    @classmethod
    def _is_a_detector(cls, name: str) -> str:
        if name not in DETECTORS:
            raise ValueError(f"should be one of {', '.join(DETECTORS)}; `snakemake restore` restores videos")
        return name


# Only `Configuration` validates values. To build the validator of this base too would slow down each import.
class Sections(Settings, defer_build=True):
    """All sections of the settings, each valid in itself."""

    name: str = Field("", max_length=80)
    manifest: Path = Path("config/sources.tsv")
    shards: Literal["auto", "per_source"] | PositiveInt = "auto"
    seed: int = Field(0, ge=0)
    gates: GateSettings = GateSettings()
    harvest: HarvestSettings = HarvestSettings()
    sources: SourceSettings = SourceSettings()
    frames: FrameSettings = FrameSettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    crops: CropSettings = CropSettings()
    tagger: TaggerSettings | None = None
    embeddings: Embeddings = Field({})
    identities: IdentitySettings | None = None
    annotations: AnnotationSettings = AnnotationSettings()
    watermarks: WatermarkSettings = WatermarkSettings()
    regions: Regions = Regions()
    mosaics: MosaicSettings = MosaicSettings()
    degradations: DegradationSettings = DegradationSettings()
    scenes: Scenes = Scenes()
    clips: ClipSettings = ClipSettings()
    scores: Scores = Scores()
    filters: FilterSettings = FilterSettings()
    decisions: Path = DECISIONS
    drops: dict[str, dict[str, ScoreLimit]] = Field({})
    splits: SplitSettings = SplitSettings()
    croissant: CroissantSettings = CroissantSettings()
    trainings: TrainingsSettings = TrainingsSettings()
    models: Models = Models()
    classifiers: dict[PlainName, Classifier] = Field({})
    declared_classifiers: dict[PlainName, DeclaredClassifier] = Field({})
    search: dict[PlainName, SearchSettings] = Field({})
    restoration: RestorationSettings = RestorationSettings()
    image_sets: dict[PlainName, ImageSetSettings] = Field({})
    comparisons: Comparisons = Comparisons()
    video_metrics: VideoMetricSettings = VideoMetricSettings()
    ask: AskSettings = AskSettings()
    preview: Preview = Preview()
    restore: Restore = Restore()
    score: ScoreSettings = ScoreSettings()
    report: ReportSettings = ReportSettings()
    review: ReviewSettings = ReviewSettings()
