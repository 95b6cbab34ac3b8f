"""What is harvested from the web."""

from typing import Any

from tessera.core.errors import TesseraError
from tessera.extras.harvest.settings import ClientSettings
from tessera.workflow.project import Project, Wildcards


def client_settings(project: Project) -> dict[str, Any]:
    """Return the settings of how servers are asked."""
    return {name: project.config["harvest"][name] for name in ClientSettings.model_fields}


def tables_of_addresses(project: Project) -> list[str]:
    """Return the tables of addresses: that of the settings, and what searches find."""
    table, queries = project.config["harvest"]["table"], project.config["harvest"]["europeana"]
    return [*([table] if table else []), *(["<results>/harvest/europeana.tsv"] if queries else [])]


def require_addresses(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if the settings name nothing to harvest."""
    if not tables_of_addresses(project):
        raise TesseraError("nothing to harvest: set `harvest.table` or `harvest.europeana` (see docs/harvest.md)")
    return []
