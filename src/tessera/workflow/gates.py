"""The gates: which ledgers each checks, by its steps."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from tessera.catalogue import GATES, Step, fed_by
from tessera.workflow.classifiers import degraded_concepts, dropping_classifiers
from tessera.workflow.embeddings import embedded, embedded_crops, embeddings_of_frames, embeddings_with
from tessera.workflow.face_sets import embeddings_of_set, ledgers_of_faces
from tessera.workflow.identities import references
from tessera.workflow.labels import decisions_on_folders
from tessera.workflow.project import Project, Wildcards


@cache
def gates(project: Project) -> dict[str, dict[str, tuple[str, list[str]]]]:
    """Return the gates: of each step, the unit and the ledgers."""
    checked = {gate: {step.name: (step.unit, _ledgers(project, gate, step)) for step in steps} for gate, steps in GATES.items()}
    for gate, name, unit, ledgers in _steps_of_settings(project):
        checked.setdefault(gate, {})[name] = (unit, ledgers)
    return checked


def _ledgers(project: Project, gate: str, step: Step) -> list[str]:
    """Return the ledgers of a step of the catalogue. Sets of labelled images count at the last gate of their dataset."""
    if "{labels}" in step.ledger:
        return project.of_labelled_sets(step.ledger.rpartition("/")[2], fed_by(gate))
    if "{image_labels}" in step.ledger:
        return [step.ledger.replace("{image_labels}", name) for name in project.readable_image_labels]
    if "{concept}" in step.ledger:
        return project.of_shards(step.ledger, concept=degraded_concepts(project))
    return project.expand_shards(step.ledger)


def _steps_of_settings(project: Project) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield the gate, the name, the unit and the ledgers of each step that is there only if the settings ask for it."""
    config = project.config
    if decisions_on_folders(project):
        yield "frames", "decisions on pictures", "decisions", ["<results>/frames/decisions.jsonl"]
    for name in config["scores"]["classifiers"]:
        yield "clips", f"scoring by {name}", "clips", project.of_shards(f"<results>/scores/clips/{{shard}}/{name}.jsonl")
    if dropping := dropping_classifiers(project):
        ledgers = project.of_shards("<results>/scores/frames/{shard}/{classifier}.jsonl", classifier=dropping)
        yield "scores", "scoring frames", "frames", ledgers
    if config["crops"]["steps"]:
        yield "crops", "cropping", "regions", project.of_shards("<results>/crops/{shard}/ledger.jsonl")
    if embeddings_with(project, "crops"):
        # A trained detector may find the crops, for whose splits the near-duplicates behind the other gate are needed.
        yield "crops", "embedding crops", "crops", [f"{table}.jsonl" for table in embedded_crops(project)]
    if config["tagger"]:
        yield "tags", "tagging", "pictures", project.of_shards("<results>/tags/{shard}/ledger.jsonl")
    if embeddings_of_frames(project):
        for unit, tables in embedded(project).items():
            if tables:
                yield "embeddings", f"embedding {unit}", unit, [f"{table}.jsonl" for table in tables]
    if config["identities"]:
        yield "identities", "identification", "crops", ["<results>/identities/ledger.jsonl"]
        if ledgers := references(project, ".jsonl"):
            yield "identities", "references", "pictures", ledgers
    for name, ledgers in ledgers_of_faces(project).items():
        yield "faces", f"faces of {name}", "faces", ledgers
        if ledgers := embeddings_of_set(project, name, ".jsonl"):
            yield "faces", f"embedding faces of {name}", "faces", ledgers


def ledgers_of_gate(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ledgers that a gate checks."""
    return [ledger for _, ledgers in gates(project)[wildcards.gate].values() for ledger in ledgers]


def steps_of_gate(project: Project, wildcards: Wildcards) -> dict[str, dict[str, Any]]:
    """Return the unit of each step of a gate, and the number of its ledgers."""
    steps = gates(project)[wildcards.gate].items()
    return {step: {"unit": unit, "ledgers": len(ledgers)} for step, (unit, ledgers) in steps}
