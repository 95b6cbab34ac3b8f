"""The report: its figures, and what else it shows."""

import os
from typing import Any

from tessera.catalogue import CLIPS, DETECTOR, FACE_SETS, PICTURES, RESTORER, Dataset, Step, fed_by, labelled_sets
from tessera.configuration.read import settings_files
from tessera.workflow.labels import decisions_on_folders
from tessera.workflow.project import Project, Wildcards


def timed_rules(workflow: Any) -> dict[str, bool]:
    """Return the rules that are timed, in their order, and whether each has a job per shard. `workflow`: that of Snakemake."""
    return {rule.name: "shard" in rule.wildcard_names for rule in workflow.rules if rule.benchmark}


def origin_of_settings(workflow: Any) -> list[str]:
    """Return the settings files of this run, and `--config` if it was used. `workflow`: that of Snakemake."""
    stated = workflow.config_settings
    files = dict.fromkeys(os.path.relpath(file) for file in settings_files(stated.configfiles))
    return [*files, *(["--config"] if stated.config_args else [])]


def _steps_to(project: Project, dataset: Dataset) -> list[Step]:
    """Return the steps between the gates and `dataset`."""
    if not dataset.drops_duplicates:
        return [step for step in dataset.layout.steps if "<results>/duplicates/" not in step.ledger]
    by_embedding = [
        Step(f"near-duplicates by {name}", "images", f"<results>/near_duplicates/{name}/ledger.jsonl")
        for name in project.config["duplicates"]["embeddings"]
    ]
    by_hash, *others = dataset.layout.steps
    return [by_hash, *by_embedding, *others]


def gates_of_funnel(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the summaries of the gates before a dataset."""
    return [f"<results>/gates/{gate}.json" for gate in ("sources", *project.datasets[wildcards.dataset].gates)]


def ledgers_of_funnel(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ledgers of the steps between the gates and a dataset."""
    dataset = project.datasets[wildcards.dataset]
    return [step.ledger.replace("{dataset}", dataset.name) for step in _steps_to(project, dataset)]


def steps_of_funnel(project: Project, wildcards: Wildcards) -> list[tuple[str, str]]:
    """Return the name and the unit of each step between the gates and a dataset."""
    return [(step.name, step.unit) for step in _steps_to(project, project.datasets[wildcards.dataset])]


def detectors(project: Project) -> list[str]:
    """Return the names of the detectors that are trained."""
    return [name for name, model in project.models.items() if model.kind is DETECTOR]


def restorers(project: Project) -> list[str]:
    """Return the names of the restoration models that are trained."""
    return [name for name, model in project.models.items() if model.kind is RESTORER]


def shown_footage(project: Project) -> str | list[str]:
    """Return the page of restored footage if the settings name some, else an empty list."""
    return "<results>/reports/footage.html" if project.config["restore"]["shown"] else []


def content_of_labelled_sets(project: Project) -> dict[str, str]:
    """Return the `content` of each set of labelled images that the settings name, by its id as a source."""
    return {label_set.source: label_set.values["content"] for label_set in labelled_sets(project.config)}


def decided(project: Project, wildcards: Wildcards) -> list[tuple[str, str, str, str]]:
    """Return the key, the person, what it is about, and the decision of each decision."""
    samples = [(decision.key, decision.who, "samples", decision.decision) for decision in project.decisions.samples]
    return samples + [
        (decision.target, decision.by, "identities", decision.action) for decision in project.decisions.identities
    ]


def matched_decisions(project: Project) -> list[str]:
    """Return the ledgers that say which decisions match something."""
    is_fed = project.decided.regions and not project.datasets.keys().isdisjoint(fed_by("regions"))
    return [
        *(
            f"<results>/selections/{name}/decisions.jsonl"
            for name, dataset in project.datasets.items()
            if dataset.layout.rules in {CLIPS.rules, PICTURES.rules, FACE_SETS.rules}
        ),
        *(project.of_shards("<results>/regions/{shard}/decisions.jsonl") if is_fed else []),
        *(["<results>/frames/decisions.jsonl"] if decisions_on_folders(project) else []),
        *(["<results>/identities/decisions.jsonl"] if project.config["identities"] else []),
    ]
