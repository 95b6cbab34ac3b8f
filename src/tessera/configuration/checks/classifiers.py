"""Checks of classifiers: what they learn from, and where their results are used."""

from tessera.catalogue import DATASETS, IMAGES, MODELS, made_datasets
from tessera.configuration.sections import Classifier, Sections
from tessera.core.messages import Message
from tessera.learning.classification.settings import HEAD
from tessera.records.limits import label_fault


def faults_in_classifiers(settings: Sections) -> list[str]:
    """Return why classifiers have no pictures to learn from, or some that mean nothing."""
    faults: list[Message] = []
    taken = {entry.name for entry in (*DATASETS, *MODELS)}
    made = made_datasets(settings.model_dump(mode="json"))
    for name, classifier in settings.classifiers.items():
        path, pictures = f"classifiers.{name}", classifier.pictures
        if name in taken:
            faults.append(f"`{path}`: there is a dataset or a model of this name; give it another")
        if name in settings.declared_classifiers:
            faults.append(f"`{path}`: there is a `declared_classifiers.{name}`; rename one of them")
        known = {each.name for each in settings.annotations.image_labels}
        faults += [
            f"`{path}.pictures.sets` names {each!r}; `annotations.image_labels` has {', '.join(sorted(known)) or 'none'}"
            for each in pictures.sets
            if each not in known
        ]
        embeddings = {"embedding": classifier.embedding}
        if classifier.label_errors:
            embeddings["label_errors.embedding"] = classifier.label_errors.embedding
        faults += [
            f"`{path}.{key}` is {embedding!r}; `embeddings` has {', '.join(settings.embeddings) or 'none'}: declare it there,"
            " or name another"
            for key, embedding in embeddings.items()
            if embedding is not None and embedding not in settings.embeddings
        ]
        # Not whether it is stated: the report loads settings that state every default.
        if classifier.architecture != HEAD and classifier.hidden != Classifier.model_fields["hidden"].default:
            faults.append(f"`{path}.hidden` is for `architecture: {HEAD}` alone; remove it")
        if not (pictures.sets or pictures.regions or pictures.degraded):
            faults.append(f"`{path}.pictures` names no pictures; state `sets`, `regions` or `degraded`")
        regions, levels = pictures.regions, pictures.degraded.levels if pictures.degraded else ()
        named = [level.label for level in levels] + ([regions.present, regions.absent] if regions else [])
        if not classifier.classes and any(label is not None for label in named):
            faults.append(f"`{path}` gives a score, and its pictures have classes; state scores, or classes in `labels`")
        elif classifier.classes and (unknown := [label for label in named if label not in classifier.classes]):
            faults.append(
                f"`{path}.pictures` has {', '.join(map(str, dict.fromkeys(unknown)))}, and the classes are"
                f" {', '.join(classifier.classes)}: name one of these"
            )
        of_images = [each.name for each in made.values() if each.layout is IMAGES]
        if regions and regions.dataset not in of_images:
            faults.append(
                f"`{path}.pictures.regions.dataset` is {regions.dataset}; datasets of regions that are made are"
                f" {', '.join(of_images) or 'none'}"
            )
    return faults


def faults_in_scoring(settings: Sections) -> list[str]:
    """Return which classifiers that are used are not there, and which limits of their results do not fit them."""
    known = [*settings.classifiers, *settings.declared_classifiers]
    used = {
        "scores.classifiers": settings.scores.classifiers,
        "score.model": (settings.score.model,) if settings.score.model is not None else (),
        **{f"drops.{dataset}": tuple(limits) for dataset, limits in settings.drops.items()},
    }
    faults = [
        f"`{path}` names {name!r}; `classifiers` and `declared_classifiers` have {', '.join(known) or 'none'}"
        for path, names in used.items()
        for name in names
        if name not in known
    ]
    declared = ", ".join(settings.embeddings) or "none"
    faults += [
        f"`declared_classifiers.{name}.embedding` is {each.embedding!r}; `embeddings` has {declared}"
        for name, each in settings.declared_classifiers.items()
        if each.embedding is not None and each.embedding not in settings.embeddings
    ]
    allowed = [dataset.name for dataset in DATASETS if dataset.layout is IMAGES]
    faults += [
        f"`drops` names {dataset!r}; frames can be left out of {', '.join(allowed)}"
        for dataset in settings.drops
        if dataset not in allowed
    ]
    limits = {f"filters.classifiers.{name}": (name, limit) for name, limit in settings.filters.classifiers.items()}
    for dataset, each in settings.drops.items():
        limits |= {f"drops.{dataset}.{name}": (name, limit) for name, limit in each.items()}
    faults += [
        f"`filters.classifiers` has {name!r}, which is not scored: add it to `scores.classifiers`, or remove it"
        for name in settings.filters.classifiers
        if name not in settings.scores.classifiers
    ]
    labels = {path: (name, limit.label) for path, (name, limit) in limits.items()}
    if settings.score.model and settings.score.label is not None:
        labels["score"] = settings.score.model, settings.score.label
    for path, (name, label) in labels.items():
        # The classes of those that are declared are known when they are read.
        if name in settings.classifiers and (fault := label_fault(label, settings.classifiers[name].classes)):
            faults.append(f"`{path}` does not fit `classifiers.{name}`: {fault}")
    return faults
