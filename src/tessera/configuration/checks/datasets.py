"""Checks of what datasets are made of, and in which order."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from tessera.catalogue import DATASETS, IMAGES, labelled_sets, model_for
from tessera.configuration.sections import Sections
from tessera.core.files import file_name
from tessera.core.messages import Message, did_you_mean


def faults_in_sets(settings: Sections) -> list[str]:
    """Return which sets of labelled images feed no dataset of images, have the name of another, or classes that it has not."""
    config = settings.model_dump(mode="json")
    allowed = [dataset.name for dataset in DATASETS if dataset.layout is IMAGES]
    setting_of_name: dict[str, str] = {}
    faults: list[Message] = []
    for label_set in labelled_sets(config):
        name = label_set.values["name"]
        if label_set.dataset not in allowed:
            faults.append(
                f"{label_set.setting}: {name!r}: `use` should be one of {', '.join(allowed)}; given: {label_set.dataset!r}"
            )
        first = setting_of_name.setdefault(file_name(name).casefold(), label_set.setting)
        if first != label_set.setting:
            faults.append(f"{label_set.setting}: the name {name!r} is also in {first}; rename one of them")
        known = next((dataset.classes(config) for dataset in DATASETS if dataset.name == label_set.dataset), None)
        if known is not None and label_set.dataset in allowed:
            faults += class_faults(
                f"{label_set.setting}: {name!r}: `classes`", label_set.values["classes"], known, label_set.dataset
            )
    used: dict[str, dict[str, list[str]]] = {}
    for name, classifier in settings.classifiers.items():
        for set_name in classifier.pictures.sets if classifier.classes else ():
            used.setdefault(set_name, {})[name] = list(classifier.classes)
    for images in settings.annotations.image_labels:
        if feeds := used.get(images.name):
            path = f"annotations.image_labels: {images.name!r}: `classes`"
            known = list(dict.fromkeys(name for names in feeds.values() for name in names))
            faults += class_faults(path, images.classes, known, ", ".join(feeds))
    return faults


def class_faults(path: str, stated: Mapping[str, str | None], classes: Sequence[str], of: str) -> list[str]:
    """Return which values in `stated`, the setting at `path`, are none of the `classes` of the dataset or classifier `of`."""
    return [
        f"{path} says that {key!r} is {value!r}, which is no class of {of}{did_you_mean(value, classes) or '.'}"
        f" It should be one of {', '.join(map(repr, classes))}, or null"
        for key, value in stated.items()
        if value is not None and value not in classes
    ]


def faults_in_order(settings: Sections) -> list[str]:
    """Return the datasets and models that need each other, in a circle."""
    detectors = {
        "regions": [(f"regions.detectors.{name}", name, detector.weights) for name, detector in settings.regions.detectors]
    }
    detectors["scenes"] = [
        ("scenes.detect", "nsfw", settings.scenes.detect.weights),
        *((f"scores.detectors.{name}", name, detector.weights) for name, detector in settings.scores.detectors),
    ]
    # What each needs, and the setting that says so. A dataset and the model that is trained on it count as one.
    needs: dict[str, dict[str, str]] = {}
    for dataset in DATASETS:
        needed = needs.setdefault(dataset.name, {})
        for gate, used in detectors.items():
            if gate in dataset.gates:
                needed |= {model_for(finds): path for path, finds, weights in used if weights == "trained"}
        if "scenes" in dataset.gates:
            needed |= dict.fromkeys(settings.scores.classifiers, "scores.classifiers")
        needed |= dict.fromkeys(settings.drops.get(dataset.name, {}), f"drops.{dataset.name}")
    heads = {f"classifiers.{name}": detector.embedding for name, detector in settings.classifiers.items()}
    heads |= {f"declared_classifiers.{name}": detector.embedding for name, detector in settings.declared_classifiers.items()}
    for path, embedding in heads.items():
        if embedding in settings.embeddings and settings.embeddings[embedding].weights == "trained":
            needs.setdefault(path.split(".")[1], {})[settings.embeddings[embedding].detector] = f"{path}.embedding"
    for name, classifier in settings.classifiers.items():
        if regions := classifier.pictures.regions:
            needs.setdefault(name, {})[regions.dataset] = f"classifiers.{name}.pictures.regions"
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]
        listed = ", ".join(f"{user} needs {used} (`{needs[user][used]}`)" for user, used in pairwise(cycle))
        return [f"circular dependency: {listed}; remove one of these settings"]
    return []
