"""The whole configuration: the settings of all rooms, checked before any job starts."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from tessera.annotations.proposals import ProposalSettings
from tessera.annotations.settings import AnnotationSettings
from tessera.degradations.settings import DegradationSettings
from tessera.detectors.predict import FinderSettings, PreviewPredictionSettings, TrainedFinderSettings
from tessera.detectors.settings import DetectorSettings
from tessera.duplicates import DuplicateSettings
from tessera.figures import ReportSettings
from tessera.frames import FrameSettings
from tessera.mosaics.settings import MosaicSettings
from tessera.previews import RenderSettings
from tessera.regions import RegionSettings
from tessera.settings import Settings, load
from tessera.sources import SourceSettings
from tessera.splits import SplitSettings
from tessera.watermarks.settings import WatermarkSettings


class GateSettings(Settings):
    """The fraction of items that may fail in a room before the run stops."""

    sources: float = Field(0.5, ge=0, le=1)
    frames: float = Field(0.05, ge=0, le=1)
    labels: float = Field(0.05, ge=0, le=1)


class Models(Settings):
    """The detectors that are trained."""

    nsfw_detection: DetectorSettings = DetectorSettings()


class Finders(Settings):
    """The detectors that look at the sampled frames."""

    nsfw: TrainedFinderSettings = TrainedFinderSettings()
    watermark: TrainedFinderSettings = TrainedFinderSettings()
    mosaic: FinderSettings = FinderSettings()
    face: FinderSettings = FinderSettings()
    head: FinderSettings = FinderSettings()


class Regions(Settings):
    """What gets a mosaic: what is looked for in the sampled frames, and what of it is chosen."""

    detectors: Finders = Finders()
    choose: RegionSettings = RegionSettings()

    @model_validator(mode="after")
    def _something_is_found(self) -> Self:
        if not (self.detectors.nsfw.weights or self.detectors.face.weights or self.detectors.head.weights):
            raise ValueError("one of `detectors.nsfw`, `detectors.face` and `detectors.head` needs `weights`")
        for name, confidence in self.choose.confidence:
            lowest = getattr(self.detectors, name).confidence
            if confidence < lowest:
                raise ValueError(
                    f"`choose.confidence.{name}` is {confidence:g}, and nothing below {lowest:g} is found: "
                    f"lower `detectors.{name}.confidence`"
                )
        return self


class Preview(Settings):
    """What `snakemake preview` shows of which sources, and what it offers for correction."""

    sources: tuple[str, ...] = ()
    model: Literal["nsfw_detection"] = "nsfw_detection"
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
    degradations: DegradationSettings = DegradationSettings()
    mosaics: MosaicSettings = MosaicSettings()
    splits: SplitSettings = SplitSettings()
    models: Models = Models()
    regions: Regions = Regions()
    preview: Preview = Preview()
    report: ReportSettings = ReportSettings()


def load_configuration(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` completed by every default, as plain JSON types. Raises `TesseraError` that lists every fault."""
    return load(Configuration, values, "the configuration").model_dump(mode="json")
