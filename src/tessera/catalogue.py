"""The catalogue of datasets and models: everything in which they differ.

Rules, the report, the settings and the manifest read this catalogue. No other module and no rule file names a dataset or a
model. So a new one needs only an entry here and a package. The settings name any number of classifiers, image sets and
face sets: their entries are made here, one for each set, and one for the dataset and one for the model of each classifier.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tessera.core.files import file_name
from tessera.core.settings import Settings
from tessera.learning.weights.declare import ComparedWeights
from tessera.records.label_sets import IMAGE_LABELS, LABELS, WATERMARKS
from tessera.stages.detectors.library import task_of
from tessera.stages.detectors.settings import (
    ComparedDetector,
    DetectorSettings,
    MaskDetector,
    MosaicDetector,
    WatermarkDetector,
)
from tessera.stages.restoration.settings import BASELINES, CLEAN, RESTORED, ComparedRestorer

Config = Mapping[str, Any]  # the whole configuration, with every default filled in


@dataclass(frozen=True)
class Step:
    """A step that samples pass between the gates and a dataset: its name, the unit that it counts, and its ledger."""

    name: str
    unit: str
    ledger: str


@dataclass(frozen=True)
class Layout:
    """How datasets of one kind are written."""

    rules: str  # the file in workflow/rules that writes them
    samples: str  # the name of a sample, in the plural
    table: str  # the table of the selected samples, with the columns `key`, `source` and `split`
    folders: tuple[str, ...]  # the folders with the samples
    files: tuple[str, ...]  # the files beside the folders
    steps: tuple[Step, ...] = ()
    # Where the samples lie in each folder, two levels down. Files that Snakemake and ultralytics add lie elsewhere.
    pattern: str = "*/[!.]*"
    needs: tuple[str, ...] = ("train", "val")  # the splits that must have samples
    datasheet: str = "write_plain_datasheet"  # the rule that writes the datasheet


# The steps of each gate, which checks how much failed in them. Settings can add steps and gates, see `workflow.gates`.
# Beside the wildcards of a `Dataset`, ledgers may have {image_labels}, {concept}, and {labels}, the sets that feed its dataset.
GATES = {
    "frames": (Step("sampling", "images", "<results>/frames/{shard}/ledger.jsonl"),),
    "labels": (
        Step("labels of frames", "images", "<results>/labels/frames/{labelled}/ledger.jsonl"),
        Step("labels in sets", "images", "<results>/labels/sets/{labels}/ledger.jsonl"),
    ),
    "image_labels": (Step("labels of whole images", "images", "<results>/labels/images/{image_labels}/ledger.jsonl"),),
    "watermarks": (
        Step("drawn marks", "images", "<results>/watermarks/frames/{shard}/ledger.jsonl"),
        Step("labels in sets", "images", "<results>/labels/sets/{labels}/ledger.jsonl"),
    ),
    "regions": (
        Step("choosing regions", "regions", "<results>/regions/{shard}/detections.jsonl"),
        Step("choosing frames", "images", "<results>/regions/{shard}/ledger.jsonl"),
    ),
    "mosaics": (
        Step("mosaics", "regions", "<results>/mosaics/{shard}/mosaics.jsonl"),
        Step("pixelating", "images", "<results>/mosaics/{shard}/ledger.jsonl"),
        Step("reading masks", "images", "<results>/mosaics/{shard}/masks.jsonl"),
        Step("labels in sets", "images", "<results>/labels/sets/{labels}/ledger.jsonl"),
    ),
    "scenes": (
        Step("detecting", "sources", "<results>/scenes/{shard}/detections.jsonl"),
        Step("following", "tracks", "<results>/scenes/{shard}/scenes.jsonl"),
    ),
    "clips": (
        Step("cutting", "clips", "<results>/clips/{shard}/ledger.jsonl"),
        Step("scoring", "clips", "<results>/clips/{shard}/scores.jsonl"),
    ),
    "concepts": (Step("degraded frames", "frames", "<results>/concepts/{shard}/{concept}/ledger.jsonl"),),
    "harvest": (Step("harvest", "addresses", "<results>/harvest/ledger.jsonl"),),
}


IMAGES = Layout(
    rules="image_datasets",
    samples="images",
    table="images.parquet",
    folders=("images", "labels"),
    files=("coco.json", "dataset.yaml", "ledger.jsonl"),
    steps=(
        Step("near-duplicates", "images", "<results>/duplicates/ledger.jsonl"),
        Step("selection", "images", "<results>/selections/{dataset}/ledger.jsonl"),
        Step("writing", "regions", "<results>/datasets/{dataset}/ledger.jsonl"),
    ),
    datasheet="write_datasheet",
)
CLIPS = Layout(
    rules="clip_datasets",
    samples="clips",
    table="clips.parquet",
    folders=("train", "val", "test"),
    files=("clips.parquet",),
    steps=(Step("filtering", "clips", "<results>/selections/{dataset}/ledger.jsonl"),),
    datasheet="write_clip_datasheet",
)


PICTURES = Layout(
    rules="picture_datasets",
    samples="pictures",
    table="pictures.parquet",
    folders=("images",),
    files=("pictures.parquet",),
    steps=(Step("selection", "pictures", "<results>/selections/{dataset}/ledger.jsonl"),),
)


# The folders of an image set are the names of its layouts, see `image_set`.
IMAGE_SETS = Layout(
    rules="image_sets",
    samples="pictures",
    table="pictures.parquet",
    folders=(),
    files=(),
    steps=(Step("selection", "pictures", "<results>/selections/{dataset}/ledger.jsonl"),),
    pattern="**/[!.]*",
    # Some trainers do not validate, and a single film should be enough.
    needs=("train",),
)


# Further folders and files of a face set follow from its settings, see `face_set`.
FACE_SETS = Layout(
    rules="face_sets",
    samples="faces",
    table="faces.parquet",
    folders=("aligned",),
    files=("faces.parquet",),
    steps=(Step("selection", "faces", "<results>/selections/{dataset}/ledger.jsonl"),),
    pattern="[!.]*",
    # They are not divided: what is trained on one is not measured here.
    needs=(),
)


@dataclass(frozen=True)
class Dataset:
    """A dataset. Its paths may have `<results>` and the wildcards {shard} and {labelled}.

    Sets of labelled images that the settings name add to the samples of any dataset of images, see `labelled_sets`.
    """

    name: str
    layout: Layout
    gates: tuple[str, ...]  # the gates that it depends on
    settings_sections: tuple[str, ...]  # the sections of the settings that its content depends on
    description: str  # how its samples are made, for the report
    empty_hint: str = ""  # advice for the error message if it is empty
    samples: tuple[str, ...] = ()  # folders with the tables images.parquet and annotations.parquet
    pictures: tuple[str, ...] = ()  # folders with the images themselves
    classes: Callable[[Config], list[str]] = lambda config: []  # names in the order of their numbers
    sets: Mapping[str, str] = field(default_factory=dict)  # prefix of sources → the setting that lists sets which feed it
    drops_duplicates: bool = False  # whether only one of several images that look the same is kept
    backgrounds: Callable[[Config], float] = lambda config: 1.0  # largest fraction of its images that may have no region
    drawn: Mapping[str, str] = field(default_factory=dict)  # tables of the marks or mosaics drawn on the samples
    is_made: Callable[[Config], bool] = lambda config: False  # whether it is made even if no model is trained on it
    series: str | None = None  # the only series whose sources feed it; None: any


def _detects_in_videos(config: Config) -> bool:
    return bool(config["scenes"]["detect"]["weights"])


def _mosaic_classes(config: Config) -> list[str]:
    detectors = config["regions"]["detectors"]
    return ["nsfw", "sfw"] if detectors["face"]["weights"] or detectors["head"]["weights"] else ["nsfw"]


DATASETS = (
    Dataset(
        name="nsfw_detection",
        layout=IMAGES,
        gates=("frames", "labels"),
        settings_sections=("sources", "frames", "annotations", "duplicates", "splits"),
        samples=("<results>/labels/frames/{labelled}",),
        pictures=("<results>/labels/frames/{labelled}/unsampled", "<results>/frames/{shard}/images"),
        classes=lambda config: list(config["annotations"]["classes"]),
        sets={LABELS: "annotations.labels"},
        drops_duplicates=True,
        description="Images are labelled in two places: sampled frames in ``annotations.frame_labels``, and the sets of images "
        "named in ``annotations.labels``.",
        empty_hint="Name a set of labelled images in `annotations.labels`, label frames of your sources",
    ),
    Dataset(
        name="watermark_detection",
        layout=IMAGES,
        gates=("frames", "watermarks"),
        settings_sections=("sources", "frames", "watermarks", "duplicates", "splits"),
        samples=("<results>/watermarks/frames/{shard}",),
        pictures=("<results>/watermarks/frames/{shard}/images",),
        classes=lambda config: ["watermark"],
        sets={WATERMARKS: "watermarks.sets"},
        # Frames that look the same have different watermarks drawn over them.
        drops_duplicates=False,
        drawn={"marks": "<results>/watermarks/frames/{shard}/marks.parquet"},
        description="Images come from two places: watermarks are drawn over sampled frames, and the sets named in "
        "``watermarks.sets`` are imported.",
        empty_hint="Name a set in `watermarks.sets`, draw on more frames (`watermarks.draw.frames_per_source`)",
    ),
    Dataset(
        name="mosaic_detection",
        layout=IMAGES,
        gates=("frames", "regions", "mosaics"),
        settings_sections=("sources", "frames", "regions", "mosaics", "degradations", "duplicates", "splits"),
        samples=("<results>/mosaics/{shard}",),
        pictures=("<results>/mosaics/{shard}/images",),
        classes=_mosaic_classes,
        drops_duplicates=True,
        backgrounds=lambda config: float(config["mosaics"]["backgrounds"]),
        drawn={"mosaics": "<results>/mosaics/{shard}/mosaics.parquet"},
        description="Detectors run over every sampled frame. Each detection is accepted or rejected. Each frame then gets "
        "mosaics, becomes a clean background, or is left out. The masks of the mosaics become the labels.",
        empty_hint="Lower `regions.choose.confidence`, train the detectors of `regions.detectors` longer (the ledgers in"
        " results/regions say what became of each frame)",
    ),
    Dataset(
        name="mosaic_restoration",
        layout=CLIPS,
        gates=("scenes", "clips"),
        settings_sections=("sources", "scenes", "clips", "scores", "filters", "splits"),
        description="A detector runs over the videos of every admitted source. Its detections are tracked from frame to frame. "
        "Tracks become scenes, and scenes are cut into clips, which are scored. The filters and the decisions of people select "
        "the clips.",
        is_made=_detects_in_videos,
    ),
)


@dataclass(frozen=True)
class Kind:
    """The properties that all models of one kind have in common."""

    rules: str  # the file in workflow/rules that trains, measures and exports them
    exports: tuple[str, ...]  # the names of the exported files in results/exports/MODEL, of which {model} is a part
    not_for: tuple[str, ...]  # forbidden uses, for their cards
    card: str = "write_plain_card"  # the rule that writes the card
    table: str = "tabulate_metrics"  # the rule that writes the table of the metrics
    section: str = "models"  # the section of the settings with those of each, by its name
    optional_exports: tuple[tuple[str, str], ...] = ()  # further ones, each with the setting in `export` that adds it
    compared: type[ComparedWeights] | None = None  # the settings of weights of others that they are compared with
    reserved: tuple[str, ...] = ()  # names in their tables that no compared model may have
    compares_export: bool = False  # whether its rules write results/metrics/MODEL.export.json: trained against exported model


NOT_FOR = (
    "footage whose rights are not settled, or adult footage without the consent of those shown and proof that they are adults",
    "footage of minors, in any way",
    "identifying persons, or making, finding or spreading intimate footage against the will of those shown",
)
# Lada's application lists the weights in its folder whose names begin with lada_mosaic_detection_model_ and end in .pt, or
# begin with lada_mosaic_restoration_model_ and end in .pth (`ModelFiles` in lada/__init__.py).
FOR_LADA = "lada_{model}_model_tessera"
DETECTOR = Kind(
    rules="detectors",
    card="write_model_card",
    exports=("{model}.pt", "{model}.onnx"),
    optional_exports=((f"{FOR_LADA}.pt", "lada"),),
    compared=ComparedDetector,
    compares_export=True,
    not_for=(
        *NOT_FOR,
        "decisions about persons without a check by a human: the model misses regions, and reports false ones",
    ),
)
RESTORER = Kind(
    rules="restoration",
    card="write_restoration_card",
    table="tabulate_restoration",
    exports=("{model}.safetensors", f"{FOR_LADA}.pth"),
    compared=ComparedRestorer,
    reserved=(*BASELINES, RESTORED, CLEAN),
    compares_export=True,
    not_for=(
        *NOT_FOR,
        "removing a mosaic that protects a person who did not consent to its removal",
        "finding out what or who was under a mosaic: the model draws something likely, which may never have existed",
    ),
)


CLASSIFIER = Kind(
    rules="classifiers",
    table="tabulate_results",
    section="classifiers",
    exports=("{model}.safetensors", "{model}.onnx"),
    optional_exports=(("{model}-city.safetensors", "city"), ("{model}-city.config.json", "city")),
    compares_export=True,
    not_for=(
        *NOT_FOR,
        "decisions about persons without a check by a human: the model takes some pictures for what they are not",
    ),
)


@dataclass(frozen=True)
class Model:
    """A model: its dataset, its kind and its settings."""

    name: str
    dataset: str
    kind: Kind
    purpose: str  # continues "A model that can", for its card
    untrained_hint: str  # for the error message if it is not trained: why, and how to change that
    settings: Settings | None = None  # the defaults of `models.NAME`; None if it has a section of its own
    finds: str | None = None  # what it detects; selects it if the settings of a detector say `weights: trained`
    is_trained: Callable[[Config], bool] | None = None  # None: trained if `models.NAME` is not null
    uses: tuple[str, ...] = ()  # further parts of the settings that its card states


def _detector(name: str, finds: str, settings: DetectorSettings, purpose: str) -> Model:
    """Return a detector that is trained on the dataset with the same name."""
    untrained_hint = f"`models.{name}` is null, so that it is not trained; give it settings, or ask for another"
    return Model(name, name, DETECTOR, purpose, untrained_hint, settings, finds)


def _has_stages(config: Config) -> bool:
    return _detects_in_videos(config) and bool(config["restoration"]["stages"])


MODELS = (
    _detector(
        "nsfw_detection",
        "nsfw",
        MaskDetector(),
        "find regions of nudity in footage of consenting adults, so that datasets for finding and restoring "
        "mosaics can be made of it, and so that such footage can be filtered out elsewhere",
    ),
    _detector(
        "watermark_detection",
        "watermark",
        WatermarkDetector(),
        "find watermarks, text and logos that lie over a picture, so that datasets can leave out such pictures",
    ),
    _detector(
        "mosaic_detection",
        "mosaic",
        MosaicDetector(),
        "find mosaics, pixelated regions of pictures and videos, so that they can be left out or restored",
    ),
    Model(
        name="mosaic_restoration",
        dataset="mosaic_restoration",
        kind=RESTORER,
        purpose="replace mosaics in footage by a likely picture of the content under them",
        untrained_hint="no restoration model is trained: `restoration.stages` is empty, or `scenes.detect.weights` is null, so "
        "that there are no clips; set them, or ask for another model; `snakemake datasets` makes clips without a model",
        is_trained=_has_stages,
    ),
)


def dataset_of(classifier: str) -> Dataset:
    """Return the entry of the dataset of a classifier, which has its name."""
    settings = f"classifiers.{classifier}"
    return Dataset(
        name=classifier,
        layout=PICTURES,
        gates=("frames", "labels", "image_labels", "concepts"),
        settings_sections=(
            "sources",
            "frames",
            "annotations",
            "duplicates",
            "splits",
            f"{settings}.labels",
            f"{settings}.pictures",
        ),
        description="Pictures come from the places that ``classifiers`` names: sets of labelled pictures, datasets of regions,"
        " and frames that were degraded.",
        empty_hint=f"Name more pictures in `{settings}.pictures`",
    )


def _classifier(name: str, settings: Mapping[str, Any]) -> Model:
    return Model(
        name=name,
        dataset=name,
        kind=CLASSIFIER,
        purpose="tell what a picture as a whole shows, so that datasets can be chosen by it",
        untrained_hint=f"`classifiers.{name}` is not there",
        is_trained=lambda config: True,
        uses=(f"embeddings.{settings['embedding']}",) if settings["embedding"] else (),
    )


PART = "-"  # between the name of an image set, which has none, and that of a series


def image_set(name: str, config: Config, series: str | None = None) -> Dataset:
    """Return the entry of the image set `name` of the settings, or of its part with the sources of one `series` alone."""
    settings = config["image_sets"][name]
    # A picture shows the identities of the crops in it, whatever the set is made of.
    needs = {"crops": config["crops"]["steps"], "tags": config["tagger"], "identities": config["identities"]}
    needs["scores"] = settings["select"]["scores"]
    return Dataset(
        name=name if series is None else f"{name}{PART}{file_name(series)}",
        layout=replace(
            IMAGE_SETS, folders=tuple(layout for layout, options in settings["layouts"].items() if options is not None)
        ),
        gates=("frames", *(gate for gate, needed in needs.items() if needed)),
        settings_sections=("sources", "frames", "duplicates", "splits", "crops", "tagger", "identities", f"image_sets.{name}"),
        description="Sampled frames and crops of them are selected by the rules in ``image_sets``, scaled down and encoded.",
        empty_hint=f"Change `image_sets.{name}.select`",
        is_made=lambda config: True,
        series=series,
    )


def image_set_of_part(dataset: str) -> str:
    """Return the name in `image_sets` of an image set or of its part with one series."""
    return dataset.partition(PART)[0]


def face_set(name: str, config: Config) -> Dataset:
    """Return the entry of the face set `name` of the settings."""
    settings = config["face_sets"][name]
    folders, files = FACE_SETS.folders, FACE_SETS.files
    if any(settings[part]["weights"] or settings[f"{part}_by_hand"] for part in ("landmarks", "masks")):
        folders, files = (*folders, "masks"), (*files, "masks.parquet")
    if settings["pack"]:
        files = (*files, "faceset.pak", "packed.jsonl")
    return Dataset(
        name=name,
        layout=replace(FACE_SETS, folders=folders, files=files),
        gates=("frames", "faces"),
        settings_sections=("sources", "frames", "splits", f"face_sets.{name}"),
        description="The faces in sampled frames of sources with general content are cut out and aligned to the mean face. The"
        " person agreed to it. The rules in ``face_sets`` select them.",
        is_made=lambda config: True,
    )


def all_datasets(config: Config) -> tuple[Dataset, ...]:
    """Return the entries of all datasets: `DATASETS`, and one for each classifier, image set and face set of the settings."""
    image_sets = (image_set(name, config) for name in config["image_sets"])
    face_sets = (face_set(name, config) for name in config["face_sets"])
    return (*DATASETS, *map(dataset_of, config["classifiers"]), *image_sets, *face_sets)


def all_models(config: Config) -> tuple[Model, ...]:
    """Return the entries of all models: `MODELS`, and one for each classifier that the settings name."""
    return (*MODELS, *(_classifier(name, settings) for name, settings in config["classifiers"].items()))


def trained_models(config: Config, has_sources: bool = True) -> dict[str, Model]:
    """Return the models that are trained under `config`, by name.

    If `has_sources` is false, the manifest lists no footage. Then only models are trained whose dataset has sets of images.
    """
    possible = {dataset.name for dataset in all_datasets(config) if has_sources or sets_of(dataset, config)}
    return {
        model.name: model
        for model in all_models(config)
        if model.dataset in possible
        and (model.is_trained(config) if model.is_trained else config["models"][model.name] is not None)
    }


def made_datasets(
    config: Config, has_sources: bool = True, series: Iterable[str] = (), face_sets: Collection[str] = ()
) -> dict[str, Dataset]:
    """Return the datasets that are made under `config`, by name: for models that are trained, or because of `is_made`.

    If `has_sources` is false, these are only the datasets of the models that are trained without footage. `series`: those of
    the manifest, each of which has a part of its own of the image sets with `each_series`. `face_sets`: those that may be made.
    """
    used = {model.dataset for model in trained_models(config, has_sources).values()}
    made = [dataset for dataset in all_datasets(config) if dataset.name in used or (has_sources and dataset.is_made(config))]
    parts = {name: sorted(set(series) - {""}) for name, settings in config["image_sets"].items() if settings["each_series"]}
    made = [dataset for dataset in made if dataset.name not in parts]
    made = [dataset for dataset in made if dataset.name not in config["face_sets"] or dataset.name in face_sets]
    made += [image_set(name, config, one) for name, its_series in parts.items() if has_sources for one in its_series]
    return {dataset.name: dataset for dataset in made}


def label_task(dataset: Dataset, config: Config) -> str:
    """Return the task that the YOLO labels of `dataset` are written for: `detect` (boxes) or `segment` (masks).

    Boxes are enough if every detector that is trained on it finds boxes. They can be made of masks, but not the reverse.
    """
    detectors = [model for model in trained_models(config).values() if model.dataset == dataset.name and model.kind is DETECTOR]
    tasks = {task_of(config["models"][model.name]["architecture"]) for model in detectors}
    return "detect" if tasks == {"detect"} else "segment"


class NamedSet(NamedTuple):
    """A set of labelled images that the settings name."""

    source: str  # its id; those of its images are equal to it, or begin with it and a slash
    setting: str  # the setting that lists it
    dataset: str  # the name of the dataset that it feeds
    values: dict[str, Any]  # its own settings


def labelled_sets(config: Config) -> list[NamedSet]:
    """Return all sets of labelled images that the settings name, in their order.

    A set feeds the dataset that its setting `use` names or, without one, that whose entry names the list.
    """
    sets = []
    for dataset in DATASETS:
        for prefix, setting in dataset.sets.items():
            section, _, key = setting.partition(".")
            sets += [
                NamedSet(f"{prefix}{values['name']}", setting, values["use"] or dataset.name, values)
                for values in config[section][key]
            ]
    return sets


def sets_of(dataset: Dataset, config: Config) -> dict[str, dict[str, Any]]:
    """Return the settings of each set of material that `dataset` imports, by the prefix of the sources of its images."""
    pictures = config["classifiers"].get(dataset.name, {}).get("pictures", {"sets": [], "regions": None})
    feeds = {dataset.name, (pictures["regions"] or {}).get("dataset")}
    labels = [values for values in config["annotations"]["image_labels"] if values["name"] in pictures["sets"]]
    return {
        **{label_set.source: label_set.values for label_set in labelled_sets(config) if label_set.dataset in feeds},
        **{f"{IMAGE_LABELS}{values['name']}": values for values in labels},
    }


def part_of(config: Config, path: str) -> Any:
    """Return the part of the settings at `path`, such as `frames` or `classifiers.NAME`."""
    for key in path.split("."):
        config = config[key]
    return config


def settings_on_card(model: Model, config: Config) -> dict[str, Any]:
    """Return the settings that the card of `model` states: its own, and the parts that it uses, by their paths."""
    own_settings = part_of(config, f"{model.kind.section}.{model.name}")
    return {**own_settings, **{path: part_of(config, path) for path in model.uses}}


def settings_of(dataset: Dataset, config: Config) -> dict[str, Any]:
    """Return the sections of the settings that the content of `dataset` depends on, with those sets alone that feed it."""
    feeding_sets = list(sets_of(dataset, config).values())
    sections = {path: copy(part_of(config, path)) for path in dataset.settings_sections}
    for other in DATASETS:
        for section, _, key in (setting.partition(".") for setting in other.sets.values()):
            if section in sections:
                sections[section][key] = [values for values in config[section][key] if values in feeding_sets]
    if sections.get("identities"):
        del sections["identities"]["shown"]  # it decides the report alone
    return sections | ({"drops": drops} if (drops := config["drops"].get(dataset.name)) else {})


def fed_by(gate: str) -> list[str]:
    """Return the names of the datasets that depend on `gate`."""
    return [dataset.name for dataset in DATASETS if gate in dataset.gates]


def model_for(finds: str) -> str:
    """Return the name of the model that `weights: trained` means for a detector of `finds`; empty if there is none."""
    return next((model.name for model in MODELS if model.finds == finds), "")
