"""Each filter has one threshold and one reason, similar clips are kept once, and decisions override filters."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from chance_metrics import write_chance
from clip_tables import clip, score, write_clips, write_scores, write_sources
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.settings import Settings
from tessera.records.decisions import Decision
from tessera.records.limits import REASONS, FilterSettings, ScoreLimit
from tessera.records.tables.classification import Scored
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.filters.filtering import complaints, filter_clips
from tessera.stages.filters.similar import FEW, PLACES, find_similar, signature

OFF = FilterSettings(**dict.fromkeys([*REASONS, "duplicates"]))


def apart(number: int) -> list[int]:
    """Return hashes that are far from those of other numbers."""
    return np.random.default_rng(number).integers(0, 2**64, 4, np.uint64).tolist()


def said(**words: str) -> dict[str, Decision]:
    return {
        key.replace("_", "-"): Decision(key=key.replace("_", "-"), decision=word, reason="seen", who="Ada", when="2026-01-31")
        for key, word in words.items()
    }


def run(
    folder: Path,
    clips: Sequence[dict[str, Any]],
    scores: Sequence[dict[str, Any]],
    settings: Settings = OFF,
    decisions: Mapping[str, Decision] | None = None,
    sources: dict[str, dict[str, Any]] | None = None,
    shards: int = 1,
    classified: Mapping[str, Sequence[Path]] | None = None,
    metrics: Sequence[Path] = (),
) -> tuple[list[str], dict[str, tuple[str, str, str]]]:
    """Filter `clips`, divided into so many shards; return the kept keys and the ledger by key."""
    tables = []
    for shard in range(shards):
        write_clips(folder / str(shard), clips[shard::shards], {})
        own = {row["key"] for row in clips[shard::shards]}
        write_scores(folder / str(shard) / "scores.parquet", [row for row in scores if row["key"] in own])
        tables.append(folder / str(shard))
    known = write_sources(folder / "sources.parquet", sources or {name: {} for name in ("a", "b", "c")})
    outputs = folder / "kept.parquet", folder / "kept_scores.parquet", folder / "ledger.jsonl", folder / "decisions.jsonl"
    inputs = [table / "clips.parquet" for table in tables], [table / "scores.parquet" for table in tables]
    assert isinstance(settings, FilterSettings)
    filter_clips(*inputs, classified or {}, metrics, known, "mosaic_restoration", decisions or {}, settings, *outputs)
    kept = read_table(outputs[0], Clips)["key"].to_list()
    assert read_table(outputs[1], Scores)["key"].to_list() == kept
    return kept, {row["key"]: (row["status"], row["reason"], row["detail"]) for row in read_ledger(outputs[2])}


@pytest.mark.parametrize("name", REASONS)
def test_each_filter_is_one_threshold_with_one_reason(name: str) -> None:
    side, column = name.split("_")
    settings = OFF.model_copy(update={name: 0.5})
    for value in (0.4, 0.5, 0.6):
        fails = value > 0.5 if side == "max" else value < 0.5
        found = complaints(score("a", **{column: value}), {}, settings)
        assert list(found) == ([REASONS[name]] if fails else [])
        assert complaints(score("a", **{column: value}), {}, OFF) == {}
    assert complaints(score("a", **{column: None}), {}, settings) == {}


def test_every_threshold_has_a_reason_and_reasons_differ() -> None:
    assert [*REASONS, "duplicates", "classifiers"] == list(FilterSettings.model_fields)
    assert len(set(REASONS.values())) == len(REASONS)


def test_by_default_only_clear_faults_drop_a_clip() -> None:
    usual = score("a", watermark=0.1, mosaic=0.0, nsfw=0.5, quality=0.4)
    assert complaints(usual, {}, FilterSettings()) == {}
    bad = score("a", watermark=0.5, mosaic=0.5, nsfw=0.0, clipped=1.0, quality=0.01)
    assert list(complaints(bad, {}, FilterSettings())) == [
        "watermark",
        "already mosaicked",
        "second detector disagrees",
        "black or white",
        "poor quality",
    ]


def test_the_first_reason_counts_and_all_are_listed(tmp_path: Path) -> None:
    clips = [clip("a-0-1"), clip("b-0-1")]
    scores = [score("a-0-1", apart(0), sharpness=5.0, watermark=0.5), score("b-0-1", apart(1))]
    settings = FilterSettings(min_sharpness=50)
    kept, ledger = run(tmp_path, clips, scores, settings)
    assert kept == ["b-0-1"]
    assert ledger["a-0-1"] == ("dropped", "watermark", "watermark: 0.5 > 0.25; blurred: 5 < 50")
    assert ledger["b-0-1"] == ("ok", "", "")


def classified(path: Path, values: Mapping[str, float]) -> Path:
    """Write how probable it is that each clip is compressed."""
    rows = [
        {"key": key, "label": "clean", "classes": ["clean", "compressed"], "probabilities": [1 - value, value], "score": None}
        for key, value in values.items()
    ]
    write_table(pl.DataFrame(rows, schema=types(Scored)), Scored, path)
    return path


def test_a_clip_beyond_the_limit_of_a_classifier_is_dropped_with_its_name_and_value(tmp_path: Path) -> None:
    clips = [clip(f"{name}-0-1") for name in "abcd"]
    scores = [score(row["key"], apart(number)) for number, row in enumerate(clips)]
    tables = [
        classified(tmp_path / "1", {"a-0-1": 0.25, "b-0-1": 0.75}),
        classified(tmp_path / "2", {"c-0-1": 0.75}),
    ]
    settings = OFF.model_copy(update={"classifiers": {"quality": ScoreLimit(label="compressed", max=0.5)}})
    kept, ledger = run(tmp_path, clips, scores, settings, said(c_0_1="keep"), {}.fromkeys("abcd", {}), 1, {"quality": tables})
    assert kept == ["a-0-1", "c-0-1"]
    assert ledger["b-0-1"] == ("dropped", "classifier quality: compressed", "classifier quality: compressed: 0.75 > 0.5")
    assert ledger["c-0-1"][:2] == ("ok", "kept by decision") and "0.75 > 0.5" in ledger["c-0-1"][2]
    assert ledger["d-0-1"] == ("failed", "not scored", "quality")
    other = OFF.model_copy(update={"classifiers": {"quality": ScoreLimit(label="grainy", max=0.5)}})
    with pytest.raises(TesseraError, match="'quality' does not fit it: it has no class 'grainy': set `label` to one of clean"):
        run(tmp_path, clips, scores, other, classified={"quality": tables})


@pytest.mark.parametrize(
    ("is_better", "even_if_chance", "filters"),
    [(True, False, True), (None, False, True), (False, False, False), (False, True, True)],
)
def test_a_classifier_no_better_than_chance_filters_nothing_unless_told_to(
    is_better: bool | None, even_if_chance: bool, filters: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [clip("a-0-1"), clip("b-0-1")]
    scores = [score(row["key"], apart(number)) for number, row in enumerate(clips)]
    tables = [classified(tmp_path / "1", {"a-0-1": 0.25, "b-0-1": 0.75})]
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    limit = ScoreLimit(label="compressed", max=0.5, even_if_chance=even_if_chance)
    settings = OFF.model_copy(update={"classifiers": {"quality": limit}})
    metrics = [write_chance(tmp_path / "quality.json", is_better)]
    kept, ledger = run(tmp_path, clips, scores, settings, classified={"quality": tables}, metrics=metrics)
    assert kept == (["a-0-1"] if filters else ["a-0-1", "b-0-1"])
    message = "quality is no better than chance (balanced accuracy 0.400 to 0.700, 0.500 by guessing): it filters nothing"
    assert (message in terminal.getvalue()) is not filters
    if not filters:
        assert ledger["a-0-1"] == ("ok", "", "")
        assert ledger["b-0-1"] == ("ok", "no better than chance: not filtered by quality", "")


def test_a_clip_without_scores_fails_even_if_a_decision_keeps_it(tmp_path: Path) -> None:
    kept, ledger = run(tmp_path, [clip("a-0-1"), clip("b-0-1")], [score("b-0-1")], decisions=said(a_0_1="keep"))
    assert kept == ["b-0-1"]
    assert ledger["a-0-1"] == ("failed", "not scored", "")


def test_a_decision_overrides_every_filter(tmp_path: Path) -> None:
    clips = [clip(f"a-{first}-1") for first in (0, 100, 200)]
    scores = [score("a-0-1", apart(0)), score("a-100-1", apart(1), watermark=1.0), score("a-200-1", apart(2))]
    kept, ledger = run(tmp_path, clips, scores, FilterSettings(), said(a_0_1="drop", a_100_1="keep"))
    assert kept == ["a-100-1", "a-200-1"]
    assert ledger["a-0-1"] == ("dropped", "dropped by decision", "Ada, 2026-01-31: seen")
    assert ledger["a-100-1"] == ("ok", "kept by decision", "Ada, 2026-01-31: seen; watermark: 1 > 0.25")


def test_a_decision_does_not_keep_clips_of_a_source_that_is_not_admitted(tmp_path: Path) -> None:
    clips = [clip(f"{name}-0-1") for name in ("good", "withdrawn", "other")]
    scores = [score(row["key"], apart(number)) for number, row in enumerate(clips)]
    sources = {"good": {"use": ["mosaic_restoration"]}, "other": {"use": ["nsfw_detection"]}}
    decisions = said(withdrawn_0_1="keep", other_0_1="keep")
    kept, ledger = run(tmp_path, clips, scores, decisions=decisions, sources=sources)
    assert kept == ["good-0-1"]
    assert {key: row[:2] for key, row in ledger.items()} == {
        "good-0-1": ("ok", ""),
        "withdrawn-0-1": ("dropped", "source not admitted"),
        "other-0-1": ("dropped", "source not for mosaic_restoration"),
    }


def test_a_decision_without_a_clip_is_no_clip_but_a_row_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decisions = said(a_900_1="drop", a_7_1="drop")
    kept, ledger = run(
        tmp_path, [clip("a-0-1"), clip("b-0-1")], [score("a-0-1", apart(0)), score("b-0-1", apart(1))], OFF, decisions
    )
    # The scene that began at frame 7 begins at 0 now.
    assert kept == ["b-0-1"]
    assert ledger["a-0-1"][1] == "dropped by decision"
    assert list(ledger) == ["a-0-1", "b-0-1"]
    matched = {row["key"]: (row["status"], row["detail"]) for row in read_ledger(tmp_path / "decisions.jsonl")}
    assert matched == {"a-7-1": ("ok", "a-0-1"), "a-900-1": ("dropped", "Ada, 2026-01-31: seen")}


def near(hashes: Sequence[int], bits: int) -> list[int]:
    """Return hashes that differ from `hashes` in so many bits each."""
    return [one ^ ((1 << bits) - 1) << 7 for one in hashes]


def test_of_similar_clips_the_longest_and_largest_is_kept(tmp_path: Path) -> None:
    clips = [clip("a-0-1", 30), clip("a-50-1", 40), clip("b-0-1", 30, (80, 64)), clip("c-0-1", 90)]
    hashes = apart(0)
    scores = [score("a-0-1", hashes), score("a-50-1", near(hashes, 4)), score("b-0-1", near(hashes, 2))]
    scores.append(score("c-0-1", near(hashes, 20)))
    settings = OFF.model_copy(update={"duplicates": 4.0})
    kept, ledger = run(tmp_path, clips, scores, settings)
    assert kept == ["a-50-1", "c-0-1"]
    assert ledger["a-0-1"] == ("dropped", "looks like another clip", "a-50-1, differs in 4 of 64 bits")
    assert ledger["b-0-1"] == ("dropped", "looks like another clip", "a-50-1, differs in 2 of 64 bits")
    assert run(tmp_path, clips, scores)[0] == ["a-0-1", "a-50-1", "b-0-1", "c-0-1"]


def test_a_clip_dropped_for_another_reason_does_not_replace_a_similar_one(tmp_path: Path) -> None:
    clips = [clip("a-0-1", 90), clip("b-0-1", 60), clip("c-0-1", 30)]
    scores = [score("a-0-1", watermark=1.0), score("b-0-1"), score("c-0-1")]
    kept, _ = run(tmp_path, clips, scores, FilterSettings(), said(b_0_1="drop"))
    assert kept == ["c-0-1"]


def test_a_clip_kept_by_decision_is_kept_rather_than_a_similar_one(tmp_path: Path) -> None:
    clips = [clip("a-0-1", 90), clip("b-0-1", 60), clip("c-0-1", 30)]
    scores = [score(row["key"]) for row in clips]
    kept, ledger = run(tmp_path, clips, scores, FilterSettings(), said(b_0_1="keep", c_0_1="keep"))
    assert kept == ["b-0-1", "c-0-1"]
    assert ledger["a-0-1"][1:] == ("looks like another clip", "b-0-1, differs in 0 of 64 bits")


@pytest.mark.slow
@settings(max_examples=6)
@given(data=st.data())
def test_neither_order_nor_shards_matter(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    count = data.draw(st.integers(1, 8))
    clips, scores = [], []
    for number in range(count):
        key = f"{data.draw(st.sampled_from('abc'))}-{number}-1"
        clips.append(clip(key, data.draw(st.integers(1, 3))))
        hashes = near(apart(data.draw(st.integers(0, 2))), data.draw(st.integers(0, 6)))
        scores.append(score(key, hashes, watermark=data.draw(st.sampled_from([None, 0.0, 0.2]))))
    wanted = FilterSettings(duplicates=3)
    folder = tmp_path_factory.mktemp("filters")
    expected = run(folder / "one", clips, scores, wanted)
    content = [(folder / "one" / name).read_bytes() for name in ("kept.parquet", "kept_scores.parquet", "ledger.jsonl")]
    order = data.draw(st.permutations(range(count)))
    shuffled = [clips[place] for place in order], [scores[place] for place in reversed(order)]
    again = run(folder / "other", *shuffled, wanted, shards=data.draw(st.integers(1, 3)))
    assert again == expected
    assert [
        (folder / "other" / name).read_bytes() for name in ("kept.parquet", "kept_scores.parquet", "ledger.jsonl")
    ] == content


@pytest.mark.parametrize("clips", [[], [clip("a-0-1")]])
def test_if_no_clip_is_left_the_error_has_the_fix(clips: list[dict[str, Any]], tmp_path: Path) -> None:
    scores = [score(row["key"], watermark=1.0) for row in clips]
    message = (
        r"has no clip left of 1: watermark \(1\); loosen .* `filters`"
        if clips
        else "no clip was cut .* `scenes.choose.min_seconds`"
    )
    with pytest.raises(TesseraError, match=message):
        run(tmp_path, clips, scores, FilterSettings())


def compare_all(signatures: np.ndarray, distance: float, fixed: int) -> tuple[list[int], list[float]]:
    """Return the expected result of `find_similar`, by comparing all pairs."""
    bits = [
        [sum((int(a) ^ int(b)).bit_count() for a, b in zip(one, other, strict=True)) for other in signatures]
        for one in signatures
    ]
    stay: list[int] = []
    for place in range(len(signatures)):
        if place < fixed or all(bits[place][other] / PLACES > distance for other in stay):
            stay.append(place)
    nearest = [
        place if place in stay else min(stay, key=lambda other: (bits[place][other], other)) for place in range(len(bits))
    ]
    return nearest, [bits[place][other] / PLACES for place, other in enumerate(nearest)]


@pytest.mark.slow
@given(
    seed=st.integers(0, 1000),
    count=st.integers(0, 40),
    flips=st.integers(0, 90),
    distance=st.sampled_from([0, 0.5, 1, 2.25, 4, 6, 8]),
    fixed=st.integers(0, 3),
)
def test_similar_clips_are_those_of_comparing_all_pairs(seed: int, count: int, flips: int, distance: float, fixed: int) -> None:
    from tessera.stages.filters import similar

    random = np.random.default_rng(seed)
    signatures = random.integers(0, 2**64, (3, PLACES), np.uint64)[random.integers(0, 3, count)]
    for row in signatures:
        for _ in range(random.integers(0, flips + 1)):
            row[random.integers(PLACES)] ^= np.uint64(1) << random.integers(64, dtype=np.uint64)
    fixed = min(fixed, count)
    due = compare_all(signatures, distance, fixed)
    try:
        for few in (FEW, 3):
            similar.FEW = few
            place, bits = find_similar(signatures, distance, fixed)
            assert (place.tolist(), bits.tolist()) == due
    finally:
        similar.FEW = FEW


def test_a_signature_spans_the_hashes_from_first_to_last() -> None:
    assert signature(range(16)).tolist() == [0, 2, 4, 6, 9, 11, 13, 15]
    assert signature([7, 2**64 - 1]).tolist() == [7] * 4 + [2**64 - 1] * 4
    assert signature([5]).tolist() == [5] * PLACES
