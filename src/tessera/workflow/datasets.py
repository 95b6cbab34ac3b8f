"""What makes a dataset: the samples, the gates, the limits, and its order of sources."""

from typing import Any

from tessera.catalogue import Dataset
from tessera.workflow.embeddings import tables_of_duplicates
from tessera.workflow.project import Paths, Project, Wildcards


def gates_of(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the summaries of the gates of a dataset."""
    dataset = project.datasets[wildcards.dataset]
    return [f"<results>/gates/{gate}.json" for gate in (*dataset.gates, *(["scores"] if drops_of(project, wildcards) else []))]


def samples_of(project: Project, wildcards: Wildcards, table: str) -> list[str]:
    """Return the files `table` of all samples of a dataset."""
    dataset = project.datasets[wildcards.dataset]
    folders = project.expand_shards(*dataset.samples)
    return [*project.of_labelled_sets(table, [dataset.name]), *(f"{folder}/{table}" for folder in folders)]


def pictures_of_samples(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the folders of the images that the tables of samples name."""
    dataset = project.datasets[wildcards.dataset]
    return [*project.of_labelled_sets("pictures", [dataset.name]), *project.expand_shards(*dataset.pictures)]


def duplicates_of(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the near-duplicates that a dataset leaves out."""
    return tables_of_duplicates(project) if project.datasets[wildcards.dataset].drops_duplicates else []


def splits_of_backgrounds(project: Project, wildcards: Wildcards) -> Paths:
    """Return the table of the splits of sources if a dataset limits its backgrounds, else an empty list."""
    is_limited = project.datasets[wildcards.dataset].backgrounds(project.config) < 1
    return "<results>/datasets/splits.parquet" if is_limited else []


def drops_of(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the limits of what classifiers see in the frames of a dataset, by the name of the classifier."""
    limits: dict[str, Any] = project.config["drops"].get(wildcards.dataset, {})
    return limits


def scores_of_frames(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the scores by which a dataset leaves out frames."""
    classifiers = drops_of(project, wildcards)
    return project.of_shards("<results>/scores/frames/{shard}/{classifier}.parquet", classifier=classifiers)


def metrics_of_drops(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the metrics of those classifiers by which a dataset leaves out frames that are trained here."""
    return project.metrics_of(drops_of(project, wildcards))


def drawn_on(project: Project, dataset: Dataset, what: str) -> list[str]:
    """Return the tables of the `marks` or `mosaics` on the samples of a dataset, or an empty list."""
    return project.expand_shards(dataset.drawn[what]) if what in dataset.drawn else []


def divided_sources(project: Project) -> list[str]:
    """Return the ids of all sources, sorted."""
    labelled = [each.source for each in project.labels.values() if each.dataset in project.without_duplicates]
    return [*labelled, *(source.source for source in project.sources)]
