"""Means and intervals of measured samples equal those of obvious loops."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera.core.seeds import generator
from tessera.learning.intervals import RESAMPLES
from tessera.records.tables.evaluation_restoration import RestoredFrames
from tessera.records.tables.table import read_table
from tessera.stages.restoration.settings import BASELINES, CLEAN, RESTORED, MetricsSettings
from tessera.stages.restoration.summary import Measured, gain, intervals, summarise_samples, tabulate_frames

T = 8
SETTINGS = MetricsSettings(block_edges=(8,), motion_edges=(1, 4))
METHODS = [*BASELINES, RESTORED, "theirs"]


def sample(number: int, source: str) -> Measured:
    """Return a sample with random values, and frames without a region."""
    random = np.random.default_rng(number)
    gone = random.random(T) < 0.2
    gone[0] = False

    def values(low: float, high: float, none: np.ndarray = gone) -> np.ndarray:
        return np.where(none, np.nan, random.uniform(low, high, T))

    def consistency() -> dict[str, np.ndarray]:
        nothing = np.full(T, number % 3 == 0)  # some samples have nothing that is still
        return {"warping": values(0, 9), "flicker": values(0, 9, nothing), "seam": values(0, 9)}

    of_methods = {
        method: {
            "region": {"psnr": values(15, 30), "ssim": values(0, 1)},
            "frame": {"psnr": random.uniform(15, 30, T), "ssim": random.uniform(0, 1, T)},
            "consistency": consistency(),
        }
        for method in METHODS
    }
    return Measured(
        "val",
        f"clip {number}",
        source,
        4.0 + 3 * number % 10,
        ((), ("x264",), ("blur", "x264"))[number % 4 % 3],
        values(0, 6),
        {**of_methods, CLEAN: {"consistency": consistency()}},
    )


def samples(sources: int = 6) -> list[Measured]:
    return [sample(number, f"source {number % sources}") for number in range(11)]


def mean_of(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def test_groups_hold_the_frames_that_their_names_say() -> None:
    found = summarise_samples(samples(), SETTINGS, 0)
    rules = {
        ("blocks", "below 8"): lambda one, t: one.block < 8,
        ("blocks", "8 and more"): lambda one, t: one.block >= 8,
        ("motion", "below 1"): lambda one, t: one.motion[t] < 1,
        ("motion", "1 to 4"): lambda one, t: 1 <= one.motion[t] < 4,
        ("motion", "4 and more"): lambda one, t: one.motion[t] >= 4,
        ("position", "first and last 2"): lambda one, t: t < 2 or t >= T - 2,
        ("position", "middle"): lambda one, t: 2 <= t < T - 2,
        ("degradations", "none"): lambda one, t: not one.degradations,
        ("degradations", "blur"): lambda one, t: "blur" in one.degradations,
        ("degradations", "x264"): lambda one, t: "x264" in one.degradations,
    }
    assert {(kind, name) for kind in ("blocks", "motion", "position", "degradations") for name in found[kind]} == set(rules)
    for (kind, name), holds in rules.items():
        chosen = [(one, [t for t in range(T) if holds(one, t)]) for one in samples()]
        chosen = [(one, places) for one, places in chosen if any(np.isfinite(one.motion[t]) for t in places)]
        group = found[kind][name]
        assert group["samples"] == len(chosen)
        for area, method, metric in [
            ("region", "theirs", "psnr"),
            ("frame", RESTORED, "ssim"),
            ("consistency", CLEAN, "flicker"),
        ]:
            means = [mean_of([one.values[method][area][metric][t] for t in places]) for one, places in chosen]
            assert group[area][method][metric] == pytest.approx(mean_of(means), abs=1e-6)


def test_intervals_equal_those_of_an_obvious_bootstrap_with_the_same_draws_for_differences() -> None:
    measured = samples()
    found = intervals(measured, seed=5)
    assert found["sources"] == 6 and list(found["methods"]) == [*METHODS, CLEAN]
    drawn = generator(5, "bootstrap", "restoration val").integers(0, 6, (RESAMPLES, 6))
    names = [f"source {number}" for number in range(6)]
    for area, metric in [("region", "psnr"), ("consistency", "flicker")]:

        def value(method: str, chosen: list[Measured], area: str = area, metric: str = metric) -> float:
            return mean_of([mean_of(one.values[method][area][metric].tolist()) for one in chosen])

        resampled = [[one for place in places for one in measured if one.source == names[place]] for places in drawn]
        for method in ("mosaicked", "theirs"):
            values = [value(method, chosen) for chosen in resampled]
            differences = [one - value(RESTORED, chosen) for one, chosen in zip(values, resampled, strict=True)]
            ours = found["methods"][method][metric]
            assert ours["value"] == pytest.approx(value(method, measured), abs=1e-6)
            assert ours["difference"] == pytest.approx(value(method, measured) - value(RESTORED, measured), abs=2e-6)
            assert [ours["low"], ours["high"]] == pytest.approx(np.nanpercentile(values, [2.5, 97.5]).tolist(), abs=1e-6)
            limits = [ours["difference_low"], ours["difference_high"]]
            assert limits == pytest.approx(np.nanpercentile(differences, [2.5, 97.5]).tolist(), abs=1e-6)
    same = found["methods"][RESTORED]["psnr"]
    assert same["difference"] == same["difference_low"] == same["difference_high"] == 0


def test_too_few_sources_have_values_without_intervals() -> None:
    found = intervals(samples(sources=4), seed=0)
    assert found["sources"] == 4
    psnr = found["methods"]["theirs"]["psnr"]
    assert psnr["value"] > 15 and psnr["low"] is psnr["high"] is psnr["difference_low"] is None
    assert intervals([], seed=0) == {"sources": 0, "methods": {}}


def test_the_summary_is_valid_json_also_without_values() -> None:
    def no_constant(text: str) -> Any:
        raise AssertionError(text)

    for chosen in ([], samples()[:1]):
        json.loads(json.dumps(summarise_samples(chosen, SETTINGS, 0)), parse_constant=no_constant)


def test_the_gain_is_that_of_the_means_over_frames() -> None:
    one = sample(1, "a")
    means = [mean_of(one.values[method]["region"]["psnr"].tolist()) for method in (RESTORED, "mosaicked")]
    assert gain(one) == pytest.approx(means[0] - means[1])


def test_the_table_has_each_value_of_each_frame(tmp_path: Path) -> None:
    measured = samples()[:3]
    tabulate_frames(measured, tmp_path / "frames.parquet")
    table = list(read_table(tmp_path / "frames.parquet", RestoredFrames).iter_rows(named=True))
    assert len(table) == 3 * (len(METHODS) + 1) * T
    by_key = {one.key: one for one in measured}
    for row in table:
        one, t = by_key[row["key"]], row["position"]
        assert (row["source"], row["split"], row["block"]) == (one.source, one.split, one.block)
        assert row["degradations"] == list(one.degradations)
        for column in ("region_psnr", "region_ssim", "region_lpips", "frame_psnr", "warping", "flicker", "seam"):
            area, _, metric = column.rpartition("_")
            values = one.values[row["method"]].get(area or "consistency", {}).get(metric)
            expected = None if values is None or math.isnan(values[t]) else values[t]
            assert row[column] == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_a_table_of_no_samples_is_empty(tmp_path: Path) -> None:
    tabulate_frames([], tmp_path / "frames.parquet")
    assert read_table(tmp_path / "frames.parquet", RestoredFrames).is_empty()
