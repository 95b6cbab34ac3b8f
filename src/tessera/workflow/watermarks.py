"""What drawn watermarks are made of."""

from pathlib import Path

from tessera.core.files import check_exists, files_below
from tessera.core.provenance import fingerprint
from tessera.workflow.project import Project, Wildcards


def watched_materials(project: Project, wildcards: Wildcards) -> list[str]:
    """Return values that change with the logos and the fonts that watermarks are made of, which must exist."""
    watched = []
    for material in ("logos", "fonts"):
        if path := project.config["watermarks"]["draw"][material]:
            check_exists(f"watermarks.draw.{material}", path)
            watched.append(fingerprint(files_below(Path(path))))
    return watched
