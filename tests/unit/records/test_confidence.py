"""The confidence that meets a target is the one that trying all of them gives."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.records.confidence import ConfidenceTarget, confidence_for, read_confidence
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


def test_a_target_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    objects, detections = tables([0.9, 0.2, None, None], [0.95])
    files = tmp_path / "objects.parquet", tmp_path / "detections.parquet"
    for frame, schema, file in zip((objects, detections), (Objects, Detections), files, strict=True):
        write_table(frame, schema, file)
    half, most = (ConfidenceTarget(target="recall", at_least=value) for value in (0.5, 0.9))
    assert read_confidence(half, "here", *files, lowest=0.1) == 0.2
    with pytest.raises(TesseraError, match=r"`here` asks for a recall of 0\.5, and no confidence from 0\.3 on reaches that"):
        read_confidence(half, "here", *files, lowest=0.3)
    with pytest.raises(TesseraError, match=r"recall of 0\.9, and no confidence from 0\.1 on"):
        read_confidence(most, "here", *files, lowest=0.1)
    with pytest.raises(TesseraError, match=r"precision of 0\.9, and no confidence from 0\.1 on"):
        read_confidence(ConfidenceTarget(target="precision", at_least=0.9), "here", *files, lowest=0.1)
