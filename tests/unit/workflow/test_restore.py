"""Which videos are restored, and by which models."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tessera.core.errors import TesseraError
from tessera.learning.weights.known import DETECTOR_STARTER, RESTORER_STARTER, known_weights
from tessera.workflow.project import Project, load_project
from tessera.workflow.restore import (
    mosaic_detector,
    mosaic_detector_checksums,
    require_restored,
    restoration_checksums,
    restoration_weights,
    restored,
)
from tessera.workflow.starters import used_starters
from tessera.workflow.targets import targets

HEADER = "source\tpath\tcontent\trights\tconsent\tadults_verified\tuse\n"


@pytest.fixture
def rows(load: Callable[..., Project]) -> Callable[..., Project]:
    """A function that returns the project with sources that have these values of `use`."""

    def rows(settings: dict[str, Any] | None = None, **use: str) -> Project:
        project = load(*use, **settings or {})
        lines = [f"{name}\t{name}.mp4\tgeneral\tCC0\t\t\t{value}\n" for name, value in use.items()]
        Path("sources.tsv").write_text("".join([HEADER, *lines]))
        return load_project(project.config, "results", None)

    return rows


def test_the_videos_to_restore_are_those_whose_use_says_so(rows: Callable[..., Project]) -> None:
    project = rows(one="restore", two="", three="mosaic_detection, restore", four="watermark_detection")
    assert restored(project) == {"one": ["one"], "three": ["three"]}
    assert require_restored(project, SimpleNamespace()) == []
    with pytest.raises(TesseraError, match="lists no video to restore: write `restore` into the column `use`"):
        require_restored(rows(two=""), SimpleNamespace())


@pytest.mark.parametrize("settings", [{"shown": ["two"]}, {"spans": {"two": ["0:00-0:01"]}}])
def test_settings_of_a_video_that_is_not_restored_are_an_error(settings: dict[str, Any], rows: Callable[..., Project]) -> None:
    with pytest.raises(TesseraError, match=r"restore\.\w+: the manifest has no source 'two' with `restore` in .* has 'one'"):
        restored(rows({"restore": settings}, one="restore", two=""))


def test_videos_that_are_only_restored_train_nothing(rows: Callable[..., Project]) -> None:
    alone = rows(one="restore")
    assert not alone.datasets and not alone.models
    assert known_weights()[RESTORER_STARTER].sha256 in str(restoration_weights(alone, SimpleNamespace(shard="one")))
    assert known_weights()[DETECTOR_STARTER].sha256 in str(mosaic_detector(alone, SimpleNamespace(shard="one")))
    assert not mosaic_detector_checksums(alone) and not restoration_checksums(alone)
    assert used_starters(alone.config) == ["detector", "restorer"]
    with pytest.raises(TesseraError, match="lists no source that feeds a dataset"):
        targets(alone)["models.mosaic_detection"](SimpleNamespace())
    both = rows(one="restore", two="")
    assert str(mosaic_detector(both, SimpleNamespace(shard="one"))).endswith("mosaic_detection.pt")
    assert restoration_weights(both, SimpleNamespace(shard="one")).endswith("mosaic_restoration.safetensors")
    assert mosaic_detector_checksums(both) and restoration_checksums(both)
    assert used_starters(both.config) == []


TARGET = {"choose": {"confidence": {"target": "precision", "at_least": 0.9}}}


@pytest.mark.parametrize(
    ("settings", "starters"),
    [
        ({"restoration": {"stages": []}}, ["restorer"]),
        ({"restoration": {"stages": []}, "restore": TARGET}, ["restorer"]),
        ({"scenes": {"detect": {"weights": None}}}, ["restorer"]),
        ({"models": {"mosaic_detection": None}}, ["detector"]),
        ({"restore": {"weights": "starter"}}, ["restorer"]),
        ({"restore": {"detect": {"weights": "starter"}}}, ["detector"]),
    ],
)
def test_a_starter_model_restores_where_none_is_trained(
    settings: dict[str, Any], starters: list[str], rows: Callable[..., Project]
) -> None:
    project = rows(settings, one="restore", two="")
    assert used_starters(project.config) == starters
    for name, file, row in (
        ("detector", mosaic_detector, DETECTOR_STARTER),
        ("restorer", restoration_weights, RESTORER_STARTER),
    ):
        found = str(file(project, SimpleNamespace(shard="one")))
        assert (known_weights()[row].sha256 in found) == (name in starters)
        assert ("<results>" in found) == (name not in starters)


def test_without_a_model_one_line_says_what_to_write(rows: Callable[..., Project]) -> None:
    alone = rows({"restore": {"weights": None, **TARGET}}, one="restore")
    with pytest.raises(TesseraError, match=r"`restore\.weights` is null, and no mosaic_restoration .*: write `starter` there"):
        restoration_weights(alone, SimpleNamespace(shard="one"))
    # The confidence of the detector is a target, which no starter model has.
    with pytest.raises(TesseraError, match=r"`restore\.detect\.weights` is trained, and no mosaic_detection is trained here"):
        mosaic_detector(alone, SimpleNamespace(shard="one"))
