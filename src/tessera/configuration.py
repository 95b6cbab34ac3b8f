"""The whole configuration: the settings of all rooms, validated before any job starts.

`python -m tessera.configuration my.yaml` checks a file of settings.
"""

import sys
from collections.abc import Mapping
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import Field, PositiveFloat, PositiveInt, create_model, field_validator, model_validator

from tessera.catalogue import (
    DATASETS,
    DETECTOR,
    IMAGES,
    MODELS,
    dataset_of,
    labelled_sets,
    made_datasets,
    model_for,
    trained_models,
)
from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.core.search import SearchSettings, search_faults
from tessera.core.settings import Settings, load
from tessera.core.trainings import TrainingsSettings
from tessera.core.weights.declare import WeightsSettings, compared_faults
from tessera.imaging.classification.settings import HEAD, Tiling
from tessera.imaging.degradation.settings import DegradationSettings
from tessera.imaging.detection.settings import DetectionSettings, TrainedDetectionSettings, WatermarkDetectionSettings
from tessera.imaging.mosaic.settings import MosaicSettings
from tessera.pipeline.asking.settings import AskSettings
from tessera.pipeline.classifiers.settings import ClassifierSettings, ScoreSettings
from tessera.pipeline.clips.detect import VideoDetectionSettings
from tessera.pipeline.clips.settings import ClipSettings
from tessera.pipeline.clips.track import TrackSettings
from tessera.pipeline.clips.tracks import SceneSettings
from tessera.pipeline.clips.watch import VideoMetricSettings
from tessera.pipeline.concepts.settings import ConceptSettings
from tessera.pipeline.datasets.settings import OfDataset
from tessera.pipeline.datasets.splits import SplitSettings
from tessera.pipeline.detectors.library import task_of
from tessera.pipeline.detectors.settings import SEARCHED, DetectorSettings
from tessera.pipeline.embeddings.settings import Embeddings, embedding_faults
from tessera.pipeline.filters.filtering import FilterSettings
from tessera.pipeline.footage.admission import SourceSettings
from tessera.pipeline.footage.duplicates import DuplicateSettings
from tessera.pipeline.footage.sampling import FrameSettings
from tessera.pipeline.harvest.settings import HarvestSettings
from tessera.pipeline.labels.settings import AnnotationSettings
from tessera.pipeline.mosaics.choose import RegionSettings
from tessera.pipeline.previews.predict import PreviewDetectionSettings
from tessera.pipeline.previews.proposals import ProposalSettings
from tessera.pipeline.previews.rendering import RenderSettings
from tessera.pipeline.previews.restored import RestoreSettings
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.restoration.settings import RestorationSettings
from tessera.pipeline.watermarks.settings import WatermarkSettings
from tessera.records.confidence import ConfidenceTarget
from tessera.records.decisions import DEFAULT as DECISIONS
from tessera.records.limits import ScoreLimit, label_fault

DETECTORS = [model.name for model in MODELS if model.kind is DETECTOR]
ALLOWED = {"harvest": 0.2, "sources": 0.5, "scenes": 0.2}  # fraction of items that may fail, if not `ALLOWED_ELSEWHERE`
ALLOWED_ELSEWHERE = 0.05
# They become part of the names of rules and files.
PlainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Confidence = Annotated[float, Field(gt=0, lt=1)] | ConfidenceTarget
MeanConfidence = Annotated[float, Field(ge=0, le=1)] | ConfidenceTarget  # of the detections of a track


class Measured(NamedTuple):
    """The detector that a confidence is for."""

    finds: str  # what it finds, see `model_for`; empty: it is that of `preview.model`
    detector: str  # the path of its settings
    records: str  # the path of the smallest confidence of its detections that are recorded; empty: all are


# The confidences from which detections of a model that is trained here count. Each may be a `ConfidenceTarget`.
CONFIDENCES = {
    "preview.confidence": Measured("", "", "preview.predict.confidence"),
    "regions.choose.confidence.nsfw": Measured("nsfw", "regions.detectors.nsfw", "regions.detectors.nsfw.confidence"),
    "regions.choose.confidence.watermark": Measured(
        "watermark", "regions.detectors.watermark", "regions.detectors.watermark.confidence"
    ),
    "scenes.choose.confidence": Measured("nsfw", "scenes.detect", "scenes.detect.confidence"),
    "scores.detectors.watermark.confidence": Measured("watermark", "scores.detectors.watermark", ""),
    "scores.detectors.mosaic.confidence": Measured("mosaic", "scores.detectors.mosaic", ""),
    "preview.restore.choose.confidence": Measured("mosaic", "preview.restore.detect", "preview.restore.detect.confidence"),
}


def _gates() -> dict[str, Any]:
    rooms = dict.fromkeys(
        [
            "harvest",
            "sources",
            *(room for dataset in (*DATASETS, dataset_of("")) for room in dataset.gates),
            "embeddings",
            "scores",
        ]
    )
    return {room: (float, Field(ALLOWED.get(room, ALLOWED_ELSEWHERE), ge=0, le=1)) for room in rooms}


def _models() -> dict[str, Any]:
    return {model.name: (type(model.settings) | None, model.settings) for model in MODELS if model.settings is not None}


def _comparisons() -> dict[str, Any]:
    types: dict[str, Any] = {model.name: model.kind.compared for model in MODELS}
    return {name: (tuple[compared, ...], ()) for name, compared in types.items() if compared}  # type: ignore[valid-type]


GateSettings: Any = create_model(
    "GateSettings", __base__=Settings, __doc__="The fraction of items that may fail in a room before the run stops.", **_gates()
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
    """A classifier that was trained elsewhere, and exported by Tessera as .safetensors."""

    weights: WeightsSettings
    embedding: str | None = None
    tiling: Tiling | None = None

    @model_validator(mode="after")
    def _is_not_tiled_as_a_head(self) -> Self:
        if self.embedding is not None and self.tiling is not None:
            raise ValueError("`tiling` should be null for a head: the vectors are of whole pictures")
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

    confidence: MeanConfidence = 0.5  # type: ignore[assignment]  # a number where the room reads it


class Scenes(Settings):
    """The detection, tracking and choice of the scenes in videos that clips are cut from."""

    detect: VideoDetectionSettings = VideoDetectionSettings()
    track: TrackSettings = TrackSettings()
    choose: ChosenSceneSettings = ChosenSceneSettings()


class WatermarkScoreSettings(WatermarkDetectionSettings):
    """The detector of watermarks in clips."""

    confidence: Confidence = 0.4  # type: ignore[assignment]  # a number where the room reads it


class MosaicScoreSettings(TrainedDetectionSettings):
    """The detector of mosaics in clips."""

    weights: Literal["trained"] | WeightsSettings | None = None
    confidence: Confidence = 0.8  # type: ignore[assignment]  # a number where the room reads it


class NsfwScoreSettings(DetectionSettings):
    """A second detector, which checks the content of clips."""

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
    confidence: MeanConfidence = 0.25  # type: ignore[assignment]  # a number where the room reads it
    extension: tuple[Annotated[int, Field(ge=0, le=10)], ...] = Field((0,), min_length=1)


class Restoring(RestoreSettings):
    """How mosaics in footage are found and restored."""

    shown: tuple[str, ...] = ()
    detect: VideoDetectionSettings = VideoDetectionSettings()
    track: TrackSettings = TrackSettings()
    choose: RestoredSceneSettings = RestoredSceneSettings()


class Preview(Settings):
    """The previews that `snakemake preview` renders, and the labels that it proposes for correction."""

    sources: tuple[str, ...] = ()
    model: str = DETECTORS[0]
    confidence: Confidence = 0.25
    predict: PreviewDetectionSettings = PreviewDetectionSettings()
    render: RenderSettings = RenderSettings()
    proposals: ProposalSettings = ProposalSettings()
    restore: Restoring = Restoring()

    @field_validator("model")
    @classmethod
    def _is_a_model(cls, name: str) -> str:
        names = [model.name for model in MODELS]
        if name not in names:
            raise ValueError(f"should be one of {', '.join(names)}")
        return name


class Configuration(Settings):
    """The settings in config/config.yaml."""

    manifest: Path = Path("config/sources.tsv")
    shards: Literal["auto", "per_source"] | PositiveInt = "auto"
    seed: int = Field(0, ge=0)
    gates: GateSettings = GateSettings()
    harvest: HarvestSettings = HarvestSettings()
    sources: SourceSettings = SourceSettings()
    frames: FrameSettings = FrameSettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    embeddings: Embeddings = Field({})
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
    trainings: TrainingsSettings = TrainingsSettings()
    models: Models = Models()
    classifiers: dict[PlainName, Classifier] = Field({})
    declared_classifiers: dict[PlainName, DeclaredClassifier] = Field({})
    search: dict[PlainName, SearchSettings] = Field({})
    restoration: RestorationSettings = RestorationSettings()
    comparisons: Comparisons = Comparisons()
    video_metrics: VideoMetricSettings = VideoMetricSettings()
    ask: AskSettings = AskSettings()
    preview: Preview = Preview()
    score: ScoreSettings = ScoreSettings()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        faults = [*self._set_faults(), *self._classifier_faults(), *self._mosaic_faults(), *self._clip_faults()]
        faults += [*self._target_faults(), *self._embedding_faults(), *self._scorer_faults(), *self._cycle_faults()]
        faults += self._search_faults()
        faults += self._ask_faults()
        reserved = {model.name: model.kind.reserved for model in MODELS}
        faults += [fault for model, compared in self.comparisons for fault in compared_faults(model, compared, reserved[model])]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _set_faults(self) -> list[str]:
        """Return which sets of labelled images feed no dataset of images, or have the name of another."""
        allowed = [dataset.name for dataset in DATASETS if dataset.layout is IMAGES]
        places: dict[str, str] = {}
        faults = []
        for each in labelled_sets(self.model_dump(mode="json")):
            name = each.values["name"]
            if each.dataset not in allowed:
                faults.append(f"{each.setting}: {name!r}: `use` should be one of {', '.join(allowed)}; given: {each.dataset!r}")
            other = places.setdefault(file_name(name).casefold(), each.setting)
            if other != each.setting:
                faults.append(f"{each.setting}: the name {name!r} is also in {other}; rename one of them")
        return faults

    def _classifier_faults(self) -> list[str]:
        """Return why classifiers have no pictures to learn from, or some that mean nothing."""
        faults = []
        taken = {entry.name for entry in (*DATASETS, *MODELS)}
        made = made_datasets(self.model_dump(mode="json"))
        for name, classifier in self.classifiers.items():
            place, pictures = f"classifiers.{name}", classifier.pictures
            if name in taken:
                faults.append(f"`{place}`: there is a dataset or a model of this name; give it another")
            if name in self.declared_classifiers:
                faults.append(f"`{place}`: there is a `declared_classifiers.{name}`; rename one of them")
            known = {each.name for each in self.annotations.image_labels}
            faults += [
                f"`{place}.pictures.sets` names {each!r}; `annotations.image_labels` has {', '.join(sorted(known)) or 'none'}"
                for each in pictures.sets
                if each not in known
            ]
            embeddings = {"embedding": classifier.embedding}
            if classifier.label_errors:
                embeddings["label_errors.embedding"] = classifier.label_errors.embedding
            faults += [
                f"`{place}.{key}` is {embedding!r}; `embeddings` has {', '.join(self.embeddings) or 'none'}: declare it there,"
                " or name another"
                for key, embedding in embeddings.items()
                if embedding is not None and embedding not in self.embeddings
            ]
            # Not whether it is stated: the report loads settings that state every default.
            if classifier.architecture != HEAD and classifier.hidden != Classifier.model_fields["hidden"].default:
                faults.append(f"`{place}.hidden` is for `architecture: {HEAD}` alone; remove it")
            if not (pictures.sets or pictures.regions or pictures.degraded):
                faults.append(f"`{place}.pictures` names no pictures; state `sets`, `regions` or `degraded`")
            regions, levels = pictures.regions, pictures.degraded.levels if pictures.degraded else ()
            named = [level.label for level in levels] + ([regions.present, regions.absent] if regions else [])
            if not classifier.classes and any(label is not None for label in named):
                faults.append(f"`{place}` gives a score, and its pictures have classes; state scores, or classes in `labels`")
            elif classifier.classes and (unknown := [label for label in named if label not in classifier.classes]):
                faults.append(
                    f"`{place}.pictures` has {', '.join(map(str, dict.fromkeys(unknown)))}, and the classes are"
                    f" {', '.join(classifier.classes)}: name one of these"
                )
            of_images = [each.name for each in made.values() if each.layout is IMAGES]
            if regions and regions.dataset not in of_images:
                faults.append(
                    f"`{place}.pictures.regions.dataset` is {regions.dataset}; datasets of regions that are made are"
                    f" {', '.join(of_images) or 'none'}"
                )
        return faults

    def _scorer_faults(self) -> list[str]:
        """Return which classifiers that are used are not there, and which limits of their results do not fit them."""
        known = [*self.classifiers, *self.declared_classifiers]
        used = {
            "scores.classifiers": self.scores.classifiers,
            "score.model": (self.score.model,) if self.score.model is not None else (),
            **{f"drops.{dataset}": tuple(limits) for dataset, limits in self.drops.items()},
        }
        faults = [
            f"`{place}` names {name!r}; `classifiers` and `declared_classifiers` have {', '.join(known) or 'none'}"
            for place, names in used.items()
            for name in names
            if name not in known
        ]
        declared = ", ".join(self.embeddings) or "none"
        faults += [
            f"`declared_classifiers.{name}.embedding` is {each.embedding!r}; `embeddings` has {declared}"
            for name, each in self.declared_classifiers.items()
            if each.embedding is not None and each.embedding not in self.embeddings
        ]
        allowed = [dataset.name for dataset in DATASETS if dataset.layout is IMAGES]
        faults += [
            f"`drops` names {dataset!r}; frames can be left out of {', '.join(allowed)}"
            for dataset in self.drops
            if dataset not in allowed
        ]
        limits = {f"filters.classifiers.{name}": (name, limit) for name, limit in self.filters.classifiers.items()}
        for dataset, each in self.drops.items():
            limits |= {f"drops.{dataset}.{name}": (name, limit) for name, limit in each.items()}
        faults += [
            f"`filters.classifiers` has {name!r}, which is not scored: add it to `scores.classifiers`, or remove it"
            for name in self.filters.classifiers
            if name not in self.scores.classifiers
        ]
        labels = {place: (name, limit.label) for place, (name, limit) in limits.items()}
        if self.score.model and self.score.label is not None:
            labels["score"] = self.score.model, self.score.label
        for place, (name, label) in labels.items():
            # The classes of those that are declared are known when they are read.
            if name in self.classifiers and (fault := label_fault(label, self.classifiers[name].classes)):
                faults.append(f"`{place}` does not fit `classifiers.{name}`: {fault}")
        return faults

    def _cycle_faults(self) -> list[str]:
        """Return which datasets and models need each other, so that none of them could be made first."""
        detectors = {"regions": [(f"regions.detectors.{name}", name, each.weights) for name, each in self.regions.detectors]}
        detectors["scenes"] = [
            ("scenes.detect", "nsfw", self.scenes.detect.weights),
            *((f"scores.detectors.{name}", name, each.weights) for name, each in self.scores.detectors),
        ]
        # What each needs, and the setting that says so. A dataset and the model that is trained on it count as one.
        needs: dict[str, dict[str, str]] = {}
        for dataset in DATASETS:
            own = needs.setdefault(dataset.name, {})
            for room, used in detectors.items():
                if room in dataset.gates:
                    own |= {model_for(what): place for place, what, weights in used if weights == "trained"}
            if "scenes" in dataset.gates:
                own |= dict.fromkeys(self.scores.classifiers, "scores.classifiers")
            own |= dict.fromkeys(self.drops.get(dataset.name, {}), f"drops.{dataset.name}")
        heads = {f"classifiers.{name}": each.embedding for name, each in self.classifiers.items()}
        heads |= {f"declared_classifiers.{name}": each.embedding for name, each in self.declared_classifiers.items()}
        for place, embedding in heads.items():
            if embedding in self.embeddings and self.embeddings[embedding].weights == "trained":
                needs.setdefault(place.split(".")[1], {})[self.embeddings[embedding].detector] = f"{place}.embedding"
        for name, classifier in self.classifiers.items():
            if regions := classifier.pictures.regions:
                needs.setdefault(name, {})[regions.dataset] = f"classifiers.{name}.pictures.regions"
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            circle = error.args[1][::-1]
            listed = ", ".join(f"{one} needs {other} (`{needs[one][other]}`)" for one, other in pairwise(circle))
            return [f"nothing of these can be made first: {listed}; remove one of these settings"]
        return []

    def _ask_faults(self) -> list[str]:
        """Return why no labels can be asked for."""
        if self.ask.model is None:
            return []
        classifier = self.classifiers.get(self.ask.model)
        if classifier is None or not classifier.classes:
            named = [name for name, each in self.classifiers.items() if each.classes]
            hint = "; for a detector, use `snakemake preview`" if self.ask.model in DETECTORS else ""
            return [f"`ask.model` should be a classifier with classes: {', '.join(named) or 'there is none'}{hint}"]
        sets = {each.name: each for each in self.annotations.image_labels}
        if self.ask.answers not in sets:
            return [f"`ask.answers` should name a set in `annotations.image_labels`: {', '.join(sets) or 'there is none'}"]
        faults = []
        answers, pictures, place = sets[self.ask.answers], classifier.pictures, f"classifiers.{self.ask.model}.pictures"
        if answers.name not in pictures.sets:
            faults.append(f"`{place}.sets` should have {answers.name!r}, the set that `ask.answers` names")
        if answers.path.suffix.lower() == ".zip" or answers.values != "label" or answers.split:
            faults.append(f"`annotations.image_labels`: {answers.name!r} should be a folder, with labels and without `split`")
        no_folders = [label for label in classifier.classes if Path(label).name != label or label.startswith(".")]
        if answers.format == "folders" and no_folders:
            faults.append(
                f"`annotations.image_labels`: {answers.name!r}: `format` should not be folders, because none can be named"
                f" {', '.join(map(repr, no_folders))}"
            )
        if answers.split_by == "image" and (pictures.regions or pictures.degraded):
            faults.append(
                f"`annotations.image_labels`: {answers.name!r}: `split_by` should be set, because `{place}` has other pictures"
                " of the same sources, which would be in two splits"
            )
        hard = self.ask.hard_negatives
        if hard and hard.label not in classifier.classes:
            faults.append(f"`ask.hard_negatives.label` should be one of {', '.join(classifier.classes)}")
        if hard and hard.free_of not in (kinds := [model.finds for model in MODELS if model.finds]):
            faults.append(f"`ask.hard_negatives.free_of` should be one of {', '.join(kinds)}")
        if self.ask.embedding is not None and self.ask.embedding not in self.embeddings:
            faults.append(f"`ask.embedding` should be one of `embeddings`: {', '.join(self.embeddings) or 'there is none'}")
        return faults

    def _mosaic_faults(self) -> list[str]:
        """Return why no mosaics can be drawn on frames, if a dataset needs them."""
        config = self.model_dump(mode="json")
        covered = [dataset.name for dataset in made_datasets(config).values() if "regions" in dataset.gates]
        if not covered:
            return []
        detectors = self.regions.detectors
        off = ", ".join(f"`models.{model.name}: null`" for model in trained_models(config).values() if model.dataset in covered)
        places = {f"regions.detectors.{name}": (name, detector.weights) for name, detector in detectors}
        faults = self._untrained(places, f"{off} needs none of the detectors in `regions`")
        if not (detectors.nsfw.weights or detectors.face.weights or detectors.head.weights):
            faults.append(
                "one of `regions.detectors.nsfw`, `.face` and `.head` needs `weights`, or there is nothing to cover"
                f" ({off} covers nothing)"
            )
        for name, confidence in self.regions.choose.confidence:
            detector = getattr(detectors, name)
            if not isinstance(confidence, ConfidenceTarget) and confidence < detector.confidence:
                faults.append(
                    f"`regions.choose.confidence.{name}` is {confidence:g}, and nothing below {detector.confidence:g} is found:"
                    f" lower `regions.detectors.{name}.confidence`"
                )
        return faults

    def _target_faults(self) -> list[str]:
        """Return the confidences that are targets of detectors whose precision and recall nothing here measures."""
        config = self.model_dump(mode="json")
        faults = []
        for place, (finds, detector, _) in CONFIDENCES.items():
            wanted = setting(config, place)
            model = model_for(finds) if finds else self.preview.model
            if not isinstance(wanted, dict) or model not in DETECTORS:
                continue
            means = (
                f"`{place}` is a {wanted['target']}, which is measured only of a model that is trained here: state a confidence"
            )
            if detector and setting(config, detector)["weights"] != "trained":
                faults.append(f"{means}, or set `{detector}.weights: trained`")
            elif getattr(self.models, model) is None:
                faults.append(f"{means}, or train `models.{model}`, which is null")
        return faults

    def _clip_faults(self) -> list[str]:
        """Return why no clips can be made, unless they are switched off."""
        if self.scenes.detect.weights is None:
            return []
        scored = {f"scores.detectors.{name}": (name, detector.weights) for name, detector in self.scores.detectors}
        places = {"scenes.detect": ("nsfw", self.scenes.detect.weights), **scored}
        return self._untrained(places, "`scenes.detect.weights: null` makes no clips at all")

    def _embedding_faults(self) -> list[str]:
        """Return what is wrong with the embeddings as a whole."""
        trained = [name for name in trained_models(self.model_dump(mode="json")) if name in DETECTORS]
        faults = embedding_faults(self.embeddings, self.duplicates.embeddings, trained)
        if self.scenes.detect.weights is None:
            faults += [
                f"`embeddings.{name}.clips` is {embedding.clips}, and `scenes.detect.weights: null` makes no clips: set it to 0"
                for name, embedding in self.embeddings.items()
                if embedding.clips
            ]
        return faults

    def _search_faults(self) -> list[str]:
        """Return the searches of models that are not trained here, and their values that no training can have."""
        detectors = {name: model for name in DETECTORS if (model := getattr(self.models, name))}
        models: dict[str, ClassifierSettings | DetectorSettings] = {**detectors, **self.classifiers}
        faults = []
        for name, search in self.search.items():
            place, model = f"search.{name}", models.get(search.model)
            if model is None:
                faults.append(f"{place}.model: should be one of {', '.join(models) or 'none'}; given: {search.model!r}")
            elif isinstance(model, DetectorSettings):
                found = search_faults(place, search, model, SEARCHED)
                if (
                    not found
                    and len({task_of(each) for each in (model.architecture, *search.space.get("architecture", ()))}) > 1
                ):
                    found = [
                        f"{place}.space.architecture: all should find masks (-seg), or all boxes, as `models.{search.model}`"
                    ]
                faults += found
            else:
                faults += search_faults(place, search, model, model.searched)
        return faults

    def _untrained(self, detectors: Mapping[str, tuple[str, Any]], way_out: str) -> list[str]:
        """Return a fault for each of `detectors` that needs the weights of a model that is not trained here.

        `detectors`: name of the detector and its weights, by the path of its setting. `way_out`: how to need none of them.
        """
        return [
            f"`{place}.weights` is `trained`, and `models.{model_for(what)}` is null: name weights, or null ({way_out})"
            for place, (what, weights) in detectors.items()
            if weights == "trained" and getattr(self.models, model_for(what)) is None
        ]


def setting(config: Mapping[str, Any], place: str) -> Any:
    """Return the setting at the path `place`, such as `scenes.choose.confidence`."""
    return reduce(getitem, place.split("."), config)


def targets_in(config: Mapping[str, Any], *parts: str, previewed: str = "") -> list[dict[str, Any]]:
    """Return the confidences in `parts` of the settings that are targets, each with what `with_confidences` needs to know.

    `parts`: paths of settings, such as `scenes`. `previewed`: the model that `preview.confidence` is for.
    """
    return [
        {
            "place": place,
            "model": model_for(finds) if finds else previewed,
            "lowest": setting(config, records) if records else 0.0,
        }
        for place, (finds, _, records) in CONFIDENCES.items()
        if any(f"{place}.".startswith(f"{part}.") for part in parts) and isinstance(setting(config, place), Mapping)
    ]


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in the YAML file `path`. Raises `TesseraError` that names the line of a fault."""
    try:
        values = yaml.load(Path(path).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # in C, which is faster
    except OSError as error:
        raise TesseraError(f"{path}: cannot be read ({error.strerror}); fix the path") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise TesseraError(f"{path}: {place}{error.problem}; fix the YAML there or shortly before") from None
    except yaml.YAMLError as error:
        raise TesseraError(f"{path}: not YAML in UTF-8 ({' '.join(str(error).split())}); save it as UTF-8") from None
    if not isinstance(values, dict):
        raise TesseraError(f"{path}: holds no settings; write keys and values such as `seed: 1`")
    return values


def load_configuration(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with all defaults filled in, as plain JSON types. Raises `TesseraError` that lists all faults."""
    return load(Configuration, values, "the configuration").model_dump(mode="json")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("name one file of settings: python -m tessera.configuration my.yaml")
    try:
        load_configuration(read_settings(Path(sys.argv[1])))
    except TesseraError as error:
        sys.exit(str(error))
