"""What drawn watermarks are made of."""

from pathlib import Path

from tessera.core.contents import contents_of
from tessera.core.files import check_exists, files_below
from tessera.workflow.project import Project, Wildcards


def watched_materials(project: Project, wildcards: Wildcards) -> list[str]:
    """Return values that change with the logos and the fonts that watermarks are made of, which must exist."""
    watched = []
    for material in ("logos", "fonts"):
        if path := project.config["watermarks"]["draw"][material]:
            check_exists(f"watermarks.draw.{material}", path)
            watched.append(contents_of(files_below(Path(path))))
    return watched
