"""The confidence that meets a target is the one that trying all of them gives."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.records.confidence import ConfidenceTarget, confidence_for, with_confidences
from tessera.records.tables.evaluation import Detections, Objects
from tessera.records.tables.table import types, write_table

SCORES = st.integers(1, 9).map(lambda tenths: tenths / 10)
BOX = {"x0": 0.0, "y0": 0.0, "x1": 9.0, "y1": 9.0, "model": "mine", "split": "val", "source": "a", "label": "nsfw"}


def tables(found: list[float | None], false: list[float]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return an image per object, with the confidence of the detection that found it, and one per false detection."""
    common = {**BOX, "kind": "mask", "number": 0}
    objects = [{**common, "key": f"k{place}", "area": 1.0, "side": 1.0, "score": score} for place, score in enumerate(found)]
    rows = [(f"k{place}", score, 0) for place, score in enumerate(found) if score is not None]
    rows += [(f"f{place}", score, -1) for place, score in enumerate(false)]
    detections = [{**common, "key": key, "score": score, "matched": matched, "iou": 0.7} for key, score, matched in rows]
    return pl.DataFrame(objects, schema=types(Objects)), pl.DataFrame(detections, schema=types(Detections))


@given(
    st.lists(st.none() | SCORES, min_size=1, max_size=8),
    st.lists(SCORES, max_size=8),
    st.sampled_from([0.3, 0.5, 0.75, 0.9]),
    st.sampled_from([0.0, 0.3, 0.5]),
)
def test_the_confidence_is_the_one_that_trying_all_gives(
    found: list[float | None], false: list[float], at_least: float, lowest: float
) -> None:
    objects, detections = tables(found, false)
    right = [score for score in found if score is not None]
    precise, complete = [], []
    for level in sorted(score for score in {*right, *false} if score >= lowest):
        kept, wrong = (sum(score >= level for score in scores) for scores in (right, false))
        if kept >= at_least * (kept + wrong) - 1e-9:
            precise.append(level)
        if kept >= at_least * len(found) - 1e-9 and level in right:
            complete.append(level)
    for target, levels, best in (("precision", precise, min), ("recall", complete, max)):
        wanted = ConfidenceTarget(target=target, at_least=at_least)
        assert confidence_for(wanted, objects, detections, lowest) == best(levels, default=None)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Four objects, two of which were found, and a false detection that is surer than both."""
    tables_of = tables([0.9, 0.2, None, None], [0.95])
    paths = [tmp_path / "objects.parquet", tmp_path / "detections.parquet"]
    for frame, schema, path in zip(tables_of, (Objects, Detections), paths, strict=True):
        write_table(frame, schema, path)
    return paths


def reach(target: str, at_least: float) -> dict[str, Any]:
    return {"target": target, "at_least": at_least}


def test_targets_become_confidences_in_the_part_of_the_settings_that_is_asked_for(files: list[Path]) -> None:
    settings = {"choose": {"confidence": {"nsfw": reach("recall", 0.5), "face": 0.8}}, "scale": 2}
    targets = [
        {"place": "scenes.choose.confidence", "lowest": 0.1},
        {"place": "regions.choose.confidence.nsfw", "lowest": 0.1},
    ]
    found = with_confidences(settings, "regions", targets, [*[Path("gone")] * 2, *files])
    assert found == {"choose": {"confidence": {"nsfw": 0.2, "face": 0.8}}, "scale": 2}
    assert settings["choose"]["confidence"]["nsfw"] == reach("recall", 0.5), "the argument is not changed"
    assert with_confidences({"confidence": 0.3}, "preview", [], []) == {"confidence": 0.3}


@pytest.mark.parametrize(
    ("target", "at_least", "lowest", "fault"),
    [
        ("recall", 0.5, 0.3, r"`here.confidence` asks for a recall of 0\.5, and no confidence from 0\.3 on reaches that"),
        ("recall", 0.9, 0.1, r"recall of 0\.9, and no confidence from 0\.1 on"),
        ("precision", 0.9, 0.1, r"precision of 0\.9, and no confidence from 0\.1 on"),
    ],
)
def test_a_target_that_cannot_be_reached_is_named(
    files: list[Path], target: str, at_least: float, lowest: float, fault: str
) -> None:
    targets = [{"place": "here.confidence", "lowest": lowest}]
    with pytest.raises(TesseraError, match=fault):
        with_confidences({"confidence": reach(target, at_least)}, "here", targets, files)
