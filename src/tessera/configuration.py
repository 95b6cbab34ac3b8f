"""The whole configuration: the settings of all rooms, checked before any job starts."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from tessera.core.settings import Settings, load
from tessera.core.trainings import TrainingsSettings
from tessera.core.weights.declare import WeightsSettings
from tessera.imaging.degradation.settings import DegradationSettings
from tessera.imaging.detection.settings import FinderSettings, TrainedFinderSettings, WatermarkFinderSettings
from tessera.imaging.mosaic.settings import MosaicSettings
from tessera.pipeline.clips.settings import ClipSettings
from tessera.pipeline.datasets.splits import SplitSettings
from tessera.pipeline.detectors.settings import DetectorSettings, MosaicDetector, WatermarkDetector, task_of
from tessera.pipeline.filters.filtering import FilterSettings
from tessera.pipeline.footage.admission import SourceSettings
from tessera.pipeline.footage.duplicates import DuplicateSettings
from tessera.pipeline.footage.sampling import FrameSettings
from tessera.pipeline.labels.settings import AnnotationSettings
from tessera.pipeline.previews.predict import PreviewPredictionSettings
from tessera.pipeline.previews.proposals import ProposalSettings
from tessera.pipeline.previews.rendering import RenderSettings
from tessera.pipeline.regions.choose import RegionSettings
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.restoration.settings import RestorationSettings
from tessera.pipeline.scenes.detect import VideoFinderSettings
from tessera.pipeline.scenes.track import TrackSettings
from tessera.pipeline.scenes.tracks import SceneSettings
from tessera.pipeline.watermarks.settings import WatermarkSettings
from tessera.records.decisions import DEFAULT as DECISIONS


class GateSettings(Settings):
    """The fraction of items that may fail in a room before the run stops."""

    sources: float = Field(0.5, ge=0, le=1)
    frames: float = Field(0.05, ge=0, le=1)
    labels: float = Field(0.05, ge=0, le=1)
    watermarks: float = Field(0.05, ge=0, le=1)
    regions: float = Field(0.05, ge=0, le=1)
    mosaics: float = Field(0.05, ge=0, le=1)
    scenes: float = Field(0.2, ge=0, le=1)
    clips: float = Field(0.05, ge=0, le=1)


class Models(Settings):
    """The detectors that are trained; none where one is not wanted."""

    nsfw_detection: DetectorSettings | None = DetectorSettings()
    watermark_detection: WatermarkDetector | None = WatermarkDetector()
    mosaic_detection: MosaicDetector | None = MosaicDetector()

    @field_validator("nsfw_detection", "mosaic_detection")
    @classmethod
    def _finds_masks(cls, model: DetectorSettings | None) -> DetectorSettings | None:
        if model and task_of(model.architecture) != "segment":
            raise ValueError(f"`architecture` {model.architecture!r} finds boxes, and masks are needed: name one with -seg")
        return model


class Finders(Settings):
    """The detectors that look at the sampled frames."""

    nsfw: TrainedFinderSettings = TrainedFinderSettings()
    watermark: WatermarkFinderSettings = WatermarkFinderSettings()
    mosaic: FinderSettings = FinderSettings()
    face: FinderSettings = FinderSettings()
    head: FinderSettings = FinderSettings()


class Regions(Settings):
    """What gets a mosaic: what is looked for in the sampled frames, and what of it is chosen."""

    detectors: Finders = Finders()
    choose: RegionSettings = RegionSettings()


class Scenes(Settings):
    """Where videos show what clips are made of."""

    detect: VideoFinderSettings = VideoFinderSettings()
    track: TrackSettings = TrackSettings()
    choose: SceneSettings = SceneSettings()


class WatermarkScorerSettings(WatermarkFinderSettings):
    """The detector of watermarks, as it looks at clips."""

    confidence: float = Field(0.4, gt=0, lt=1)


class MosaicScorerSettings(TrainedFinderSettings):
    """The detector of mosaics, as it looks at clips."""

    weights: Literal["trained"] | WeightsSettings | None = None
    confidence: float = Field(0.8, gt=0, lt=1)


class NsfwScorerSettings(FinderSettings):
    """A second detector that says whether clips show what they should."""

    confidence: float = Field(0.15, gt=0, lt=1)
    image_size: int | None = Field(640, ge=32, multiple_of=32)


class Scorers(Settings):
    """The detectors that look at clips."""

    watermark: WatermarkScorerSettings = WatermarkScorerSettings()
    mosaic: MosaicScorerSettings = MosaicScorerSettings()
    nsfw: NsfwScorerSettings = NsfwScorerSettings()


class Scores(Settings):
    """What is measured of clips."""

    samples: int = Field(16, ge=2)
    detectors: Scorers = Scorers()
    nsfw_classes: tuple[str, ...] = ("FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED")
    quality: WeightsSettings | None = None


class Preview(Settings):
    """What `snakemake preview` shows of which sources, and what it offers for correction."""

    sources: tuple[str, ...] = ()
    model: Literal["nsfw_detection", "watermark_detection", "mosaic_detection"] = "nsfw_detection"
    confidence: float = Field(0.25, gt=0, lt=1)
    predict: PreviewPredictionSettings = PreviewPredictionSettings()
    render: RenderSettings = RenderSettings()
    proposals: ProposalSettings = ProposalSettings()


class Configuration(Settings):
    """config/config.yaml."""

    manifest: Path = Path("config/sources.tsv")
    shards: Literal["per_source"] | PositiveInt = "per_source"
    seed: int = Field(0, ge=0)
    gates: GateSettings = GateSettings()
    sources: SourceSettings = SourceSettings()
    frames: FrameSettings = FrameSettings()
    duplicates: DuplicateSettings = DuplicateSettings()
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
    splits: SplitSettings = SplitSettings()
    trainings: TrainingsSettings = TrainingsSettings()
    models: Models = Models()
    restoration: RestorationSettings = RestorationSettings()
    preview: Preview = Preview()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _mosaics_can_be_made(self) -> Self:
        if self.models.mosaic_detection is None:
            return self
        finders = self.regions.detectors
        for name, model in (("nsfw", self.models.nsfw_detection), ("watermark", self.models.watermark_detection)):
            if getattr(finders, name).weights == "trained" and model is None:
                raise ValueError(
                    f"`regions.detectors.{name}.weights` is `trained`, and `models.{name}_detection` is null: "
                    "name weights, or null"
                )
        if not (finders.nsfw.weights or finders.face.weights or finders.head.weights):
            raise ValueError(
                "one of `regions.detectors.nsfw`, `.face` and `.head` needs `weights`, or there is nothing to cover"
            )
        for name, confidence in self.regions.choose.confidence:
            lowest = getattr(finders, name).confidence
            if confidence < lowest:
                raise ValueError(
                    f"`regions.choose.confidence.{name}` is {confidence:g}, and nothing below {lowest:g} is found: "
                    f"lower `regions.detectors.{name}.confidence`"
                )
        return self

    @model_validator(mode="after")
    def _clips_can_be_made(self) -> Self:
        if self.scenes.detect.weights is None:
            return self
        lookers = {
            "scenes.detect": (self.scenes.detect, "nsfw"),
            "scores.detectors.watermark": (self.scores.detectors.watermark, "watermark"),
            "scores.detectors.mosaic": (self.scores.detectors.mosaic, "mosaic"),
        }
        for place, (looker, name) in lookers.items():
            if looker.weights == "trained" and getattr(self.models, f"{name}_detection") is None:
                raise ValueError(
                    f"`{place}.weights` is `trained`, and `models.{name}_detection` is null: name weights, or null"
                    " (`scenes.detect.weights: null` makes no clips at all)"
                )
        return self


def load_configuration(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` completed by every default, as plain JSON types. Raises `TesseraError` that lists every fault."""
    return load(Configuration, values, "the configuration").model_dump(mode="json")
