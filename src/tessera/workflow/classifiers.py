"""Classifiers: the pictures that they learn from, their trainings, and how they are used."""

from pathlib import Path
from typing import Any

from tessera.core.contents import contents_of
from tessera.core.errors import TesseraError
from tessera.core.files import check_apart, check_exists, file_name, files_below
from tessera.learning.classification.settings import HEAD
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.workflow.labels import decisions_on_pictures
from tessera.workflow.project import Given, Paths, Project, Wildcards, require_sources

# The parts of the settings of a classifier that its training depends on.
NETWORK = (
    "labels",
    "architecture",
    "weights",
    "embedding",
    "hidden",
    "image_size",
    "resize",
    "augmentation",
    "training",
)


def degraded_concepts(project: Project) -> dict[str, dict[str, Any]]:
    """Return the settings of the degraded copies of frames, by the classifier that they are made for."""
    degraded = {name: classifier["pictures"]["degraded"] for name, classifier in project.config["classifiers"].items()}
    return {name: settings for name, settings in degraded.items() if settings}


def concept_settings(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of the degraded copies of a job."""
    return degraded_concepts(project)[wildcards.concept]


def degraded_frames(project: Project, classifier: str) -> list[str]:
    """Return the tables of the degraded frames that feed `classifier`."""
    is_fed = classifier in degraded_concepts(project)
    return project.of_shards(f"<results>/concepts/{{shard}}/{classifier}/labels.parquet") if is_fed else []


def pictures_of(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of where the pictures of a dataset come from."""
    pictures: dict[str, Any] = project.config["classifiers"][wildcards.dataset]["pictures"]
    return pictures


def labels_of_dataset(project: Project, wildcards: Wildcards) -> Any:
    """Return the classes or the range of scores of a dataset of pictures."""
    return project.config["classifiers"][wildcards.dataset]["labels"]


def from_sets(project: Project, wildcards: Wildcards, file: str) -> list[str]:
    """Return `file` of each set of labelled images that feeds a dataset."""
    pictures = pictures_of(project, wildcards)
    named = [file_name(name) for name in pictures["sets"]]
    readable = [name for name in named if name in project.readable_image_labels]
    # If nothing else is there, the error names the set of the answers.
    has_others = readable or pictures["regions"] or pictures["degraded"]
    return [f"<results>/labels/images/{name}/{file}" for name in (readable if has_others else named)]


def labels_of_pictures(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the labelled images and of the degraded frames that feed a dataset."""
    return [*from_sets(project, wildcards, "labels.parquet"), *degraded_frames(project, wildcards.dataset)]


def corrected_labels(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the decisions on the pictures of a dataset that change it: a decision to keep a label does not."""
    return decisions_on_pictures(project, wildcards.dataset, "drop", "relabel")


def regions_of(project: Project, wildcards: Wildcards, table: str) -> Paths:
    """Return the file `table` of the dataset of regions that feeds a dataset, or an empty list."""
    regions = pictures_of(project, wildcards)["regions"]
    return f"<results>/selections/{regions['dataset']}/{table}.parquet" if regions else []


def of_classifier(project: Project, *parts: str) -> Given[dict[str, Any]]:
    """Return a function that returns these parts of the settings of a classifier."""

    def of_wildcards(wildcards: Wildcards) -> dict[str, Any]:
        settings = project.config["classifiers"][wildcards.model]
        return {part: settings[part] for part in parts}

    return of_wildcards


def network_settings(project: Project) -> Given[dict[str, Any]]:
    """Return a function that returns the settings that the training of a classifier depends on."""
    return of_classifier(project, *NETWORK)


def initial_weights_of_classifier(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the weights that the training of a classifier starts from, or an empty list."""
    return weights_file(project.config["classifiers"][wildcards.model]["weights"])


def vectors_of_classifier(project: Project, wildcards: Wildcards) -> Paths:
    """Return the table of the vectors that a head learns from. Other classifiers have none, so that it is an empty list."""
    settings = project.config["classifiers"][wildcards.model]
    dataset = project.models[wildcards.model].dataset
    is_head = settings["architecture"] == HEAD
    return f"<results>/embeddings/datasets/{dataset}/{settings['embedding']}.parquet" if is_head else []


def weights_for_city(project: Project, wildcards: Wildcards) -> Paths:
    """Return the exported weights for CityClassifiers, or an empty list if they are not wanted."""
    model = wildcards.model
    is_wanted = project.config["classifiers"][model]["export"]["city"]
    return f"<results>/exports/{model}/{model}-city.safetensors" if is_wanted else []


def opset(project: Project, wildcards: Wildcards) -> int:
    """Return the version of the operators of ONNX that a classifier is exported with."""
    return int(project.config["classifiers"][wildcards.model]["export"]["opset"])


def epochs_of_classifier(project: Project, wildcards: Wildcards) -> int:
    """Return the largest number of epochs of a training."""
    return int(project.config["classifiers"][wildcards.model]["training"]["epochs"])


def used_classifiers(project: Project) -> dict[str, dict[str, Any]]:
    """Return how classifiers are used, by their names.

    Each has its weights, its tiling, its labels if its weights do not state them, and the settings of the embedding of a head.
    """
    config = project.config
    declared = config["declared_classifiers"]
    return {
        name: {
            "weights": settings["weights"] if name in declared else "trained",
            "tiling": settings["tiling"],
            "labels": settings["labels"] if name in declared else None,
            "embedding": config["embeddings"].get(settings["embedding"]),
        }
        for name, settings in [*config["classifiers"].items(), *declared.items()]
    }


def dropping_classifiers(project: Project) -> list[str]:
    """Return the classifiers by which frames are left out of datasets that are made, and of image sets."""
    config = project.config
    drops = (name for dataset in project.datasets for name in config["drops"].get(dataset, {}))
    scores = (name for image_set in config["image_sets"].values() for name in image_set["select"]["scores"])
    return list(dict.fromkeys([*drops, *scores]))


def used_classifier(project: Project, wildcards: Wildcards) -> str:
    """Return the name of the classifier of a job: its wildcard or, without one, that which `score` names."""
    name = getattr(wildcards, "classifier", project.config["score"]["model"])
    if name is None:
        raise TesseraError("`score.model` is null: name a classifier")
    if name in project.config["classifiers"] and name not in project.models:
        require_sources(project, wildcards)
    return str(name)


def classifier_weights(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the classifier of a job."""
    name = used_classifier(project, wildcards)
    return weights_file(used_classifiers(project)[name]["weights"], name, ".safetensors")


def classifier_checksums(project: Project, wildcards: Wildcards) -> Paths:
    """Return the checksums of the classifier of a job if it is trained here, else an empty list."""
    name = used_classifier(project, wildcards)
    return weights_checksums(used_classifiers(project)[name]["weights"], name)


def embedder_weights(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the model of the vectors of a head, or an empty list for other classifiers."""
    embedding = used_classifiers(project)[used_classifier(project, wildcards)]["embedding"]
    return weights_file(embedding["weights"], embedding["detector"]) if embedding else []


def embedder_checksums(project: Project, wildcards: Wildcards) -> Paths:
    """Return the checksums of the model of the vectors of a head if it is trained here, else an empty list."""
    embedding = used_classifiers(project)[used_classifier(project, wildcards)]["embedding"]
    return weights_checksums(embedding["weights"], embedding["detector"]) if embedding else []


def classifier_use(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of the use of the classifier of a job, without those of its embedding that are for other uses."""
    settings = used_classifiers(project)[used_classifier(project, wildcards)]
    others = {"clips", "crops", "near_duplicates", "detector"}
    embedding = settings["embedding"]
    used = embedding and {name: value for name, value in embedding.items() if name not in others}
    return {**settings, "embedding": used}


def scored_folder(project: Project, wildcards: Wildcards) -> str:
    """Return the folder that is scored. Raises `TesseraError` if it is missing, or contains the results or lies in them."""
    folder = project.config["score"]["folder"]
    if folder is None:
        raise TesseraError("`score.folder` is null: name a folder of pictures")
    check_exists("score.folder", folder, folder=True)
    check_apart("score.folder", folder, Path(project.results, "scores"))
    return str(folder)


def watched_folder(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the files in the folder that is scored."""
    return contents_of(files_below(Path(scored_folder(project, wildcards))))


def label_checks(project: Project) -> dict[str, dict[str, Any]]:
    """Return how labels are checked, by the classifier that they belong to."""
    checks = {name: settings["label_errors"] for name, settings in project.config["classifiers"].items()}
    return {name: check for name, check in checks.items() if check and name in project.models}


def number_of_folds(project: Project, wildcards: Wildcards) -> int:
    """Return the number of folds that the labels of a classifier are checked with."""
    return int(label_checks(project)[wildcards.model]["folds"])


def predictions_of_folds(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the predictions of each fold of a classifier."""
    folds = range(number_of_folds(project, wildcards))
    return [f"<results>/training/{wildcards.model}/folds/{fold}/predictions.parquet" for fold in folds]


def kept_labels(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the decisions to keep the label of a picture of a classifier."""
    return decisions_on_pictures(project, wildcards.model, "keep")


def vectors_of_errors(project: Project, wildcards: Wildcards) -> Paths:
    """Return the vectors of the pictures of a classifier, or an empty list if its labels are checked without."""
    embedding = label_checks(project)[wildcards.model]["embedding"]
    dataset = project.models[wildcards.model].dataset
    return f"<results>/embeddings/datasets/{dataset}/{embedding}.parquet" if embedding else []


def degraded_pictures(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the degraded frames that feed a classifier."""
    return degraded_frames(project, wildcards.model)


def require_label_checks(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if no labels are checked."""
    if not label_checks(project):
        raise TesseraError("no labels are checked: set `classifiers.NAME.label_errors`, such as to {}")
    return []


def searches(project: Project) -> dict[str, str]:
    """Return the model of each search for better settings whose model is trained."""
    models = {name: search["model"] for name, search in project.config["search"].items()}
    return {name: model for name, model in models.items() if model in project.models}


def search_settings(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of a search."""
    settings: dict[str, Any] = project.config["search"][wildcards.search]
    return settings


def search_pages(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the page of each search. Raises `TesseraError` if there is none."""
    if not project.config["search"]:
        raise TesseraError("`search` names no search: state a model and a space, as in the example in config/config.yaml")
    if not searches(project):
        require_sources(project, wildcards)
    return [f"<results>/search/{model}/{name}/search.html" for name, model in searches(project).items()]
