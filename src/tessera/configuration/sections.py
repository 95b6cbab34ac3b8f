"""The models of the settings, section by section."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import Field, PositiveFloat, PositiveInt, create_model, field_validator, model_validator

from tessera.catalogue import DETECTOR, GATES, MODELS
from tessera.core.settings import Fraction, Settings
from tessera.extras.active_learning.settings import AskSettings
from tessera.extras.classifiers.settings import ClassifierSettings, ScoreSettings
from tessera.extras.crops.settings import CropSettings
from tessera.extras.degraded_copies.settings import ConceptSettings
from tessera.extras.face_sets.settings import FacePackSettings, FaceSetSettings
from tessera.extras.harvest.settings import HarvestSettings
from tessera.extras.identities.settings import IdentitySettings
from tessera.extras.image_sets.settings import ImageSetSettings
from tessera.extras.near_duplicates.settings import Embeddings
from tessera.extras.tagging.settings import TaggerSettings
from tessera.imaging.degradation.settings import DegradationSettings
from tessera.imaging.mosaic.settings import MosaicSettings
from tessera.imaging.sheets import RenderSettings
from tessera.learning.classification.settings import Labels, Tiling
from tessera.learning.detection.grids import GridSettings
from tessera.learning.detection.settings import (
    DetectionSettings,
    InferenceSettings,
    RegionDetectionSettings,
    RuntimeSettings,
    TrainedDetectionSettings,
    WatermarkDetectionSettings,
)
from tessera.learning.detection.tracking import MosaicTrackSettings, TrackSettings
from tessera.learning.search import SearchSettings
from tessera.learning.trainings import TrainingsSettings
from tessera.learning.weights.declare import TrainedOrDeclaredDetector, TrainedOrOtherWeights, WeightsSettings
from tessera.pages.report.settings import ReportSettings
from tessera.pages.review.settings import ReviewSettings
from tessera.records.confidence import ConfidenceTarget
from tessera.records.decisions import DEFAULT as DECISIONS
from tessera.records.limits import FilterSettings, ScoreLimit
from tessera.stages.clips.detect import SceneDetectionSettings, VideoDetectionSettings
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
# The gates that expect more failures than others: of the addresses of pictures, of the sources, and of the videos in which
# regions are detected and the regions followed in them.
HIGHER_GATES = {"harvest": 0.2, "sources": 0.5, "scenes": 0.2}
# They become part of the names of rules and files.
PlainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Confidence = Annotated[float, Field(gt=0, lt=1)] | ConfidenceTarget
MeanConfidence = Annotated[float, Field(ge=0, le=1)] | ConfidenceTarget  # of the detections of a track


def _models() -> dict[str, Any]:
    return {
        model.name: (type(model.settings) | None, Field(model.settings, description=f"Training and export of {model.name}."))
        for model in MODELS
        if model.settings is not None
    }


def _comparisons() -> dict[str, Any]:
    types: dict[str, Any] = {model.name: model.kind.compared for model in MODELS}
    return {
        name: (tuple[compared, ...], Field((), description=f"Compared with {name}."))  # type: ignore[valid-type]
        for name, compared in types.items()
        if compared
    }


def _gates() -> dict[str, Any]:
    checked = {
        "sources": "the check of the sources",
        **{gate: " and ".join(f"`{step.name}`" for step in steps) for gate, steps in GATES.items()},
        "crops": "cropping, and embedding crops",
        "tags": "tagging",
        "embeddings": "embedding",
        "identities": "identification, and reading references",
        "faces": "cutting out faces",
        "scores": "scoring frames for `drops`",
    }
    return {
        gate: (Fraction, Field(HIGHER_GATES.get(gate, 0.05), description=f"Fraction that may fail in {steps}."))
        for gate, steps in checked.items()
    }


class GateDefault(Settings):
    """The fraction of items that may fail in a step before the run stops."""

    default: Fraction = 0.05
    """Fraction of the items of a step that may fail. It holds for each gate that states no other."""

    @model_validator(mode="before")
    @classmethod
    def _in_each_gate(cls, values: Any) -> Any:
        if isinstance(values, dict) and "default" in values:
            others = cls.model_fields.keys() - HIGHER_GATES
            return {**dict.fromkeys(others, values["default"]), **values}
        return values


GateSettings: Any = create_model(
    "GateSettings",
    __base__=GateDefault,
    __doc__=GateDefault.__doc__,
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
    """Names of sets in `annotations.image_labels`."""
    regions: OfDataset | None = None
    """Images of a dataset of regions, by whether they show a region."""
    degraded: ConceptSettings | None = None
    """Sampled frames, and copies of them at each level."""


class Classifier(ClassifierSettings):
    """A classifier of pictures, and where its pictures come from."""

    pictures: PictureSettings
    """Where its pictures come from: `sets`, `regions`, `degraded`, or several of these."""


class DeclaredClassifier(Settings):
    """A classifier that was trained elsewhere: of Tessera, of CityClassifiers with its `labels`, or Open-NSFW."""

    weights: WeightsSettings
    """File of the classifier: {source: a path or https://…, sha256: …}, or a name in resources/weights.tsv."""
    labels: Labels | None = None
    """Of a file of CityClassifiers: its classes in their order, or {least: 0.0, most: 1.0} for a score."""
    embedding: str | None = None
    """Of a head: the name in `embeddings` of the model that makes its vectors."""
    tiling: Tiling | None = None
    """How large pictures are divided into tiles, as in `classifiers`. `null` scales whole pictures."""

    @model_validator(mode="after")
    def _is_a_head_of_city(self) -> Self:
        if self.labels is not None and self.embedding is None:
            raise ValueError("`embedding` should be stated beside `labels`: a file of CityClassifiers is a head on its vectors")
        if self.embedding is not None and self.weights.file.endswith(".onnx"):
            raise ValueError("`weights` should be the .safetensors that was exported beside the ONNX model of a head")
        return self


class RegionDetectors(Settings):
    """The detectors that run on the sampled frames."""

    nsfw: RegionDetectionSettings = RegionDetectionSettings()
    """Detector of the regions that get a mosaic of the class nsfw."""
    watermark: WatermarkDetectionSettings = WatermarkDetectionSettings()
    """Detector of watermarks. Regions that a watermark overlaps get no mosaic."""
    mosaic: DetectionSettings = DetectionSettings()
    """Detector of mosaics that are already in the footage. Frames that show one are left out."""
    face: DetectionSettings = DetectionSettings()
    """Detector of faces, which get a mosaic of the class sfw."""
    head: DetectionSettings = DetectionSettings()
    """Detector of heads, which get a mosaic of the class sfw."""


class Regions(Settings):
    """The detection of regions in the sampled frames, and the choice of those that get a mosaic."""

    detectors: RegionDetectors = RegionDetectors()
    """Detectors that are run on the sampled frames."""
    choose: RegionSettings = RegionSettings()
    """Which detections count, and the shape of the region."""


class ChosenSceneSettings(SceneSettings):
    """Which tracks become scenes. The confidence may be a target."""

    confidence: MeanConfidence = 0.5  # type: ignore[assignment]  # a number when the stage reads it


class Scenes(Settings):
    """The detection, tracking and choice of the scenes in videos that clips are cut from."""

    detect: SceneDetectionSettings = SceneDetectionSettings()
    """Detector that is run on the videos that feed mosaic_restoration."""
    track: TrackSettings = TrackSettings()
    """How ByteTrack follows regions from frame to frame."""
    choose: ChosenSceneSettings = ChosenSceneSettings()
    """Which tracks become scenes."""


class WatermarkScoreSettings(WatermarkDetectionSettings):
    """The detector of watermarks in clips."""

    confidence: Confidence = 0.4  # type: ignore[assignment]  # a number when the stage reads it


class MosaicScoreSettings(TrainedDetectionSettings):
    """The detector of mosaics in clips."""

    weights: TrainedOrDeclaredDetector = None
    confidence: Confidence = 0.8  # type: ignore[assignment]  # a number when the stage reads it


class NsfwScoreSettings(TrainedDetectionSettings):
    """A second detector, which checks the content of clips."""

    weights: Literal["trained"] | WeightsSettings | None = None
    classes: tuple[str, ...] = ("FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED")
    confidence: float = Field(0.15, gt=0, lt=1)
    image_size: int | None = Field(640, ge=32, multiple_of=32)


class ScoreDetectors(Settings):
    """The detectors that run on clips."""

    watermark: WatermarkScoreSettings = WatermarkScoreSettings()
    """Detector of watermarks."""
    mosaic: MosaicScoreSettings = MosaicScoreSettings()
    """Detector of mosaics that are already in the footage. `weights: trained` uses the model that is trained here, and
    `weights: starter` the one that comes with Tessera.
    """
    nsfw: NsfwScoreSettings = NsfwScoreSettings()
    """Second detector of what the clips should show, such as NudeNet 640m. `weights: trained` uses the detector that is trained
    here once more, at another size and without their surroundings. Its class is `nsfw`.
    """


class Scores(Settings):
    """The measurements of clips."""

    samples: int = Field(16, ge=2)
    """Number of frames of a clip that are scored, evenly spaced to half a second from the first to the last."""
    detectors: ScoreDetectors = ScoreDetectors()
    """Detectors that are run on these frames. A frame counts if there is a detection in the cropped picture. The confidence of
    a detector that is trained here may be a target, as in `regions.choose.confidence.nsfw`.
    """
    quality: WeightsSettings | None = None
    """Weights of a learned measure of video quality: DOVER as an ONNX file, {source: a path or https://…, sha256: …}. `null`
    does not measure it.
    """
    classifiers: tuple[PlainName, ...] = ()
    """Names of `classifiers` or `declared_classifiers` that are applied to the same frames. The probability of each class, or
    the score, is averaged over the frames.
    """


class RestoredSceneSettings(SceneSettings):
    """Which regions are restored, and how their masks and boxes are smoothed: also short ones, each as it was detected."""

    min_seconds: PositiveFloat = 0.01
    max_seconds: PositiveFloat = 60.0
    confidence: MeanConfidence = 0.25  # type: ignore[assignment]  # a number when the stage reads it
    extension: tuple[Annotated[int, Field(ge=0, le=10)], ...] = Field((0,), min_length=1)


class MosaicDetectionSettings(VideoDetectionSettings):
    """The detector of the mosaics in videos."""

    weights: TrainedOrDeclaredDetector = "trained"
    """Weights of the detector. `trained` uses `mosaic_detection` as it is trained here or, if it is not, that of `starter`,
    which comes with Tessera. {source: a path or https://…, sha256: …} uses a .pt or .onnx file of ultralytics, which is fetched
    once and verified. `null` runs no detector.
    """


class Restore(RestoreSettings):
    """How the mosaics in the videos whose column `use` in the manifest names `restore` are found and restored."""

    shown: tuple[str, ...] = ()
    """Ids of restored videos that the report shows before and after their restoration."""
    detect: MosaicDetectionSettings = MosaicDetectionSettings()
    """Detector that finds the mosaics."""
    track: MosaicTrackSettings = MosaicTrackSettings()
    """How detections are tracked: as by `scenes.track`, if they show blocks."""
    choose: RestoredSceneSettings = RestoredSceneSettings()
    """Which regions are restored. The settings are those of `scenes.choose`. The confidence may be a target too."""


class Preview(Settings):
    """The previews that `snakemake preview` renders, and the labels that it proposes for correction."""

    sources: tuple[str, ...] = ()
    """Ids of the sources to preview. If empty, all admitted sources are."""
    model: str = DETECTORS[0]
    """Detector to preview: `nsfw_detection`, `watermark_detection` or `mosaic_detection`. What it finds is shown, and labels
    are proposed.
    """
    weights: TrainedOrOtherWeights = "trained"
    """`trained` previews the detector that is trained here. {source: a path or https://…, sha256: …}, or a name in
    resources/weights.tsv, takes a detector of others in its place: it proposes labels before there are any.
    """
    classes: dict[str, str | None] = Field({})
    """What the labels of `weights` mean, such as {person: nsfw, "*": null}: `null` leaves them out. One that is not named means
    what is called the same, and `*` stands for all others. Not used if `weights` is `trained`.
    """
    outlines: bool = True
    """Whether a box that `weights` finds without a mask becomes the outline of what differs from its surroundings. Not used if
    `weights` is `trained`.
    """
    confidence: Confidence = 0.25
    """Confidence from which a region counts. The frames of which a detector is unsure are those with a confidence close to it.
    It may be a target, as in `regions.choose.confidence.nsfw`; the report then measures it for each detector.
    """
    predict: PreviewDetectionSettings = PreviewDetectionSettings()
    """How the detector is run."""
    mosaics: GridSettings = GridSettings()
    """Which detections count if `model` is `mosaic_detection`."""
    render: RenderSettings = RenderSettings()
    """How previews are drawn."""
    proposals: ProposalSettings = ProposalSettings()
    """Frames that are offered for correction. A frame that has a label in `annotations.frame_labels` is not."""

    @field_validator("model")
    @classmethod
    def _is_a_detector(cls, name: str) -> str:
        if name not in DETECTORS:
            raise ValueError(f"should be one of {', '.join(DETECTORS)}; `snakemake restore` restores videos")
        return name


def model_in(kind: Any) -> type[Settings] | None:
    """Return the first model inside the type `kind`, such as that of the items of a tuple."""
    if isinstance(kind, type) and issubclass(kind, Settings):
        return kind
    return next((model for part in get_args(kind) if (model := model_in(part))), None)


def _with_runtime(values: Any, kind: Any, runtime: dict[str, Any]) -> Any:
    """Return `values` of the type `kind` with the settings `runtime` in each detector inside that states no others."""
    model = model_in(kind)
    if isinstance(values, dict) and get_origin(kind) is dict:
        return {name: _with_runtime(value, model, runtime) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_with_runtime(value, model, runtime) for value in values]
    if not isinstance(values, dict) or model is None:
        return values
    if issubclass(model, InferenceSettings):
        # The steps of crops have an overlap of their own.
        fields = RuntimeSettings.model_fields
        common = [name for name in runtime if model.model_fields[name].default == fields[name].default]
        return {**{name: runtime[name] for name in common}, **values}
    filled = dict(values)
    for name, field in model.model_fields.items():
        if name in values or isinstance(field.get_default(call_default_factory=True, validated_data={}), Settings):
            inner = _with_runtime(values.get(name, {}), field.annotation, runtime)
            if name in values or inner:
                filled[name] = inner
    return filled


# Only `Configuration` validates values. To build the validator of this base too would slow down each import.
class Sections(Settings, defer_build=True):
    """All sections of the settings, each valid in itself."""

    name: str = Field("", max_length=80)
    """Name of the project, for the title of the report."""
    manifest: Path = Path("config/sources.tsv")
    """Table of the sources. config/README.md explains its columns."""
    missing_sources: Literal["stop", "leave_out"] = "stop"
    """What happens if the file or the folder of a source is not there, for example because a disk is not mounted. `stop` ends
    a run that would read it before its first job, so that no result changes. `leave_out` makes everything without the source,
    which counts neither as damaged nor as withdrawn.
    """
    shards: Literal["auto", "per_source"] | PositiveInt = "auto"
    """How sources are grouped into shards. Each step runs one job per shard, and a job takes seconds to start. `auto` groups
    sources below 100 MB, about 500 MB together, and gives each larger source a shard of its own. `per_source` gives each source
    one. A number distributes all sources over that many shards. Where sources are grouped, a hash of their ids decides, so that
    one more source moves few others. Results are the same for any shards, but a source that moves to another shard is processed
    again.
    """
    seed: int = Field(0, ge=0)
    """Seed of every random draw. The same seed and settings give the same results."""
    gates: GateSettings = GateSettings()
    """For each step, the fraction of its items that may fail before the run stops, from 0 to 1."""
    harvest: HarvestSettings = HarvestSettings()
    """Pictures from the web whose rights are known. `snakemake harvest` fetches them. For example:
      contact: me@example.org
      europeana:
        - query: watermark
          content: general
          qf: ["COUNTRY:sweden"]
          random: null
          reusability: open
          limit: 100
          label: ""
    """
    sources: SourceSettings = SourceSettings()
    """Checks of the sources."""
    frames: FrameSettings = FrameSettings()
    """Which frames of the videos are sampled."""
    duplicates: DuplicateSettings = DuplicateSettings()
    """Which images count as near-duplicates of each other."""
    crops: CropSettings = CropSettings()
    """Crops: parts of the sampled frames around persons, half bodies or heads, for sets of images."""
    tagger: TaggerSettings | None = None
    """Tagger of sampled frames and crops: an ONNX model in the layout of WD14 with its tag list. `null` tags nothing. For
    example:
      weights: {source: model.onnx, sha256: …}
      tags: {source: selected_tags.csv, sha256: …}
      of: [frames, person]
      batch: 8
      floor: 0.05
      thresholds:
        general: 0.35
        character: 0.85
        copyright: 0.35
        artist: 0.35
        rating: 0.5
        meta: null
    """
    embeddings: Embeddings = Field({})
    """Embeddings by name: each is a model that turns every sampled frame and labelled image, and on request every clip, into a
    vector in results/embeddings. Vectors of pictures that look alike are close to each other. If a classifier names an
    embedding that has neither `near_duplicates` nor `clips`, only the pictures of the classifier are turned into vectors. For
    example:
      look:  # a detector of ultralytics
        kind: detector
        output: layout
        weights: trained
        detector: nsfw_detection
        near_duplicates: {within: 0.88, across: 0.88}
        crops: [head]
      dino:  # a model of timm, with its own preprocessing
        kind: timm
        architecture: vit_small_patch14_dinov2
        weights: {source: model.safetensors, sha256: …}
        output: pooled
        normalise: true
        batch: 16
        clips: 8
        crops: []
        near_duplicates:
          within: 0.95
          across: 0.95
          ends: null
      clip:
        kind: onnx
        weights: {source: clip.onnx, sha256: …}
        preprocessing:
          size: 336
          resize: crop
          crop: 1.0
          offset: nearest
          interpolation: bicubic
          mean: [0.485, 0.456, 0.406]
          std: [0.229, 0.224, 0.225]
    """
    identities: IdentitySettings | None = None
    """Identities: who or what the crops show, in sources with general content alone. `null` identifies nobody. docs/crops.md
    explains the folder of references and the table of decisions. For example:
      embedding: look
      step: head
      sources: []
      references:
        folder: references
        similarity: 0.6
        certainty: 0.1
        add: 0
      clusters:
        dense: 0.8
        members: 5
        same: 0.7
        merge: 0.85
        rate: 0.6
        count: 20
      decisions: config/identities.tsv
      shown: 24
    """
    subjects: Path = Path("config/subjects.tsv")
    """Table of the people whose faces may be collected, which is read if there are face sets or packs. See docs/faces.md."""
    face_sets: dict[PlainName, FaceSetSettings] = Field({})
    """Sets of the faces of one consenting person each, by their names, which consist of small letters, digits and _. They are
    made of sources with general content alone, and removed when the consent ends. For example:
    ada:
      subject: Ada
      sources: [interview]
      detector:
        weights: centerface
        confidence: 0.5
        iou: 0.3
        min_side: 40
        turns: [0, 90, 270, 180]
        image_size: null
      landmarks:
        weights: null
        size: 256
        channels: RGB
        mean: [0, 0, 0]
        std: [1, 1, 1]
        crop: fan
        factor: 1.5
        coordinates: fractions
        batch: 16
      landmarks_by_hand: null
      squares:
        face_type: whole
        size: 512
        format: jpeg
        quality: 90
      masks:
        weights: null
        size: 256
        channels: RGB
        mean: [0, 0, 0]
        std: [1, 1, 1]
        output: probabilities
        face_classes: [1]
        threshold: 0.5
        batch: 16
      masks_by_hand: null
      identity:
        weights: null
        size: 112
        channels: RGB
        mean: [0, 0, 0]
        std: [0.00392156862745098, 0.00392156862745098, 0.00392156862745098]
        alignment: arcface
        references: []
      filter:
        max_cut_off: 0.1
        max_misfit: 0.1
        max_occlusion: null
        min_sharpness: null
        rare: 5
        max_dark: 0.5
        max_bright: 0.2
        min_contrast: 12.0
        max_distance: 0.637
        alone: false
        best: null
      pack: false
    """
    face_packs: dict[PlainName, FacePackSettings] = Field({})
    """Packs of others, faceset.pak, that `snakemake unpack` unpacks, by names of your choice. Each shows one consenting person,
    in general content alone, and what was unpacked is removed when the consent ends. For example:
    earlier:
      path: earlier/faceset.pak
      subject: Ada
      content: general
      rights: contract 2024-17
    """
    detection: RuntimeSettings = RuntimeSettings()
    """How detectors run. Each section of a detector, such as `regions.detectors.nsfw`, may state another value."""
    annotations: AnnotationSettings = AnnotationSettings()
    """Labels drawn by people."""
    watermarks: WatermarkSettings = WatermarkSettings()
    """Training images for watermark_detection."""
    regions: Regions = Regions()
    """Regions of the sampled frames that get a mosaic."""
    mosaics: MosaicSettings = MosaicSettings()
    """How mosaics are drawn on frames, and the images of mosaic_detection."""
    degradations: DegradationSettings = DegradationSettings()
    """What is done to pictures before a model is trained on them."""
    scenes: Scenes = Scenes()
    """Scenes: the stretches of a video in which a region is seen. Clips are cut from them."""
    clips: ClipSettings = ClipSettings()
    """How clips are cut out of the footage and stored."""
    scores: Scores = Scores()
    """Scores that are measured of every clip."""
    filters: FilterSettings = FilterSettings()
    """Thresholds beyond which a clip is left out. `null` turns one off. A score that was not measured leaves out nothing.
    Changing a threshold measures nothing again.
    """
    decisions: Path = DECISIONS
    """Table of what people decided of single clips and frames. docs/review.md explains its columns."""
    drops: dict[str, dict[str, ScoreLimit]] = Field({})
    """Frames that are left out of datasets of images by the predictions of classifiers: limits by the name of the dataset and
    that of the classifier, as in `filters.classifiers`. A decision takes precedence. Images that are no sampled frames stay.
    For example:
    mosaic_detection:
      watermarked: {label: watermarked, max: 0.9}
    """
    splits: SplitSettings = SplitSettings()
    """How sources are divided into train, val and test."""
    croissant: CroissantSettings = CroissantSettings()
    """What croissant.json states of every dataset besides its content."""
    trainings: TrainingsSettings = TrainingsSettings()
    """Trainings that are kept."""
    models: Models = Models()
    """Detectors to train. `null` in place of a model trains none, for example if `regions` declares weights."""
    classifiers: dict[PlainName, Classifier] = Field({})
    """Classifiers of pictures, by their names, which consist of small letters, digits and _. For example:
    compression:
      labels: [clean, compressed]
      pictures:
        degraded:
          frames_per_source: 50
          max_side: 512
          levels:
            - label: clean
            - label: compressed
              steps: [{jpeg: {probability: 1.0, quality: [5, 40]}}]
    watermarked:
      labels: [clean, watermarked]
      pictures:
        regions:
          dataset: watermark_detection
          present: watermarked
          absent: clean
      architecture: resnet18
      weights: null
      image_size: 224
      resize: stretch
      augmentation:
        flip: 0.5
        flip_vertical: 0.0
        grayscale: 0.0
        crop: 1.0
        colour: 0.0
      training:
        epochs: 50
        batch: 64
        learning_rate: 0.0003
        schedule: cosine
        weight_decay: 0.01
        patience: 5
        class_weights: none
      export:
        opset: 17
      tolerance:
        pictures: 32
        result: 0.0001
      tiling:
        tile: 448
        side: 1536
        combine: mean
      label_errors:
        folds: 5
        residual: 0.25
        embedding: null
        neighbours: 10
        outlier: 2.5
        near_duplicates: 0.98
    sharpness:
      labels: {least: 0.0, most: 1.0}
      pictures:
        sets: [blur]
      architecture: head
      embedding: clip
      hidden: 1024
      training:
        loss: l1
      export:
        city: true
    """
    declared_classifiers: dict[PlainName, DeclaredClassifier] = Field({})
    """Classifiers that were trained elsewhere, by their names, to be used like those in `classifiers`. Each is a .safetensors
    that Tessera exported, whose labels are in the file, or one of CityClassifiers, or the .onnx of Open-NSFW, whose labels are
    sfw and nsfw. For example:
    open_nsfw: {weights: open_nsfw}  # the name in resources/weights.tsv
    aesthetics:
      weights: {source: aesthetics.safetensors, sha256: …}
      embedding: null
      labels: null
      tiling: null
    """
    search: dict[PlainName, SearchSettings] = Field({})
    """Searches for better settings of a classifier or a detector, by their names, which consist of small letters, digits and _.
    `snakemake search` runs them. For example:
    rate:
      model: compression
      trials: 20
      minutes: null
      metric: accuracy
      prune:
        trials: 5
        epochs: 5
      space:
        training.learning_rate: {log: [0.0001, 0.01]}
        training.batch: {from: 16, to: 64, step: 16}
        augmentation.flip: {from: 0, to: 0.5}
        architecture: [resnet18, resnet34]
    """
    restoration: RestorationSettings = RestorationSettings()
    """Training of the restoration model, BasicVSR++, on the clips."""
    image_sets: dict[PlainName, ImageSetSettings] = Field({})
    """Image sets for the training of generative models, by their names, which consist of small letters, digits and _. Each is
    made of sampled frames and of crops of them, and written to results/datasets/NAME/LAYOUT. For example:
    portraits:
      each_series: false
      select:
        of: [frames, person]
        minimum: 256
        maximum: null
        contains: []
        sharpness: 0.0
        scores: {compression: {label: compressed, max: 0.5}}
        tags:
          all: []
          none: [text]
        identities: any
        keep_unnamed: false
        series: null
        sources: null
        unique: true
        others: 0
      pictures:
        shorter: 768
        area: null
        multiple_of: 1
        format: webp
        quality: 95
      captions:
        files: null
        text: a photograph
      arrangement:
        folders: [n_characters, character]
      layouts:
        plain: {}
        everydream2:
          shuffle_tags: false
          cond_dropout: null
          flip_p: null
        kohya:
          root: ""
          dataset:
            resolution: 768
            batch_size: 4
            enable_bucket: true
            bucket_no_upscale: true
            bucket_reso_steps: null
            min_bucket_reso: null
            max_bucket_reso: null
            skip_image_resolution: null
          subset:
            shuffle_caption: true
            keep_tokens: 1
            keep_tokens_separator: null
            secondary_separator: null
            caption_separator: null
            caption_prefix: null
            caption_suffix: null
            caption_dropout_rate: null
            caption_dropout_every_n_epochs: null
            caption_tag_dropout_rate: null
            class_tokens: null
            flip_aug: null
            cache_info: null
        onetrainer:
          root: ""
          enable_tag_shuffling: false
          tag_delimiter: ","
          keep_tags_count: 1
        imagefolder: {}
        webdataset:
          samples: 1000
    """
    comparisons: Comparisons = Comparisons()
    """Weights of others that are compared with a model that is trained here: for each model, a list of {name: …, source: a path
    or https://…, sha256: …}. All are measured on the splits val and test, see the page "Comparison" of the report.
    """
    video_metrics: VideoMetricSettings = VideoMetricSettings()
    """How detectors that are trained here are measured on videos: how their detections flicker, and what they find in footage
    that the column `free_of` of the manifest says shows nothing. Videos count that they were not trained on.
    """
    ask: AskSettings = AskSettings()
    """Which pictures `snakemake ask` asks people to label."""
    preview: Preview = Preview()
    """What `snakemake preview` shows."""
    restore: Restore = Restore()
    """How videos are restored whose column `use` in the manifest names `restore`: `make restore`, `snakemake restore`."""
    score: ScoreSettings = ScoreSettings()
    """What `snakemake score` scores: any folder of pictures, with its subfolders. It needs no source if the classifier is
    declared.
    """
    report: ReportSettings = ReportSettings()
    """What the report shows."""
    review: ReviewSettings = ReviewSettings()
    """The page on which people decide."""

    @model_validator(mode="before")
    @classmethod
    def _detectors_run_alike(cls, values: Any) -> Any:
        runtime = values.get("detection") if isinstance(values, dict) else None
        known = (
            {name: runtime[name] for name in RuntimeSettings.model_fields if name in runtime}
            if isinstance(runtime, dict)
            else {}
        )
        return _with_runtime(values, cls, known) if known else values

    @field_validator(
        "classifiers", "declared_classifiers", "embeddings", "face_packs", "face_sets", "image_sets", "search", mode="before"
    )
    @classmethod
    def _null_removes_an_entry(cls, entries: Any) -> Any:
        """A later settings file cannot remove an entry of an earlier one otherwise: Snakemake merges them."""
        return {name: entry for name, entry in entries.items() if entry is not None} if isinstance(entries, dict) else entries
