"""Fixtures for the tests of the workflow."""

import shutil
from pathlib import Path

import pytest
from baseline import Baseline
from projects import Project, Run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return Project.create(tmp_path / "project")


@pytest.fixture(scope="module")
def finished(baseline: Baseline) -> Run:
    """The run that made everything in the `baseline` of a module."""
    run = baseline.project.run(*baseline.targets)
    assert run.returncode == 0, run.output
    # What runs again follows from the results alone.
    shutil.rmtree(baseline.project.folder / ".snakemake")
    return run
