"""Active learning: the rounds that were asked, and what another needs."""

from functools import cache
from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.records.rounds import Round, read_rounds, round_name
from tessera.stages.labels.settings import ImageLabelSet
from tessera.workflow.classifiers import labels_of_pictures, regions_of
from tessera.workflow.labels import answers_by_key
from tessera.workflow.project import Paths, Project, Wildcards


@cache
def asked_rounds(project: Project) -> list[Round]:
    """Return the rounds that were asked so far."""
    return read_rounds(Path(project.answers["path"])) if project.config["ask"]["model"] else []


def asked_classifiers(project: Project) -> list[str]:
    """Return the classifier that `ask` names, if there are rounds, in a list. It has a learning curve."""
    return [project.config["ask"]["model"]] if asked_rounds(project) else []


def has_labels(project: Project) -> bool:
    """Return whether there are labels that the classifier can learn from."""
    pictures = project.config["classifiers"][project.config["ask"]["model"]]["pictures"]
    return bool(
        pictures["regions"]
        or pictures["degraded"]
        or any(file_name(name) in project.readable_image_labels for name in pictures["sets"])
    )


def of_trained(project: Project, wildcards: Wildcards, path: str) -> Paths:
    """Return `path` for the classifier, and for all shards if it has {shard}; an empty list if it has nothing to learn from."""
    if not has_labels(project):
        return []
    filled = path.replace("{dataset}", wildcards.dataset)
    return project.of_shards(filled) if "{shard}" in filled else filled


def labels_to_ask_with(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the labelled pictures of the classifier."""
    return labels_of_pictures(project, wildcards) if has_labels(project) else []


def regions_to_ask_with(project: Project, wildcards: Wildcards) -> Paths:
    """Return the table of the images of the dataset of regions that feeds the classifier, or an empty list."""
    return regions_of(project, wildcards, "images") if has_labels(project) else []


def compared_vectors(project: Project) -> list[str]:
    """Return the tables of the vectors that the pictures of a round differ in, if an embedding is set."""
    name = project.config["ask"]["embedding"]
    return project.of_shards(f"<results>/embeddings/shards/{{shard}}/{name}.parquet") if name else []


def require_answers(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if the last round that was asked has no answer."""
    # It imports what planning does without.
    from tessera.stages.labels.image_labels import has_answers

    rounds, answers = asked_rounds(project), project.answers
    last = round_name(len(rounds))
    if rounds and not has_answers(ImageLabelSet(**answers), last, answers_by_key(project)):
        raise TesseraError(
            f"{Path(answers['path'], last)} has no answers yet: label its pictures, there or with `snakemake review`, then run"
            " `snakemake ask` again"
        )
    return []


def round_to_ask(project: Project, wildcards: Wildcards) -> str:
    """Return the file that a round of the classifier makes. Raises `TesseraError` if none is set."""
    model = project.config["ask"]["model"]
    if not model:
        raise TesseraError("`ask.model` is null: name the classifier to ask for")
    return f"<results>/asked/{model}.jsonl"


def folder_of_answers(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return where the pictures of a round are written, and how they are labelled."""
    answers = project.answers
    return {
        "folder": answers["path"],
        "layout": answers["format"],
        "question": answers["task"] or answers["name"],
        "is_divided": answers["split_by"] == "image",
    }


def number_of_rounds(project: Project, wildcards: Wildcards) -> int:
    """Return how many rounds were asked. Each answered round is followed by another."""
    return len(asked_rounds(project))


def free_sources(project: Project, what: str | None) -> list[str]:
    """Return the ids of the sources that are known to show nothing of `what` a detector finds."""
    return [source.source for source in project.sources if what in source.free_of]


def free_of_hard_negatives(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of the sources that are known to show nothing of what the settings search hard negatives of."""
    return free_sources(project, (project.config["ask"]["hard_negatives"] or {}).get("free_of"))


def reached_by_rounds(project: Project, wildcards: Wildcards) -> list[dict[str, Any] | None]:
    """Return what a classifier had reached when each round was asked, None where it was another classifier or not trained."""
    return [
        asked.reached.model_dump() if asked.reached and asked.model == wildcards.model else None
        for asked in asked_rounds(project)
    ]
