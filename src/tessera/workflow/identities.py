"""Who or what the crops show: reference pictures, vectors and decisions."""

from pathlib import Path
from typing import Any

from tessera.core.contents import contents_of
from tessera.core.errors import TesseraError
from tessera.core.files import IMAGE_SUFFIXES, check_exists, files_below
from tessera.records.identities import read_references
from tessera.workflow.project import Paths, Project, Wildcards, require_sources


def references(project: Project, suffix: str) -> list[str]:
    """Return the file of the vectors of reference pictures with `suffix`; none if there are no references."""
    identities = project.config["identities"]
    is_set = identities and identities["references"]
    return [f"<results>/embeddings/references/{identities['embedding']}{suffix}"] if is_set else []


def vectors_of_crops(project: Project) -> list[str]:
    """Return the tables of the vectors that crops are identified by."""
    identities = project.config["identities"]
    names = [identities["embedding"]] if identities else []
    return project.of_shards("<results>/embeddings/crops/{shard}/{embedding}.parquet", embedding=names)


def folder_of_references(project: Project, wildcards: Wildcards) -> str:
    """Return the folder of the reference pictures."""
    return str(project.config["identities"]["references"]["folder"])


def watched_references(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the reference pictures. Raises `TesseraError` if their folder has faults."""
    folder = Path(folder_of_references(project, wildcards))
    check_exists("identities.references.folder", folder, folder=True)
    read_references(folder)
    return contents_of(files_below(folder, IMAGE_SUFFIXES))


def identity_settings(project: Project) -> dict[str, Any] | None:
    """Return the settings of how crops are identified, without those of decisions and of the report; None without any."""
    identities = project.config["identities"]
    return identities and {name: value for name, value in identities.items() if name not in {"decisions", "shown"}}


def identity_table(project: Project) -> Paths:
    """Return the table of the identities of all crops, or an empty list if crops are not identified."""
    return "<results>/identities/identities.parquet" if project.config["identities"] else []


def identity_tables(project: Project) -> list[str]:
    """Return the table of the identities of all crops in a list, which is empty if crops are not identified."""
    return ["<results>/identities/identities.parquet"] if project.config["identities"] else []


def identity_targets(project: Project) -> list[str]:
    """Return everything that is made of identities."""
    if not project.config["identities"]:
        return []
    return ["<results>/identities/identities.parquet", "<results>/reports/identities/identities.html"]


def require_identities(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if nobody is to be identified, or there is no footage."""
    if not project.config["identities"]:
        raise TesseraError("nobody is identified: set `identities`")
    return require_sources(project, wildcards)
