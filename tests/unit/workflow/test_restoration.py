"""Stages of restoration start from what the settings say, and get no weights that they do not use."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tessera.learning.weights.known import FLOW_STARTER, known_weights
from tessera.workflow.project import Project
from tessera.workflow.restoration import stage_weights

OTHER = {"source": "lada.pth", "sha256": "0123456789abcdef" * 3 + "fedcba9876543210"}


@pytest.mark.parametrize(
    ("weights", "stage", "starts"),
    [
        ({"spynet": "starter"}, "stage1", True),
        ({}, "stage1", False),
        ({"spynet": "starter", "load_from": OTHER}, "stage1", False),
        ({"spynet": "starter"}, "stage2", False),
    ],
)
def test_a_stage_starts_from_the_starter_flow_if_the_settings_name_it_and_no_other_weights(
    weights: dict[str, Any], stage: str, starts: bool, load: Callable[..., Project]
) -> None:
    project = load("one", restoration={"weights": weights})
    used = stage_weights(project, SimpleNamespace(model="mosaic_restoration", stage=stage))
    assert (known_weights()[FLOW_STARTER].sha256 in str(used["spynet"])) == starts
    assert bool(used["spynet"]) == starts
