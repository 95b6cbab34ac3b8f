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
    places: dict[str, str] = {}
    faults: list[Message] = []
    for each in labelled_sets(config):
        name = each.values["name"]
        if each.dataset not in allowed:
            faults.append(f"{each.setting}: {name!r}: `use` should be one of {', '.join(allowed)}; given: {each.dataset!r}")
        other = places.setdefault(file_name(name).casefold(), each.setting)
        if other != each.setting:
            faults.append(f"{each.setting}: the name {name!r} is also in {other}; rename one of them")
        known = next((dataset.classes(config) for dataset in DATASETS if dataset.name == each.dataset), None)
        if known is not None and each.dataset in allowed:
            faults += class_faults(f"{each.setting}: {name!r}: `classes`", each.values["classes"], known, each.dataset)
    used: dict[str, dict[str, list[str]]] = {}
    for name, classifier in settings.classifiers.items():
        for label_set in classifier.pictures.sets if classifier.classes else ():
            used.setdefault(label_set, {})[name] = list(classifier.classes)
    for images in settings.annotations.image_labels:
        if feeds := used.get(images.name):
            place = f"annotations.image_labels: {images.name!r}: `classes`"
            known = list(dict.fromkeys(name for names in feeds.values() for name in names))
            faults += class_faults(place, images.classes, known, ", ".join(feeds))
    return faults


def class_faults(place: str, stated: Mapping[str, str | None], classes: Sequence[str], of: str) -> list[str]:
    """Return which values in `stated`, the setting at `place`, are none of the `classes` of the dataset or classifier `of`."""
    return [
        f"{place} says that {key!r} is {value!r}, which is no class of {of}{did_you_mean(value, classes) or '.'}"
        f" It should be one of {', '.join(map(repr, classes))}, or null"
        for key, value in stated.items()
        if value is not None and value not in classes
    ]


def faults_in_order(settings: Sections) -> list[str]:
    """Return which datasets and models need each other, so that none of them could be made first."""
    detectors = {"regions": [(f"regions.detectors.{name}", name, each.weights) for name, each in settings.regions.detectors]}
    detectors["scenes"] = [
        ("scenes.detect", "nsfw", settings.scenes.detect.weights),
        *((f"scores.detectors.{name}", name, each.weights) for name, each in settings.scores.detectors),
    ]
    # What each needs, and the setting that says so. A dataset and the model that is trained on it count as one.
    needs: dict[str, dict[str, str]] = {}
    for dataset in DATASETS:
        own = needs.setdefault(dataset.name, {})
        for room, used in detectors.items():
            if room in dataset.gates:
                own |= {model_for(what): place for place, what, weights in used if weights == "trained"}
        if "scenes" in dataset.gates:
            own |= dict.fromkeys(settings.scores.classifiers, "scores.classifiers")
        own |= dict.fromkeys(settings.drops.get(dataset.name, {}), f"drops.{dataset.name}")
    heads = {f"classifiers.{name}": each.embedding for name, each in settings.classifiers.items()}
    heads |= {f"declared_classifiers.{name}": each.embedding for name, each in settings.declared_classifiers.items()}
    for place, embedding in heads.items():
        if embedding in settings.embeddings and settings.embeddings[embedding].weights == "trained":
            needs.setdefault(place.split(".")[1], {})[settings.embeddings[embedding].detector] = f"{place}.embedding"
    for name, classifier in settings.classifiers.items():
        if regions := classifier.pictures.regions:
            needs.setdefault(name, {})[regions.dataset] = f"classifiers.{name}.pictures.regions"
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
        listed = ", ".join(f"{one} needs {other} (`{needs[one][other]}`)" for one, other in pairwise(circle))
        return [f"nothing of these can be made first: {listed}; remove one of these settings"]
    return []
