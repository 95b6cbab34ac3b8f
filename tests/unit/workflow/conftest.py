"""A project in a temporary folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tessera.workflow.project import Project, load_project

BLOCKLIST = Path(__file__).parents[3] / "config" / "blocklist.tsv"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """A function that returns the project with the sources of these names, and these settings. Their footage exists."""
    monkeypatch.chdir(tmp_path)

    def load(*sources: str, warn: Callable[[str], None] | None = None, **settings: Any) -> Project:
        rows = [f"{name}\t{name}.mp4\tgeneral\tCC0\n" for name in sources]
        Path("sources.tsv").write_text("".join(["source\tpath\tcontent\trights\n", *rows]))
        for name in sources:
            Path(f"{name}.mp4").write_text(name)
        values = {"manifest": "sources.tsv", "shards": "per_source", "sources": {"blocklist": str(BLOCKLIST)}, **settings}
        return load_project(values, "results", warn)

    return load
