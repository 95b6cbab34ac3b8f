"""Fixtures for the tests of the workflow."""

from pathlib import Path

import pytest
from projects import Project, Run
from workshop import Workshop


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return Project.create(tmp_path / "project")


@pytest.fixture(scope="module")
def finished(workshop: Workshop) -> Run:
    """The run that made everything in the `workshop` of a module."""
    run = workshop.project.run(*workshop.targets)
    assert run.returncode == 0, run.output
    return run
